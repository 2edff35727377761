"""One polite queue to a source for all machines that share a ledger.

The row of the source in `source_state` says when it may be asked again. Whoever finds that moment past takes the turn
by moving it ahead, in one statement, so two cannot; while the request runs nobody else is let in, and after its end
the interval begins. A process that dies in its turn blocks others on its machine for the interval, and other machines
for `LEASE` at most. Machines are expected to keep their clocks in step, as NTP does.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from overparam.errors import Unavailable
from overparam.ledger import Ledger
from overparam.ledger.clock import written
from overparam.ledger.owner import is_gone, owner_of_this_process
from overparam.ledger.schema import source_state

LEASE = timedelta(seconds=180)  # longer than any request may take
PATIENCE = timedelta(minutes=10)
NEVER = ""  # sorts before every time


def ensure_state(ledger: Ledger, source: str) -> None:
    """Make sure that a source has its row.

    Args:
        ledger: The ledger.
        source: Its name.
    """
    row = ledger.insert(source_state).values(source=source, cursor_json="{}", next_allowed_at=NEVER)
    with ledger.writing() as db:
        db.execute(row.on_conflict_do_nothing())


class Gate:
    """Lets one request at a time through, with an interval between two.

    Args:
        ledger: Shared by all who ask the source.
        source: Its name.
        interval: Seconds from the end of a request to the beginning of the next.
        clock: Returns the time in UTC.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        source: str,
        interval: float,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ledger, self.source, self._interval = ledger, source, timedelta(seconds=interval)
        self._clock, self.sleep = clock, sleep
        self._owner, self._mine = owner_of_this_process(), source_state.c.source == source
        ensure_state(ledger, source)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the turn and hold it while a request runs.

        Yields:
            Nothing; make one request inside.

        Raises:
            Unavailable: The source asked for so long a pause that another time is better.
        """
        end = self._clock() + PATIENCE
        while (lease := self._take()) is None:
            opens, now = self.closed_until(), self._clock()
            if opens > end + LEASE or now > end:
                raise Unavailable(
                    f"{self.source} may not be asked before {opens:%Y-%m-%d %H:%M} UTC; run this again then"
                )
            # another's turn may end before its lease does, so look again soon
            self.sleep(min(max((opens - now).total_seconds(), 0.01), max(self._interval.total_seconds(), 0.05)))
        try:
            yield
        finally:
            self._move(self._clock() + self._interval, source_state.c.next_allowed_at == lease)

    def hold(self, seconds: float) -> None:
        """Keep everybody out for a while, as the source has asked.

        Args:
            seconds: From now.
        """
        until = self._clock() + timedelta(seconds=seconds)
        self._move(until, source_state.c.next_allowed_at < written(until))

    def closed_until(self) -> datetime:
        """Return when the source may be asked again; perhaps in the past."""
        with self._ledger.reading() as db:
            text = db.execute(sa.select(source_state.c.next_allowed_at).where(self._mine)).scalar()
        return datetime.fromisoformat(text) if text else datetime.min.replace(tzinfo=UTC)

    def _take(self) -> str | None:
        now = self._clock()
        if self._move(now + LEASE, source_state.c.next_allowed_at <= written(now), self._owner):
            return written(now + LEASE)
        with self._ledger.reading() as db:
            holder = db.execute(sa.select(source_state.c.holder).where(self._mine)).scalar()
        if holder is not None and is_gone(holder):
            self._move(now + self._interval, source_state.c.holder == holder)
        return None

    def _move(self, until: datetime, condition: sa.ColumnElement[bool], holder: str | None = None) -> bool:
        values = {"next_allowed_at": written(until), "holder": holder}
        with self._ledger.writing() as db:
            return bool(db.execute(sa.update(source_state).where(self._mine, condition).values(values)).rowcount)
