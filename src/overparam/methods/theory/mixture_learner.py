"""Bayesian mixture over a class of hypotheses: sequential prediction, regret, and the batch learners made of it.

q(y^n | x^n) = sum_h w(h) prod_t p_h(y_t | x_t). All logarithms are natural, regrets are totals in nats.

Source: arXiv 2506.07661.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from overparam.errors import BadInput

Array = NDArray[np.float64]


def check_log_prior(log_prior: ArrayLike) -> Array:
    """Check a prior over a finite class.

    Args:
        log_prior: (H,), natural logarithms; minus infinity for weight 0.

    Returns:
        The same as float64.

    Raises:
        BadInput: Empty, not a number, or not summing to 1 within a millionth.
    """
    found = np.asarray(log_prior, dtype=np.float64)
    if found.ndim != 1 or not len(found):
        raise BadInput(f"log_prior has shape {found.shape}; one value a hypothesis is needed, at least one")
    if np.isnan(found).any() or abs(total := float(logsumexp(found))) > 1e-6:
        raise BadInput(
            "log_prior has to hold numbers whose exponentials sum to 1"
            + ("" if np.isnan(found).any() else f", not {np.exp(total):.6g}")
        )
    return found


class FiniteMixture:
    """The exact Bayesian mixture learner of a finite class.

    Args:
        log_prior: (H,), natural logarithms of weights that sum to 1.

    Raises:
        BadInput: No prior.

    Source: arXiv 2506.07661, the mixture learner under log-loss.

    Example:
        >>> coin = np.log([[0.9, 0.1], [0.1, 0.9]])              # two hypotheses, two outcomes
        >>> learner = FiniteMixture(np.log([0.5, 0.5]))
        >>> np.exp(learner.predictive(np.empty((2, 0)), coin)).round(3).tolist()
        [0.5, 0.5]
        >>> np.exp(learner.predictive(coin[:, [0, 0, 0]], coin)).round(3).tolist()  # after seeing the first three times
        [0.899, 0.101]
    """

    def __init__(self, log_prior: ArrayLike) -> None:
        self.log_prior = check_log_prior(log_prior)

    def _per_example(self, given: ArrayLike) -> Array:
        found = np.asarray(given, dtype=np.float64)
        if found.ndim != 2 or len(found) != len(self.log_prior) or np.isnan(found).any():
            raise BadInput(f"log-likelihoods have shape {found.shape}; ({len(self.log_prior)}, n) numbers are needed")
        return found

    def log_marginal(self, per_example: ArrayLike) -> Array:
        """Return ln q(y^t | x^t) for t = 1..n.

        Args:
            per_example: (H, n), ln p_h(y_t | x_t).

        Returns:
            (n,), nats.

        Raises:
            BadInput: Another number of hypotheses, or not a number.
        """
        summed = np.cumsum(self._per_example(per_example), axis=1)
        return np.asarray(logsumexp(self.log_prior[:, None] + summed, axis=0))

    def regret(self, truth: ArrayLike, per_example: ArrayLike) -> Array:
        """Return the regret on this path against the law that made the data.

        Args:
            truth: (n,), ln p(y_t | x_t) of the truth.
            per_example: (H, n), ln p_h(y_t | x_t).

        Returns:
            (n,) totals in nats; negative where the mixture beats the truth on this path.

        Raises:
            BadInput: Shapes that do not fit.
        """
        own = np.asarray(truth, dtype=np.float64)
        marginal = self.log_marginal(per_example)
        if own.shape != marginal.shape:
            raise BadInput(f"truth has shape {own.shape}; {marginal.shape} is needed")
        found: Array = np.cumsum(own) - marginal
        return found

    def log_posterior(self, past: ArrayLike) -> Array:
        """Return the log posterior after some examples.

        Args:
            past: (H, n), ln p_h(y_t | x_t).

        Returns:
            (H,), exponentials sum to 1.
        """
        joint = self.log_prior + self._per_example(past).sum(1)
        found: Array = joint - logsumexp(joint)
        return found

    def predictive(self, past: ArrayLike, new: ArrayLike) -> Array:
        """Return the log probabilities of the outcomes of a new example.

        Args:
            past: (H, n), ln p_h(y_t | x_t) of what was seen.
            new: (H, C), ln p_h(c | x) for each outcome.

        Returns:
            (C,), exponentials sum to 1.
        """
        return np.asarray(logsumexp(self.log_posterior(past)[:, None] + self._per_example(new), axis=0))


def online_to_batch(log_predictions: ArrayLike) -> Array:
    """Average the predictions after 0, 1, ..., n - 1 examples: a batch learner whose risk is at most the regret over n.

    Args:
        log_predictions: (n, ..., C), log probabilities.

    Returns:
        (..., C), log of the mean probability.

    Raises:
        BadInput: No predictions.

    Source: arXiv 2506.07661, batch learning from online learning.

    Example:
        >>> np.exp(online_to_batch(np.log([[0.5, 0.5], [0.7, 0.3]]))).round(3).tolist()
        [0.6, 0.4]
    """
    given = np.asarray(log_predictions, dtype=np.float64)
    if given.ndim < 2 or not len(given):
        raise BadInput(f"log_predictions have shape {given.shape}; (n, ..., outcomes) with n at least 1 is needed")
    return np.asarray(logsumexp(given, axis=0) - np.log(len(given)))
