"""How many unlabelled and labelled examples pretraining needs, for a factor model: closed forms that can be inverted.

Phase one estimates the r-dimensional subspace of the factors from m unlabelled inputs, phase two regresses on it with
n labels. With the eigenvalues l_k of the input covariance along the factors, the best weight a_k there, input noise s²
and the residual variance t² of the response, the expected excess risk is

    E(m, n) = F/m + (t² + F/m) r / (n - r - 1),    F = (d - r) s⁴ sum_k l_k a_k² / (l_k - s²)²

The second term is exact for Gaussian inputs given the subspace. F/m is the first order of the perturbation of that
subspace by the sample, so m has to be large enough for it to be small: `reliable_from`.

Source: arXiv 2303.01566 states O(sqrt(d r/m) + sqrt(r/n)); the closed form, of order 1/m + 1/n, is derived here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput
from overparam.methods.theory.factor_model import FactorMLE, FactorModel
from overparam.methods.theory.random_features import optimal_ridge

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PretrainingPlan:
    """Excess risk of both routes as a function of the number of examples.

    Attributes:
        inputs: Number of inputs d.
        eigenvalues: (r,) variances of the inputs along the factors, above `input_noise`.
        weight: (r,) best linear predictor in that basis.
        residual: Variance of the response given the inputs, t².
        input_noise: Variance of the inputs across the factors, s².

    Example:
        >>> plan = PretrainingPlan.of(FactorModel(np.eye(50)[:, :3] * 4, [0.6, 0.6, 0.5], noise=0.5))
        >>> plan.labelled_needed(0.02, m=10_000) < plan.supervised_needed(0.02)
        True
    """

    inputs: int
    eigenvalues: Array
    weight: Array
    residual: float
    input_noise: float = 1.0

    def __post_init__(self) -> None:
        values, weight = np.asarray(self.eigenvalues, np.float64), np.asarray(self.weight, np.float64)
        object.__setattr__(self, "eigenvalues", values)
        object.__setattr__(self, "weight", weight)
        if values.ndim != 1 or values.shape != weight.shape or not 1 <= len(values) <= self.inputs:
            raise BadInput(
                f"{values.shape} eigenvalues, {weight.shape} weights, {self.inputs} inputs: give one weight an "
                "eigenvalue, and no more of them than inputs"
            )
        if not (self.input_noise > 0 and self.residual >= 0 and math.isfinite(self.residual + self.input_noise)):
            raise BadInput(f"residual={self.residual}, input_noise={self.input_noise}: give variances >= 0 and > 0")
        if not (np.isfinite(weight).all() and np.isfinite(values).all() and (values > self.input_noise).all()):
            raise BadInput(f"eigenvalues {values.tolist()} have to be finite and above input_noise={self.input_noise}")

    @classmethod
    def of(cls, model: FactorModel) -> PretrainingPlan:
        """Plan for a known factor model.

        Args:
            model: With loadings of full column rank.

        Returns:
            Its plan.

        Raises:
            BadInput: A factor without loadings.
        """
        left, strength, _ = np.linalg.svd(model.loadings, full_matrices=False)
        if strength[-1] <= 1e-12 * strength[0]:
            raise BadInput("the loadings have dependent columns: a factor without loadings cannot be seen; drop it")
        noise = model.input_noise**2
        weight = (left.T @ model.weight).astype(np.float64)
        return cls(len(left), (strength**2 + noise).astype(np.float64), weight, model.bayes_risk, noise)

    @classmethod
    def from_data(cls, factors: FactorMLE, x: ArrayLike, y: ArrayLike) -> PretrainingPlan:
        """Estimate the plan from your own data.

        Args:
            factors: Fitted to the unlabelled inputs.
            x: (n, d) labelled inputs, mean 0.
            y: (n,) responses, mean 0.

        Returns:
            A plan with weight and residual by least squares on the factors.

        Raises:
            BadInput: Shapes that do not fit, too few labels, or a factor that is not visible.
        """
        inputs, response = np.asarray(x, np.float64), np.asarray(y, np.float64)
        d, r = factors.basis_.shape
        if inputs.ndim != 2 or inputs.shape[1] != d or response.shape != (len(inputs),):
            raise BadInput(f"x has shape {inputs.shape} and y {response.shape}; (n, {d}) and (n,) are needed")
        if len(inputs) < r + 2:
            raise BadInput(f"{len(inputs)} labels are too few for {r} factors; give at least {r + 2}")
        z = inputs @ factors.basis_
        weight, *_ = np.linalg.lstsq(z, response, rcond=None)
        residual = float(((response - z @ weight) ** 2).sum() / (len(z) - r))
        return cls(d, factors.eigenvalues_, weight.astype(np.float64), residual, factors.noise_var_)

    @property
    def rank(self) -> int:
        """Number of factors r."""
        return len(self.eigenvalues)

    @property
    def subspace_constant(self) -> float:
        """F: excess per unlabelled input that stems from the estimated subspace."""
        gap = self.eigenvalues - self.input_noise
        terms = self.eigenvalues * self.weight**2 * self.input_noise**2 / gap**2
        return float((self.inputs - self.rank) * terms.sum())

    @property
    def reliable_from(self) -> float:
        """Unlabelled inputs that turn the weakest factor by a squared sine below 1/4: from there on F/m holds."""
        weakest = float(self.eigenvalues.min())
        turn = (self.inputs - self.rank) * weakest * self.input_noise / (weakest - self.input_noise) ** 2
        return max(4 * turn, self.rank + 1.0)

    def excess(self, m: ArrayLike, n: ArrayLike) -> Array:
        """Expected excess risk of the two-phase route.

        Args:
            m: Unlabelled inputs; infinity allowed.
            n: Labels, above r + 1.

        Returns:
            E(m, n), broadcast; infinite where n <= r + 1.

        Raises:
            BadInput: A number that is not positive.
        """
        many, labels = np.asarray(m, np.float64), np.asarray(n, np.float64)
        if not ((many > 0).all() and (labels > 0).all()):
            raise BadInput("m and n have to be positive numbers of examples")
        floor = self.subspace_constant / many
        free = labels - self.rank - 1
        with np.errstate(divide="ignore"):
            return np.where(free > 0, floor + (self.residual + floor) * self.rank / np.where(free > 0, free, 1), np.inf)

    def least_squares(self, n: ArrayLike) -> Array:
        """Expected excess risk of least squares on all inputs: t² d / (n - d - 1).

        Args:
            n: Labels.

        Returns:
            Exact for Gaussian inputs; infinite where n <= d + 1.
        """
        free = np.asarray(n, np.float64) - self.inputs - 1
        return np.where(free > 0, self.residual * self.inputs / np.where(free > 0, free, 1), np.inf)

    def ridge(self, n: float) -> float:
        """Excess risk of ridge regression on all inputs with the best ridge, by its deterministic equivalent.

        Args:
            n: Labels, positive.

        Returns:
            Excess, accurate to O(1/n).
        """
        order = np.argsort(self.eigenvalues)[::-1]
        spectrum = np.concatenate([self.eigenvalues[order], np.full(self.inputs - self.rank, self.input_noise)])
        target = np.zeros(self.inputs)
        target[: self.rank] = (self.eigenvalues * self.weight**2)[order]
        best = optimal_ridge(spectrum, target, n, np.inf, noise_var=self.residual)
        return float(best.risk) - self.residual

    def supervised(self, n: float) -> float:
        """Excess risk of the better supervised route.

        Args:
            n: Labels, positive.

        Returns:
            The smaller of `least_squares` and `ridge`.
        """
        return min(float(self.least_squares(n)), self.ridge(n))

    def labelled_needed(self, target: float, m: float) -> float:
        """Labels that the two-phase route needs.

        Args:
            target: Wanted excess risk, positive.
            m: Unlabelled inputs.

        Returns:
            A whole number; infinite if the unlabelled inputs do not suffice whatever the labels.

        Raises:
            BadInput: A target or m that is not positive.
        """
        self._check(target=target, m=m)
        floor = self.subspace_constant / m
        if floor >= target:
            return math.inf
        return float(math.ceil(self.rank + 1 + self.rank * (self.residual + floor) / (target - floor) - 1e-9))

    def unlabelled_needed(self, target: float, n: float) -> float:
        """Unlabelled inputs that the two-phase route needs.

        Args:
            target: Wanted excess risk, positive.
            n: Labels.

        Returns:
            A whole number, at least `reliable_from`; infinite if the labels do not suffice whatever the inputs.

        Raises:
            BadInput: A target or n that is not positive.
        """
        self._check(target=target, n=n)
        share = self.rank / (n - self.rank - 1) if n > self.rank + 1 else math.inf
        left = target - self.residual * share
        if not left > 0:
            return math.inf
        return float(math.ceil(max(self.reliable_from, self.subspace_constant * (1 + share) / left) - 1e-9))

    def supervised_needed(self, target: float) -> float:
        """Labels that the better supervised route needs.

        Args:
            target: Wanted excess risk, positive.

        Returns:
            A whole number, found by bisection.

        Raises:
            BadInput: A target that is not positive.
        """
        self._check(target=target)
        high = 1
        while self.supervised(high) > target:
            high *= 2
        low = high // 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.supervised(middle) > target else (low, middle)
        return float(high)

    def crossover(self, n: float) -> float:
        """Unlabelled inputs from which pretraining beats supervised learning with the same labels.

        Args:
            n: Labels.

        Returns:
            A whole number; infinite if it never does.
        """
        return self.unlabelled_needed(max(self.supervised(n), 1e-300), n)

    def _check(self, **values: float) -> None:
        for name, value in values.items():
            if not value > 0:
                raise BadInput(f"{name}={value}: give a positive number")
