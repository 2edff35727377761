"""Factor model with a linear response: what unlabelled inputs teach about the labelled task.

z ~ N(0, I_r), x = B z + s mu with mu ~ N(0, I_d), y = beta' z + nu with nu ~ N(0, sigma²). All means are 0.

Source: arXiv 2303.01566 (factor models as an instance of two-phase learning).
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from overparam.errors import BadInput

Array = NDArray[np.float64]


def _matrix(name: str, value: ArrayLike) -> Array:
    found = np.asarray(value, dtype=np.float64)
    if found.ndim != 2 or not found.size:
        raise BadInput(f"{name} has shape {found.shape}; a matrix with at least one entry is needed")
    if not np.isfinite(found).all():
        raise BadInput(f"{name} has entries that are not finite")
    return found


class FactorModel:
    """A factor model whose excess risks are known in closed form.

    Args:
        loadings: B, (d, r) with r <= d.
        coefficients: beta, (r,).
        noise: sigma, standard deviation of the response around beta' z; not negative.
        input_noise: s, standard deviation of the inputs around B z; positive.

    Raises:
        BadInput: Shapes that do not fit, r > d, a negative noise or a value that is not finite.

    Example:
        >>> model = FactorModel([[2.0], [0.0]], [1.0], noise=0.5)
        >>> model.weight.round(3).tolist(), round(model.bayes_risk, 3)
        ([0.4, 0.0], 0.45)
        >>> round(float(model.excess([0.0, 0.0])), 3)  # all that x can tell about y
        0.8
    """

    def __init__(self, loadings: ArrayLike, coefficients: ArrayLike, *, noise: float, input_noise: float = 1.0) -> None:
        self.loadings = _matrix("loadings", loadings)
        self.coefficients = np.asarray(coefficients, dtype=np.float64)
        d, r = self.loadings.shape
        if r > d:
            raise BadInput(f"loadings have shape {self.loadings.shape}: rank {r} exceeds the {d} inputs")
        if self.coefficients.shape != (r,) or not np.isfinite(self.coefficients).all():
            raise BadInput(f"coefficients need {r} finite values, one a factor; shape {self.coefficients.shape} given")
        if not (noise >= 0 and input_noise > 0 and math.isfinite(noise + input_noise)):
            raise BadInput(f"noise={noise}, input_noise={input_noise}: give noise >= 0 and input_noise > 0")
        self.noise, self.input_noise = float(noise), float(input_noise)

    @cached_property
    def covariance(self) -> Array:
        """Covariance of the inputs, B B' + s² I, (d, d)."""
        found: Array = self.loadings @ self.loadings.T + self.input_noise**2 * np.eye(len(self.loadings))
        return found

    @cached_property
    def weight(self) -> Array:
        """Best linear predictor of y, Sigma^-1 B beta, (d,)."""
        found: Array = np.linalg.solve(self.covariance, self.loadings @ self.coefficients).astype(np.float64)
        return found

    @cached_property
    def bayes_risk(self) -> float:
        """Mean squared error of the best predictor: sigma² + |beta|² - beta' B' Sigma^-1 B beta."""
        told = self.coefficients @ self.loadings.T @ self.weight
        return float(self.noise**2 + self.coefficients @ self.coefficients - told)

    def excess(self, weight: ArrayLike) -> Array:
        """Mean squared error of linear predictors above the best one.

        Args:
            weight: (..., d).

        Returns:
            (w - w*)' Sigma (w - w*), (...), not negative.

        Raises:
            BadInput: The last axis is not d long.
        """
        given = np.asarray(weight, dtype=np.float64)
        if given.shape[-1:] != self.weight.shape:
            raise BadInput(f"weight has shape {given.shape}; the last axis needs {len(self.weight)} entries")
        gap = given - self.weight
        found: Array = np.einsum("...i,ij,...j->...", gap, self.covariance, gap)
        return found

    def floor(self, basis: ArrayLike) -> Array:
        """Excess that any number of labels leaves in a subspace: the informativeness gap of a representation.

        Args:
            basis: (..., d, k), spans the subspace.

        Returns:
            (...), 0 where the best weight lies in the span.
        """
        given = np.asarray(basis, dtype=np.float64)
        gram = given.swapaxes(-1, -2) @ self.covariance @ given
        best = np.linalg.solve(gram, (given.swapaxes(-1, -2) @ (self.covariance @ self.weight))[..., None])
        return self.excess((given @ best)[..., 0])

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw labelled examples.

        Args:
            n: How many, at least 1.
            rng: Source of randomness.

        Returns:
            Inputs (n, d) and responses (n,).

        Raises:
            BadInput: n below 1.
        """
        if n < 1:
            raise BadInput(f"n={n}: give at least 1 example")
        d, r = self.loadings.shape
        z = rng.standard_normal((n, r))
        x = z @ self.loadings.T + self.input_noise * rng.standard_normal((n, d))
        return x, z @ self.coefficients + self.noise * rng.standard_normal(n)

    def sample_covariance(self, m: int, rng: np.random.Generator) -> Array:
        """Draw the covariance of m unlabelled inputs without drawing them.

        For m >= d it has a Wishart law, whatever m: a million inputs cost as much as d.

        Args:
            m: Number of unlabelled inputs, at least 1.
            rng: Source of randomness.

        Returns:
            X'X / m, (d, d).
        """
        from scipy.stats import wishart

        d = len(self.loadings)
        if m < d:
            x, _ = self.sample(m, rng)
            return x.T @ x / m
        found: Array = np.atleast_2d(wishart.rvs(df=m, scale=self.covariance, random_state=rng)) / m
        return found


class FactorMLE(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Maximum likelihood of the factor model with equal noise in all inputs, in closed form; transforms x to E[z | x].

    With the eigenpairs (l_k, u_k) of X'X/m: B = U diag(sqrt(l_k - s²)), where s² is 1 (`unit`) or the mean of the
    discarded eigenvalues (`isotropic`, which is probabilistic PCA). Eigenvalues below s² give a zero column. Centre
    the inputs first: their mean is taken to be 0. Cost m d² + d³.

    Args:
        rank: Number of factors r, at least 1.
        noise: `unit` if the inputs have noise of variance 1, `isotropic` to estimate it.

    Source: arXiv 2303.01566, phase one for factor models; closed form of Tipping and Bishop, 1999.

    Example:
        >>> np.abs(FactorMLE(rank=1).fit_covariance(np.diag([10.0, 1.0, 1.0])).loadings_).ravel().tolist()
        [3.0, 0.0, 0.0]
    """

    def __init__(self, rank: int, noise: str = "unit") -> None:
        self.rank = rank
        self.noise = noise

    def fit(self, X: ArrayLike, y: Any = None) -> FactorMLE:
        """Fit to unlabelled inputs.

        Args:
            X: (m, d) with m > rank.
            y: Ignored.

        Returns:
            Itself.

        Raises:
            BadInput: A rank above d, fewer than rank + 1 inputs, an unknown noise, or a value that is not finite.
        """
        x = np.asarray(X, dtype=np.float64)
        if x.ndim != 2 or len(x) < self.rank + 1:
            raise BadInput(f"X has shape {x.shape}; rank={self.rank} needs a matrix of at least {self.rank + 1} rows")
        return self.fit_covariance(x.T @ x / len(x))  # where X is not finite, neither is this

    def fit_covariance(self, covariance: ArrayLike) -> FactorMLE:
        """Fit to the second moment of the inputs, which is all that the likelihood depends on.

        Args:
            covariance: X'X / m, (d, d), symmetric.

        Returns:
            Itself, with `loadings_` (d, r), `basis_` (d, r), `noise_var_` and `eigenvalues_` (r,) in falling order.

        Raises:
            BadInput: Not square, rank outside 1..d, `isotropic` with rank d, or an unknown noise.
        """
        s = _matrix("the covariance of the inputs", covariance)
        d = len(s)
        if s.shape != (d, d):
            raise BadInput(f"the covariance has shape {s.shape}; a square matrix is needed")
        if self.noise not in ("unit", "isotropic"):
            raise BadInput(f"noise={self.noise!r} is unknown; give 'unit' or 'isotropic'")
        most = d if self.noise == "unit" else d - 1
        if not 1 <= self.rank <= most:
            raise BadInput(f"rank={self.rank} is outside 1..{most} for {d} inputs with {self.noise} noise")
        values, vectors = eigh(s, subset_by_index=[d - self.rank, d - 1], check_finite=False)
        self.eigenvalues_: Array = values[::-1].clip(0.0)
        rest = s.trace() - self.eigenvalues_.sum()
        self.noise_var_ = 1.0 if self.noise == "unit" else float(rest / (d - self.rank))
        self.basis_: Array = vectors[:, ::-1]
        self.loadings_: Array = self.basis_ * np.sqrt((self.eigenvalues_ - self.noise_var_).clip(0.0))
        return self

    def transform(self, X: ArrayLike) -> Array:
        """Return the posterior mean of the factors.

        Args:
            X: (k, d).

        Returns:
            E[z | x] = (s² I + B'B)^-1 B'x, (k, r).

        Raises:
            BadInput: Another number of columns than in `fit`.
        """
        check_is_fitted(self)
        x = _matrix("X", X)
        if x.shape[1] != len(self.loadings_):
            raise BadInput(f"X has {x.shape[1]} columns; {len(self.loadings_)} were fitted")
        strength = (self.loadings_**2).sum(0)  # columns are orthogonal
        found: Array = x @ (self.loadings_ / (self.noise_var_ + strength))
        return found

    def log_likelihood(self, X: ArrayLike) -> float:
        """Return the mean log likelihood of inputs.

        Args:
            X: (k, d).

        Returns:
            Mean over rows of ln N(x; 0, B B' + s² I), in nats.
        """
        check_is_fitted(self)
        x = _matrix("X", X)
        d = x.shape[1]
        values = (self.loadings_**2).sum(0) + self.noise_var_
        inside = x @ self.basis_
        rest = (x**2).sum(1) - (inside**2).sum(1)
        log_det = np.log(values).sum() + (d - self.rank) * math.log(self.noise_var_)
        energy = (inside**2 / values).sum(1) + rest / self.noise_var_
        return float(-0.5 * (d * math.log(2 * math.pi) + log_det + energy.mean()))


