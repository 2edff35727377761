"""Iteration counts of many systems A + c_t I at many omegas, all solved side by side.

The systems do not depend on what a tuner does, so a table of counts turns every policy and every seed into a look-up.

Rows that do not need each other's new values form a level of the lower triangle; on a grid these are its
anti-diagonals. A sweep handles one level at a time, for all columns (one system at one omega) at once, which is the
sweep in the order of the rows exactly. Columns are sorted so that those of a batch end together, a batch is small
enough to stay in cache, and columns that have ended leave.

SOR needs no iterate to count: with M z = r, the next residual is (1/omega - 1) D z - L' z.

Source: arXiv 2310.02246, sections 3 and 4 for the costs that its experiments measure; the batching is ours.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, diags_array, tril, triu

from overparam.errors import BadInput, Diverged
from overparam.methods.tuning.relaxation import Matrix, as_csr, require_omega, require_stopping, require_symmetric

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
Solve = Callable[["_Levels", Array, Array, Array, Array, float, int], tuple[Counts, NDArray[np.bool_]]]
BATCH = 2**15  # numbers in one array of a batch: a few of them stay in a cache of 2 MB
WIDTH = 256  # columns at least, so that a level is worth the call
LEAVE = 0.75  # a batch is packed again when fewer columns than this share of it are at work


def sor_cost_table(
    A: Matrix,
    shifts: ArrayLike,
    rhs: ArrayLike,
    omegas: ArrayLike,
    *,
    tol: float = 1e-8,
    max_iter: int = 10_000,
) -> Counts:
    """Count the sweeps that SOR takes from x = 0 for each system and each omega.

    Equal to `sor` on A + c_t I, cell by cell; only where a residual lies within rounding of the tolerance can a count
    differ by one. Memory: about T d numbers for the table, a few megabytes for the work.

    Args:
        A: (n, n) array, SciPy sparse matrix or `Stencil5`.
        shifts: (T,) c_t.
        rhs: (T, n) b_t, or (n,) for the same in all.
        omegas: (d,) the same for all systems, or (T, d).
        tol: Relative residual to reach.
        max_iter: Cap; a cell that reaches it holds the cap, and a warning says how many.

    Returns:
        (T, d) counts, 0 where b_t = 0.

    Raises:
        BadInput: Shapes that do not fit, numbers that are not finite, an omega outside (0, 2), a zero on a diagonal.
        Diverged: A residual left the finite numbers.

    Example:
        >>> from overparam.methods.tuning.relaxation import Stencil5
        >>> sor_cost_table(Stencil5(10), [0.0, 0.4], np.ones(100), [1.0, 1.5, 1.9]).tolist()
        [[223, 62, 187], [69, 30, 186]]
    """
    return _table(A, shifts, rhs, None, omegas, tol, max_iter, _sweeps)


def ssor_pcg_cost_table(
    A: Matrix,
    shifts: ArrayLike,
    rhs: ArrayLike,
    omegas: ArrayLike,
    *,
    starts: ArrayLike | None = None,
    tol: float = 1e-8,
    max_iter: int = 10_000,
) -> Counts:
    """Count the steps of conjugate gradients with the SSOR preconditioner for each system and each omega.

    As `ssor_pcg` on A + c_t I; near omega = 2 rounding can move a count by one.

    Args:
        A: (n, n) symmetric array, SciPy sparse matrix or `Stencil5`.
        shifts: (T,) c_t; A + c_t I has to be positive definite.
        rhs: (T, n) b_t, or (n,) for the same in all.
        omegas: (d,) the same for all systems, or (T, d).
        starts: (T, n) first iterates, zero by default.
        tol: Residual to reach, relative to |b_t|.
        max_iter: Cap; a cell that reaches it holds the cap, and a warning says how many.

    Returns:
        (T, d) counts, 0 where the start is good enough.

    Raises:
        BadInput: As for `sor_cost_table`, and a matrix that is not symmetric or turns out not to be positive definite.

    Example:
        >>> from overparam.methods.tuning.relaxation import Stencil5
        >>> ssor_pcg_cost_table(Stencil5(10), [0.0, 0.4], np.ones(100), [1.0, 1.5, 1.9]).tolist()
        [[13, 13, 16], [11, 11, 15]]
    """
    require_symmetric(as_csr(A))
    return _table(A, shifts, rhs, starts, omegas, tol, max_iter, _conjugate_steps)


class _Levels:
    """A matrix with its rows sorted into levels, and triangular solves for many columns at once."""

    def __init__(self, matrix: csr_array) -> None:
        level = _level_of_rows(matrix)
        self.order = np.argsort(level, kind="stable")
        sorted_ = csr_array(matrix[self.order][:, self.order])
        diagonal = sorted_.diagonal()
        self.centre = diagonal if np.ptp(diagonal) else diagonal[:1]  # one number where the diagonal is constant
        self.upper = csr_array(triu(sorted_, 1))
        lower = csr_array(tril(sorted_, -1))
        self.beside = csr_array(lower + self.upper)
        edges = np.searchsorted(level[self.order], np.arange(level.max() + 2))
        self.spans = [(int(a), int(b)) for a, b in itertools.pairwise(edges)]
        self._below = [csr_array(lower[lo:hi, :lo]) if lo else None for lo, hi in self.spans]
        self._above = [csr_array(self.upper[lo:hi, hi:]) if hi < len(level) else None for lo, hi in self.spans]

    def forward(self, r: Array, inverse: Array, out: Array) -> None:
        """Solve (E + L) out = r, where `inverse` holds 1 / E, as (n, B) or (1, B)."""
        for (lo, hi), block in zip(self.spans, self._below, strict=True):
            scale = inverse[lo:hi] if len(inverse) > 1 else inverse
            if block is None:
                np.multiply(r[lo:hi], scale, out=out[lo:hi])
                continue
            known = block @ out[:lo]
            np.subtract(r[lo:hi], known, out=known)
            np.multiply(known, scale, out=out[lo:hi])

    def backward(self, r: Array, inverse: Array, out: Array) -> None:
        """Solve (E + U) out = r likewise; `out` may be `r`."""
        for (lo, hi), block in zip(reversed(self.spans), reversed(self._above), strict=True):
            scale = inverse[lo:hi] if len(inverse) > 1 else inverse
            if block is None:
                np.multiply(r[lo:hi], scale, out=out[lo:hi])
                continue
            known = block @ out[hi:]
            np.subtract(r[lo:hi], known, out=known)
            np.multiply(known, scale, out=out[lo:hi])


def _level_of_rows(matrix: csr_array) -> Counts:
    """Longest path of the lower and the mirrored upper triangle that ends in a row."""
    pattern = csr_array(tril(abs(matrix) + abs(matrix).T, -1))
    level = np.zeros(matrix.shape[0], dtype=np.int64)
    for row in range(len(level)):
        before = pattern.indices[pattern.indptr[row] : pattern.indptr[row + 1]]
        if len(before):
            level[row] = level[before].max() + 1
    return level


def _table(
    A: Matrix,
    shifts: ArrayLike,
    rhs: ArrayLike,
    starts: ArrayLike | None,
    omegas: ArrayLike,
    tol: float,
    max_iter: int,
    solve: Solve,
) -> Counts:
    require_stopping(tol, max_iter)
    matrix = as_csr(A)
    levels, n = _Levels(matrix), matrix.shape[0]
    c = np.atleast_1d(np.asarray(shifts, dtype=np.float64))
    b = _rows("rhs", rhs, len(c), n)
    x0 = None if starts is None else _rows("starts", starts, len(c), n)
    w = require_omega(omegas)
    if c.ndim != 1 or w.ndim not in (1, 2) or (w.ndim == 2 and len(w) != len(c)):
        raise BadInput(f"shifts has shape {c.shape} and omegas {w.shape}; pass (T,) and (d,) or (T, d)")
    if not np.isfinite(c).all() or (np.abs(matrix.diagonal()[:, None] + c).min(initial=1.0) == 0.0):
        raise BadInput("shifts are not finite or leave a zero on the diagonal; pass others")
    size = np.linalg.norm(b, axis=1)
    if x0 is not None:
        b = b - x0 @ matrix.T - c[:, None] * x0
    table = np.broadcast_to(w, (len(c), w.shape[-1]))
    cells = np.argsort(_slowness(matrix, c, table), axis=None, kind="stable")
    counts, capped = np.zeros(table.size, dtype=np.int64), 0
    width = max(WIDTH, BATCH // n)
    for first in range(0, len(cells), width):
        own = cells[first : first + width]
        t = own // table.shape[1]
        r = np.ascontiguousarray(b[t][:, levels.order].T)
        counts[own], done = solve(levels, r, c[t], table.ravel()[own], size[t], tol, max_iter)
        capped += int((~done).sum())
    if capped:
        warnings.warn(f"{capped} of {table.size} cells stopped at the cap of {max_iter:,} iterations", stacklevel=3)
    return counts.reshape(table.shape)


def _slowness(matrix: csr_array, shifts: Array, omegas: Array) -> Array:
    """Guess the rate of each cell by Young's formula, so that columns that end together come to lie together."""
    centre = matrix.diagonal().mean()
    beside, v = abs(matrix - diags_array(matrix.diagonal())), np.ones(matrix.shape[0])
    for _ in range(30):  # power iteration; a rough value is enough for an order
        v = beside @ v
        v /= max(float(np.linalg.norm(v)), np.finfo(float).tiny)
    radius = float(np.linalg.norm(beside @ v))
    beta = np.clip(radius / np.maximum(np.abs(centre + shifts), np.finfo(float).tiny), 0.0, 1.0)[:, None]
    inside = np.maximum((omegas * beta) ** 2 - 4.0 * (omegas - 1.0), 0.0)
    return np.asarray(np.maximum(((omegas * beta + np.sqrt(inside)) / 2.0) ** 2, np.abs(omegas - 1.0)))


