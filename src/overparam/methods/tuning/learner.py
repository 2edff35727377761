"""What all online learners of a parameter share: arms, draws, and the order choose, update, choose, update.

Source: arXiv 2310.02246, section 1: the protocol of solve, pay, learn.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Seed: TypeAlias = "int | np.random.Generator"


class Learner:
    """What all learners share: a grid of arms, one draw a round, and the order choose, update, choose, update.

    Several seeds make as many independent copies that play side by side, for experiments; then use `choose_all` and
    `update_all`.

    Attributes:
        arms: (d,) parameters to choose from.
        least: Smallest possible cost.
        rounds: Rounds that have been paid for.
        probabilities: (S, d) with which the last arms were drawn.
    """

    _state: tuple[str, ...] = ("rounds",)

    def __init__(self, arms: ArrayLike, rng: Seed | Sequence[Seed] = 0, *, least: float = 1.0) -> None:
        self.arms = np.array(arms, dtype=np.float64)
        if self.arms.ndim != 1 or not self.arms.size or not np.isfinite(self.arms).all():
            raise BadInput(f"arms has shape {self.arms.shape} or is not finite; pass a list of parameters")
        if not math.isfinite(least):
            raise BadInput(f"least={least} is not finite; pass 1 for iterations or 0 for seconds")
        given = [rng] if isinstance(rng, int | np.integer | np.random.Generator) else list(rng)
        if not given:
            raise BadInput("rng holds no seed; pass one, or one a copy")
        self.least = float(least)
        self.rounds = 0
        self._rngs = [np.random.default_rng(seed) for seed in given]
        self._rows = np.arange(len(given))
        self.probabilities = np.full((len(given), self.arms.size), 1.0 / self.arms.size)
        self._pending: tuple[Index, Array, Array] | None = None

    @property
    def copies(self) -> int:
        """Number of independent copies."""
        return len(self._rngs)

    def choose(self, context: float | None = None) -> float:
        """Draw the parameter for the next solve.

        Args:
            context: What is visible of the system, such as its shift; ignored by learners without contexts.

        Returns:
            One of the arms.

        Raises:
            BadInput: A context that is missing or not finite.
            RuntimeError: The last choice has not been paid for, or there are several copies.
        """
        self._need_one()
        return float(self.choose_all(None if context is None else [context])[0])

    def update(self, cost: float) -> None:
        """Report what the last solve cost.

        Args:
            cost: At least `least`: iterations, seconds, or the cap for a solve that did not converge.

        Raises:
            BadInput: A cost that is not finite or below `least`.
            RuntimeError: Nothing was chosen since the last update, or there are several copies.
        """
        self._need_one()
        self.update_all([cost])

    def choose_all(self, contexts: ArrayLike | None = None) -> Array:
        """Draw one parameter a copy.

        Args:
            contexts: (S,), or None for learners without contexts.

        Returns:
            (S,) arms.

        Raises:
            BadInput: Contexts that are missing, not finite or of another shape.
            RuntimeError: The last choices have not been paid for.
        """
        if self._pending is not None:
            raise RuntimeError("choose was called twice; call update with the cost of the last solve first")
        seen = self._look(contexts)
        self.probabilities = self._weigh(seen)
        edges = np.cumsum(self.probabilities, axis=1)
        drawn = np.array([rng.random() for rng in self._rngs]) * edges[:, -1]
        arm = np.minimum((edges <= drawn[:, None]).sum(1), self.arms.size - 1)
        self._pending = arm, self.probabilities[self._rows, arm], seen
        return np.asarray(self.arms[arm])

    def update_all(self, costs: ArrayLike) -> None:
        """Report the cost of each copy's last solve.

        Args:
            costs: (S,), each at least `least`.

        Raises:
            BadInput: Another shape, not finite, or below `least`.
            RuntimeError: Nothing was chosen since the last update.
        """
        if self._pending is None:
            raise RuntimeError("update without a choice to pay for; call choose first, and update once after it")
        paid = np.asarray(costs, dtype=np.float64)
        if paid.shape != (self.copies,):
            raise BadInput(f"costs has shape {paid.shape}; pass one cost a copy, ({self.copies},)")
        if not (np.isfinite(paid) & (paid >= self.least)).all():
            raise BadInput(
                f"cost={paid[~(np.isfinite(paid) & (paid >= self.least))][0]:g} is not finite or below "
                f"least={self.least:g}; pass iterations, or make the learner with least=0 for seconds"
            )
        arm, probability, seen = self._pending
        self._learn(arm, probability, paid, seen)
        self._pending = None
        self.rounds += 1

    def chosen(self) -> Index:
        """Return the places of the arms that wait for their cost.

        Returns:
            (S,) places in `arms`.

        Raises:
            RuntimeError: Nothing was chosen since the last update.
        """
        if self._pending is None:
            raise RuntimeError("no choice waits for its cost; call choose first")
        return self._pending[0]

    def state_dict(self) -> dict[str, Any]:
        """Return all that the learner has learned, and the state of its random numbers.

        Returns:
            Plain numbers and arrays; later rounds do not change them.

        Raises:
            RuntimeError: A choice waits for its cost.
        """
        if self._pending is not None:
            raise RuntimeError("a choice waits for its cost; call update before state_dict")
        held = {name: copy.deepcopy(getattr(self, name)) for name in self._state}
        return held | {"random": [copy.deepcopy(rng.bit_generator.state) for rng in self._rngs]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where another learner of the same make stood.

        Args:
            state: From `state_dict`.

        Raises:
            BadInput: Of another make, or with another number of arms or copies.
        """
        same = set(state) == {*self._state, "random"} and len(state["random"]) == self.copies
        if not same or any(np.shape(state[name]) != np.shape(getattr(self, name)) for name in self._state):
            raise BadInput("state is of another learner; pass the state_dict of one with the same arms and copies")
        for name in self._state:
            setattr(self, name, copy.deepcopy(state[name]))
        for rng, held in zip(self._rngs, state["random"], strict=True):
            rng.bit_generator.state = held
        self._pending = None

    def _need_one(self) -> None:
        if self.copies > 1:
            raise RuntimeError(f"there are {self.copies} copies; use choose_all and update_all")

    def _look(self, contexts: ArrayLike | None) -> Array:
        """Check the contexts; without them, zeros."""
        return np.zeros(self.copies)

    def _weigh(self, seen: Array) -> Array:
        """Return the (S, d) probabilities of this round."""
        raise NotImplementedError

    def _learn(self, arm: Index, probability: Array, cost: Array, seen: Array) -> None:
        """Take in a round."""


