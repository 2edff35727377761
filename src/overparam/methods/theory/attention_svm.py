"""The support vector machine of an attention layer: which direction W selects given tokens by the largest margin.

Scores of a layer are x' W z for tokens x and a query z. From Ataee Tarzanagh, Li, Thrampoulidis and Oymak,
Transformers as Support Vector Machines (arXiv 2308.16898). The nuclear norm is solved in `nuclear_svm`.

Departures: 1. the official code calls CVXPY; the solvers here are our own, and every answer carries a certified gap.
2. Constraints are added as they are violated, so that long sequences cost little. 3. Queries may have another width
than tokens; a single query of width one gives the machine of a trained prompt vector.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput

Array = NDArray[np.float64]
Norm = Literal["fro", "nuc"]
Solver = Callable[[Array, Array, float, int], tuple[Array, float, int]]
SEPARABLE = 1e-8  # margin over the largest possible one, below which rounding decides
DIRECT = 256  # constraints that are solved together without adding them one by one
ACTIVE = 1e-4  # excess over a margin of one up to which a constraint counts as active
RANK = 1e-5  # singular values above this part of the largest one count


@dataclass(frozen=True)
class SVMSolution:
    """A separating direction of least norm.

    Attributes:
        W: (d, q), feasible: the smallest margin is one; zeros where nothing separates.
        value: Norm of W; infinite where nothing separates.
        dual_value: No feasible W has a norm below this.
        gap: (value - dual_value) / value, certified; infinite where nothing separates.
        margins: (n, T), (x_selected - x_t)' W z, infinite at the selected token itself.
        active: (n, T), the support vectors: margin one up to 1e-4.
        feasible: Whether some W separates all selected tokens.
        singular_values: Of W, descending.
        iterations: Of the solver, over all rounds.
        converged: Whether the gap is at most the tolerance.
    """

    W: Array
    value: float
    dual_value: float
    gap: float
    margins: Array
    active: NDArray[np.bool_]
    feasible: bool
    singular_values: Array
    iterations: int
    converged: bool

    @property
    def rank(self) -> int:
        """Number of singular values above 1e-5 of the largest one."""
        return self.rank_above(RANK)

    def rank_above(self, part: float) -> int:
        """Count singular values.

        Args:
            part: Threshold, as a part of the largest singular value.

        Returns:
            How many lie above; 0 where nothing separates.
        """
        return int((self.singular_values > part * self.singular_values.max(initial=0.0)).sum())


def attention_svm(
    X: ArrayLike,
    z: ArrayLike,
    selected: ArrayLike,
    *,
    norm: Norm = "fro",
    tol: float = 1e-8,
    max_iter: int = 500,
    raise_infeasible: bool = True,
) -> SVMSolution:
    """Solve min ||W|| subject to (x_selected - x_t)' W z >= 1 for every sequence and every other token t.

    Args:
        X: (n, T, d) tokens, T >= 2.
        z: (n, q) queries, one a sequence; q = d in an attention layer.
        selected: (n,) index of the selected token of each sequence.
        norm: `fro` is the limit of training W itself, `nuc` that of training W = K Q'.
        tol: Relative gap at which the solver stops.
        max_iter: Cap on the steps of a solve.
        raise_infeasible: Whether a selection that no W separates is an error; otherwise a result that says so.

    Returns:
        The solution. Memory O(m² + n T d) for m constraints in the working set. Time of a step O(m³) for `fro`, and
        O(m² q + d q²) for `nuc`.

    Raises:
        BadInput: Shapes that do not fit, T < 2, values that are not finite, an index out of range, an unknown norm,
            tol or max_iter not positive, or a selection that no W separates.

    Warns:
        ConvergenceWarning: The gap is above `tol` at the cap; the message gives the certified gap.

    Source: arXiv 2308.16898, (Att-SVM) and its nuclear-norm form.

    Example:
        >>> found = attention_svm([[[2.0, 0.0], [0.0, 0.0]]], [[0.0, 1.0]], [0])  # W = D z' / (|D|² |z|²)
        >>> found.W.tolist(), found.rank
        ([[0.0, 0.5], [0.0, 0.0]], 1)
    """
    tokens, queries, chosen = check_selection(X, z, selected)
    if norm not in ("fro", "nuc"):
        raise BadInput(f"norm={norm!r} is unknown; give 'fro' or 'nuc'")
    if not tol > 0 or max_iter < 1:
        raise BadInput(f"tol={tol}, max_iter={max_iter}: give tol > 0 and max_iter >= 1")
    differences, owner = _differences(tokens, chosen)
    scale = _largest(differences, queries, owner)
    left, right = differences / scale, queries  # rows of length at most one: thresholds mean the same for all data
    if norm == "fro":
        solver: Solver = _frobenius
    else:
        from overparam.methods.theory.nuclear_svm import solve_nuclear

        solver = solve_nuclear
    W, bound, iterations = _by_working_set(left, right, owner, solver, tol, max_iter)
    value = norm_of(W, norm)
    smallest = float(_margins(W, left, right, owner).min())
    feasible = smallest > SEPARABLE * value
    if not feasible:
        if bound < 1 / SEPARABLE:
            _warn(f"no separating W was found in {iterations} steps, and none was ruled out; raise max_iter")
        elif raise_infeasible:
            raise BadInput(
                f"selected: no W separates these tokens, margins are at most {1 / bound:.1g} of the largest token; "
                "more dimensions help, or pass raise_infeasible=False"
            )
        return _nothing(tokens, queries, bound / scale, iterations)
    W, value, bound = W / smallest / scale, value / smallest / scale, bound / scale
    gap = max(0.0, 1 - bound / value)
    if gap > tol:
        _warn(f"gap {gap:.1e} is above tol={tol:.0e} after {iterations} steps; the norm is between {bound:.9g} and "
              f"{value:.9g}")  # fmt: skip
    margins = np.full(tokens.shape[:2], np.inf)
    margins[_others(tokens, chosen)] = _margins(W, differences, queries, owner)
    return SVMSolution(
        W=W,
        value=value,
        dual_value=min(bound, value),
        gap=gap,
        margins=margins,
        active=margins <= 1 + ACTIVE,
        feasible=True,
        singular_values=np.asarray(np.linalg.svd(W, compute_uv=False), dtype=np.float64),
        iterations=iterations,
        converged=gap <= tol,
    )


def correlation(first: ArrayLike, second: ArrayLike) -> float:
    """Cosine of two matrices: <A, B> / (||A||_F ||B||_F).

    Args:
        first: (d, q), not zero.
        second: (d, q), not zero.

    Returns:
        Between -1 and 1.

    Raises:
        BadInput: Shapes differ, or a matrix is zero or not finite.

    Example:
        >>> correlation([[1.0, 0.0]], [[3.0, 4.0]])
        0.6
    """
    a, b = (np.asarray(m, dtype=np.float64) for m in (first, second))
    if a.shape != b.shape:
        raise BadInput(f"first has shape {a.shape} and second {b.shape}; give matrices of one shape")
    tops = [float(np.abs(m).max(initial=0.0)) for m in (a, b)]
    if not all(0 < top < np.inf for top in tops):
        raise BadInput(f"largest entries {tops[0]:g} and {tops[1]:g}: a direction needs finite entries, not all zero")
    a, b = a / tops[0], b / tops[1]  # squares of tiny entries would underflow
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))


def is_locally_optimal(solution: SVMSolution, scores: ArrayLike) -> bool:
    """Tell whether every support vector has a lower score than the token selected in its sequence.

    Args:
        solution: Machine of the selected tokens.
        scores: (n, T), gamma = Y v'x, what a token is worth to the loss.

    Returns:
        Whether the selection is locally optimal; gradient descent can converge to it.

    Raises:
        BadInput: Scores of another shape, or a selection that nothing separates.

    Source: arXiv 2308.16898, definition of locally-optimal tokens.
    """
    worth = np.asarray(scores, dtype=np.float64)
    if worth.shape != solution.margins.shape:
        raise BadInput(f"scores has shape {worth.shape}, expected {solution.margins.shape}, one a token")
    if not solution.feasible:
        raise BadInput("solution: nothing separates this selection, so it has no support vectors")
    own = worth[np.isinf(solution.margins)][:, None]  # one selected token a sequence
    return bool((~solution.active | (own > worth)).all())


def norm_of(W: Array, norm: Norm) -> float:
    """Frobenius or nuclear norm.

    Args:
        W: (d, q).
        norm: `fro` or `nuc`.

    Returns:
        The norm.
    """
    return float(np.linalg.norm(W, norm))


def check_selection(X: ArrayLike, z: ArrayLike, selected: ArrayLike) -> tuple[Array, Array, NDArray[np.int64]]:
    """Check tokens, queries and selected indices.

    Args:
        X: (n, T, d).
        z: (n, q).
        selected: (n,).

    Returns:
        The same as float64 and int64 arrays.

    Raises:
        BadInput: Shapes that do not fit, T < 2, values that are not finite, or an index out of range.
    """
    tokens, queries, chosen = np.asarray(X, dtype=np.float64), np.asarray(z, dtype=np.float64), np.asarray(selected)
    if tokens.ndim != 3 or tokens.shape[1] < 2 or not tokens.size:
        raise BadInput(f"X has shape {tokens.shape}, expected (n, T, d) with T >= 2: a choice needs two tokens")
    if queries.ndim != 2 or len(queries) != len(tokens) or not queries.size:
        raise BadInput(f"z has shape {queries.shape}, expected ({len(tokens)}, q): one query a sequence")
    for name, values in (("X", tokens), ("z", queries)):
        if not np.isfinite(values).all():
            raise BadInput(f"{name} holds {int((~np.isfinite(values)).sum())} values that are not finite")
    if chosen.shape != (len(tokens),) or chosen.dtype.kind not in "iu":
        raise BadInput(f"selected has shape {chosen.shape} and type {chosen.dtype}, expected ({len(tokens)},) of int")
    if ((chosen < 0) | (chosen >= tokens.shape[1])).any():
        wrong = int(chosen[(chosen < 0) | (chosen >= tokens.shape[1])][0])
        raise BadInput(f"selected holds {wrong}, allowed are 0 to {tokens.shape[1] - 1}")
    return tokens, queries, chosen.astype(np.int64)


def _others(tokens: Array, chosen: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.asarray(np.arange(tokens.shape[1]) != chosen[:, None])


def _differences(tokens: Array, chosen: NDArray[np.int64]) -> tuple[Array, NDArray[np.int64]]:
    """Selected minus other tokens, (m, d), and the sequence of each."""
    own = np.take_along_axis(tokens, chosen[:, None, None], 1)
    others = _others(tokens, chosen)
    return (own - tokens)[others], np.nonzero(others)[0]


def _largest(differences: Array, queries: Array, owner: NDArray[np.int64]) -> float:
    sizes = np.linalg.norm(differences, axis=1) * np.linalg.norm(queries, axis=1)[owner]
    return float(sizes.max()) or 1.0


def _margins(W: Array, left: Array, right: Array, owner: NDArray[np.int64]) -> Array:
    return np.asarray((left * (right @ W.T)[owner]).sum(1))


def _by_working_set(
    left: Array, right: Array, owner: NDArray[np.int64], solver: Solver, tol: float, max_iter: int
) -> tuple[Array, float, int]:
    """Solve for some constraints and add the most violated ones of each sequence, until none is violated."""
    inside = np.ones(len(left), dtype=bool)
    count = 1
    if len(left) > DIRECT:
        inside = _lowest(_margins(left.T @ right[owner], left, right, owner), owner, count)
    steps = 0
    while True:
        rows = np.flatnonzero(inside)
        W, bound, more = solver(left[rows], right[owner[rows]], tol, max_iter)
        steps += more
        margins = _margins(W, left, right, owner)
        violated = ~inside & (margins < margins[rows].min() * (1 - tol / 4))
        if not violated.any() or bound >= 1 / SEPARABLE:  # a bound for some constraints is one for all
            return W, bound, steps
        count *= 2  # so that there are few rounds
        inside |= violated & _lowest(np.where(violated, margins, np.inf), owner, count)


def _lowest(margins: Array, owner: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    """The constraints with the smallest margins of each sequence; sequences lie side by side, equally many each."""
    table = margins.reshape(owner[-1] + 1, -1)
    return np.asarray(table.argsort(1, kind="stable").argsort(1) < count).ravel()


def _frobenius(left: Array, right: Array, tol: float, max_iter: int) -> tuple[Array, float, int]:
    """Shortest W with l' W r >= 1: least distance on rows vec(l r'), by their Gram matrix where that is smaller."""
    m, size = len(left), left.shape[1] * right.shape[1]
    if size <= m:
        factor = np.einsum("ki,kj->ijk", left, right).reshape(size, m)
    else:
        factor = _root((left @ left.T) * (right @ right.T))
    u, steps = least_distance(factor, max_iter)
    W = (left * u[:, None]).T @ right
    length = norm_of(W, "fro")
    return W, float(u.sum() / length) if length > 0 else np.inf, steps


def _root(gram: Array) -> Array:
    """F with F'F = gram."""
    try:
        return np.asarray(np.linalg.cholesky(gram, upper=True))
    except np.linalg.LinAlgError:  # dependent rows
        values, vectors = np.linalg.eigh(gram)
        return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T)


