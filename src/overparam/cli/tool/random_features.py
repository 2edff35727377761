"""`overparam tool random-features`: test error, ridge and number of features from a kernel matrix, or a power law."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overparam.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0, 16.0)  # features to show, in units of the number of samples


class Kernel(StrEnum):
    """How the first file turns into a kernel."""

    auto = "auto"
    given = "given"
    linear = "linear"
    relu = "relu"


class Labels(StrEnum):
    """How labels are read."""

    auto = "auto"
    classes = "classes"
    numbers = "numbers"


def command(
    kernel: Annotated[
        Path | None, typer.Argument(help="Kernel matrix (n, n), or points or features (n, d): .npy, .npz, .csv.")
    ] = None,
    labels: Annotated[Path | None, typer.Argument(help="Labels (n,) or (n, outputs).")] = None,
    kind: Annotated[
        Kernel,
        typer.Option(
            "--kernel", help="What the first file is: a kernel, features for a linear one, or points for ReLU features."
        ),
    ] = Kernel.auto,
    read_as: Annotated[Labels, typer.Option("--labels", help="Whole numbers as classes, or as numbers.")] = Labels.auto,
    spectrum: Annotated[
        Path | None, typer.Option(help="Instead of a kernel: two columns, eigenvalues and squared coefficients.")
    ] = None,
    n: Annotated[int | None, typer.Option("--n", help="Training samples; by default a quarter of the points.")] = None,
    features: Annotated[int | None, typer.Option(help="Also predict for this number of random features.")] = None,
    ridge: Annotated[
        float | None, typer.Option(help="Also predict for this ridge, on the unnormalised kernel.")
    ] = None,
    tolerance: Annotated[float, typer.Option(help="Excess error that is accepted for few features.")] = 0.01,
    alpha: Annotated[float | None, typer.Option(help="Power law: exponent of the eigenvalues, above 1.")] = None,
    beta: Annotated[float | None, typer.Option(help="Power law: exponent of the squared coefficients.")] = None,
    noise: Annotated[
        float,
        typer.Option(
            help="With --spectrum the variance of the label noise; with --alpha and --beta that over the test error "
            "of interpolating clean labels."
        ),
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Predict the test error of kernel or random-feature regression, and choose ridge and number of features."""
    given = {"KERNEL": kernel is not None, "--spectrum": spectrum is not None, "--alpha": alpha is not None}
    if sum(given.values()) != 1:
        raise BadInput(f"give one of KERNEL with LABELS, --spectrum, or --alpha with --beta, not {sum(given.values())}")
    if alpha is not None:
        if beta is None:
            raise BadInput("--alpha needs --beta, the exponent of the squared coefficients")
        document = power_law(alpha, beta, noise)
    elif spectrum is not None:
        if n is None:
            raise BadInput("--spectrum needs --n, the number of training samples")
        document = from_spectrum(spectrum, n, features, ridge, tolerance, noise)
    else:
        assert kernel
        if labels is None:
            raise BadInput("KERNEL needs LABELS, one for every point")
        document = from_kernel(kernel, labels, kind, read_as, n, features, ridge, tolerance)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        _print(document)


def power_law(alpha: float, beta: float, noise: float) -> dict[str, Any]:
    """Compute the best fitting ratio of a power law.

    Args:
        alpha: Exponent of the eigenvalues.
        beta: Exponent of the squared coefficients.
        noise: Relative noise.

    Returns:
        Plain data.

    Raises:
        BadInput: An exponent or the noise out of range.
    """
    from overparam.methods.theory.fitting_ratio import fitting_curve, optimal_fitting_ratio

    best = optimal_fitting_ratio(alpha, beta, noise)
    least = float(fitting_curve(best, alpha, beta, noise))
    ratios = [0.0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8]
    excess = (fitting_curve(ratios, alpha, beta, noise) / least - 1).tolist()
    return {
        "alpha": alpha,
        "beta": beta,
        "relative_noise": noise,
        "best_fitting_ratio": best,
        "interpolate_up_to_noise": max(0.0, (beta - alpha) / (alpha * (alpha - 1))),
        "excess_error": [{"fitting_ratio": r, "over_best": e} for r, e in zip(ratios, excess, strict=True)],
    }


