"""Experiments of arXiv 2311.14646: the theory against regressions, and how far it pays to fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from overparam.lab import Drawing, Progress, Seeds, Trials, experiment, figure, first_available, grid
from overparam.methods.theory.eigenstructure import estimate_exponents
from overparam.methods.theory.fitting_ratio import finite_fitting_curve, optimal_fitting_ratio
from overparam.methods.theory.random_features import optimal_ridge, rf_risk, unseen_risk
from overparam.methods.theory.ridge_path import RidgePath, kernel_ridge_path
from overparam.papers.random_features import drawing
from overparam.papers.random_features.setting import (
    NOISE,
    ORDERS,
    PowerLaw,
    gaussian_path,
    image_path,
    one_hot,
    pool_of,
    read_images,
    tangent_kernel,
)
from overparam.stats import spearman

Row = dict[str, Any]
RIDGES = np.geomspace(1e-3, 1e2, 11)  # the range of the official runs
NOISES = (0, 1, 5, 50)  # times the test error of interpolating clean labels, as in the paper
LONG = 30 * 86_400.0
SPECTRUM: Mapping[str, Any] = {"alpha": [1.5], "beta": [1.5], "noise": [0.5]}


def _width(k: int) -> float:
    return np.inf if k == 0 else float(k)


@experiment(
    smoke=grid(**SPECTRUM, modes=[300], n=[64], k=[32, 128, 0]),
    laptop=grid(**SPECTRUM, modes=[1000], n=[64, 256, 512], k=[32, 128, 256, 1024, 0]),
    paper=grid(**SPECTRUM, modes=[10_000], n=[256], k=[10, 32, 100, 256, 1000, 3200, 10_000])
    + grid(**SPECTRUM, modes=[10_000], n=[10, 32, 100, 1000, 3200, 10_000], k=[256]),
    seeds=Seeds(smoke=20, laptop=30, paper=45), batched=True, time_limit=LONG,
    sabotage="features are not divided by their number, so that the ridge is k times too small",
)  # fmt: skip
def gaussian(
    alpha: float, beta: float, noise: float, modes: int, n: int, k: int, seeds: Sequence[int], sabotage: bool = False
) -> list[Row]:
    """Regress on random features of Gaussian modes, and compare with the theory."""
    task, ridges = PowerLaw.of(alpha, beta, modes), RIDGES[[0, 3, 6, 9]]
    theory = rf_risk(task.eigvals, task.coeffs**2, n, _width(k), ridges, noise)
    used = ridges / max(k, 1) if sabotage else ridges
    paths = [gaussian_path(task, n, k, used, noise, seed) for seed in seeds]
    return [_row(ridges, path, theory.test, theory.train) for path in paths]


def _row(ridges: Any, path: RidgePath, test: Any, train: Any) -> Row:
    return {
        "ridge": ridges.tolist(),
        "test": path.test.tolist(),
        "train": path.train.tolist(),
        "theory_test": test.tolist(),
        "theory_train": train.tolist(),
    }


@experiment(
    smoke=grid(data=["digits"], pool=[600], tests=[150], n=[256], k=[64, 256, 2048, 0])
    + grid(data=["digits"], pool=[600], tests=[150], n=[64, 400], k=[256, 0]),
    laptop=grid(
        data=first_available("cifar10", "fashion", "digits"),
        pool=[3000], tests=[700], n=[256], k=[16, 64, 128, 256, 512, 2048, 0],
    )
    + grid(data=first_available("cifar10", "fashion", "digits"), pool=[3000], tests=[700], n=[64, 1024], k=[256, 0]),
    paper=grid(data=["cifar10"], pool=[20_000], tests=[1000], n=[256], k=[10, 32, 64, 100, 256, 1000, 2048, 10_000, 0])
    + grid(data=["cifar10"], pool=[20_000], tests=[1000], n=[10, 32, 64, 100, 1024, 3200, 10_000], k=[256, 0]),
    seeds=Seeds(smoke=6, laptop=10, paper=45), batched=True, reads=("data",), time_limit=LONG,
)  # fmt: skip
def images(data: str, pool: int, tests: int, n: int, k: int, seeds: Sequence[int], progress: Progress) -> list[Row]:
    """Regress two classes of images on ReLU features, and compare with the theory on the pool's own spectrum."""
    held = pool_of(data, pool)
    theory = rf_risk(held["eigvals"], held["coeffs2"], n, _width(k), RIDGES)
    unseen = unseen_risk(theory.test, theory.train, n, len(held["x"]))
    rows = []
    for done, seed in enumerate(seeds):
        progress.step(done, len(seeds), f"{n} images, {k or 'infinitely many'} features")
        path = image_path(held, n, k, RIDGES, tests, seed)
        rows.append({
            **_row(RIDGES, path, unseen, theory.train),
            "best": float(path.test.min()),
            "untuned": float(path.test[0]),
            "interpolation_cost": float(path.test[0] / path.test.min() - 1),
            "loss_correlation": spearman(path.train, path.test),
        })
    return rows


