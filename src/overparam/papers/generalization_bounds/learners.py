"""Learners over a finite field and learners that are stable: when the error of what they return can be estimated."""

from __future__ import annotations

import numpy as np

from overparam.methods.theory.estimability import estimability_gap, p_exact_erm
from overparam.methods.theory.finite_field import FiniteFieldLinear
from overparam.papers.generalization_bounds.setting import read

Row = dict[str, float]
EPSILON = 0.25


def biased_learner(q: int, d: int, n: int, k: int, trials: int, seed: int, sabotage: bool) -> Row:
    """Run the learner that prefers the first k coordinates on targets inside that class and on uniform ones.

    An estimator may see whether the preference was met and how many solutions there were; by symmetry nothing else in
    (S, h) bears on the error. It is trained on half of a mixture of both kinds of target and scored on the other half.

    Args:
        q: Prime.
        d: Dimension.
        n: Sample size.
        k: Coordinates that are preferred.
        trials: Of each kind of target.
        seed: Of the draws.
        sabotage: Whether the estimator is told which kind the target is.

    Returns:
        Errors of the learner, share of uniform targets that look like the class, failures of the estimator.
    """
    space, rng = FiniteFieldLinear(q, d), np.random.default_rng([seed, q, k])
    losses, features, biased = [], [], []
    for support in (k, None):
        w = space.target(trials, rng=rng, support=support)
        x, y = space.sample(w, n, rng=rng)
        learned = space.erm(x, y, rng=rng, bias_k=k)
        losses.append(space.disagreement(learned.w, w))
        told = np.full(trials, float(support is None and sabotage))
        features.append(np.stack([learned.biased, np.minimum(learned.nullity, 8), told], 1))
        biased.append(float(learned.biased.mean()))
    kind, one = (
        rng.integers(0, 2, trials),
        np.arange(trials),
    )  # independent, so that one half tells nothing of the other
    gap = estimability_gap(np.stack(losses)[kind, one], np.stack(features)[kind, one], epsilon=(1 - 1 / q) / 2)
    p = p_exact_erm(q, k, n)
    return {
        "k": k,
        "loss_inside": float(losses[0].mean()),
        "loss_uniform": float(losses[1].mean()),
        "confusable": biased[1],
        "failure": gap.failure,
        "estimator_error": gap.mean_error,
        "excess": gap.failure - 0.5 * biased[1],
        "loss_minus_formula": float(losses[0].mean()) - (1 - 1 / q) * (1 - p),
        "share_minus_formula": biased[1] - float(q) ** (k - n) * p,
    }


def stable_learner(algorithm: str, data: str, n: int, trials: int, seed: int) -> Row:
    """Estimate the error of a learner from its sample, and see how far it moves when one example is left out.

    `constant` returns the commonest class of the sample, `memorise` the labels of the sample and class 0 elsewhere,
    `nearest` the label of the nearest example; all three are estimated by leaving out one example at a time. `parity`
    is an unbiased interpolator of a parity in n variables from n examples, estimated by the best rule trained on the
    number of solutions.

    Args:
        algorithm: One of the four.
        data: Data set of the first three; their error is that on all inputs outside the sample.
        n: Sample size.
        trials: Samples.
        seed: Of the draws.

    Returns:
        Failures and error of the estimate, and the mean move of the error when an example is left out.
    """
    rng = np.random.default_rng([seed, 31])
    if algorithm == "parity":
        return _parity(n, trials * 4, rng)
    split = read(data, 1, 0)  # the order is the same for every seed; samples are drawn below
    images = np.concatenate([split.x.flatten(1).numpy(), split.pool.flatten(1).numpy()]).astype(np.float64)
    labels = np.concatenate([split.y.numpy(), split.pool_y.numpy()])
    squares = (images**2).sum(1)
    distance = squares[:, None] + squares[None] - 2 * images @ images.T
    np.fill_diagonal(distance, np.inf)
    errors, estimates, moves = [], [], []
    for _ in range(trials):
        sample = rng.permutation(len(labels))[:n]
        outside = np.setdiff1d(np.arange(len(labels)), sample)
        one = rng.integers(n)
        found, left_out = _predict(algorithm, distance, labels, sample, outside)
        reduced, _ = _predict(algorithm, distance, labels, np.delete(sample, one), outside)
        errors.append((found != labels[outside]).mean())
        moves.append(abs(errors[-1] - (reduced != labels[outside]).mean()))
        estimates.append((left_out != labels[sample]).mean())
    wrong = np.abs(np.array(errors) - estimates)
    return {
        "failure": float((wrong >= EPSILON).mean()),
        "estimator_error": float(wrong.mean()),
        "instability": float(np.mean(moves)),
        "loss": float(np.mean(errors)),
    }


def _predict(
    algorithm: str, distance: np.ndarray, labels: np.ndarray, sample: np.ndarray, outside: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Predictions outside the sample, and on each example of it when that one is left out."""
    if algorithm == "nearest":
        nearest = sample[distance[np.ix_(outside, sample)].argmin(1)]
        return labels[nearest], labels[sample[distance[np.ix_(sample, sample)].argmin(1)]]
    if algorithm == "memorise":
        return np.zeros(len(outside), dtype=labels.dtype), np.zeros(len(sample), dtype=labels.dtype)
    counts = np.bincount(labels[sample], minlength=10)
    left_out = (counts - np.eye(len(counts), dtype=int))[labels[sample]].argmax(1)
    return np.full(len(outside), counts.argmax()), left_out


def _parity(d: int, trials: int, rng: np.random.Generator) -> Row:
    space = FiniteFieldLinear(2, d)
    w = space.target(trials, rng=rng)
    x, y = space.sample(w, d, rng=rng)
    learned = space.erm(x, y, rng=rng)
    losses = space.disagreement(learned.w, w)
    reduced = space.disagreement(space.erm(x[:, 1:], y[:, 1:], rng=rng).w, w)
    gap = estimability_gap(losses, np.minimum(learned.nullity, 8)[:, None], epsilon=EPSILON)
    return {
        "failure": gap.failure,
        "estimator_error": gap.mean_error,
        "instability": float(np.abs(losses - reduced).mean()),
        "loss": float(losses.mean()),
    }
