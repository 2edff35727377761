"""Moments as the ledger writes them: UTC text that sorts, `2026-11-21T14:03:00.000000Z`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def written(moment: datetime) -> str:
    """Write a moment.

    Args:
        moment: With a time zone.

    Returns:
        ISO text with microseconds and `Z`.
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def now(offset: timedelta = timedelta()) -> str:
    """Return the present.

    Args:
        offset: Added to it.

    Returns:
        UTC text.
    """
    return written(datetime.now(UTC) + offset)


def shift(moment: str, by: timedelta) -> str:
    """Move a moment.

    Args:
        moment: UTC text.
        by: Added to it.

    Returns:
        UTC text.
    """
    return written(datetime.fromisoformat(moment) + by)