@experiment(
    smoke=grid(alpha=[1.5], beta=[1.5], noise=[0.1], modes=[500]),
    laptop=grid(alpha=[1.2, 1.5, 2.0], beta=[1.2, 1.5, 2.5], noise=[0.0, 0.1, 1.0], modes=[2000]),
    paper=grid(alpha=[1.1, 1.2, 1.5, 2.0, 3.0], beta=[1.1, 1.5, 2.5], noise=[0.0, 0.1, 1.0, 10.0], modes=[10_000]),
)  # fmt: skip
def tuned(alpha: float, beta: float, noise: float, modes: int) -> Row:
    """Tuned test error by samples and features in the theory, and the peak without tuning."""
    task = PowerLaw.of(alpha, beta, modes)
    target = task.eigvals, task.coeffs**2
    sizes = np.array([10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0])
    widths = np.append(sizes, [10_000.0, np.inf])
    risks = optimal_ridge(*target, sizes[:, None], widths, noise).risk
    n = 100.0
    around = rf_risk(*target, n, n * np.array([0.25, 1.0, 4.0]), 1e-8, noise).test
    return {
        "rise_with_features": max(0.0, float(np.diff(risks, axis=1).max())),
        "rise_with_samples": max(0.0, float(np.diff(risks, axis=0).max())),
        "finite_gain": max(0.0, float((risks[:, -1:] - risks).max())),
        "valley": max(0.0, float(max(around[0], around[2]) - around[1])),
    }


@experiment(
    smoke=grid(alpha=[1.5], beta=[2.0], noise=[0.0, 1.0, 5.0, 50.0], n=[100, 1000]),
    laptop=grid(alpha=[1.5], beta=[1.2, 2.0], noise=[0.0, 0.5, 1.0, 5.0], n=[100, 1000])
    + grid(alpha=[2.0], beta=[2.5], noise=[0.0, 0.5, 1.0, 5.0], n=[100, 1000])
    + grid(alpha=[1.17], beta=[1.14], noise=[0.0, 1.0, 5.0, 50.0], n=[100, 1000])
    + grid(alpha=[1.12], beta=[1.36], noise=[0.0, 1.0, 5.0, 50.0], n=[100, 1000]),
    paper=grid(alpha=[1.5], beta=[1.2, 2.0], noise=[0.0, 0.5, 1.0, 5.0], n=[100, 1000, 10_000])
    + grid(alpha=[1.12, 1.17, 1.22, 2.0], beta=[1.14, 1.36, 2.5], noise=[0.0, 1.0, 5.0, 50.0], n=[100, 1000, 10_000]),
)  # fmt: skip
def fitting(alpha: float, beta: float, noise: float, n: int) -> Row:
    """The best ratio of train to test error at finite n, against the closed form, and the cost of missing it."""
    curve = finite_fitting_curve(alpha, beta, noise, n=n, points=200)
    closed = optimal_fitting_ratio(alpha, beta, noise)
    apart = (np.sqrt(curve.ratio) - np.sqrt(curve.best_ratio)) ** 2
    far = apart > 1e-4  # nearer by, rounding of the error decides
    cost = (curve.risk[far] / curve.best_risk - 1) / apart[far]
    floor = ((alpha - 1) / alpha) ** 2
    return {
        "best_ratio": curve.best_ratio,
        "closed_ratio": closed,
        "gap": curve.best_ratio - closed,
        "log_gap": float(np.log(abs(curve.best_ratio - closed))) if closed > 0 else None,
        "log_n": float(np.log(n)),
        "mismatch": int((curve.best_ratio == 0) != (noise <= (beta - alpha) / (alpha * (alpha - 1)))),
        "shortfall": max(0.0, floor - float(cost.min())),
        "ratio": curve.ratio.tolist(),
        "risk": curve.risk.tolist(),
        "best_risk": curve.best_risk,
    }


