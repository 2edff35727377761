"""When digests are due. All times are UTC text as the ledger writes it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from overparam.errors import BadInput
from overparam.ledger.clock import written

Frequency = Literal["daily", "weekly"]
FREQUENCIES: dict[str, Frequency] = {"daily": "daily", "weekly": "weekly"}
LOOK_BACK = timedelta(days=7)  # a digest after a pause tells of no more than this


def check(frequency: str, hour: int) -> Frequency:
    """Check how often and when digests are wanted.

    Args:
        frequency: `daily` or `weekly`.
        hour: 0 to 23, UTC.

    Returns:
        The frequency.

    Raises:
        BadInput: Another value.
    """
    if frequency not in FREQUENCIES:
        raise BadInput(f"frequency={frequency!r} is unknown; choose daily or weekly")
    if isinstance(hour, bool) or not isinstance(hour, int) or not 0 <= hour <= 23:
        raise BadInput(f"hour={hour!r} is no hour of the day; choose 0 to 23, UTC")
    return FREQUENCIES[frequency]


def next_due(frequency: Frequency, hour: int, after: str) -> str:
    """Find the next digest: every day at the hour, or on Mondays.

    Args:
        frequency: How often.
        hour: Of the day, UTC.
        after: The digest lies strictly later.

    Returns:
        UTC text.

    Example:
        >>> next_due("weekly", 7, "2026-11-23T07:00:00.000000Z")
        '2026-11-30T07:00:00.000000Z'
    """
    start = datetime.fromisoformat(after)
    due = start.replace(hour=hour, minute=0, second=0, microsecond=0)
    while due <= start or (frequency == "weekly" and due.weekday() != 0):
        due += timedelta(days=1)
    return written(due)
