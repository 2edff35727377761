"""Sequences of systems: the paper's base problem, and playing a learner over one, by a solver or from a table of costs.

Source: arXiv 2310.02246, sections 1 and 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput
from overparam.methods.tuning.learner import Learner

Array = NDArray[np.float64]
System = TypeVar("System")
BETA = {"high": (0.5, 1.5), "low": (2.0, 6.0)}  # of the shift, by variance


@dataclass(frozen=True)
class History:
    """What was played.

    Attributes:
        cost: (T,) or (T, S), what each solve cost.
        arm: Of the same shape, the parameter.
        prob: Of the same shape, the probability with which it was drawn.
    """

    cost: Array
    arm: Array
    prob: Array


def run_sequence(
    learner: Learner, solve: Callable[[System, float], float], instances: Iterable[tuple[float | None, System]]
) -> History:
    """Let a learner choose the parameter of each solve and pay for it.

    Args:
        learner: With one copy.
        solve: Takes a system and a parameter, returns the cost: any solver of yours.
        instances: Context, or None, and system, in the order of the sequence.

    Returns:
        (T,) arrays.

    Example:
        >>> from overparam.methods.tuning.bandits import Fixed
        >>> from overparam.methods.tuning.relaxation import Stencil5, sor
        >>> systems = [(c, Stencil5(10, c)) for c in (0.0, 0.4)]
        >>> run_sequence(Fixed(1.5), lambda A, w: sor(A, np.ones(100), w).iterations, systems).cost.tolist()
        [62.0, 30.0]
    """
    rows = []
    for context, system in instances:
        parameter = learner.choose(context)
        place = int(learner.chosen()[0])
        cost = float(solve(system, parameter))
        rows.append((cost, parameter, learner.probabilities[0, place]))
        learner.update(cost)
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return History(*table.T)


def replay(
    learner: Learner,
    costs: ArrayLike,
    *,
    contexts: ArrayLike | None = None,
    order: NDArray[np.int64] | None = None,
    felt: ArrayLike | None = None,
) -> History:
    """Play a learner from a table, in which the cost of every arm on every system is known.

    The learner sees the entry that it chose and no other.

    Args:
        learner: With S copies.
        costs: (T, d) table.
        contexts: (T,) for learners with contexts.
        order: (T, S) which system each copy meets in each round; by default all go through in the order given.
        felt: (T, d) what the learner is told instead of `costs`; for trials of broken feedback.

    Returns:
        (T, S) arrays.

    Raises:
        BadInput: Shapes that do not fit.
    """
    paid = np.asarray(costs, dtype=np.float64)
    told = paid if felt is None else np.asarray(felt, dtype=np.float64)
    if paid.ndim != 2 or paid.shape[1] != learner.arms.size or told.shape != paid.shape:
        raise BadInput(f"costs has shape {paid.shape}; pass a table of (T, {learner.arms.size})")
    rounds = np.arange(len(paid))[:, None] + np.zeros(learner.copies, dtype=np.int64) if order is None else order
    if rounds.ndim != 2 or rounds.shape[1] != learner.copies:
        raise BadInput(f"order has shape {rounds.shape}; pass (T, {learner.copies}), one column a copy")
    visible = None if contexts is None else np.asarray(contexts, dtype=np.float64)
    if visible is not None and visible.shape != (len(paid),):
        raise BadInput(f"contexts has shape {visible.shape}; pass ({len(paid)},)")
    shape = rounds.shape
    history = History(np.empty(shape), np.empty(shape), np.empty(shape))
    copies = np.arange(learner.copies)
    for t, system in enumerate(rounds):
        history.arm[t] = learner.choose_all(None if visible is None else visible[system])
        arm = learner.chosen()
        history.prob[t] = learner.probabilities[copies, arm]
        history.cost[t] = paid[system, arm]
        learner.update_all(told[system, arm])
    return history


def regret(cost: Array, table: ArrayLike, order: NDArray[np.int64] | None = None) -> Array:
    """Return cumulative cost above that of the arm that was best so far, in hindsight.

    Args:
        cost: (T, S) from a history.
        table: (T, d) costs of all arms.
        order: (T, S) as in `replay`.

    Returns:
        (T, S).

    Example:
        >>> regret(np.array([[3.0], [1.0]]), [[3, 2], [1, 4]]).ravel().tolist()
        [1.0, 0.0]
    """
    arms = np.asarray(table, dtype=np.float64)
    rounds = np.arange(len(arms))[:, None] + np.zeros(cost.shape[1], dtype=np.int64) if order is None else order
    fixed = np.stack([np.cumsum(arms[rounds[:, s]], axis=0).min(1) for s in range(cost.shape[1])], axis=1)
    return np.asarray(np.cumsum(cost, axis=0) - fixed)


def instances(sequence: str, count: int, size: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw the paper's base problem: shifts of a grid Laplacian and right-hand sides.

    c = -0.15 + 0.6 Beta(p, q) with (1/2, 3/2) for high and (2, 6) for low variance; b is standard normal given
    |b| <= sqrt(n).

    Args:
        sequence: `high` or `low`.
        count: T.
        size: n, entries of b.
        rng: Draws both.

    Returns:
        (T,) shifts and (T, n) right-hand sides.

    Raises:
        BadInput: Another sequence.

    Source: arXiv 2310.02246, section 4; scripts of the official code.
    """
    if sequence not in BETA:
        raise BadInput(f"sequence={sequence!r} is unknown; pass 'high' or 'low'")
    shifts = -0.15 + 0.6 * rng.beta(*BETA[sequence], count)
    return shifts, truncated_normal(count, size, rng)


def truncated_normal(count: int, size: int, rng: np.random.Generator) -> Array:
    """Draw standard normal vectors and keep those with |b| <= sqrt(n).

    Args:
        count: T.
        size: n.
        rng: Draws them.

    Returns:
        (T, n).

    Example:
        >>> b = truncated_normal(100, 4, np.random.default_rng(0))
        >>> b.shape, bool((np.linalg.norm(b, axis=1) <= 2).all())
        ((100, 4), True)
    """
    drawn = rng.standard_normal((count, size))
    while (long := np.linalg.norm(drawn, axis=1) > math.sqrt(size)).any():
        drawn[long] = rng.standard_normal((int(long.sum()), size))
    return drawn