def least_distance(factor: Array, max_iter: int) -> tuple[Array, int]:
    """Weights u >= 0 with F u along the shortest w that has F'w >= 1.

    Minimises ||F u||² + (1'u - 1)². At its minimum F u / (1 - 1'u) is the shortest w; where no w exists, F u = 0 and
    1'u = 1. The support is solved once more by a linear system, which takes the error down to rounding.

    Args:
        factor: (r, m), a column a constraint.
        max_iter: Steps per constraint of the non-negative least squares.

    Returns:
        (m,) weights, and 1: SciPy does not count the steps of the least squares.

    Source: Lawson and Hanson, Solving Least Squares Problems, 1974, chapter 23.
    """
    from scipy.optimize import nnls

    r, m = factor.shape
    problem, target = np.ones((r + 1, m)), np.zeros(r + 1)
    problem[:-1], target[-1] = factor, 1.0
    try:
        u = np.asarray(nnls(problem, target, maxiter=max_iter * m)[0])
    except RuntimeError:  # the cap: any u >= 0 is a valid weight, and the gap says how good it is
        return np.full(m, 1 / m), 1
    support = u > 0
    inner = factor[:, support]
    exact = np.zeros(m)
    exact[support] = np.maximum(np.linalg.lstsq(inner.T @ inner, np.ones(int(support.sum())), rcond=None)[0], 0.0)
    better = _tightness(factor, exact) > max(0.0, _tightness(factor, u))
    return exact if better else u, 1


def _tightness(factor: Array, u: Array) -> float:
    """Lower bound over norm at margin one for w = F u: one at the optimum, not positive where w separates nothing."""
    w = factor @ u
    square = float(w @ w)
    return float(u.sum() * (factor.T @ w).min()) / square if square > 0 else 0.0


def _nothing(tokens: Array, queries: Array, bound: float, iterations: int) -> SVMSolution:
    shape = tokens.shape[:2]
    d, q = tokens.shape[2], queries.shape[1]
    return SVMSolution(
        W=np.zeros((d, q)),
        value=np.inf,
        dual_value=bound,
        gap=np.inf,
        margins=np.full(shape, np.nan),
        active=np.zeros(shape, dtype=bool),
        feasible=False,
        singular_values=np.zeros(min(d, q)),
        iterations=iterations,
        converged=bound >= 1 / SEPARABLE,
    )


def _warn(text: str) -> None:
    from sklearn.exceptions import ConvergenceWarning

    warnings.warn(text, ConvergenceWarning, stacklevel=3)
