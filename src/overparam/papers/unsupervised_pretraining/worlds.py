"""The three instances: draws of a world, and learners that return weights or labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from overparam.methods.theory.factor_model import FactorMLE, FactorModel
from overparam.methods.theory.spherical_mixture import SphericalGMM

Array = NDArray[np.float64]
RIDGES = np.logspace(-3, 4, 22)
NOISE = 0.5
_FACTOR, _MIXTURE, _PAIRS = 1, 2, 3


def factor_world(d: int, r: int, seed: int) -> FactorModel:
    """Draw loadings of expected squared norm 8 a factor, and a coefficient vector of length 1."""
    rng = np.random.default_rng((_FACTOR, seed))
    coefficients = rng.standard_normal(r)
    loadings = rng.standard_normal((d, r)) * np.sqrt(8 / d)
    return FactorModel(loadings, coefficients / np.linalg.norm(coefficients), noise=NOISE)


def labelled(d: int, seed: int) -> np.random.Generator:
    """Stream of the labelled examples: the same for every m."""
    return np.random.default_rng((_FACTOR, seed, d))


def on_span(basis: Array, x: Array, y: Array) -> Array:
    """Least squares on the features x U, as a weight on x."""
    found: Array = basis @ np.linalg.lstsq(x @ basis, y, rcond=None)[0]
    return found


def minimum_norm(x: Array, y: Array) -> Array:
    """Least squares on x, of minimum norm where it is not unique."""
    found: Array = np.linalg.lstsq(x, y, rcond=None)[0].astype(np.float64)
    return found


def ridge_path(x: Array, y: Array) -> Array:
    """Weights of ridge regression for all ridges, (ridges, d), by one decomposition."""
    left, s, right = np.linalg.svd(x, full_matrices=False)
    found: Array = (s * (left.T @ y) / (s**2 + RIDGES[:, None])) @ right
    return found


def tuned_ridge(x: Array, y: Array) -> Array:
    """Ridge regression with the ridge chosen by leaving one out."""
    from sklearn.linear_model import RidgeCV

    found: Array = RidgeCV(RIDGES, fit_intercept=False).fit(x, y).coef_
    return found


def factors_of(x: Array, r: int) -> Array:
    """Subspace of the factors as the labelled inputs alone show it."""
    return FactorMLE(r).fit(x).basis_


@dataclass(frozen=True)
class MixtureWorld:
    """Components with a label each, and noise on the labels."""

    centres: Array
    positive: Array  # probability of label 1 in each component

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
        """Draw inputs and labels."""
        z = rng.integers(len(self.centres), size=n)
        x = self.centres[z] + rng.standard_normal((n, self.centres.shape[1]))
        return x, (rng.random(n) < self.positive[z]).astype(np.int64)

    def chance(self, x: Array) -> Array:
        """Probability of label 1 given the input."""
        found: Array = self.components().transform(x) @ self.positive
        return found

    def components(self) -> SphericalGMM:
        """Mixture with the true centres."""
        truth = SphericalGMM(len(self.centres))
        truth.centres_ = self.centres
        return truth


def mixture_world(d: int, k: int, seed: int) -> MixtureWorld:
    """Draw k centres of norm 3.5 sqrt(ln k), half of them with mostly positive labels."""
    rng = np.random.default_rng((_MIXTURE, seed))
    centres = rng.standard_normal((k, d))
    centres *= 3.5 * np.sqrt(np.log(k)) / np.linalg.norm(centres, axis=1, keepdims=True)
    return MixtureWorld(centres, np.where(rng.permutation(k) < k // 2, 0.1, 0.9))


def zero_one_excess(chance: Array, predicted: NDArray[np.int64]) -> float:
    """Error above Bayes' rule when label 1 has this chance."""
    wrong = predicted != (chance > 0.5)
    return float((np.abs(2 * chance - 1) * wrong).mean())


@dataclass(frozen=True)
class PairWorld:
    """Pairs that belong together when their true features agree."""

    theta: Array  # (r, d)

    def pairs(self, m: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """Draw pairs and whether they belong together."""
        x, x2 = rng.standard_normal((2, m, self.theta.shape[1]))
        chance = expit(((x @ self.theta.T) * (x2 @ self.theta.T)).sum(1))
        return x, x2, (rng.random(m) < chance).astype(np.float64)


def pair_world(d: int, r: int, seed: int) -> PairWorld:
    """Draw r orthogonal features of norm 2."""
    rng = np.random.default_rng((_PAIRS, seed))
    return PairWorld(2 * np.linalg.qr(rng.standard_normal((d, r)))[0].T)
