"""The loss over learning rate and batch size: gap of a prediction, curvature, convexity, plateau.

From Li et al., Predictable Scale: Part I (arXiv 2503.04715). A grid is the table of one (N, D): columns lr, bs (in
sequences) and `smooth loss` or loss. All geometry is in (ln lr, ln batch).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from overparam.errors import BadInput
from overparam.methods.scaling.laws import SEQUENCE, HyperParameters
from overparam.methods.scaling.step_law import StepLaw, column_of

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]


def _points(grid: pd.DataFrame, seq_len: int, *, snap: bool = False) -> tuple[Array, Array]:
    """Coordinates (n, 2) and losses. Rates are powers of the root of 2 in two roundings: `snap` makes lines of them."""
    lr = column_of(grid, "lr")
    lr = 2.0 ** (np.round(2 * np.log2(lr)) / 2) if snap else lr
    return np.stack([np.log(lr), np.log(column_of(grid, "bs") * seq_len)], 1), column_of(grid, "loss")


def loss_gap(
    grid: pd.DataFrame,
    lr: float,
    batch_tokens: float,
    *,
    how: Literal["nearest", "interpolate"] = "nearest",
    seq_len: int = SEQUENCE,
) -> float:
    """Relative excess of the loss at a prediction over the smallest of the grid.

    Linear interpolation of a convex function lies above it, and the smallest of noisy losses lies below the true
    one: both make the gap an upper bound, up to noise. The cells of a regular grid can be cut along either diagonal;
    rates as printed decide it, and rounding them to one grid moves the mean over the published sweep by 0.007 points.

    Args:
        grid: One (N, D).
        lr: Predicted learning rate.
        batch_tokens: Predicted batch size.
        how: Loss of the nearest run, or piecewise linear over the Delaunay triangulation.
        seq_len: Tokens in a sequence.

    Returns:
        Gap >= 0; NaN where interpolation would have to extrapolate.

    Raises:
        BadInput: An unknown reading.

    Source: arXiv 2503.04715, section 5.
    """
    points, loss = _points(grid, seq_len)
    at = np.log([lr, batch_tokens])
    if how == "nearest":
        return float(loss[np.argmin(((points - at) ** 2).sum(1))] / loss.min() - 1)
    if how != "interpolate":
        raise BadInput(f"how={how!r} is unknown; give 'nearest' or 'interpolate'")
    from scipy.interpolate import LinearNDInterpolator

    return float(LinearNDInterpolator(points, loss)(at)[0] / loss.min() - 1)


def groups_of(table: pd.DataFrame) -> list[tuple[float, float, pd.DataFrame]]:
    """Split a sweep into its (N, D) grids.

    Args:
        table: The sweep.

    Returns:
        N, D and grid of each, sorted.
    """
    return [(float(n), float(d), grid) for (n, d), grid in table.groupby(["N", "D"], sort=True)]


def evaluate_law(predict: Callable[[float, float], HyperParameters], table: pd.DataFrame) -> pd.DataFrame:
    """Measure the gap of a law on every (N, D) of a sweep.

    Args:
        predict: From N and D to a prediction, such as `STEP.predict`.
        table: The sweep.

    Returns:
        Columns N, D, lr, batch_tokens, nearest, interpolated.
    """
    import pandas as pd

    rows = []
    for n, d, grid in groups_of(table):
        found = predict(n, d)
        gaps = [loss_gap(grid, found.lr, found.batch_tokens, how=how) for how in ("nearest", "interpolate")]
        rows.append((n, d, found.lr, found.batch_tokens, *gaps))
    return pd.DataFrame(rows, columns=["N", "D", "lr", "batch_tokens", "nearest", "interpolated"])


def leave_one_group_out(table: pd.DataFrame, **fit: object) -> pd.DataFrame:
    """Fit Step Law on all (N, D) but one and measure its gap there, for each in turn.

    Args:
        table: The sweep.
        fit: Arguments of `StepLaw`.

    Returns:
        The columns of `evaluate_law`.
    """
    import pandas as pd

    parts = []
    for n, d, grid in groups_of(table):
        rest = table[(table["N"] != n) | (table["D"] != d)]
        law = StepLaw(n_bootstrap=0, **fit).fit(rest)  # type: ignore[arg-type]
        law.fitted_ = (0.0, np.inf), (0.0, np.inf)  # leaving one out extrapolates on purpose
        parts.append(evaluate_law(law.predict, grid))
    return pd.concat(parts, ignore_index=True)


@dataclass(frozen=True)
class Basin:
    """A quadratic fitted to the bottom of a basin.

    Attributes:
        lr: Learning rate of its minimum.
        batch_tokens: Batch size of its minimum.
        hessian: (2, 2), relative loss per squared e-fold.
        eigenvalues: (2,), ascending.
        r2: Share of the variance that the quadratic explains.
    """

    lr: float
    batch_tokens: float
    hessian: Array
    eigenvalues: Array
    r2: float

    @property
    def is_convex(self) -> bool:
        """Whether both curvatures are positive."""
        return bool(self.eigenvalues[0] > 0)


def basin(grid: pd.DataFrame, *, within: float = 0.01, seq_len: int = SEQUENCE) -> Basin:
    """Fit a quadratic to the runs near the smallest loss. Diverged runs are far away and do not enter.

    Args:
        grid: One (N, D).
        within: Relative loss up to which runs enter.
        seq_len: Tokens in a sequence.

    Returns:
        The fit.

    Raises:
        BadInput: Fewer than six runs to fit six coefficients.

    Source: arXiv 2503.04715, section 3 (convexity).
    """
    points, loss = _points(grid, seq_len)
    near = loss / loss.min() - 1 <= within
    if near.sum() < 6:
        raise BadInput(f"within={within} keeps {int(near.sum())} runs; a quadratic needs 6: widen it")
    centre = points[near].mean(0)
    x, y = (points[near] - centre).T
    design = np.stack([np.ones_like(x), x, y, x * x / 2, x * y, y * y / 2], 1)
    target = loss[near] / loss.min() - 1
    c, *_ = np.linalg.lstsq(design, target, rcond=None)
    hessian = np.array([[c[3], c[4]], [c[4], c[5]]])
    best = centre - np.linalg.solve(hessian, c[1:3])
    rest = target - design @ c
    r2 = 1 - float(rest @ rest) / float(((target - target.mean()) ** 2).sum())
    return Basin(float(np.exp(best[0])), float(np.exp(best[1])), hessian, np.linalg.eigvalsh(hessian), r2)


def convexity_report(
    grid: pd.DataFrame, *, within: float = 0.02, tolerances: tuple[float, ...] = (0.0, 0.0005, 0.001)
) -> dict[float, float]:
    """Share of neighbouring triples along grid lines whose middle lies below the chord, up to a tolerance.

    Args:
        grid: One (N, D).
        within: Relative loss up to which runs enter.
        tolerances: Relative noise to forgive.

    Returns:
        Tolerance to share; NaN without triples.

    Source: arXiv 2503.04715, section 3 (convexity).
    """
    points, loss = _points(grid, SEQUENCE, snap=True)
    near = loss / loss.min() - 1 <= within
    points, loss = points[near], loss[near]
    excess = []
    for along, across in ((0, 1), (1, 0)):
        for line in np.unique(points[:, across].round(6)):
            on = np.flatnonzero(np.abs(points[:, across] - line) < 1e-5)
            on = on[np.argsort(points[on, along])]
            x, y = points[on, along], loss[on]
            chord = (y[:-2] * (x[2:] - x[1:-1]) + y[2:] * (x[1:-1] - x[:-2])) / (x[2:] - x[:-2])
            excess.append((y[1:-1] - chord) / loss.min())
    values = np.concatenate(excess) if excess else np.empty(0)
    return {t: float((values <= t).mean()) if len(values) else float("nan") for t in tolerances}


@dataclass(frozen=True)
class Plateau:
    """The flat bottom of a basin.

    Attributes:
        share: Share of the runs in it.
        mask: (n,), which.
        lr_factor: Largest over smallest learning rate in it.
        batch_factor: Largest over smallest batch size in it.
    """

    share: float
    mask: NDArray[np.bool_]
    lr_factor: float
    batch_factor: float


def plateau(grid: pd.DataFrame, *, within: float = 0.0025) -> Plateau:
    """Find the runs within a relative loss of the smallest.

    Args:
        grid: One (N, D).
        within: Relative loss.

    Returns:
        Share and extent.

    Source: arXiv 2503.04715, section 3 (plateau).
    """
    points, loss = _points(grid, SEQUENCE, snap=True)
    mask = loss / loss.min() - 1 <= within
    factors = np.exp(np.ptp(points[mask], axis=0))
    return Plateau(float(mask.mean()), mask, float(factors[0]), float(factors[1]))
