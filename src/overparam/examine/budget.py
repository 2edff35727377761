"""Time shared out among the sections: what one leaves over, the next may use."""

from __future__ import annotations

import time
from collections.abc import Mapping


class Budget:
    """A deadline for all, and one for each section in turn.

    Args:
        seconds: For everything.
        shares: Section to its share, in the order in which they run.
    """

    def __init__(self, seconds: float, shares: Mapping[str, float]) -> None:
        self._end = time.monotonic() + seconds
        self._shares = dict(shares)

    @property
    def left(self) -> float:
        """Seconds left, not negative."""
        return max(0.0, self._end - time.monotonic())

    def deadline(self, name: str) -> float:
        """Return the moment at which a section has to end.

        Args:
            name: The section; those before it count as done.

        Returns:
            Moment of `time.monotonic()`.
        """
        order = list(self._shares)
        waiting = order[order.index(name) :]
        return time.monotonic() + self.left * self._shares[name] / sum(self._shares[n] for n in waiting)
