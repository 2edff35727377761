"""Piecewise polynomial functions of one hyper-parameter: sums, exact maxima, oscillations.

Source: arXiv 2501.13734, whose dual functions u*_x(alpha) are of this kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Maximum:
    """Where a function is largest.

    Attributes:
        value: Largest value.
        intervals: All maximisers, as closed intervals; a point has two equal ends.
        alpha: Middle of the widest of them.
    """

    value: float
    intervals: tuple[tuple[float, float], ...]
    alpha: float


class PiecewiseFunction:
    """A function on [lo, hi] that is a polynomial between breakpoints; at a breakpoint it has the value on its right.

    Args:
        breaks: (B,), rising, inside (lo, hi).
        pieces: (B + 1, degree + 1), coefficients in rising powers of alpha; (B + 1,) for constant pieces.
        lo: Left end.
        hi: Right end.

    Raises:
        BadInput: lo >= hi, breaks outside or not rising, another number of pieces, or values that are not finite.

    Source: arXiv 2501.13734, dual functions of section 3.

    Example:
        >>> step = PiecewiseFunction([0.3], [1.0, 2.0], 0.0, 1.0)
        >>> step([0.0, 0.3, 1.0]).tolist(), step.argmax().intervals
        ([1.0, 2.0, 2.0], ((0.3, 1.0),))
    """

    def __init__(self, breaks: ArrayLike, pieces: ArrayLike, lo: float, hi: float) -> None:
        self.breaks = np.asarray(breaks, dtype=np.float64)
        self.pieces = np.asarray(pieces, dtype=np.float64)
        if self.pieces.ndim == 1:
            self.pieces = self.pieces[:, None]
        self.lo, self.hi = float(lo), float(hi)
        check_interval(lo, hi)
        if self.breaks.ndim != 1 or self.pieces.shape[0] != len(self.breaks) + 1:
            raise BadInput(f"{self.breaks.shape} breaks need one piece more; pieces have shape {self.pieces.shape}")
        if not (np.isfinite(self.breaks).all() and np.isfinite(self.pieces).all()):
            raise BadInput("breaks and pieces have to be finite")
        edges = np.concatenate([[lo], self.breaks, [hi]])
        if (np.diff(edges[:-1]) < 0).any() or (len(self.breaks) and not (edges[1] > lo and edges[-2] < hi)):
            raise BadInput(f"breaks have to rise inside ({lo:g}, {hi:g})")

    def __call__(self, alpha: ArrayLike) -> Array:
        """Evaluate.

        Args:
            alpha: Any shape, inside [lo, hi].

        Returns:
            Values of the same shape.

        Raises:
            BadInput: A value outside.
        """
        a = np.asarray(alpha, dtype=np.float64)
        if not ((a >= self.lo) & (a <= self.hi)).all():
            raise BadInput(f"alpha lies outside [{self.lo:g}, {self.hi:g}]")
        own = self.pieces[np.searchsorted(self.breaks, a, side="right")]
        found: Array = np.zeros(a.shape)
        for power in range(self.pieces.shape[1] - 1, -1, -1):
            found = found * a + own[..., power]
        return found

    @property
    def edges(self) -> Array:
        """Ends of the pieces, (B + 2,)."""
        return np.concatenate([[self.lo], self.breaks, [self.hi]])

    def argmax(self) -> Maximum:
        """Find all maximisers exactly.

        Returns:
            Largest value over all pieces; a piece's own closed ends count, so on jumps the better side decides.
        """
        if self.pieces.shape[1] == 1:
            values, spans = self.pieces[:, 0], list(zip(self.edges[:-1], self.edges[1:], strict=True))
        else:
            rows = [
                (value, (point, point))
                for piece, left, right in zip(self.pieces, self.edges[:-1], self.edges[1:], strict=True)
                for point, value in _candidates(piece, left, right)
            ]
            values, spans = np.array([v for v, _ in rows]), [span for _, span in rows]
        best = float(values.max())
        slack = 1e-12 * max(1.0, abs(best))
        kept = [spans[i] for i in np.flatnonzero(values >= best - slack)]
        joined: list[tuple[float, float]] = []
        for left, right in sorted((float(a), float(b)) for a, b in kept):
            if joined and left <= joined[-1][1]:
                joined[-1] = joined[-1][0], max(right, joined[-1][1])
            else:
                joined.append((left, right))
        widest = max(joined, key=lambda span: span[1] - span[0])
        return Maximum(best, tuple(joined), 0.5 * (widest[0] + widest[1]))

    def oscillations(self) -> int:
        """Count discontinuities and inner local maxima: the B that bounds the sample size.

        Returns:
            Breaks where the value jumps, plus local maxima inside pieces.
        """
        jumps = 0
        for i, point in enumerate(self.breaks):
            left, right = (float(np.polynomial.polynomial.polyval(point, self.pieces[j])) for j in (i, i + 1))
            jumps += abs(left - right) > 1e-12 * max(1.0, abs(left))
        maxima = 0
        for piece, left, right in zip(self.pieces, self.edges[:-1], self.edges[1:], strict=True):
            second = np.polynomial.polynomial.polyder(piece, 2)
            inner = [a for a, _ in _candidates(piece, left, right) if left < a < right]
            maxima += sum(float(np.polynomial.polynomial.polyval(a, second)) < 0 for a in inner)
        return jumps + maxima

    @staticmethod
    def mean(functions: Sequence[PiecewiseFunction]) -> PiecewiseFunction:
        """Average functions on the same interval: one sort of all breaks, then running sums of the changes.

        Args:
            functions: At least one.

        Returns:
            Their mean, with the union of their breaks; cost O(total breaks log total breaks).

        Raises:
            BadInput: No function, or different intervals.
        """
        if not functions:
            raise BadInput("no functions to average; give at least one")
        lo, hi = functions[0].lo, functions[0].hi
        if any((f.lo, f.hi) != (lo, hi) for f in functions):
            raise BadInput("the functions live on different intervals; cut them to one")
        width = max(f.pieces.shape[1] for f in functions)
        wide = [np.pad(f.pieces, ((0, 0), (0, width - f.pieces.shape[1]))) for f in functions]
        points = np.concatenate([f.breaks for f in functions])
        changes = np.concatenate([np.diff(p, axis=0) for p in wide])
        order = np.argsort(points, kind="stable")
        breaks, first = np.unique(points[order], return_index=True)
        sums = np.add.reduceat(changes[order], first, axis=0) if len(breaks) else changes
        start = np.sum([p[0] for p in wide], axis=0)
        pieces = start + np.concatenate([np.zeros((1, width)), np.cumsum(sums, axis=0)])
        return PiecewiseFunction(breaks, pieces / len(functions), lo, hi)


def check_interval(lo: float, hi: float) -> None:
    """Refuse an interval that is none.

    Args:
        lo: Left end.
        hi: Right end.

    Raises:
        BadInput: Not finite, or lo >= hi.
    """
    if not (np.isfinite(lo) and np.isfinite(hi) and lo < hi):
        raise BadInput(f"lo={lo}, hi={hi}: give finite ends with lo < hi")


def _candidates(piece: Array, left: float, right: float) -> list[tuple[float, float]]:
    """Points where a polynomial piece can be largest, with its values there: ends and real critical points."""
    roots = np.polynomial.polynomial.polyroots(
        np.polynomial.polynomial.polytrim(np.polynomial.polynomial.polyder(piece))
    )
    real = roots.real[np.abs(roots.imag) <= 1e-9 * (1 + np.abs(roots.real))]
    points = [left, *real[(real > left) & (real < right)].tolist(), right]
    return [(float(p), float(np.polynomial.polynomial.polyval(p, piece))) for p in points]
