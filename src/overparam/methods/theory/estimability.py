"""Can the error of a learned hypothesis be estimated from the training set and the hypothesis?

An algorithm A is (eps, delta)-estimable on a set of distributions if some estimator E has
P(|E(S, A(S)) - L_D(A(S))| <= eps) >= 1 - delta. Averaged over a prior, the best E is known: in square the posterior
mean, in probability the interval of width 2 eps that holds most of the posterior.

Source: arXiv 2309.13658, definitions of estimability and theorems on bounds that see S and h. The closed form of
`p_exact_erm` is ours, from the known distribution of the rank of a random matrix. The two worlds are our construction
in the spirit of the proofs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from overparam.errors import BadInput
from overparam.methods.measures.margins import classified, device_of, undisturbed
from overparam.methods.measures.objective import check_model
from overparam.methods.theory.finite_field import check_prime

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TwoWorlds:
    """Two populations that share the training set and the hypothesis.

    Attributes:
        loss_a: Population error where the labels are those of the hypothesis: 0.
        loss_b: Population error where labels off the training set are uniform: (1 - 1/K) x unseen share.
        unseen: Share of the population that is not in the training set.
        forced_error: Name of a bound to its larger error over both worlds; at least (loss_b - loss_a) / 2.
    """

    loss_a: float
    loss_b: float
    unseen: float
    forced_error: dict[str, float]


def two_worlds(
    model: nn.Module,
    sample: tuple[Tensor, Tensor],
    pool: Tensor,
    *,
    classes: int,
    bounds: Mapping[str, float],
) -> TwoWorlds:
    """Build two populations in which a network that interpolates its training set has very different errors.

    The population is uniform on the training inputs and those of the pool. In world a the label of x is h(x), in world
    b it is that on the training set and uniform elsewhere. The training set is as likely in both and h is the same, so
    any number b(h, S) is off by at least half the gap in one of them.

    Args:
        model: Classifier in evaluation mode where that matters; left as it is.
        sample: Training inputs (n, ...) and labels (n,), which the model gets right.
        pool: (p, ...) other inputs; those that also are training inputs do not count.
        classes: K.
        bounds: Name to value of b(h, S), on the scale of an error.

    Returns:
        Errors in both worlds and of each bound.

    Raises:
        BadInput: A model with training errors, no pool, fewer than two classes, or a model that cannot be measured.

    Example:
        >>> model = nn.Linear(1, 2)
        >>> x = torch.tensor([[1.0], [2.0]]); h = model(x).argmax(1)
        >>> worlds = two_worlds(model, (x, h), torch.arange(3.0, 21.0)[:, None], classes=2, bounds={"constant": 0.1})
        >>> round(worlds.loss_b, 6), round(worlds.forced_error["constant"], 6)  # 18 of 20 inputs are unseen
        (0.45, 0.35)
    """
    if classes < 2 or not len(pool):
        raise BadInput(f"classes={classes} and {len(pool)} inputs in the pool; pass two classes or more and a pool")
    check_model(model)
    x, y = sample
    with undisturbed(model) as copy, torch.no_grad():
        logits, labels = classified(copy(x.to(device_of(copy))), y.to(device_of(copy)))
        wrong = int((logits.argmax(1) != labels).sum())
    if wrong:
        raise BadInput(f"model is wrong on {wrong} of {len(y)} training examples; train it until it fits all of them")
    seen = {row.numpy().tobytes() for row in x.detach().cpu().contiguous()}
    off = sum(row.numpy().tobytes() not in seen for row in pool.detach().cpu().contiguous())
    unseen = off / (len(seen) + off)
    loss_a, loss_b = 0.0, (1 - 1 / classes) * unseen
    forced = {name: max(abs(b - loss_a), abs(b - loss_b)) for name, b in bounds.items()}
    return TwoWorlds(loss_a, loss_b, unseen, forced)


@dataclass(frozen=True)
class Estimability:
    """How well the best estimator does.

    Attributes:
        failure: Least chance of |E - L| >= eps.
        squared_error: Least mean squared error, E[Var(L | observation)].
    """

    failure: float
    squared_error: float


def average_estimability(posterior: ArrayLike, losses: ArrayLike, *, epsilon: float) -> Estimability:
    """Score the best estimator under a known joint distribution of what is seen and the loss.

    An error counts as a failure if it is epsilon or more: an estimate half-way between two losses that lie 2 epsilon
    apart fails on both.

    Source: arXiv 2309.13658, average-case estimability.

    Args:
        posterior: (observations, losses) joint probabilities, rows are what can be seen; made to sum to 1.
        losses: (losses,) values in [0, 1].
        epsilon: Positive.

    Returns:
        Least failure and least squared error.

    Raises:
        BadInput: Negative masses, shapes that do not fit, or an `epsilon` that is not positive.

    Example:
        >>> found = average_estimability([[0.5, 0.0], [0.25, 0.25]], [0.0, 0.5], epsilon=0.25)
        >>> found.failure, found.squared_error  # the second observation says nothing: half of it fails
        (0.25, 0.03125)
    """
    joint, values = np.atleast_2d(np.asarray(posterior, dtype=np.float64)), np.asarray(losses, dtype=np.float64)
    if joint.shape[1:] != values.shape or (joint < 0).any() or not joint.sum() > 0 or epsilon <= 0:
        raise BadInput(
            f"posterior {joint.shape}, losses {values.shape}, epsilon={epsilon}; pass masses (observations, losses) "
            "that are not negative, and a positive epsilon"
        )
    joint, order = joint / joint.sum(), np.argsort(values)
    joint, values = joint[:, order], values[order]
    best = np.zeros(len(joint))
    for first in range(len(values)):  # the best open interval of width 2 epsilon starts just below a loss
        inside = (values >= values[first]) & (values - values[first] < 2 * epsilon - 1e-12)
        best = np.maximum(best, joint[:, inside].sum(1))
    mass = joint.sum(1)
    seen = mass > 0
    mean = joint[seen] @ values / mass[seen]
    variance = (joint[seen] * (values - mean[:, None]) ** 2).sum()
    return Estimability(float(1 - best.sum()), float(variance))


@dataclass(frozen=True)
class EstimabilityGap:
    """How well trained estimators did on held-out trials.

    Attributes:
        failure: Share of held-out trials with |E - L| >= eps, the least over estimators.
        mean_error: Mean |E - L| of the estimator that was trained to keep it small.
        constant_failure: The same share for the best constant.
        held_out: Number of trials held out.
    """

    failure: float
    mean_error: float
    constant_failure: float
    held_out: int


def estimability_gap(losses: ArrayLike, features: ArrayLike, *, epsilon: float) -> EstimabilityGap:
    """Train estimators of the loss on every other trial, and hold them against the rest.

    Features with at most 64 different rows are treated as cells, each with the interval that fails least and the
    median; otherwise a tree of at most 32 leaves makes the cells.

    Args:
        losses: (n,) population errors, trials in random order.
        features: (n, p) what an estimator may see.
        epsilon: From which error on an estimate fails, positive.

    Returns:
        Failures and error on held-out trials.

    Raises:
        BadInput: Fewer than four trials, shapes that do not fit, values that are not finite, or `epsilon` not positive.

    Example:
        >>> seen = np.arange(8) % 4 < 2
        >>> estimability_gap(np.where(seen, 0.5, 0.0), seen[:, None], epsilon=0.25).failure
        0.0
    """
    y, x = np.asarray(losses, dtype=np.float64), np.asarray(features, dtype=np.float64)
    if y.ndim != 1 or x.ndim != 2 or len(x) != len(y) or len(y) < 4 or epsilon <= 0:
        raise BadInput(f"losses {y.shape}, features {x.shape}, epsilon={epsilon}; pass (n,), (n, p), n >= 4, and > 0")
    if not (np.isfinite(y).all() and np.isfinite(x).all()):
        raise BadInput("losses or features hold NaN or infinity; drop those trials")
    train, test = np.arange(len(y)) % 2 == 0, np.arange(len(y)) % 2 == 1
    cells = _cells(x, y, train)
    interval, median = np.zeros(len(y)), np.zeros(len(y))
    overall = _best_centre(y[train], epsilon)
    for cell in np.unique(cells):
        own = y[train & (cells == cell)]
        interval[cells == cell] = _best_centre(own, epsilon) if len(own) else overall
        median[cells == cell] = np.median(own if len(own) else y[train])
    shares = [
        float((np.abs(e - y)[test] >= epsilon - 1e-12).mean()) for e in (interval, median, np.full(len(y), overall))
    ]
    return EstimabilityGap(min(shares[:2]), float(np.abs(median - y)[test].mean()), shares[2], int(test.sum()))


def _cells(x: Array, y: Array, train: NDArray[np.bool_]) -> NDArray[np.int64]:
    rows, cells = np.unique(x, axis=0, return_inverse=True)
    if len(rows) <= 64:
        return np.asarray(cells).reshape(-1).astype(np.int64)
    from sklearn.tree import DecisionTreeRegressor

    least = max(2, int(train.sum()) // 50)
    tree = DecisionTreeRegressor(max_leaf_nodes=32, min_samples_leaf=least, random_state=0).fit(x[train], y[train])
    return np.asarray(tree.apply(x), dtype=np.int64)


def _best_centre(y: Array, epsilon: float) -> float:
    """Centre of the open interval of width 2 epsilon that holds most values."""
    values = np.sort(y)
    ends = np.searchsorted(values, values + 2 * epsilon - 1e-9, side="left")
    first = int(np.argmax(ends - np.arange(len(values))))
    return float((values[first] + values[ends[first] - 1]) / 2)


def nullity_distribution(q: int, d: int, m: int) -> Array:
    """Distribution of the nullity of a uniform m x d matrix over F_q.

    P(rank r) = q^{-(m - r)(d - r)} prod_{i<r} (1 - q^{i - m})(1 - q^{i - d}) / (1 - q^{i - r}).

    Args:
        q: Prime.
        d: Columns.
        m: Rows.

    Returns:
        (d + 1,) probability of nullity 0 to d.

    Raises:
        BadInput: `q` that is no prime, or a negative size.

    Example:
        >>> nullity_distribution(2, 1, 1).tolist()
        [0.5, 0.5]
    """
    check_prime(q)
    if d < 1 or m < 0:
        raise BadInput(f"d={d}, m={m}; pass d >= 1 and m >= 0")
    found = np.zeros(d + 1)
    for r in range(min(d, m) + 1):
        log = -(m - r) * (d - r) * math.log(q)
        for i in range(r):
            log += math.log1p(-(float(q) ** (i - m))) + math.log1p(-(float(q) ** (i - d)))
            log -= math.log1p(-(float(q) ** (i - r)))
        found[d - r] = math.exp(log)
    return found


def p_exact_erm(q: int, d: int, m: int) -> float:
    """Chance that an unbiased interpolator of a linear function over F_q finds exactly the target.

    sum_s P(nullity = s) q^{-s} over uniform m x d matrices, since all q^s solutions are as likely.

    Source: arXiv 2309.13658 for parities (q = 2).

    Args:
        q: Prime.
        d: Dimension.
        m: Sample size.

    Returns:
        The chance.

    Example:
        >>> round(p_exact_erm(2, 40, 40), 2), round(p_exact_erm(2, 40, 39), 2), p_exact_erm(2, 40, 50) > 0.999
        (0.61, 0.39, True)
    """
    return float((nullity_distribution(q, d, m) * float(q) ** -np.arange(d + 1.0)).sum())
