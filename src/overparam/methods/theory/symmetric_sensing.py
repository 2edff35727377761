"""Linear measurements of a symmetric matrix, some of them wrong: y_i = <A_i, X> + s_i.

From Ma and Fattahi, Global Convergence of Sub-gradient Method for Robust Matrix Recovery (arXiv 2202.08788). The
descent that recovers X is in `robust_recovery`; the property of the measurements that makes it work is in `sign_rip`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput
from overparam.methods.theory.matrix_sensing import low_rank_target

Array = NDArray[np.float64]
CLEAN_PHI = math.sqrt(2 / math.pi)
STUDENT_DEGREES = 2.0  # no variance


@dataclass(frozen=True)
class Noise:
    """Errors of measurements.

    Attributes:
        kind: `none`; `outlier` (each measurement is off by N(0, scale^2) with probability p, else exact); `gaussian`
            (N(0, scale^2) on all); `student` (scale times Student's t with 2 degrees of freedom on all).
        p: Share of outliers, 0 <= p < 1; the others ignore it.
        scale: Positive; of the same unit as the measurements.

    Raises:
        BadInput: An unknown kind, p or scale out of range.
    """

    kind: Literal["none", "outlier", "gaussian", "student"] = "outlier"
    p: float = 0.1
    scale: float = 10.0

    def __post_init__(self) -> None:
        if self.kind not in ("none", "outlier", "gaussian", "student"):
            raise BadInput(f"noise={self.kind!r} is unknown; give none, outlier, gaussian or student")
        if not 0 <= self.p < 1 or not 0 < self.scale < math.inf:
            raise BadInput(f"p={self.p}, scale={self.scale}: give 0 <= p < 1 and a positive, finite scale")

    def draw(self, m: int, rng: np.random.Generator) -> Array:
        """Draw the errors of m measurements.

        Args:
            m: How many.
            rng: Source of randomness.

        Returns:
            (m,).
        """
        if self.kind == "outlier":
            wrong = rng.random(m) < self.p
            return np.asarray(np.where(wrong, self.scale * rng.normal(size=m), 0.0))
        if self.kind == "gaussian":
            return self.scale * rng.normal(size=m)
        if self.kind == "student":
            return self.scale * rng.standard_t(STUDENT_DEGREES, m)
        return np.zeros(m)

    def phi(self, norm: float) -> float:
        """Scaling function of the expected subgradient: sqrt(2/pi) E exp(-s^2 / (2 norm^2)).

        For Gaussian A, E sign(<A, X> - s) A = phi(||X||) X / ||X||.

        Args:
            norm: Frobenius norm of X, positive.

        Returns:
            Between 0 and sqrt(2/pi).

        Raises:
            BadInput: norm not positive.

        Source: arXiv 2202.08788, Sign-RIP of the noise models; derived by Gaussian integration by parts.

        Example:
            >>> round(Noise("gaussian", scale=1.0).phi(1.0), 4)  # sqrt(2/pi) / sqrt(2)
            0.5642
        """
        if not 0 < norm < math.inf:
            raise BadInput(f"norm={norm} is no norm of a matrix other than zero; give a positive number")
        ratio = self.scale / norm
        if self.kind == "student":
            from scipy.integrate import quad

            # given v, exponential with mean 1, Student's t with 2 degrees of freedom is N(0, 1/v)
            given = quad(lambda v: math.exp(-v) * math.sqrt(v / (v + ratio * ratio)), 0, math.inf)[0]
            return CLEAN_PHI * float(given)
        shrunk = 1 / math.sqrt(1 + ratio * ratio)
        wrong = {"none": 0.0, "outlier": self.p, "gaussian": 1.0}[self.kind]
        return CLEAN_PHI * (1 - wrong + wrong * shrunk)


class SymmetricSensing:
    """Measurements y_i = <A_i, X> of a symmetric matrix X of side d.

    Only A_i + A_i' matters to a symmetric X, so d (d + 1) / 2 numbers a measurement are kept in place of d^2, and a
    product with all measurements costs half.

    Args:
        matrices: (m, d, d), need not be symmetric; not kept.
        y: (m,).
        target: (d, d), symmetric; the truth where it is known, for measuring errors only.
        errors: (m,), the known errors s of a simulated problem.
        noise: The law of these errors.

    Raises:
        BadInput: Shapes that do not fit, numbers that are not finite, or a target that is not symmetric.

    Source: arXiv 2202.08788, section 1.

    Example:
        >>> problem = SymmetricSensing([[[1.0, 2.0], [0.0, 3.0]]], [4.0])
        >>> problem.forward(np.eye(2)[None]).tolist(), problem.pull(np.ones((1, 1))).tolist()
        ([[4.0]], [[[1.0, 1.0], [1.0, 3.0]]])
    """

    def __init__(
        self,
        matrices: ArrayLike,
        y: ArrayLike,
        *,
        target: ArrayLike | None = None,
        errors: ArrayLike | None = None,
        noise: Noise | None = None,
    ) -> None:
        a, self.y = np.asarray(matrices, dtype=np.float64), np.asarray(y, dtype=np.float64)
        self.target = None if target is None else np.asarray(target, dtype=np.float64)
        self.errors = None if errors is None else np.asarray(errors, dtype=np.float64)
        self.noise = noise
        if a.ndim != 3 or a.shape[1] != a.shape[2] or 0 in a.shape:
            raise BadInput(f"matrices has shape {a.shape}; give (m, d, d): m measurements of a d x d matrix")
        if self.y.shape != a.shape[:1]:
            raise BadInput(f"y has shape {self.y.shape} with {len(a)} matrices; give one number a matrix")
        if self.errors is not None and self.errors.shape != self.y.shape:
            raise BadInput(f"errors has shape {self.errors.shape} with {len(a)} matrices; give one number a matrix")
        for name, values in (("matrices", a), ("y", self.y), ("target", self.target), ("errors", self.errors)):
            if values is not None and not np.isfinite(values).all():
                raise BadInput(f"{name} holds {int((~np.isfinite(values)).sum())} numbers that are not finite")
        self.d = a.shape[1]
        self._check_target()
        self._i, self._j = np.triu_indices(self.d)
        self._packed = a[:, self._i, self._j]
        upper = self._i < self._j
        self._packed[:, upper] += a[:, self._j[upper], self._i[upper]]
        self._half = np.where(upper, 0.5, 1.0)
        self._place = np.empty((self.d, self.d), dtype=np.int64)
        self._place[self._i, self._j] = self._place[self._j, self._i] = np.arange(len(self._i))

    def _check_target(self) -> None:
        if self.target is None:
            return
        if self.target.shape != (self.d, self.d):
            raise BadInput(f"target has shape {self.target.shape}; the measurements are of {(self.d, self.d)}")
        if not np.allclose(self.target, self.target.T, atol=1e-10 * max(1.0, float(np.abs(self.target).max()))):
            raise BadInput("target is not symmetric; give (target + target.T) / 2 if that is what was measured")

    def __len__(self) -> int:
        return len(self.y)

    def forward(self, matrices: Array) -> Array:
        """Measure symmetric matrices.

        Args:
            matrices: (s, d, d).

        Returns:
            (s, m).
        """
        found: Array = matrices[:, self._i, self._j] @ self._packed.T
        return found

    def pull(self, weights: Array) -> Array:
        """Average the symmetric parts: (1/m) sum_i w_i (A_i + A_i') / 2.

        Args:
            weights: (s, m).

        Returns:
            (s, d, d).
        """
        upper = (weights @ self._packed) * (self._half / len(self))
        found: Array = upper[:, self._place]
        return found

    def loss(self, matrices: Array) -> Array:
        """Mean absolute error: (1/m) sum_i |y_i - <A_i, X>|.

        Args:
            matrices: (s, d, d).

        Returns:
            (s,).
        """
        found: Array = np.abs(self.forward(matrices) - self.y).mean(1)
        return found

    @property
    def loss_at_truth(self) -> float:
        """Loss of the target; NaN where it is not known. A global minimum may lie below."""
        return math.nan if self.target is None else float(self.loss(self.target[None])[0])

    def part(self, rows: slice | NDArray[np.int64]) -> SymmetricSensing:
        """Return the problem with some of the measurements.

        Args:
            rows: Which.

        Returns:
            A new problem with the same target.
        """
        made = object.__new__(SymmetricSensing)
        made.__dict__.update(self.__dict__)
        made._packed, made.y = self._packed[rows], self.y[rows]
        made.errors = None if self.errors is None else self.errors[rows]
        return made

    @property
    def entry_variance(self) -> float:
        """Mean square of the entries of A_i; the same for independent entries and for their symmetric part."""
        return float((np.square(self._packed) @ self._half).mean() / len(self._half))

    def standardised(self) -> SymmetricSensing:
        """Return the same problem with entries of variance 1: matrices, measurements and errors divided by the root.

        Returns:
            A new problem for the same matrix.

        Raises:
            BadInput: All entries are zero.
        """
        root = math.sqrt(self.entry_variance)
        if root == 0:
            raise BadInput("matrices holds zeros only; give matrices that measure something")
        made = self.rescaled(1 / root)
        made._packed, made.target = self._packed / root, self.target
        return made

    def rescaled(self, factor: float) -> SymmetricSensing:
        """Return the problem for the matrix times a factor: measurements, target and errors times it.

        Args:
            factor: Positive.

        Returns:
            A new problem that shares the matrices.
        """
        made = object.__new__(SymmetricSensing)
        made.__dict__.update(self.__dict__)
        made.y = factor * self.y
        made.target = None if self.target is None else factor * self.target
        made.errors = None if self.errors is None else factor * self.errors
        made.noise = None  # its scale has another unit now
        return made


def robust_instance(
    d: int,
    r: int,
    m: int,
    *,
    noise: Noise | None = None,
    kappa: float = 1.0,
    rng: int | np.random.Generator,
) -> SymmetricSensing:
    """Draw a problem: Gaussian A_i with entries N(0, 1), X* = Q diag(1 ... 1/kappa) Q' of rank r, and errors.

    Args:
        d: Side of the matrix.
        r: Its rank.
        m: Measurements.
        noise: Law of the errors; a tenth of the measurements off by N(0, 10^2) if None.
        kappa: Ratio of the largest to the smallest non-zero eigenvalue, geometric in between.
        rng: Generator or seed.

    Returns:
        The problem, with the truth.

    Raises:
        BadInput: A count below 1, r above d, or kappa below 1.

    Source: arXiv 2202.08788, section 1.

    Example:
        >>> problem = robust_instance(6, 2, 40, noise=Noise("outlier", p=0.25), rng=0)
        >>> len(problem), int((problem.errors != 0).sum())
        (40, 8)
    """
    if not 1 <= r <= d or m < 1 or not 1 <= kappa < math.inf:
        raise BadInput(f"d={d}, r={r}, m={m}, kappa={kappa}: give 1 <= r <= d, m >= 1 and kappa >= 1")
    noise = noise or Noise()
    generator = np.random.default_rng(rng)
    values = np.geomspace(1.0, 1.0 / kappa, r)
    target = low_rank_target(d, d, singular_values=values.tolist(), psd=True, rng=generator)
    matrices = generator.normal(size=(m, d, d))
    errors = noise.draw(m, generator)
    y = matrices.reshape(m, -1) @ target.ravel() + errors
    return SymmetricSensing(matrices, y, target=target, errors=errors, noise=noise)