@experiment(
    smoke=grid(data=["digits"], kernel=["fc2"], pool=[500], n=[200]),
    laptop=grid(data=first_available("mnist", "digits"), kernel=["fc2"], pool=[3000], n=[1000])
    + grid(data=first_available("cifar10"), kernel=["fc2"], pool=[3000], n=[1000]),
    paper=grid(data=["mnist", "cifar10"], kernel=["myrtle10"], pool=[38_000], n=[30_000]),
    seeds=Seeds(smoke=4, laptop=5, paper=5), reads=("data",), time_limit=LONG, memory_limit=128_000.0, gpus=1.0,
)  # fmt: skip
def noisy_images(data: str, kernel: str, pool: int, n: int, seed: int, progress: Progress) -> Row:
    """The exponents of a task, and its best fitting ratio at several levels of label noise."""
    x, labels, classes = read_images(data, pool)
    progress.step(0, 3, f"kernel of {pool:,} images")
    K, Y = tangent_kernel(x, kernel), one_hot(labels, classes)
    progress.step(1, 3, "exponents")
    sizes = np.geomspace(n / 10, n, 6).astype(int).tolist()
    alpha, beta, fits = estimate_exponents(K, Y, sizes, np.random.default_rng([ORDERS, seed]))
    progress.step(2, 3, "ridges")
    order = np.random.default_rng([ORDERS, seed, 1]).permutation(len(K))
    train, test = order[:n], order[n:]
    ridges = np.append(0.0, np.geomspace(1e-4, 1e4, 65) * np.trace(K) / len(K))
    rough = np.random.default_rng([NOISE, seed]).standard_normal((n, classes)) / np.sqrt(classes)
    own, across = K[np.ix_(train, train)], K[np.ix_(test, train)]
    unit = float(kernel_ridge_path(own, Y[train], across, Y[test], [0.0]).test[0])
    row: Row = {"alpha": alpha, "beta": beta, "line_kappa": fits.r2[0], "line_test": fits.r2[1]}
    levels = np.sqrt(np.array(NOISES) * unit)
    noisy = np.concatenate([Y[train] + level * rough for level in levels], axis=1)
    path = kernel_ridge_path(own, noisy, across, np.tile(Y[test], len(NOISES)), ridges)
    shape = (len(ridges), len(NOISES), classes)
    trains, tests = (e.reshape(shape).sum(2).T for e in (path.train_by_output, path.test_by_output))
    for noise, fit, clean in zip(NOISES, trains, tests, strict=True):
        risk = clean + noise * unit  # noise on test labels, in expectation
        best, predicted = int(risk.argmin()), optimal_fitting_ratio(alpha, beta, noise)
        row |= {
            f"ratio_{noise}": float(fit[best] / risk[best]),
            f"gap_{noise}": float(fit[best] / risk[best]) - predicted,
            f"predicted_{noise}": predicted,
            f"path_{noise}": (fit / risk).tolist(),
            f"risk_{noise}": (risk / unit).tolist(),
        }
    return row


@experiment(
    paper=grid(data=["mnist", "cifar10"], kernel=["myrtle10"], pool=[20_000], largest=[10_000]),
    seeds=Seeds(paper=3), reads=("data",), time_limit=LONG, memory_limit=64_000.0, gpus=1.0,
)  # fmt: skip
def exponents(data: str, kernel: str, pool: int, largest: int, seed: int) -> Row:
    """The exponents under the paper's convolutional kernel."""
    x, labels, classes = read_images(data, pool)
    sizes = np.geomspace(largest / 20, largest, 8).astype(int).tolist()
    rng = np.random.default_rng([ORDERS, seed])
    alpha, beta, _ = estimate_exponents(tangent_kernel(x, kernel), one_hot(labels, classes), sizes, rng)
    return {"alpha": alpha, "beta": beta}


@figure(on=images)
def error_by_width(trials: Trials) -> Drawing:
    """Test error by the number of features, with and without tuning."""
    return drawing.by_width(trials)


@figure(on=gaussian)
def theory_and_measurement(trials: Trials) -> Drawing:
    """Measured test error against the predicted one, a dot for every setting."""
    return drawing.agreement(trials)


@figure(on=fitting)
def cost_of_fitting(trials: Trials) -> Drawing:
    """Test error by the fitting ratio on a power law."""
    return drawing.fitting_curves(trials)


@figure(on=noisy_images)
def ratio_by_noise(trials: Trials) -> Drawing:
    """Test error by the fitting ratio on images, for several levels of noise."""
    return drawing.image_curves(trials)
