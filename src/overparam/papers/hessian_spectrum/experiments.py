"""Experiments of arXiv 1706.04454: spectra, their cause, and the line between two solutions."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from overparam.lab import Drawing, Progress, Seeds, Trials, experiment, figure, first_available, grid
from overparam.methods.measures.gauss_newton import decompose, ggn_spectrum
from overparam.methods.measures.hessian_operator import HessianOperator, Kind
from overparam.methods.measures.lanczos import lanczos
from overparam.models.mlp import mlp
from overparam.models.streams import draw
from overparam.papers.hessian_spectrum import drawing
from overparam.papers.hessian_spectrum.setting import (
    DATA,
    EXACT,
    GUESS,
    INIT,
    LOSS,
    SHOWN,
    blobs,
    gradient_in_top,
    images,
    outlier_metrics,
    spectrum_of,
    train,
)
from overparam.papers.hessian_spectrum.solutions import Row, Run, walk

EQUAL_LOSS = 0.02
CAP = 20_000  # steps within which a network has to reach it


@experiment(
    smoke=grid(data=["digits"], n=[200], width=[8], classes=[10, 5], labels=["true"], steps=[400]),
    laptop=grid(data=["digits"], n=[400], width=[8, 16, 24], classes=[10, 5], labels=["true"], steps=[600])
    + grid(data=["digits"], n=[400], width=[16], classes=[10], labels=["random"], steps=[4000]),
    paper=grid(data=["mnist"], n=[1000], width=[8, 32, 128], classes=[10, 5], labels=["true"], steps=[5000])
    + grid(data=["mnist"], n=[1000], width=[32], classes=[10], labels=["random"], steps=[5000]),
    seeds=Seeds(smoke=3, laptop=5, paper=10),
    reads=("data",),
    sabotage="only the residual part of the Hessian is looked at",
)
def spectrum(
    data: str, n: int, width: int, classes: int, labels: str, steps: int, seed: int, sabotage: bool = False
) -> Row:
    """Train a perceptron by full-batch Adam and take the spectrum at the start and at the end."""
    x, y = images(data, n, classes)
    if labels == "random":
        y = torch.randint(0, classes, y.shape, generator=draw(GUESS, seed))
    trained = train(mlp(x[0].numel(), [width], classes, generator=draw(INIT, seed)), x, y, steps=steps)
    kind: Kind = "residual" if sabotage else "hessian"
    first, last = (HessianOperator(m, LOSS, (x, y), kind=kind) for m in (trained.initial, trained.model))
    before, after = spectrum_of(first, seed=seed), spectrum_of(last, seed=seed)
    found = outlier_metrics(after, classes)
    return {
        **found,
        "largest_gap": int(found["second_index"] == classes - 1),
        "gradient_share": gradient_in_top(last, trained.model, x, y, classes),
        "parameters": last.shape[0],
        "loss": trained.loss,
        "initial_near_zero_share": before.near_zero,
        "initial_negative_ratio": max(0.0, -before.lowest) / float(before.top[0]),
        "top": after.top[:SHOWN].tolist(),
        "initial_top": before.top[:SHOWN].tolist(),
    }


@experiment(
    smoke=grid(n=[300], dimension=[20], width=[12, 36], clusters=[5], separation=[1.5]),
    laptop=grid(n=[300], dimension=[20], width=[6, 12, 24, 48, 96], clusters=[5], separation=[1.5]),
    paper=grid(n=[1000], dimension=[100], width=[6, 12, 24, 48, 96, 384, 960], clusters=[5], separation=[1.5]),
    seeds=Seeds(smoke=3, laptop=5, paper=10),
)
def width(n: int, dimension: int, width: int, clusters: int, separation: float, seed: int) -> Row:
    """Learn the same clusters with wider and wider networks, up to the same loss."""
    return _clustered(n, dimension, width, clusters, clusters, separation, seed)


@experiment(
    smoke=grid(n=[400], dimension=[20], width=[16], clusters=[2, 5, 8], separation=[1.5, 3.0]),
    laptop=grid(n=[400], dimension=[20], width=[16], clusters=[2, 3, 5, 8], separation=[1.0, 1.5, 3.0]),
    paper=grid(n=[1000], dimension=[100], width=[16], clusters=[2, 3, 5, 8], separation=[1.0, 1.5, 3.0]),
    seeds=Seeds(smoke=3, laptop=5, paper=10),
)
def clusters(n: int, dimension: int, width: int, clusters: int, separation: float, seed: int) -> Row:
    """Learn more clusters, or clusters farther apart, with the same network of eight outputs, up to the same loss."""
    return _clustered(n, dimension, width, clusters, 8, separation, seed)


def _clustered(n: int, dimension: int, width: int, clusters: int, outputs: int, separation: float, seed: int) -> Row:
    x, y = blobs(n, clusters, dimension, separation, draw(DATA, seed, clusters))
    model = mlp(dimension, [width], outputs, generator=draw(INIT, seed))
    trained = train(model, x, y, steps=CAP, until=EQUAL_LOSS)
    found = spectrum_of(op := HessianOperator(trained.model, LOSS, (x, y)), seed=seed)
    metrics = outlier_metrics(found, clusters)
    gap = metrics["gap_index" if clusters == 2 else "second_index"]  # the leading eigenvalue may stand alone
    reached = trained.loss <= EQUAL_LOSS
    return {
        **metrics,
        "log_outliers": metrics["log_outliers"] if reached else None,  # outliers follow the loss
        "counted": int(gap in (clusters - 1, clusters)),
        "log_bulk": math.log(max(found.middle, 1e-300)) if reached and found.middle is not None else None,
        "log_parameters": math.log(op.shape[0]),
        "log_clusters": math.log(clusters),
        "log_separation": math.log(separation),
        "parameters": op.shape[0],
        "loss": trained.loss,
        "training_steps": trained.steps,
        "top": found.top[:SHOWN].tolist(),
    }


@experiment(
    smoke=grid(data=["digits"], n=[40], width=[8], steps=[300]),
    laptop=grid(data=["digits"], n=[60], width=[8, 16, 24], steps=[600]),
    paper=grid(data=["mnist"], n=[100], width=[8, 32, 128], steps=[5000]),
    seeds=Seeds(smoke=3, laptop=5, paper=10),
    reads=("data",),
    sabotage="the second derivatives of the loss inside the Gauss-Newton part are those of squared errors",
)
def decomposition(data: str, n: int, width: int, steps: int, seed: int, sabotage: bool = False) -> Row:
    """Compare the Hessian with its Gauss-Newton part, at the start and at the end of training."""
    x, y = images(data, n, 10)
    trained = train(mlp(x[0].numel(), [width], 10, generator=draw(INIT, seed)), x, y, steps=steps)
    squares, targets = nn.MSELoss(), nn.functional.one_hot(y, 10).double()
    loss, goal = (squares, targets) if sabotage else (LOSS, y)
    shares = []
    for model in (trained.initial, trained.model):
        whole, rest = (HessianOperator(model, LOSS, (x, y), kind=kind) for kind in ("hessian", "residual"))
        part = HessianOperator(model, loss, (x, goal), kind="ggn")
        size, left = (float(lanczos(op, 1, which="LM", max_iter=1000).values.abs()[0]) for op in (whole, rest))
        shares.append(math.log(left / size))
    if whole.shape[0] <= EXACT:
        h, _, r = decompose(trained.model, LOSS, x, y)
        error = float((h - decompose(trained.model, loss, x, goal).gauss_newton - r).abs().max() / h.abs().max())
    else:
        probe = torch.randn(whole.shape[0], 8, generator=draw(DATA, seed), dtype=torch.float64)
        h, g, r = (op.matmat(probe) for op in (whole, part, rest))
        error = float((h - g - r).abs().max() / h.abs().max())
    values = ggn_spectrum(trained.model, loss, x, goal)
    rank = int((values > 1e-13 * values[0]).sum())
    directions = [lanczos(op, 9, tol=1e-6, max_iter=1000).vectors for op in (whole, part)]
    return {
        "split_error": error,
        "rank": rank,
        "rank_excess": max(0, rank - n * 9),
        "parameters": whole.shape[0],
        "residual_start": math.exp(shares[0]),
        "residual_end": math.exp(shares[1]),
        "residual_change": shares[1] - shares[0],
        "overlap": float((directions[0].T @ directions[1]).square().sum() / 9),
        "loss": trained.loss,
    }


@experiment(
    smoke=grid(
        data=["digits"], n=[300], model=["mlp-32"], large=[150], large_steps=[200], small=[10], small_steps=[600]
    ),
    laptop=grid(
        data=["digits"], n=[1000], model=["mlp-64"], large=[500], large_steps=[600], small=[10], small_steps=[3000]
    ),
    seeds=Seeds(smoke=4, laptop=5, paper=5),
    batched=True,
    reads=("data",),
    sabotage="small batches go on from another start, not from the large-batch solution",
)
def basins(
    data: str,
    n: int,
    model: str,
    large: int,
    large_steps: int,
    small: int,
    small_steps: int,
    seeds: Sequence[int],
    progress: Progress,
    sabotage: bool = False,
) -> list[Row]:
    """Train with large batches, go on with small ones, and walk the line between both, and to two controls."""
    return walk(data, n, model, Run(large, large_steps, small, small_steps, 0.1), seeds, progress, sabotage)


@experiment(
    laptop=grid(
        data=first_available("cifar10"),
        n=[5000],
        model=["cnn-8"],
        large=[500],
        large_steps=[600],
        small=[10],
        small_steps=[3000],
    ),
    paper=grid(
        data=["cifar10"],
        n=[50_000],
        model=["cnn-32"],
        large=[512],
        large_steps=[20_000],
        small=[16],
        small_steps=[200_000],
    ),
    seeds=Seeds(smoke=1, laptop=5, paper=5),
    reads=("data",),
)
def basins_images(
    data: str,
    n: int,
    model: str,
    large: int,
    large_steps: int,
    small: int,
    small_steps: int,
    seed: int,
    progress: Progress,
) -> Row:
    """Do the same with a convolutional network on colour images."""
    return walk(data, n, model, Run(large, large_steps, small, small_steps, 0.1), [seed], progress)[0]


@figure(on=spectrum)
def leading_eigenvalues(trials: Trials) -> Drawing:
    """Sorted eigenvalues by width, at the start and at the end."""
    return drawing.leading(trials)


@figure(on=width)
def eigenvalues_by_width(trials: Trials) -> Drawing:
    """Outliers and the top of the bulk by the number of weights."""
    return drawing.by_parameters(trials)


@figure(on=clusters)
def outliers_by_clusters(trials: Trials) -> Drawing:
    """Outliers by the number of clusters."""
    return drawing.by_clusters(trials)


@figure(on=basins)
def line_between(trials: Trials) -> Drawing:
    """Loss on the line between solutions."""
    return drawing.path(trials)
