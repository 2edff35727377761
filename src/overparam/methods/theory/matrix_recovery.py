"""Recovery of a low-rank matrix from somebody's own measurements, with what can be said about its error.

The method is that of arXiv 2202.08788, in `robust_recovery`.

Departures: 1. the entries of all A_i are brought to variance 1, and measurements are divided by a robust estimate of
the norm of the matrix, so that alpha means the same for all units. 2. Some measurements are held out to judge the
error; the paper knows the truth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overparam.errors import BadInput
from overparam.methods.theory.robust_recovery import auto_rho, spectral_ratio, subgm
from overparam.methods.theory.symmetric_sensing import SymmetricSensing

Array = NDArray[np.float64]
FLOOR = 1e-6  # last step, if the number of steps is not given
LOWER, LOWER_NORMAL = 0.25, 0.318639  # a quantile of |z|: right for normal z, and steady up to 75 % of outliers
FAR = 4.0  # robust standard deviations; one in 16,000 normal residuals lies beyond
LOWEST_CHECK = 20


@dataclass(frozen=True)
class Recovery:
    """A recovered matrix and what is known about it.

    Attributes:
        matrix: (d, d), positive semi-definite.
        eigenvalues: (d,), descending.
        rank: Eigenvalues before the widest gap between neighbours; those below held_out_scale sqrt(2 d / m), the noise
            of a spectral estimate, count as that noise (fitted_scale, if none were held out).
        gap: Ratio of the two eigenvalues beside that gap; below about 3 the rank is not clear.
        rho: Decay of the steps that was used.
        steps: How many were taken.
        step_floor: Largest change of the matrix that the last step could make: no error below it means anything.
        loss: Mean absolute error on the measurements that were fitted.
        fitted_scale: Robust standard deviation of the residuals that were fitted, over the root mean square of the
            entries of A_i: in units of the matrix.
        held_out_scale: The same on measurements held out; for Gaussian A_i it estimates the root of ||error||^2 plus
            the variance of the noise on all measurements, in these units. NaN if none were held out.
        norm: Robust estimate of ||X|| from the measurements alone, in the same way.
        unexplained: held_out_scale (else fitted_scale) over norm.
        outliers: (m,), residuals beyond four robust standard deviations.
        residuals: (m,), y_i - <A_i, X>, all of them.
    """

    matrix: Array
    eigenvalues: Array
    rank: int
    gap: float
    rho: float
    steps: int
    step_floor: float
    loss: float
    fitted_scale: float
    held_out_scale: float
    norm: float
    unexplained: float
    outliers: NDArray[np.bool_]
    residuals: Array

    @property
    def outlier_share(self) -> float:
        """Share of all measurements that were judged as outliers."""
        return float(self.outliers.mean())


def recover(
    problem: SymmetricSensing,
    *,
    width: int | None = None,
    alpha: float = 1e-6,
    eta0: float = 0.2,
    rho: float | None = None,
    rank_guess: float | None = None,
    condition_guess: float = 1.0,
    steps: int | None = None,
    hold_out: float = 0.1,
    rng: int | np.random.Generator = 0,
) -> Recovery:
    """Recover a positive semi-definite matrix of low rank from measurements of which some are grossly wrong.

    Args:
        problem: Measurements, about Gaussian.
        width: Columns of the factor, at least the rank; d if None. Too large costs little.
        alpha: Scale of the spectral start, of the size of the root of the matrix; below 1.
        eta0: First step.
        rho: Decay of the steps; from the guesses if None.
        rank_guess: Upper guess of the rank; if None, rank and condition are read off the spectral start.
        condition_guess: Upper guess of the ratio of the largest to the smallest non-zero eigenvalue, with `rank_guess`.
        steps: How many; if None, until steps are 1e-6.
        hold_out: Share of measurements to judge by, 0 to 0.5; at least 20 are taken unless it is 0.
        rng: Which are held out.

    Returns:
        The matrix and what is known about it.

    Raises:
        BadInput: A number out of range, a condition without a rank, too few measurements, or a quarter of them zero.
        Diverged: From `subgm`.

    Source: arXiv 2202.08788.

    Example:
        >>> from overparam.methods.theory.symmetric_sensing import Noise, robust_instance
        >>> problem = robust_instance(10, 2, 300, noise=Noise("outlier", p=0.2, scale=50.0), rng=0)
        >>> found = recover(problem)
        >>> found.rank, bool(np.linalg.norm(found.matrix - problem.target) < 1e-3)
        (2, True)
    """
    _check(alpha, eta0, rho, steps, hold_out, rank_guess, condition_guess)
    fitted, checked = _split(len(problem), hold_out, rng)
    same = problem.standardised()
    unit = _scale(same.y)
    if unit == 0:
        raise BadInput("a quarter of y or more is zero, so that its scale is zero; there is nothing to recover")
    train = same.part(fitted).rescaled(1 / unit)
    if rho is None:
        guesses = (condition_guess, rank_guess) if rank_guess is not None else (spectral_ratio(train), 1.0)
        rho = auto_rho(alpha, kappa_guess=guesses[0], r_guess=guesses[1], eta0=eta0)
    if steps is None:
        steps = max(1, math.ceil(math.log(FLOOR / eta0) / math.log(rho)))
    path = subgm(
        train, problem.d if width is None else width, init_scale=alpha, steps=steps, eta0=eta0, rho=rho, records=2
    )
    matrix = unit * (path.U[0] @ path.U[0].T)
    residuals = same.y - same.forward(matrix[None])[0]
    values = np.maximum(np.linalg.eigvalsh(matrix)[::-1], 0.0)
    inside = _scale(residuals[fitted])
    outside = _scale(residuals[checked]) if len(checked) else math.nan
    left = outside if len(checked) else inside
    rank, gap = _widest_gap(values, max(left * math.sqrt(2 * problem.d / len(train)), 1e-14 * values[0]))
    return Recovery(
        matrix=matrix,
        eigenvalues=values,
        rank=rank,
        gap=gap,
        rho=rho,
        steps=steps,
        step_floor=2 * float(path.last_step[0] * values[0]),
        loss=float(problem.part(fitted).loss(matrix[None])[0]),
        fitted_scale=inside,
        held_out_scale=outside,
        norm=unit,
        unexplained=left / unit,
        outliers=np.abs(residuals) > FAR * max(left, inside, 1e-12 * unit),
        residuals=problem.y - problem.forward(matrix[None])[0],
    )


def _check(
    alpha: float,
    eta0: float,
    rho: float | None,
    steps: int | None,
    hold_out: float,
    rank_guess: float | None,
    condition_guess: float,
) -> None:
    if not 0 < alpha < 1 or not 0 <= hold_out <= 0.5:
        raise BadInput(f"alpha={alpha}, hold_out={hold_out}: give 0 < alpha < 1 and 0 <= hold_out <= 0.5")
    if not 0 < eta0 < math.inf:
        raise BadInput(f"eta0={eta0} is no step; give a positive number, such as 0.2")
    if condition_guess != 1 and rank_guess is None:
        raise BadInput(f"condition_guess={condition_guess} without rank_guess; give both, or none to use the data")
    if rho is not None and not 0 < rho <= 1:
        raise BadInput(f"rho={rho}: give a number above 0 and at most 1, or None")
    if rho == 1 and steps is None:
        raise BadInput("rho=1.0 without steps never ends; give steps")


def _split(m: int, hold_out: float, rng: int | np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    held = max(LOWEST_CHECK, round(hold_out * m)) if hold_out else 0
    if m < 2 * held or m < 2:
        raise BadInput(f"{m} measurements with {held} held out; give more of them, or hold_out=0")
    order = np.random.default_rng(rng).permutation(m)
    return np.sort(order[held:]), np.sort(order[:held])


def _scale(values: Array) -> float:
    return float(np.quantile(np.abs(values), LOWER)) / LOWER_NORMAL


def _widest_gap(values: Array, noise: float) -> tuple[int, float]:
    held = np.maximum(np.append(values, noise), noise)
    ratios = held[:-1] / held[1:]
    at = int(ratios.argmax())
    return at + 1, float(ratios[at])