def _rows(name: str, values: ArrayLike, count: int, n: int) -> Array:
    given = np.asarray(values, dtype=np.float64)
    given = np.broadcast_to(given, (count, n)) if given.shape == (n,) else given
    if given.shape != (count, n) or not np.isfinite(given).all():
        raise BadInput(f"{name} has shape {given.shape} or is not finite; pass finite numbers, ({count}, {n})")
    return given


def _sweeps(
    levels: _Levels, r: Array, shift: Array, omega: Array, size: Array, tol: float, max_iter: int
) -> tuple[Counts, NDArray[np.bool_]]:
    """Sweep all columns until each has ended; return counts and where the tolerance was reached."""
    counts, done, edge = np.zeros(len(size), dtype=np.int64), size == 0.0, tol * size
    active, k = np.flatnonzero(~done), 0
    r, working = np.ascontiguousarray(r[:, active]), np.ones(len(active), dtype=bool)
    inverse, factor = _coefficients(levels, shift[active], omega[active])
    z = np.empty_like(r)
    while len(active) and k < max_iter:
        levels.forward(r, inverse, z)
        r = levels.upper @ z
        np.subtract(np.multiply(factor, z, out=z), r, out=r)
        k += 1
        norm = _norms(r)
        if not np.isfinite(norm).all():
            raise Diverged(f"SOR left the finite numbers at sweep {k}; pass symmetric positive definite systems")
        ended = working & (norm < edge[active])
        if ended.any():
            counts[active[ended]], done[active[ended]] = k, True
            r[:, ended], working = 0.0, working & ~ended  # a zero stays: no time goes into ever smaller numbers
            if working.sum() < LEAVE * len(working):
                active, r = active[working], np.ascontiguousarray(r[:, working])
                inverse, factor = _coefficients(levels, shift[active], omega[active])
                z, working = np.empty_like(r), np.ones(len(active), dtype=bool)
    counts[~done] = max_iter
    return counts, done