class ContextLearner(Learner):
    """A learner that sees one number of each system, in an interval.

    Attributes:
        interval: Lower and upper end; contexts outside are clipped with a warning.
    """

    interval: tuple[float, float]

    def _look(self, contexts: ArrayLike | None) -> Array:
        if contexts is None:
            raise BadInput(f"context is missing; pass a number in [{self.interval[0]:g}, {self.interval[1]:g}]")
        seen = np.asarray(contexts, dtype=np.float64)
        if seen.shape != (self.copies,) or not np.isfinite(seen).all():
            raise BadInput(f"context={contexts} has shape {seen.shape} or is not finite; pass ({self.copies},) numbers")
        clipped = np.clip(seen, *self.interval)
        if (clipped != seen).any():
            first = seen[clipped != seen][0]
            low, high = self.interval
            warnings.warn(f"context {first:g} is outside [{low:g}, {high:g}] and was clipped to it", stacklevel=4)
        return clipped


def require_interval(interval: tuple[float, float]) -> tuple[float, float]:
    """Check the interval of contexts.

    Args:
        interval: Lower and upper end.

    Returns:
        The same as floats.

    Raises:
        BadInput: Not finite, or not in order.
    """
    low, high = map(float, interval)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise BadInput(f"interval=({low:g}, {high:g}) is reversed, empty or not finite; pass (low, high) with low<high")
    return low, high
