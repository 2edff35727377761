"""Step Law fitted to your own sweep of learning rates and batch sizes, with bootstrap intervals.

From Li et al., Predictable Scale: Part I (arXiv 2503.04715). The laws themselves are in `laws`.

Departures: 1. besides their bootstrap over rows there is one over (N, D) groups, since the rows of one sweep are not
independent. 2. The batch size may be fitted with N as well.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput
from overparam.methods.scaling.laws import FITTED_D, FITTED_N, SEQUENCE, STEP, HyperParameters, positive, scalar

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
__all__ = ["STEP", "HyperParameters", "StepLaw", "column_of", "near_optimal"]


class StepLaw:
    """Step Law fitted to a sweep: log-linear least squares on near-optimal runs, with bootstrap fits.

    1. For every (N, D) keep the runs within `tolerance` of its smallest loss. 2. Fit ln lr = a + b ln N + c ln D and
    ln batch = a + c ln D (+ b ln N). 3. Refit on resamples; the published law is the mean of their parameters.

    Args:
        tolerance: Relative loss within which a run counts as optimal.
        batch_uses_n: Whether the batch size depends on N as well.
        seq_len: Tokens in a sequence; batch sizes in the table are sequences.
        n_bootstrap: Number of resamples.
        bootstrap: `rows` resamples runs; `groups` resamples whole (N, D) sweeps, as rows of one are not independent.
        random_state: Seed of the resampling.

    Attributes after `fit`: coef_ (lr: b, c; batch: [b,] c), intercept_ (lr, batch), boot_ (n_bootstrap, 5 or 6) with
    columns of `names_`, n_selected_.

    Source: arXiv 2503.04715, section 4 and official code.

    Example:
        >>> law = StepLaw.published()
        >>> round(law.predict(1e9, 1e10).lr / law.predict(5e8, 1e10).lr, 6) == round(2**-0.713, 6)
        True
    """

    def __init__(
        self,
        tolerance: float = 0.0025,
        *,
        batch_uses_n: bool = False,
        seq_len: int = SEQUENCE,
        n_bootstrap: int = 1000,
        bootstrap: Literal["rows", "groups"] = "rows",
        random_state: int = 0,
    ) -> None:
        if bootstrap not in ("rows", "groups") or not tolerance > 0 or n_bootstrap < 0:
            given = f"bootstrap={bootstrap!r}, tolerance={tolerance}, n_bootstrap={n_bootstrap}"
            raise BadInput(f"{given}: give rows or groups, a positive tolerance and a count >= 0")
        self.tolerance, self.batch_uses_n, self.seq_len = tolerance, batch_uses_n, seq_len
        self.n_bootstrap, self.bootstrap, self.random_state = n_bootstrap, bootstrap, random_state

    @property
    def names_(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of `boot_`."""
        return ("lr_0", "lr_n", "lr_d", "batch_0") + (("batch_n",) if self.batch_uses_n else ()) + ("batch_d",)

    def fit(self, table: pd.DataFrame) -> StepLaw:
        """Fit.

        Args:
            table: Columns N, D, lr, bs (sequences) and `smooth loss` or loss.

        Returns:
            Itself.

        Raises:
            BadInput: Missing columns, values that are not positive, or fewer than two distinct N or D.
        """
        rows = near_optimal(table, self.tolerance)
        for name in ("N", "D"):
            if len(np.unique(rows[name])) < 2:
                raise BadInput(f"the table has one distinct {name}; two or more identify the exponent of {name}")
        n, d = np.log(rows["N"]), np.log(rows["D"])
        self._lr_design = np.stack([np.ones_like(n), n, d], 1)
        self._batch_design = self._lr_design if self.batch_uses_n else self._lr_design[:, [0, 2]]
        self._targets = np.log(rows["lr"]), np.log(rows["bs"] * self.seq_len)
        self.n_selected_ = len(n)
        point = self.refit(np.ones((1, len(n))))[0]
        weights = self.weights(rows["group"])
        boot = self.refit(weights) if len(weights) else np.empty((0, len(point)))
        self.boot_ = boot[np.isfinite(boot).all(1)]  # a resample of one size only identifies nothing
        self._set(point)
        self.fitted_ = (rows["N"].min(), rows["N"].max()), (rows["D"].min(), rows["D"].max())
        return self

    def weights(self, groups: NDArray[np.int64]) -> Array:
        """Draw how often each selected run occurs in each resample.

        Args:
            groups: (n,), the sweep that a run belongs to.

        Returns:
            (n_bootstrap, n), rows of counts.
        """
        rng = np.random.default_rng(self.random_state)
        if self.bootstrap == "rows":
            return rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), self.n_bootstrap).astype(
                np.float64
            )
        size = int(groups.max()) + 1
        drawn = rng.multinomial(size, np.full(size, 1 / size), self.n_bootstrap)
        return drawn[:, groups].astype(np.float64)

    def refit(self, weights: Array) -> Array:
        """Fit with many weightings at once: one batch of normal equations, linear in both sides of `weights`.

        Args:
            weights: (b, n).

        Returns:
            (b, 5 or 6), parameters in the order of `names_`; NaN where a weighting identifies nothing.
        """
        designs = (self._lr_design, self._batch_design)
        return np.concatenate([_weighted(x, y, weights) for x, y in zip(designs, self._targets, strict=True)], 1)

    def predict(self, N: ArrayLike, D: ArrayLike, *, level: float = 0.95) -> HyperParameters:
        """Predict with intervals from the bootstrap fits.

        Args:
            N: Parameters without the vocabulary.
            D: Training tokens.
            level: Coverage.

        Returns:
            Prediction; without intervals where there are no bootstrap fits.

        Warns:
            UserWarning: N or D lie outside the fitted range.
        """
        n, d = np.broadcast_arrays(positive("N", N), positive("D", D))
        for name, x, (low, high) in zip("ND", (n, d), self.fitted_, strict=True):
            if (x < low * 0.99).any() or (x > high * 1.01).any():
                warnings.warn(f"extrapolation: {name} outside the fitted {low:.3g} to {high:.3g}", stacklevel=2)
        lr, batch = self._at(self._point, n, d)
        if not len(self.boot_):
            return HyperParameters(scalar(lr), scalar(batch))
        every = self._at(self.boot_, n, d)
        tails = (0.5 - level / 2, 0.5 + level / 2)
        ends = [tuple(scalar(np.quantile(x, q, axis=0)) for q in tails) for x in every]
        return HyperParameters(scalar(lr), scalar(batch), (ends[0][0], ends[0][1]), (ends[1][0], ends[1][1]))

    def _at(self, parameters: Array, n: Array, d: Array) -> tuple[Array, Array]:
        """Evaluate (p,) or (b, p) parameters; the batch of fits comes first in the result."""
        p = parameters.reshape(*parameters.shape[:-1], *([1] * n.ndim), parameters.shape[-1])
        log_n, log_d = np.log(n), np.log(d)
        lr = p[..., 0] + p[..., 1] * log_n + p[..., 2] * log_d
        extra = p[..., 4] * log_n if self.batch_uses_n else 0.0
        return np.exp(lr), np.exp(p[..., 3] + extra + p[..., -1] * log_d)

    def _set(self, point: Array) -> None:
        self._point = point
        self.intercept_ = {"lr": float(point[0]), "batch": float(point[3])}
        self.coef_ = dict(zip(self.names_, point.tolist(), strict=True))

    @classmethod
    def published(cls) -> StepLaw:
        """Return the law with the paper's four rounded constants and no intervals."""
        law = cls(n_bootstrap=0)
        law.boot_ = np.empty((0, 5))
        law._set(np.array([math.log(1.79), -0.713, 0.307, math.log(0.58), 0.571]))
        law.fitted_ = FITTED_N, FITTED_D
        return law

    @classmethod
    def from_bootstrap(cls, fits: pd.DataFrame) -> StepLaw:
        """Return the law whose parameters are the mean of published bootstrap fits.

        Args:
            fits: Columns lr_intercept, lr_coefN, lr_coefD, bs_intercept, bs_coefD, in natural logs.

        Returns:
            The law with intervals. Mean parameters are not the mean prediction.
        """
        law = cls(n_bootstrap=len(fits))
        law.boot_ = fits[["lr_intercept", "lr_coefN", "lr_coefD", "bs_intercept", "bs_coefD"]].to_numpy(np.float64)
        law._set(law.boot_.mean(0))
        law.fitted_ = FITTED_N, FITTED_D
        return law


