"""What a source is to the feed: a name, manners, and steps of which each is kept as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Protocol

from overparam.feed.record import Record
from overparam.feed.sources.transport import Network

LONGEST = 60  # days that are read by themselves after a pause; more is asked for by hand
Get = Callable[..., bytes]  # Transport.get


@dataclass(frozen=True)
class Step:
    """Records that are kept together with the place reached.

    Attributes:
        label: What was read, such as a day.
        records: What the source says.
        cursor: Where to go on when the process stops after this step.
        problems: Entries that could not be read, with the reason.
    """

    label: str
    records: list[Record]
    cursor: Mapping[str, Any]
    problems: list[str] = field(default_factory=list)


class Source(Protocol):
    """A place that lists papers."""

    @property
    def name(self) -> str:
        """Name in the ledger."""

    @property
    def interval(self) -> float:
        """Seconds between two requests, over all machines."""

    @property
    def network(self) -> Network:
        """What may be reached."""

    def steps(self, get: Get, cursor: Mapping[str, Any], today: date, days: int) -> Iterator[Step]:
        """Read what is new.

        Args:
            get: Fetches a document.
            cursor: Of the last step that was kept; empty at first.
            today: The day in UTC.
            days: How many days up to today are read, known or not.

        Yields:
            Steps in order.
        """


def sweep(cursor: Mapping[str, Any], today: date, days: int) -> Iterator[tuple[date, dict[str, Any]]]:
    """List the days to read: the last `days`, those missed since the last success, or the rest of what was stopped.

    Args:
        cursor: Of the last step that was kept.
        today: The last day.
        days: How many at least.

    Yields:
        Each day with the cursor to keep once it is read.
    """
    first = today - timedelta(days=days - 1)
    read_to = date.fromisoformat(cursor["read_to"]) if cursor.get("read_to") else None
    if read_to is not None:
        first = min(first, max(read_to + timedelta(days=1), today - timedelta(days=LONGEST - 1)))
    stopped = cursor.get("sweep") or {}
    if stopped.get("to") == today.isoformat() and stopped.get("days") == days:
        first = max(first, date.fromisoformat(stopped["next"]))
    while first <= today:
        following = first + timedelta(days=1)
        rest = {"to": today.isoformat(), "days": days, "next": following.isoformat()} if first < today else None
        reached = max(first, read_to).isoformat() if read_to else first.isoformat()
        yield first, {**cursor, "read_to": reached, "sweep": rest}
        first = following
