"""Interior-point solver of the attention machine with the nuclear norm.

The dual, max 1'u subject to u >= 0 and ||sum_k u_k a_k b_k'||_op <= 1, has one variable a constraint, whatever the
width of the tokens. Every constraint is of rank one, so that the system of a step is made of Gram matrices and never
formed in the d q entries of W. Each step also gives a feasible W, and with it a certified gap.

Departure: arXiv 2308.16898 states the problem and its code calls CVXPY; the solver is ours. It follows the central
path in the direction of Helmberg, Rendl, Vanderbei and Wolkowicz (1996) with Mehrotra's corrector.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
START = 10.0  # multiple of the identity at which the primal starts
ALMOST = 0.95  # part of the way to the boundary
HOPELESS = 1e8  # a norm at margin one above which nothing separates, to rounding


def solve_nuclear(left: Array, right: Array, tol: float, max_iter: int) -> tuple[Array, float, int]:
    """Follow the central path until primal and dual agree.

    Args:
        left: (m, d) differences of tokens; their lengths times those of the queries are at most about one.
        right: (m, q) queries.
        tol: Relative gap.
        max_iter: Steps; about 15 are taken.

    Returns:
        W (d, q), a lower bound on the norm at margin one, and the number of steps. Where nothing separates, the bound
        grows without end; the path then stops at 1e8.
    """
    a, basis_a = _reduced(left)
    b, basis_b = _reduced(right)
    flip = a.shape[1] < b.shape[1]
    W, bound, steps = _Path(b, a).run(tol, max_iter) if flip else _Path(a, b).run(tol, max_iter)
    return basis_a @ (W.T if flip else W) @ basis_b.T, bound, steps


def _reduced(rows: Array) -> tuple[Array, Array]:
    """Coordinates in the span of the rows, where the solution lies, and its basis (d, s)."""
    if len(rows) >= rows.shape[1]:
        return rows, np.eye(rows.shape[1])
    basis, triangle = np.linalg.qr(rows.T)
    return np.ascontiguousarray(triangle.T), basis


class _Path:
    """Primal min tr X, <A_k, X> - x_k = 1 and dual max 1'u, S = I - sum_k u_k A_k, where A_k has a_k b_k' off-diagonal.

    W = 2 X_12, whose nuclear norm is at most tr X. The points u, x, S, X stay inside their cones; S follows from u.
    """

    def __init__(self, a: Array, b: Array) -> None:
        self.a, self.b = a, b
        self.m, self.p, self.size = len(a), a.shape[1], a.shape[1] + b.shape[1]
        self.u = np.full(self.m, 0.5 / max(float(np.linalg.norm(a.T @ b, 2)), 1e-12))
        self.X, self.x = START * np.eye(self.size), np.full(self.m, START)

    def run(self, tol: float, max_iter: int) -> tuple[Array, float, int]:
        best, value, bound = self.a.T @ self.b, np.inf, 0.0
        for step in range(1, max_iter + 1):
            M = self._combine(self.u)
            left, s, right = np.linalg.svd(M, full_matrices=False)
            bound = max(bound, float(self.u.sum() / s[0]) if s[0] > 0 else np.inf)
            W = 2 * self.X[: self.p, self.p :]
            smallest, size = float(self._products(W).min()), float(np.linalg.norm(W, "nuc"))
            if smallest > 0 and size / smallest < value:
                best, value = W / smallest, size / smallest
            if 1 - bound / value <= tol / 2 or bound > HOPELESS:
                return best, bound, step
            try:
                self._step(M, left, s, right.T)
            except np.linalg.LinAlgError:  # rounding has reached the boundary: nothing better follows
                return best, bound, step
        return best, bound, max_iter

    def _step(self, M: Array, left: Array, s: Array, right: Array) -> None:
        """A predictor, which tells how far the path can be left, and a corrector."""
        near = (1 - s) * (1 + s)  # eigenvalues of I - M'M
        P = self._inverse(left, s, right, near)
        S = np.eye(self.size) - _off_diagonal(M)
        mu = (float((self.X * S).sum()) + float(self.x @ self.u)) / (self.size + self.m)
        solve = _factorised(self._system(P))
        pull = 2 * self._products(P[: self.p, self.p :]) - 1 / self.u
        lower = [np.linalg.inv(np.linalg.cholesky(C)) for C in (self.X, S)]

        def directions(du: Array, centre: float, twist: Array, bend: Array) -> tuple[Array, Array, Array, float, float]:
            dS = -_off_diagonal(self._combine(du))
            dX = centre * P - self.X - _symmetric(self.X @ dS @ P) - twist
            dx = (centre - self.x * du - bend) / self.u - self.x
            primal = min(_reach(lower[0], dX), _ratio(self.x, dx))
            dual = min(_reach(lower[1], dS), _ratio(self.u, du))
            return dS, dX, dx, min(1.0, ALMOST * primal), min(1.0, ALMOST * dual)

        zero = np.zeros((self.size, self.size))
        du = solve(np.ones(self.m))
        dS, dX, dx, primal, dual = directions(du, 0.0, zero, np.zeros(self.m))
        after = float(((self.X + primal * dX) * (S + dual * dS)).sum())
        after += float((self.x + primal * dx) @ (self.u + dual * du))
        centre = mu * min(1.0, max(1e-6, after / (self.size + self.m) / mu) ** 2)
        twist, bend = _symmetric(dX @ dS @ P), dx * du
        du = solve(1 - centre * pull + 2 * self._products(twist[: self.p, self.p :]) - bend / self.u)
        _, dX, dx, primal, dual = directions(du, centre, twist, bend)
        self.X = self.X + primal * dX
        self.x = self.x + primal * dx
        self.u = self.u + dual * du

    def _system(self, P: Array) -> Array:
        """Entries <A_k, X A_l P>, and x / u on the diagonal."""
        ab = []
        for C in (self.X, P):
            cross = self.a @ C[: self.p, self.p :] @ self.b.T
            ab.append((self.a @ C[: self.p, : self.p] @ self.a.T, cross, self.b @ C[self.p :, self.p :] @ self.b.T))
        (xa, xc, xb), (pa, pc, pb) = ab
        twice = xc.T * pc
        system = xb * pa + xa * pb + twice + twice.T
        system[np.diag_indices_from(system)] += self.x / self.u
        return system

    def _inverse(self, left: Array, s: Array, right: Array, near: Array) -> Array:
        """Inverse of S = [[I, -M], [-M', I]] from the singular values of M."""
        P = np.eye(self.size)
        P[: self.p, : self.p] += (left * (s * s / near)) @ left.T
        P[: self.p, self.p :] = (left * (s / near)) @ right.T
        P[self.p :, : self.p] = P[: self.p, self.p :].T
        P[self.p :, self.p :] = (right / near) @ right.T
        return P

    def _combine(self, u: Array) -> Array:
        return np.asarray((self.a * u[:, None]).T @ self.b)

    def _products(self, W: Array) -> Array:
        return np.asarray(((self.a @ W) * self.b).sum(1))


def _off_diagonal(M: Array) -> Array:
    p, q = M.shape
    return np.block([[np.zeros((p, p)), M], [M.T, np.zeros((q, q))]])


def _symmetric(matrix: Array) -> Array:
    return (matrix + matrix.T) / 2


def _reach(lower: Array, change: Array) -> float:
    """How far a positive definite matrix L L' can go along a change; `lower` is the inverse of L."""
    least = float(np.linalg.eigvalsh(lower @ change @ lower.T)[0])
    return -1 / least if least < 0 else np.inf


def _ratio(values: Array, change: Array) -> float:
    down = change < 0
    return float((values[down] / -change[down]).min()) if down.any() else np.inf


def _factorised(matrix: Array) -> Callable[[Array], Array]:
    """Solver of a positive definite system, scaled to a unit diagonal."""
    from scipy.linalg import cho_factor, cho_solve

    scale = 1 / np.sqrt(np.diag(matrix))
    factor = cho_factor(matrix * scale[:, None] * scale)
    return lambda b: np.asarray(scale * cho_solve(factor, scale * b))
