"""Samples from long-tailed worlds: Feldman's discrete model, and mixtures of subpopulations in continuous space.

In the discrete model (arXiv 1906.05271, section 2) the error of a learner has a closed expectation given the sample, so
a simulated data set needs no test set. In the mixture (section 4 there) every point x of the discrete model becomes a
cluster, and a learner's error on a cluster is what it does on fresh points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overparam.errors import BadInput
from overparam.methods.theory.long_tail import BLOCK, FrequencyPrior

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Learner = Callable[[Ints, Ints, int], Array]
TIMES = 4  # counts 0 to 3 are reported one by one, larger ones together


@dataclass(frozen=True)
class DiscreteTrials:
    """What a learner does on R simulated data sets; last columns of `errn` and `mass` stand for all larger counts.

    Attributes:
        err: (R,) error on the population, against the true labels.
        opt: (R,) error of the best learner: (1 - 1/m) times the unseen mass.
        errn: (R, L) expected number of points seen 0, 1, .. times whose observed label is not predicted.
        counts: (R, L) number of points seen 0, 1, .. times.
        mass: (R, L) their total frequency.
    """

    err: Array
    opt: Array
    errn: Array
    counts: Ints
    mass: Array


def simulate_discrete(
    prior: FrequencyPrior,
    *,
    n: int,
    n_classes: int,
    learner: str | Learner,
    n_rep: int,
    seed: int,
    label_noise: float = 0.0,
) -> DiscreteTrials:
    """Draw data sets from the discrete model with uniform labels and take the exact error of a learner on each.

    The label of a point is observed once: with probability `label_noise` all its copies in the sample carry one and the
    same wrong label. A learner that does not predict the observed label predicts one of the others at random.

    Args:
        prior: Frequencies; every data set draws its own from the levels.
        n: Sample size, at least 1.
        n_classes: Number m of labels, at least 1; with one, every error is 0.
        learner: `memorise`; `guess_singletons` (what was seen once is guessed); `k_anonymous:K` (only what was seen at
            least K times is remembered); `skip:Q` (what was seen once is guessed with probability Q); or a function
            of counts (r, N), observed labels (r, N), -1 where unseen, and m, that returns for every point the
            probability of predicting the observed label, (r, N). Unseen points are always guessed.
        n_rep: Number R of data sets, at least 1.
        seed: Draws them.
        label_noise: In [0, 1).

    Returns:
        Errors and counts of each data set.

    Raises:
        BadInput: A number out of range, an unknown learner, or one that returns no probabilities.

    Example:
        >>> prior = FrequencyPrior.zipf(200)
        >>> found = simulate_discrete(prior, n=200, n_classes=10, learner="memorise", n_rep=5, seed=0)
        >>> bool(np.allclose(found.err, found.opt))
        True
    """
    if n < 1 or n_classes < 1 or n_rep < 1 or not 0.0 <= label_noise < 1.0:
        raise BadInput(
            f"n={n}, n_classes={n_classes}, n_rep={n_rep}, label_noise={label_noise}: pass counts of at least 1 and "
            "a noise in [0, 1)"
        )
    rule = named_learner(learner) if isinstance(learner, str) else learner
    rng = np.random.default_rng(seed)
    at_once = max(1, BLOCK // (4 * prior.size))
    parts = [
        _block(prior, n, n_classes, rule, min(at_once, n_rep - start), rng, label_noise)
        for start in range(0, n_rep, at_once)
    ]
    return DiscreteTrials(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def named_learner(name: str) -> Learner:
    """Return one of the learners that have a name; see `simulate_discrete`.

    Args:
        name: Such as `k_anonymous:2`.

    Returns:
        The learner.

    Raises:
        BadInput: An unknown name or a number that does not fit.

    Example:
        >>> named_learner("k_anonymous:2")(np.array([[0, 1, 2]]), np.array([[-1, 3, 3]]), 4).tolist()
        [[0.25, 0.25, 1.0]]
    """
    kind, _, text = name.partition(":")
    try:
        number = float(text) if text else {"memorise": 1.0, "guess_singletons": 2.0}[kind]
    except (KeyError, ValueError):
        number = float("nan")
    if kind in ("memorise", "guess_singletons", "k_anonymous") and number >= 1:
        return lambda counts, labels, m: np.where(counts >= number, 1.0, 1 / m)
    if kind == "skip" and 0 <= number <= 1:
        return lambda counts, labels, m: np.where(counts == 1, 1 - number + number / m, 1.0)
    raise BadInput(f"learner={name!r} is unknown; pass memorise, guess_singletons, k_anonymous:K or skip:Q")


def _block(
    prior: FrequencyPrior, n: int, m: int, rule: Learner, rows: int, rng: np.random.Generator, noise: float
) -> tuple[Array, Array, Array, Ints, Array]:
    frequency = prior.draw(rng, rows)
    counts = rng.multinomial(n, frequency).astype(np.int64)
    wrong = (rng.random(counts.shape) < noise) & (m > 1) & (counts > 0)
    observed = np.where(counts > 0, rng.integers(0, m, counts.shape), -1)
    fitted = np.asarray(rule(counts, observed, m), dtype=np.float64)
    if fitted.shape != counts.shape or not ((fitted >= 0) & (fitted <= 1)).all():
        raise BadInput(f"learner returns shape {fitted.shape} for {counts.shape}; return a probability for every point")
    fitted = np.where(counts > 0, fitted, 1 / m)
    right = np.where(wrong, (1 - fitted) / max(m - 1, 1), fitted)
    seen = [counts == times for times in range(TIMES)] + [counts >= TIMES]
    return (
        (frequency * (1 - right)).sum(1),
        (1 - 1 / m) * (frequency * seen[0]).sum(1),
        np.stack([((1 - fitted) * s).sum(1) for s in seen], 1),
        np.stack([s.sum(1) for s in seen], 1),
        np.stack([(frequency * s).sum(1) for s in seen], 1),
    )


@dataclass(frozen=True)
class MixtureSample:
    """Points from a mixture.

    Attributes:
        x: (n, dim) float32.
        y: (n,) labels.
        subpopulation: (n,) which cluster a point comes from.
        group: (n,) which group its cluster belongs to.
    """

    x: NDArray[np.float32]
    y: Ints
    subpopulation: Ints
    group: Ints


class SubpopulationMixture:
    """Gaussian clusters with long-tailed frequencies, in groups of equal mass; all points of a cluster share a label.

    Centres are random directions of length 1, labels of clusters are uniform and independent.

    Args:
        groups: One prior a group; every group has the same total mass.
        dim: Number of features, at least 1.
        noise: Typical distance of a point from its centre: the deviation of a feature is noise / sqrt(dim).
        n_classes: Number of labels, at least 1.
        seed: Draws centres, labels and frequencies.

    Raises:
        BadInput: No groups, or a number out of range.

    Example:
        >>> world = SubpopulationMixture(
        ...     (FrequencyPrior.uniform(5), FrequencyPrior.zipf(50)), dim=16, noise=0.3, n_classes=3, seed=0)
        >>> sample = world.sample(1000, seed=1)
        >>> sample.x.shape, [float(world.frequency[world.group == g].sum().round(6)) for g in (0, 1)]
        ((1000, 16), [0.5, 0.5])
    """

    def __init__(
        self, groups: tuple[FrequencyPrior, ...], *, dim: int, noise: float, n_classes: int, seed: int
    ) -> None:
        if not groups or dim < 1 or n_classes < 1 or not noise >= 0.0:
            raise BadInput(
                f"groups={len(groups)}, dim={dim}, noise={noise}, n_classes={n_classes}: pass at least one of each and "
                "a noise that is not negative"
            )
        rng = np.random.default_rng(np.random.SeedSequence([seed, 0]))
        self.frequency: Array = np.concatenate([prior.draw(rng, 1)[0] / len(groups) for prior in groups])
        self.group: Ints = np.repeat(np.arange(len(groups)), [prior.size for prior in groups])
        centres = rng.normal(size=(len(self.frequency), dim))
        self.centres: Array = centres / np.linalg.norm(centres, axis=1, keepdims=True)
        self.labels: Ints = rng.integers(0, n_classes, len(self.frequency))
        self.n_classes, self.groups, self._deviation = n_classes, groups, noise / np.sqrt(dim)

    def prior(self, *, seed: int = 0) -> FrequencyPrior:
        """Return the marginal prior of a cluster drawn at random from all groups.

        Args:
            seed: Draws the Monte-Carlo form of each group's prior.

        Returns:
            Prior with the frequencies in the whole mixture; it knows no levels to draw from beyond these.
        """
        sizes = np.array([prior.size for prior in self.groups])
        sampled = [prior.sampled(seed=seed + k) for k, prior in enumerate(self.groups)]
        values = np.concatenate([s.values for s in sampled]) / len(sampled)
        weights = np.concatenate([s.weights * size / sizes.sum() for s, size in zip(sampled, sizes, strict=True)])
        return FrequencyPrior(int(sizes.sum()), values, weights, values, weights)

    def sample(self, n: int, seed: int) -> MixtureSample:
        """Draw points from the mixture.

        Args:
            n: How many, at least 1.
            seed: Draws them.

        Returns:
            Points with their clusters.

        Raises:
            BadInput: n < 1.
        """
        if n < 1:
            raise BadInput(f"n={n} leaves nothing to draw; pass n>=1")
        rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
        return self._around(rng.choice(len(self.frequency), size=n, p=self.frequency), rng)

    def fresh(self, each: int, seed: int) -> MixtureSample:
        """Draw the same number of points from every cluster, rare or not, so that accuracy on each is known as well.

        Args:
            each: Points a cluster, at least 1.
            seed: Draws them.

        Returns:
            Points in the order of the clusters.

        Raises:
            BadInput: Fewer than one point a cluster.
        """
        if each < 1:
            raise BadInput(f"each={each} leaves nothing to draw; pass each>=1")
        rng = np.random.default_rng(np.random.SeedSequence([seed, 2]))
        return self._around(np.repeat(np.arange(len(self.frequency)), each), rng)

    def _around(self, cluster: Ints, rng: np.random.Generator) -> MixtureSample:
        x = self.centres[cluster] + self._deviation * rng.normal(size=(len(cluster), self.centres.shape[1]))
        return MixtureSample(x.astype(np.float32), self.labels[cluster], cluster, self.group[cluster])
