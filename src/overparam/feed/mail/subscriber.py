"""A subscription as a value."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from overparam.feed.mail.filters import Filter
from overparam.feed.mail.schedule import Frequency, check
from overparam.feed.secrets import decrypt, sign


@dataclass(frozen=True)
class Subscription:
    """One address with one filter.

    Attributes:
        id: ULID.
        email: The address, decrypted.
        filter: What it is about.
        frequency: daily or weekly.
        hour: Of the digest, UTC.
        state: pending, active, paused, unsubscribed, bounced or complained.
        next_due: When the next digest is due; None unless active.
        token_version: Of its links.
    """

    id: str
    email: str
    filter: Filter
    frequency: Frequency
    hour: int
    state: str
    next_due: str | None
    token_version: int

    @property
    def words_for_people(self) -> str:
        """Such as `new papers and verdicts on theory, daily`."""
        return f"{self.filter.words_for_people}, {self.frequency}"

    @property
    def manage_token(self) -> str:
        """The token of its manage page."""
        return sign([self.id, self.token_version], "manage")


def read(row: sa.Row[Any]) -> Subscription:
    """Decrypt a row.

    Args:
        row: Of `subscription`.

    Returns:
        The subscription.
    """
    return Subscription(
        id=row.id,
        email=decrypt(row.email_encrypted),
        filter=Filter.parse(json.loads(row.filter_json)),
        frequency=check(row.frequency, row.hour),
        hour=row.hour,
        state=row.state,
        next_due=row.next_due if row.state == "active" else None,
        token_version=row.token_version,
    )