def _weighted(x: Array, y: Array, weights: Array) -> Array:
    """Solve a batch of weighted least-squares problems by normal equations of centred columns."""
    centre, middle = x.mean(0), y.mean()
    z = x - centre
    z[:, 0] = 1.0
    p = x.shape[1]
    gram = (weights @ (z[:, :, None] * z[:, None, :]).reshape(len(x), -1)).reshape(-1, p, p)
    right = weights @ (z * (y - middle)[:, None])
    fine = np.linalg.cond(gram) < 1e10
    found = np.full((len(weights), p), np.nan)
    found[fine] = np.linalg.solve(gram[fine], right[fine, :, None])[..., 0]
    found[:, 0] += middle - found[:, 1:] @ centre[1:]
    return found


def near_optimal(table: pd.DataFrame, tolerance: float) -> dict[str, Any]:
    """Select the runs of every (N, D) whose loss is within a tolerance of the smallest.

    Args:
        table: Columns N, D, lr, bs and `smooth loss` or loss.
        tolerance: Relative.

    Returns:
        Arrays N, D, lr, bs, loss, and group, the number of the (N, D) pair.

    Raises:
        BadInput: Missing columns, or values that are not positive and finite.

    Source: arXiv 2503.04715, section 4.
    """
    columns = {name: column_of(table, name) for name in ("N", "D", "lr", "bs", "loss")}
    pairs, group = np.unique(np.stack([columns["N"], columns["D"]], 1), axis=0, return_inverse=True)
    group = group.ravel()
    smallest = np.full(len(pairs), np.inf)
    np.minimum.at(smallest, group, columns["loss"])
    keep = columns["loss"] / smallest[group] - 1 < tolerance
    return {**{name: x[keep] for name, x in columns.items()}, "group": group[keep]}


def column_of(table: pd.DataFrame, name: str) -> Array:
    """Read a column of a sweep in float64.

    Args:
        table: The sweep.
        name: N, D, lr, bs or loss; for the loss `smooth loss` is preferred.

    Returns:
        (n,).

    Raises:
        BadInput: No such column, or values that are not positive and finite.
    """
    source = "smooth loss" if name == "loss" and "smooth loss" in table else name
    if source not in table:
        raise BadInput(f"the table has no column {name!r}; it has {', '.join(map(str, table.columns))}")
    return positive(f"column {source}", table[source].to_numpy(dtype=np.float64))
