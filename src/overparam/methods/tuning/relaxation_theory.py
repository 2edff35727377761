"""What is known of the best relaxation parameter: the classical formula and the near-asymptotic bound.

For a consistently ordered A with Jacobi radius beta = rho(I - D^-1 A) < 1, Young's theory gives the spectral radius of
SOR and its minimiser,

    rho_omega = ((omega beta + sqrt(omega² beta² - 4 (omega - 1))) / 2)²   below omega*, omega - 1 from there on,
    omega*    = 2 / (1 + sqrt(1 - beta²)).

That is the rate for infinitely many sweeps. At a finite tolerance eps the number of sweeps is at most

    U(omega) = 1 + log(eps) / log(rho_omega + tau (1 - rho_omega)),

where tau is the largest (|C^k|^(1/k) - rho) / (1 - rho) over the omegas considered, each at its last sweep but one, k,
and C = I - A M^-1 carries the residual from sweep to sweep.

Source: arXiv 2310.02246, section 2; D. M. Young, 1950.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, diags_array, eye_array
from scipy.sparse.linalg import eigsh

from overparam.errors import BadInput
from overparam.methods.tuning.relaxation import Matrix, Stencil5, as_csr, require_omega, require_symmetric

Array = NDArray[np.float64]
DENSE = 400  # rows up to which all eigenvalues are cheaper than Lanczos is safe


def jacobi_radius(A: Matrix) -> float:
    """Return the spectral radius beta of the Jacobi iteration, rho(I - D^-1 A).

    Args:
        A: (n, n) symmetric with a positive diagonal; `Stencil5` by its closed form 4 cos(pi / (N + 1)) / (4 + c).

    Returns:
        beta; below 1 where Jacobi converges.

    Raises:
        BadInput: As for `ssor_pcg`.

    Example:
        >>> round(jacobi_radius(Stencil5(10)), 6)
        0.959493
    """
    if isinstance(A, Stencil5):
        diagonal = 4.0 + A.shift
        if diagonal <= 0.0:
            raise BadInput(f"A is not positive definite: its diagonal is {diagonal:g}; pass a shift above -4")
        return 4.0 * math.cos(math.pi / (A.size + 1)) / diagonal
    matrix = as_csr(A)
    require_symmetric(matrix)
    n = matrix.shape[0]
    scale = diags_array(1.0 / np.sqrt(matrix.diagonal()))
    jacobi = csr_array(eye_array(n) - scale @ matrix @ scale)  # similar to I - D^-1 A, and symmetric
    if n <= DENSE:
        return float(np.abs(np.linalg.eigvalsh(jacobi.toarray())).max())
    start = np.random.default_rng(0).standard_normal(n)
    return float(np.abs(eigsh(jacobi, k=1, which="LM", v0=start, return_eigenvectors=False)[0]))


def optimal_omega(A: Matrix) -> float:
    """Return 2 / (1 + sqrt(1 - beta²)), the asymptotically best omega of SOR.

    Exact for consistently ordered matrices, such as grids in the order of their rows; a rule of thumb for others. At a
    finite tolerance a neighbouring omega can take fewer sweeps.

    Args:
        A: As for `jacobi_radius`.

    Returns:
        omega*, in [1, 2).

    Raises:
        BadInput: As for `jacobi_radius`, and beta >= 1, where the formula says nothing.

    Example:
        >>> round(optimal_omega(Stencil5(10)), 4), round(2 / (1 + math.sin(math.pi / 11)), 4)
        (1.5604, 1.5604)
    """
    return formula_omega(jacobi_radius(A))


def formula_omega(beta: float) -> float:
    """Return 2 / (1 + sqrt(1 - beta²)).

    Args:
        beta: Jacobi radius, not negative.

    Returns:
        omega*, in [1, 2).

    Raises:
        BadInput: beta >= 1, where the formula says nothing.
    """
    if not 0.0 <= beta < 1.0:
        raise BadInput(
            f"the Jacobi radius {beta:.6g} is not below 1, so the formula does not apply: A is not positive definite, "
            "or not consistently ordered; compare solves at several omegas instead"
        )
    return 2.0 / (1.0 + math.sqrt(1.0 - beta * beta))


def sor_radius(beta: float, omega: ArrayLike) -> Array:
    """Return the spectral radius of SOR for a consistently ordered matrix.

    Args:
        beta: Jacobi radius, in [0, 1).
        omega: In (0, 2), any shape.

    Returns:
        rho_omega, of the same shape.

    Raises:
        BadInput: beta outside [0, 1) or an omega outside (0, 2).

    Example:
        >>> sor_radius(0.8, [1.0, 1.25, 1.5]).round(3).tolist()
        [0.64, 0.25, 0.5]
    """
    if not 0.0 <= beta < 1.0:
        raise BadInput(f"beta={beta} is outside [0, 1); pass the spectral radius of a Jacobi iteration that converges")
    w = require_omega(omega)
    inside = (w * beta) ** 2 - 4.0 * (w - 1.0)
    below = ((w * beta + np.sqrt(np.maximum(inside, 0.0))) / 2.0) ** 2
    return np.where(inside > 0.0, below, np.abs(w - 1.0))


def iteration_matrix(A: Matrix, omega: float) -> Array:
    """Return C = I - A (D / omega + L)^-1, dense: each sweep of SOR maps the residual r to C r.

    Args:
        A: (n, n); n³ operations.
        omega: In (0, 2).

    Returns:
        (n, n).
    """
    require_omega(omega)
    dense = as_csr(A).toarray()
    splitting = np.tril(dense, -1) + np.diag(np.diag(dense) / omega)
    return np.eye(len(dense)) - np.linalg.solve(splitting.T, dense.T).T


def normalised_gap(A: Matrix, omega: float, k: int) -> float:
    """Return (|C^k|^(1/k) - rho) / (1 - rho): how far k sweeps are from the asymptotic rate; 0 for k = 0.

    Args:
        A: (n, n), positive definite.
        omega: In (0, 2).
        k: Number of sweeps, at least 0.

    Returns:
        Its value, not negative up to rounding.

    Raises:
        BadInput: A negative k.
    """
    if k < 0:
        raise BadInput(f"k={k} is negative; pass a number of sweeps")
    if k == 0:
        return 0.0
    rho = _radius(A, omega)
    norm = float(np.linalg.norm(np.linalg.matrix_power(iteration_matrix(A, omega), k), 2))
    return float((norm ** (1.0 / k) - rho) / (1.0 - rho))


def iteration_bound(A: Matrix, omega: float, *, eps: float = 1e-8, tau: float = 0.0) -> float:
    """Return U(omega) = 1 + log(eps) / log(rho + tau (1 - rho)).

    Args:
        A: (n, n), positive definite. `Stencil5` by Young's formula, others by all eigenvalues of C: n³ operations.
        omega: In (0, 2).
        eps: Tolerance, in (0, 1).
        tau: Largest `normalised_gap`, in [0, 1); 0 gives the asymptotic estimate, which is no bound.

    Returns:
        A bound on the number of sweeps.

    Raises:
        BadInput: eps or tau out of range, or a matrix for which SOR does not converge.

    Example:
        >>> round(iteration_bound(Stencil5(10), 1.5, tau=0.2))
        76
    """
    if not (0.0 < eps < 1.0 and 0.0 <= tau < 1.0):
        raise BadInput(f"eps={eps}, tau={tau}: pass an eps in (0, 1) and a tau in [0, 1)")
    rho = _radius(A, omega)
    if rho >= 1.0:
        raise BadInput(f"SOR does not converge: its spectral radius at omega={omega:g} is {rho:.6g}")
    rate = rho + tau * (1.0 - rho)
    return 1.0 if rate == 0.0 else 1.0 + math.log(eps) / math.log(rate)


def _radius(A: Matrix, omega: float) -> float:
    if isinstance(A, Stencil5):
        return float(sor_radius(jacobi_radius(A), omega))
    return float(np.abs(np.linalg.eigvals(iteration_matrix(A, omega))).max())