def choose_rank(X: ArrayLike, ranks: ArrayLike, *, noise: str = "isotropic", folds: int = 5, seed: int = 0) -> int:
    """Choose the number of factors by the likelihood of held-out inputs, never by labels.

    Args:
        X: (m, d), mean 0.
        ranks: Candidates.
        noise: As in `FactorMLE`.
        folds: Parts that are held out in turn, at least 2.
        seed: Of the split.

    Returns:
        The smallest candidate whose held-out likelihood is within a standard error of the highest.

    Raises:
        BadInput: No candidates, or fewer rows than folds.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x, _ = FactorModel(np.eye(8)[:, :2] * 4, [1.0, 1.0], noise=1.0).sample(400, rng)
        >>> choose_rank(x, range(1, 6))
        2
    """
    from sklearn.model_selection import KFold

    x, candidates = _matrix("X", X), sorted({int(r) for r in np.atleast_1d(np.asarray(ranks))})
    if not candidates or folds < 2 or len(x) < folds:
        raise BadInput(
            f"{len(candidates)} ranks, {folds} folds, {len(x)} rows: give ranks, and at least 2 rows and folds"
        )
    splits = list(KFold(folds, shuffle=True, random_state=seed).split(x))

    table = np.array([[FactorMLE(r, noise).fit(x[a]).log_likelihood(x[b]) for a, b in splits] for r in candidates])
    short = table[table.mean(1).argmax()] - table
    close = short.mean(1) <= short.std(1, ddof=1) / math.sqrt(folds)
    return candidates[int(close.argmax())]