def from_spectrum(
    path: Path, n: int, features: int | None, ridge: float | None, tolerance: float, noise: float
) -> dict[str, Any]:
    """Predict from eigenvalues and squared coefficients.

    Args:
        path: Two columns.
        n: Samples.
        features: Number of random features to predict for.
        ridge: Ridge to predict for.
        tolerance: Accepted excess.
        noise: Variance of the label noise.

    Returns:
        Plain data.

    Raises:
        BadInput: A file that cannot be read or does not have two columns, or numbers out of range.
    """
    import warnings

    from overparam.cli.inputs import array
    from overparam.methods.theory.effective_ridge import check_target

    table = array(path, dimensions=2)
    if table.shape[1] != 2:
        raise BadInput(f"{path} has {table.shape[1]} columns; give two, eigenvalues and squared coefficients")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lam, v2 = check_target(table[:, 0], table[:, 1], noise)
    notes = ["the eigenvalues did not descend and were sorted, with their coefficients"] if caught else []
    return {
        "source": str(path),
        "modes": len(lam),
        **_predict(lam, v2, n, features, ridge, tolerance, noise, None),
        "notes": notes,
    }


def from_kernel(
    path: Path,
    labels: Path,
    kind: Kernel,
    read_as: Labels,
    n: int | None,
    features: int | None,
    ridge: float | None,
    tolerance: float,
) -> dict[str, Any]:
    """Predict from a kernel matrix and labels.

    Args:
        path: The matrix, or points.
        labels: One a point.
        kind: How the first file turns into a kernel.
        read_as: How labels are read.
        n: Samples to train on, a quarter of the points by default.
        features: Number of random features to predict for.
        ridge: Ridge to predict for.
        tolerance: Accepted excess.

    Returns:
        Plain data.

    Raises:
        BadInput: Files that cannot be read or do not fit, no kernel, or numbers out of range.
    """
    import numpy as np

    from overparam.methods.theory.eigenstructure import eigenstructure
    from overparam.methods.theory.regression_plan import measure

    K, name = _kernel(path, kind)
    Y, unit = _labels(labels, read_as)
    lam, v = eigenstructure(K, Y)
    points = len(K)
    n = max(1, points // 4) if n is None else n
    if not 1 <= n < points:
        raise BadInput(f"--n {n}: train on at least 1 and fewer than the {points} points, the others are the test")
    found = _predict(lam, (v**2).sum(1), n, features, ridge, tolerance, 0.0, points)
    exponents, notes = _exponents(K, Y)
    if n > points / 4:
        notes.append(f"{n:,} of {points:,} points are trained on; the prediction is best below a quarter")
    spread = float(((Y - Y.mean(0)) ** 2).sum(1).mean())
    kernel_rows = [r for r in found["predictions"] if r["features"] is None and r["ridge"] is not None]
    measured = measure(K, Y, n, [r["ridge"] for r in kernel_rows], np.random.default_rng(0)).tolist()
    for row, error in zip(kernel_rows, measured, strict=True):
        row["measured"] = error
    for row in found["predictions"] if spread > 0 else ():
        row["of_variance"] = None if row["test"] is None else row["test"] / spread
    return {"source": str(path), "kernel": name, "points": points, "labels": unit, **found, **exponents, "notes": notes}


def _kernel(path: Path, kind: Kernel) -> tuple[NDArray[np.float64], str]:
    import numpy as np

    from overparam.cli.inputs import array
    from overparam.methods.theory.kernels import arccos_nngp

    given = array(path, dimensions=2)
    square = given.shape[0] == given.shape[1]
    if kind == Kernel.given or (kind == Kernel.auto and square):
        if square and kind == Kernel.auto and not np.allclose(given, given.T):
            raise BadInput(f"{path} is square and not symmetric; if it holds points, pass --kernel relu or linear")
        return given, "given"
    if kind == Kernel.linear:
        return given @ given.T / given.shape[1], "linear"
    return arccos_nngp(given, given), "relu"


def _labels(path: Path, read_as: Labels) -> tuple[NDArray[np.float64], str]:
    """Return labels as numbers, and what they are."""
    import numpy as np

    from overparam.cli.inputs import array

    try:
        given = array(path, dimensions=1)[:, None]
    except BadInput as error:
        if "dimensions are needed" not in str(error):
            raise
        given = array(path, dimensions=2)
    column = given[:, 0]
    values = np.unique(column)
    whole = given.shape[1] == 1 and bool((column == column.round()).all()) and len(values) <= 100
    if read_as == Labels.classes and not whole:
        raise BadInput(f"{path} does not hold classes; give one column of at most 100 different whole numbers")
    if read_as == Labels.classes or (read_as == Labels.auto and whole and 2 < len(values) <= len(column) // 4):
        return (column[:, None] == values).astype(np.float64) - 1 / len(values), f"{len(values)} classes"
    return given, "numbers"


def _predict(
    lam: NDArray[np.float64],
    v2: NDArray[np.float64],
    n: int,
    features: int | None,
    ridge: float | None,
    tolerance: float,
    noise: float,
    pool: int | None,
) -> dict[str, Any]:
    import math
    from functools import partial

    from overparam.methods.theory.random_features import sufficient_features
    from overparam.methods.theory.regression_plan import predict

    at = partial(predict, lam, v2, n, noise_var=noise, pool=pool)
    widths = [float(max(1, round(share * n))) for share in WIDTHS]
    rows = [("best ridge", p) for p in at([*widths, math.inf])] + [("no ridge", p) for p in at([math.inf], ridge=0.0)]
    if features is not None or ridge is not None:
        rows += [("as asked", p) for p in at([math.inf if features is None else float(features)], ridge=ridge)]
    return {
        "n": n,
        "predictions": [
            {
                "setting": words,
                "features": None if math.isinf(p.features) else int(p.features),
                "ridge": None if math.isinf(p.ridge) else p.ridge,
                "test": p.test if math.isfinite(p.test) else None,
                "train": p.train,
                "fitting_ratio": p.fitting_ratio,
            }
            for words, p in rows
        ],
        "tolerance": tolerance,
        "sufficient_features": sufficient_features(lam, v2, n, tolerance, noise, pool=pool),
    }


def _exponents(K: NDArray[np.float64], Y: NDArray[np.float64]) -> tuple[dict[str, Any], list[str]]:
    import numpy as np

    from overparam.methods.theory.eigenstructure import estimate_exponents
    from overparam.methods.theory.fitting_ratio import optimal_fitting_ratio

    nothing = {"alpha": None, "beta": None, "clean_fitting_ratio": None}
    sizes = np.unique(np.geomspace(max(4, len(K) // 20), 0.75 * len(K), 6).astype(int))
    if len(K) < 40:
        return nothing, ["fewer than 40 points: too few to measure exponents"]
    try:
        alpha, beta, fits = estimate_exponents(K, Y, sizes.tolist(), np.random.default_rng(0))
        clean = optimal_fitting_ratio(alpha, beta)
    except BadInput as error:
        return nothing, [f"no exponents: {error}"]
    notes = (
        []
        if min(fits.r2) > 0.95
        else [f"no clean power law: r² of the two lines is {fits.r2[0]:.2f} and {fits.r2[1]:.2f}"]
    )
    return {"alpha": alpha, "beta": beta, "clean_fitting_ratio": clean}, notes


def _print(document: dict[str, Any]) -> None:
    from rich.text import Text

    from overparam.cli import screen
    from overparam.lab.wording import number

    console = screen.console()
    if "best_fitting_ratio" in document:
        _print_power_law(document)
        return
    unseen = "points that are not trained on" if "points" in document else "new points"
    console.print(Text(f"Trained on {document['n']:,} samples, tested on {unseen}\n"))
    rows = document["predictions"]
    shares, measures = ("of_variance" in rows[0], "points" in document)
    heads = [("Features", "right"), ("Ridge", "right"), ("Test error", "right")]
    heads += [("of variance", "right")] * shares + [("Measured", "right")] * measures
    table = screen.columns(*heads, ("Train/test", "right"), ("", ""))
    for row in rows:
        cells = [
            "∞" if row["features"] is None else f"{row['features']:,}",
            "∞" if row["ridge"] is None else number(row["ridge"]),
            "∞" if row["test"] is None else number(row["test"]),
        ]
        cells += [f"{100 * row['of_variance']:.1f} %" if row.get("of_variance") is not None else "–"] * shares
        cells += [number(row["measured"]) if "measured" in row else ""] * measures
        table.add_row(*cells, f"{row['fitting_ratio']:.3f}", Text(row["setting"], style=screen.DIM))
    console.print(table)
    within = f"{100 * document['tolerance']:g} % of infinitely many, each with its best ridge."
    console.print(Text(f"\n{document['sufficient_features']:,} features come within {within}"))
    if document.get("alpha") is not None:
        console.print(
            Text(
                f"Exponents: alpha {document['alpha']:.2f}, beta {document['beta']:.2f}; without label noise the best "
                f"train/test ratio would be {document['clean_fitting_ratio']:.3f}."
            )
        )
    for note in document["notes"]:
        console.print(Text(f"Note: {note}.", style=screen.COLOURS["partly"]))


def _print_power_law(document: dict[str, Any]) -> None:
    from rich.text import Text

    from overparam.cli import screen

    console = screen.console()
    best, limit = document["best_fitting_ratio"], document["interpolate_up_to_noise"]
    words = "Interpolate: no ridge is best." if best == 0 else f"Best train error / test error: {best:.3f}."
    console.print(Text(words, style="bold"))
    console.print(
        Text(
            f"Up to a relative noise of {limit:.3g} interpolation is best.\n"
            if limit > 0
            else "Interpolation is never best.\n"
        )
    )
    table = screen.columns(("Train/test", "right"), ("Test error over best", "right"))
    for row in document["excess_error"]:
        table.add_row(f"{row['fitting_ratio']:g}", f"{100 * row['over_best']:+.1f} %".replace("-0.0", "+0.0"))
    console.print(table)
