"""Sign-RIP: how closely the signs of residuals point from a low-rank error back to zero.

From Ma and Fattahi, Sign-RIP: A Robust Restricted Isometry Property for Low-rank Matrix Recovery (arXiv 2102.02969),
as used in arXiv 2202.08788.

Departures: 1. the supremum over low-rank matrices is searched for, not computed, so delta is a lower estimate. 2. The
definition is written from the abstract's description: the distance of D(X) / phi to X / ||X|| in the norm that is dual
to symmetric matrices of rank k.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overparam.errors import BadInput
from overparam.methods.theory.symmetric_sensing import SymmetricSensing

Array = NDArray[np.float64]
ROUNDS = 20
MOVES = (0.03, 0.1, 0.3, 1.0)


@dataclass(frozen=True)
class SignRIP:
    """What was found.

    Attributes:
        phi_hat: Mean of <D(X), X / ||X||> over random X.
        phi_theory: Scaling function of the noise model at this norm; NaN if the model is not known.
        delta: Largest distance over the X that were tried: a lower estimate of the constant.
        delta_random: The same over the random X alone.
    """

    phi_hat: float
    phi_theory: float
    delta: float
    delta_random: float


def sign_rip(
    problem: SymmetricSensing,
    *,
    rank: int,
    n_dirs: int = 50,
    norm: float = 1.0,
    rng: int | np.random.Generator,
) -> SignRIP:
    """Measure D(X) = (1/m) sum_i sign(<A_i, X> - s_i) (A_i + A_i') / 2 on symmetric X of low rank and given norm.

    delta is the largest ||P_k(D(X) / phi - X / ||X||)|| with P_k the k eigenvalues of largest magnitude: from random X
    first, then uphill from the worst of them. phi is that of the noise model, or phi_hat if it is not known. A step
    costs O(n_dirs (m d^2 + d^3)).

    Args:
        problem: Measurements with known errors s, such as from `robust_instance`.
        rank: k, 1 to d.
        n_dirs: Random matrices.
        norm: ||X||, positive; it matters where there is noise.
        rng: Generator or seed.

    Returns:
        phi and delta.

    Raises:
        BadInput: A number out of range, or errors that are not known.

    Source: arXiv 2102.02969, definition of Sign-RIP.

    Example:
        >>> from overparam.methods.theory.symmetric_sensing import Noise, robust_instance
        >>> found = sign_rip(robust_instance(8, 1, 20_000, noise=Noise("none"), rng=0), rank=2, rng=0)
        >>> abs(found.phi_hat / found.phi_theory - 1) < 0.02, found.delta < 0.1
        (True, True)
    """
    if not 1 <= rank <= problem.d or n_dirs < 1 or not 0 < norm < math.inf:
        allowed = f"give 1 <= rank <= {problem.d}, n_dirs >= 1 and a positive norm"
        raise BadInput(f"rank={rank}, n_dirs={n_dirs}, norm={norm}: {allowed}")
    generator = np.random.default_rng(rng)
    x = _unit(_leading(_symmetric(generator, n_dirs, problem.d), rank))
    d = directions(problem, norm * x)
    phi_hat = float(np.einsum("sij,sij->s", d, x).mean())
    phi_theory = math.nan if problem.noise is None else problem.noise.phi(norm)
    phi = phi_hat if problem.noise is None else phi_theory
    gap = _leading(d / phi - x, rank)
    size = np.linalg.norm(gap, axis=(1, 2))
    worst = int(size.argmax())
    delta = _climb(problem, x[worst], gap[worst], float(size[worst]), rank=rank, norm=norm, phi=phi)
    return SignRIP(phi_hat, phi_theory, delta, float(size[worst]))


def directions(problem: SymmetricSensing, matrices: Array) -> Array:
    """Return D(X) for several X.

    Args:
        problem: Measurements with known errors.
        matrices: (s, d, d), symmetric.

    Returns:
        (s, d, d).

    Raises:
        BadInput: Errors that are not known.
    """
    if problem.errors is None:
        raise BadInput("errors=None: the property is about known errors; give them, or use robust_instance")
    return problem.pull(np.sign(problem.forward(matrices) - problem.errors))


def _climb(
    problem: SymmetricSensing, x: Array, gap: Array, size: float, *, rank: int, norm: float, phi: float
) -> float:
    """Move X along its own deviation as long as that grows; D is constant between ties, so there is no gradient."""
    moves = np.array([sign * move for move in MOVES for sign in (1, -1)])[:, None, None]
    for _ in range(ROUNDS):
        tried = _unit(_leading(x + moves * gap / size, rank))
        gaps = _leading(directions(problem, norm * tried) / phi - tried, rank)
        sizes = np.linalg.norm(gaps, axis=(1, 2))
        best = int(sizes.argmax())
        if sizes[best] <= size:
            break
        x, gap, size = tried[best], gaps[best], float(sizes[best])
    return size


def _symmetric(generator: np.random.Generator, count: int, d: int) -> Array:
    made = generator.normal(size=(count, d, d))
    return np.asarray((made + made.transpose(0, 2, 1)) / 2)


def _leading(matrices: Array, rank: int) -> Array:
    """Keep the eigenvalues of largest magnitude."""
    values, vectors = np.linalg.eigh(matrices)
    order = np.argsort(-np.abs(values), axis=1)[:, :rank]
    kept = np.take_along_axis(vectors, order[:, None, :], axis=2)
    found: Array = (kept * np.take_along_axis(values, order, axis=1)[:, None, :]) @ kept.transpose(0, 2, 1)
    return found


def _unit(matrices: Array) -> Array:
    found: Array = matrices / np.linalg.norm(matrices, axis=(1, 2), keepdims=True)
    return found
