"""Successive over-relaxation and conjugate gradients with its symmetric preconditioner.

A = D + L + L' with diagonal D and L strictly below it. One parameter omega in (0, 2) decides how fast both solvers are:

    SOR        x <- x + M^-1 (b - A x),                       M = D / omega + L
    SSOR-PCG   conjugate gradients preconditioned by          (D + omega L) D^-1 (D + omega L)' / (omega (2 - omega))

Both report how many iterations they took, which is all that a tuner of `overparam.methods.tuning.bandits` needs.

Source: arXiv 2310.02246, sections 1 and 2; official code mkhodak/learning-to-relax.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, diags_array, eye_array, issparse, kron, tril
from scipy.sparse.linalg import splu

from overparam.errors import BadInput, Diverged

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Stencil5:
    """The five-point Laplacian on a square grid, plus a multiple of the identity.

    Row by row, 4 + shift on the diagonal and -1 for each neighbour. Positive definite where
    shift > 4 cos(pi / (N + 1)) - 4.

    Attributes:
        size: N inner points a side; the matrix is (N², N²).
        shift: c in A + c I.

    Example:
        >>> Stencil5(2, 0.5).matrix().toarray()[0].tolist()
        [4.5, -1.0, -1.0, 0.0]
    """

    size: int
    shift: float = 0.0

    def __post_init__(self) -> None:
        if self.size < 1 or not math.isfinite(self.shift):
            raise BadInput(f"Stencil5(size={self.size}, shift={self.shift}): pass size>=1 and a finite shift")

    def matrix(self) -> csr_array:
        """Return the matrix in CSR form."""
        n = self.size
        line = diags_array([-np.ones(n - 1), np.full(n, 2.0), -np.ones(n - 1)], offsets=[-1, 0, 1])
        whole = kron(line, eye_array(n)) + kron(eye_array(n), line) + self.shift * eye_array(n * n)
        return csr_array(whole)


Matrix: TypeAlias = "Stencil5 | csr_array | ArrayLike | Any"


@dataclass(frozen=True)
class SolveResult:
    """What a solver returns.

    Attributes:
        x: (n,) last iterate.
        iterations: Sweeps of SOR, or steps of conjugate gradients.
        residual: |b - A x| over |b - A x0| for SOR and over |b| for conjugate gradients; 0 for b = 0.
        converged: False where the cap came first.
    """

    x: Array
    iterations: int
    residual: float
    converged: bool


def sor(
    A: Matrix,
    b: ArrayLike,
    omega: float,
    x0: ArrayLike | None = None,
    *,
    tol: float = 1e-8,
    max_iter: int = 10_000,
) -> SolveResult:
    """Solve A x = b by successive over-relaxation in the order of the rows.

    Stops at the first sweep k with |b - A x_k| / |b - A x_0| < tol. For symmetric positive definite A every omega in
    (0, 2) converges. A sweep costs one triangular solve and one product with A.

    Args:
        A: (n, n) array, SciPy sparse matrix or `Stencil5`, without zeros on the diagonal.
        b: (n,) right-hand side.
        omega: Relaxation parameter, in (0, 2); 1 is Gauss-Seidel.
        x0: (n,) start, zero by default.
        tol: Relative residual to reach, positive.
        max_iter: Cap on sweeps.

    Returns:
        The solution with its number of sweeps; at the cap the last iterate, `converged=False` and a warning.

    Raises:
        BadInput: omega outside (0, 2); a matrix that is not square or finite, or has a zero on the diagonal; vectors
            of another length or not finite; a tolerance or cap that is not positive.
        Diverged: The residual left the finite numbers, as it can where A is not positive definite.

    Example:
        >>> b = np.ones(100)
        >>> [sor(Stencil5(10), b, omega).iterations for omega in (1.0, 1.5, 1.9)]
        [223, 62, 187]
    """
    matrix, right, x = _problem(A, b, omega, x0, tol, max_iter)
    diagonal = matrix.diagonal()
    solve = splu(
        (tril(matrix, -1) + diags_array(diagonal / omega)).tocsc(), permc_spec="NATURAL", diag_pivot_thresh=0.0
    ).solve
    r = right - matrix @ x
    first = last = float(np.linalg.norm(r))
    if first == 0.0:
        return SolveResult(x, 0, 0.0, True)
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(1, max_iter + 1):
            x = x + solve(r)
            r = right - matrix @ x
            last = float(np.linalg.norm(r))
            if not math.isfinite(last):
                raise Diverged(f"SOR with omega={omega:g} left the finite numbers at sweep {k}; {_ADVICE}")
            if last / first < tol:
                return SolveResult(x, k, last / first, True)
    _warn_of_cap("SOR", omega, max_iter, last / first)
    return SolveResult(x, max_iter, last / first, False)


def ssor_pcg(
    A: Matrix,
    b: ArrayLike,
    omega: float,
    x0: ArrayLike | None = None,
    *,
    tol: float = 1e-8,
    max_iter: int = 10_000,
) -> SolveResult:
    """Solve A x = b by conjugate gradients with the SSOR preconditioner.

    Stops at the first step with |r| <= tol |b|, where r is the residual that the recursion carries. A step costs two
    triangular solves and one product with A.

    Args:
        A: (n, n) symmetric positive definite array, SciPy sparse matrix or `Stencil5`.
        b: (n,) right-hand side.
        omega: Relaxation parameter of the preconditioner, in (0, 2).
        x0: (n,) start, zero by default.
        tol: Relative residual to reach, positive.
        max_iter: Cap on steps.

    Returns:
        The solution with its number of steps and its true residual; at the cap the last iterate, `converged=False`
        and a warning.

    Raises:
        BadInput: As for `sor`, and a matrix that is not symmetric or not positive definite.

    Example:
        >>> ssor_pcg(Stencil5(10), np.ones(100), 1.5).iterations
        13
    """
    matrix, right, x = _problem(A, b, omega, x0, tol, max_iter)
    diagonal = matrix.diagonal()
    require_symmetric(matrix)
    size = float(np.linalg.norm(right))
    if size == 0.0:
        return SolveResult(np.zeros_like(right), 0, 0.0, True)
    lower = splu(
        (omega * tril(matrix, -1) + diags_array(diagonal)).tocsc(), permc_spec="NATURAL", diag_pivot_thresh=0.0
    )
    r = right - matrix @ x
    k, converged = 0, bool(np.linalg.norm(r) <= tol * size)
    p, rho = np.zeros_like(r), 1.0
    while not converged and k < max_iter:
        z = omega * (2.0 - omega) * lower.solve(diagonal * lower.solve(r), "T")
        old, rho = rho, float(r @ z)
        p = z + (rho / old if k else 0.0) * p
        q = matrix @ p
        curvature = float(p @ q)
        k += 1
        if not curvature > 0.0:
            raise BadInput(f"A is not positive definite: p'Ap={curvature:g} at step {k}; {_ADVICE}")
        x = x + (rho / curvature) * p
        r = r - (rho / curvature) * q
        converged = bool(np.linalg.norm(r) <= tol * size)
    residual = float(np.linalg.norm(right - matrix @ x)) / size
    if not converged:
        _warn_of_cap("SSOR-PCG", omega, max_iter, residual)
    return SolveResult(x, k, residual, converged)


_ADVICE = "pass a symmetric positive definite matrix"


def as_csr(A: Matrix) -> csr_array:
    """Take a matrix in any accepted form.

    Args:
        A: Array, SciPy sparse matrix or `Stencil5`.

    Returns:
        float64 CSR with sorted indices, a copy where something had to change.

    Raises:
        BadInput: Not two-dimensional and square, empty, complex, not finite, or with a zero on the diagonal.
    """
    given: Any = A.matrix() if isinstance(A, Stencil5) else A
    if not issparse(given):
        given = np.asarray(given)
    if given.ndim != 2 or given.shape[0] != given.shape[1] or given.shape[0] == 0:
        raise BadInput(f"A has shape {given.shape}; pass a square matrix")
    if given.dtype.kind not in "fiub":
        raise BadInput(f"A holds {given.dtype} numbers; pass real ones")
    matrix = csr_array(given, dtype=np.float64)
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    if not np.isfinite(matrix.data).all():
        raise BadInput("A has entries that are not finite; pass finite ones")
    zeros = np.flatnonzero(matrix.diagonal() == 0)
    if len(zeros):
        raise BadInput(f"A[{zeros[0]}, {zeros[0]}] is zero; relaxation divides by the diagonal, so reorder the rows")
    return matrix


def require_symmetric(matrix: csr_array) -> None:
    """Refuse a matrix that cannot be symmetric positive definite at first sight.

    Args:
        matrix: CSR.

    Raises:
        BadInput: Not symmetric to rounding, or an entry on the diagonal that is not positive.
    """
    gap = abs(matrix - matrix.T)
    worst = float(gap.max())
    if worst > 1e-12 * float(abs(matrix).max()):
        raise BadInput(f"A is not symmetric: entries differ from their mirror image by up to {worst:g}; {_ADVICE}")
    diagonal = matrix.diagonal()
    low = int(diagonal.argmin())
    if diagonal[low] <= 0:
        raise BadInput(f"A is not positive definite: A[{low}, {low}]={diagonal[low]:g}; {_ADVICE}")


def require_omega(omega: ArrayLike) -> Array:
    """Check relaxation parameters.

    Args:
        omega: One or several.

    Returns:
        float64 array of the same shape.

    Raises:
        BadInput: One that is not inside (0, 2).
    """
    values = np.asarray(omega, dtype=np.float64)
    outside = ~((values > 0.0) & (values < 2.0))
    if outside.any():
        raise BadInput(f"omega={values[outside].flat[0]:g} is outside (0, 2), where relaxation converges")
    return values


def require_stopping(tol: float, max_iter: int) -> None:
    """Check when a solver is to stop.

    Args:
        tol: Relative residual.
        max_iter: Cap.

    Raises:
        BadInput: Either is not positive, or the tolerance is not below 1.
    """
    if not (0.0 < tol < 1.0 and max_iter >= 1):
        raise BadInput(f"tol={tol}, max_iter={max_iter}; pass a tol in (0, 1) and max_iter>=1")


def vector(name: str, values: ArrayLike, n: int) -> Array:
    """Check a vector.

    Args:
        name: Of the argument.
        values: (n,).
        n: Length wanted.

    Returns:
        float64 copy.

    Raises:
        BadInput: Another shape, or not finite.
    """
    given = np.array(values, dtype=np.float64)
    if given.shape != (n,):
        raise BadInput(f"{name} has shape {given.shape}; A has {n} rows, so pass ({n},)")
    if not np.isfinite(given).all():
        raise BadInput(f"{name}[{int(np.argmin(np.isfinite(given)))}] is not finite; pass finite numbers")
    return given


def _problem(
    A: Matrix,
    b: ArrayLike,
    omega: float,
    x0: ArrayLike | None,
    tol: float,
    max_iter: int,
) -> tuple[csr_array, Array, Array]:
    require_omega(omega)
    require_stopping(tol, max_iter)
    matrix = as_csr(A)
    n = matrix.shape[0]
    return matrix, vector("b", b, n), np.zeros(n) if x0 is None else vector("x0", x0, n)


def _warn_of_cap(solver: str, omega: float, max_iter: int, residual: float) -> None:
    warnings.warn(
        f"{solver} with omega={omega:g} stopped at the cap of {max_iter:,} iterations with a relative residual of "
        f"{residual:.2g}; the last iterate is returned",
        stacklevel=3,
    )
