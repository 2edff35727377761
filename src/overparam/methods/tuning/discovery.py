"""Breaks of any deterministic training run as a function of one hyper-parameter, found by bisection.

Source: arXiv 2501.13734 proves that the breaks are few; the search is ours and can miss pieces narrower than its grid.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput
from overparam.methods.tuning.piecewise import PiecewiseFunction, check_interval

Array = NDArray[np.float64]
Signature = Callable[[Array], ArrayLike]


class BudgetExceeded(UserWarning):
    """The evaluations ran out before all breaks were narrowed down."""


@dataclass(frozen=True)
class Discovery:
    """What a search has found.

    Attributes:
        breaks: (B,) middles of the intervals in which the predictions change.
        signatures: (B + 1, s) predictions on each piece.
        lo: Left end.
        hi: Right end.
        n_evals: Values of the hyper-parameter that were tried.
        rounds: Calls of the function.
        unresolved: Intervals wider than the tolerance in which predictions change; empty unless the budget ran out.
    """

    breaks: Array
    signatures: NDArray[Any]
    lo: float
    hi: float
    n_evals: int
    rounds: int
    unresolved: tuple[tuple[float, float], ...]

    def function(self, utility: Callable[[NDArray[Any]], float]) -> PiecewiseFunction:
        """Turn predictions into utility.

        Args:
            utility: Takes the predictions (s,) of one piece.

        Returns:
            A piecewise constant function.

        Raises:
            BadInput: A utility that is not finite.
        """
        values = np.array([float(utility(row)) for row in self.signatures])
        if not np.isfinite(values).all():
            piece = int(np.flatnonzero(~np.isfinite(values))[0])
            raise BadInput(f"the utility of piece {piece} is {values[piece]}; it has to be finite")
        return PiecewiseFunction(self.breaks, values, self.lo, self.hi)


def discover(
    signature: Signature,
    lo: float,
    hi: float,
    *,
    tol: float = 1e-6,
    n_init: int = 33,
    max_evals: int = 5_000,
    probes: int = 0,
    seed: int = 0,
) -> Discovery:
    """Find where predictions change, by bisection of all suspicious intervals at once.

    Compare the predicted labels, not the utility: two labels that flip at one point in opposite directions leave it as
    it is. A piece between two neighbours of the first grid that agree is missed; `probes` extra random points lower
    that risk.

    Args:
        signature: Takes alphas (q,), returns predictions (q, s); deterministic, so fix the seeds of the training.
        lo: Left end.
        hi: Right end.
        tol: Width to which breaks are narrowed, positive.
        n_init: Points of the first grid, at least 2.
        max_evals: Budget.
        probes: Random points besides the grid.
        seed: Of the probes.

    Returns:
        Breaks and predictions; what the budget left open is listed, with a warning.

    Raises:
        BadInput: Ends or settings out of range, or a function that is not batched or not deterministic.

    Example:
        >>> found = discover(lambda a: (a[:, None] > [0.25, 0.7]).astype(int), 0.0, 1.0)
        >>> found.breaks.round(5).tolist(), found.signatures.tolist()
        ([0.25, 0.7], [[0, 0], [1, 0], [1, 1]])
    """
    check_interval(lo, hi)
    if not tol > 0 or n_init < 2 or probes < 0 or max_evals < n_init + probes:
        raise BadInput(
            f"tol={tol}, n_init={n_init}, probes={probes}, max_evals={max_evals}: tol > 0, n_init >= 2 and a budget of "
            "at least n_init + probes are needed"
        )
    extra = np.random.default_rng(seed).uniform(lo, hi, probes)
    points = np.unique(np.concatenate([np.linspace(lo, hi, n_init), extra]))
    rows = _call(signature, points)
    if not np.array_equal(_call(signature, points[[0, -1]]), rows[[0, -1]]):
        raise BadInput("two calls with the same alphas disagree; fix the seeds of the training")
    evals, rounds = len(points) + 2, 2
    while True:
        wide = np.flatnonzero((rows[1:] != rows[:-1]).any(1) & (np.diff(points) > tol))
        if not len(wide) or evals >= max_evals:
            break
        wide = wide[: max_evals - evals]
        middles = 0.5 * (points[wide] + points[wide + 1])
        new = _call(signature, middles)
        points, rows = np.insert(points, wide + 1, middles), np.insert(rows, wide + 1, new, axis=0)
        evals, rounds = evals + len(middles), rounds + 1
    return _found(points, rows, lo, hi, tol, evals, rounds)


def _found(points: Array, rows: NDArray[Any], lo: float, hi: float, tol: float, evals: int, rounds: int) -> Discovery:
    change = np.flatnonzero((rows[1:] != rows[:-1]).any(1))
    open_ = tuple((float(points[i]), float(points[i + 1])) for i in change if points[i + 1] - points[i] > tol)
    if open_:
        warnings.warn(
            f"{evals} evaluations left {len(open_)} intervals wider than tol={tol:g}; raise max_evals",
            BudgetExceeded,
            stacklevel=3,
        )
    breaks = 0.5 * (points[change] + points[change + 1])
    return Discovery(breaks, rows[np.concatenate([[0], change + 1])], lo, hi, evals, rounds, open_)


def _call(signature: Signature, alphas: Array) -> NDArray[Any]:
    found = np.asarray(signature(alphas))
    if found.ndim != 2 or len(found) != len(alphas):
        raise BadInput(f"the function returned shape {found.shape} for {len(alphas)} alphas; return one row for each")
    return found