def _coefficients(levels: _Levels, shift: Array, omega: Array) -> tuple[Array, Array]:
    """Return omega / D and (1 / omega - 1) D for each column."""
    d = levels.centre[:, None] + shift
    return omega / d, (1.0 / omega - 1.0) * d


def _conjugate_steps(
    levels: _Levels, r: Array, shift: Array, omega: Array, size: Array, tol: float, max_iter: int
) -> tuple[Counts, NDArray[np.bool_]]:
    """Conjugate gradients on all columns until each has ended; return counts and where the tolerance was reached."""
    counts, edge = np.zeros(len(size), dtype=np.int64), tol * size
    done = (size == 0.0) | (_norms(r) <= edge)
    active, k = np.flatnonzero(~done), 0
    r, rho = np.ascontiguousarray(r[:, active]), np.ones(len(active))
    p, z = np.zeros_like(r), np.empty_like(r)
    while len(active) and k < max_iter:
        w = omega[active]
        diagonal = levels.centre[:, None] + shift[active]
        inverse = w / diagonal
        levels.forward(r, inverse, z)  # D + omega L = omega (D / omega + L): the factors of omega gather below
        z *= diagonal
        levels.backward(z, inverse, z)
        z *= (2.0 - w) / w
        old, rho = rho, np.einsum("ij,ij->j", r, z)
        p *= rho / old if k else 0.0
        p += z
        q = levels.beside @ p
        q += np.multiply(diagonal, p, out=z)
        curvature = np.einsum("ij,ij->j", p, q)
        k += 1
        if not (curvature > 0.0).all():
            raise BadInput(f"a system is not positive definite: p'Ap={curvature.min():g} at step {k}; pass others")
        r -= np.multiply(rho / curvature, q, out=q)
        ended = _norms(r) <= edge[active]
        if ended.any():
            counts[active[ended]], done[active[ended]] = k, True
            active, rho = active[~ended], rho[~ended]
            r, p = np.ascontiguousarray(r[:, ~ended]), np.ascontiguousarray(p[:, ~ended])
            z = np.empty_like(r)
    counts[~done] = max_iter
    return counts, done


def _norms(r: Array) -> Array:
    return np.asarray(np.sqrt(np.einsum("ij,ij->j", r, r)))
