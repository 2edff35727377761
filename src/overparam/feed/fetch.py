"""Brings in what the sources list, step by step, so that it can be stopped anywhere and goes on from there.

Each step is one transaction: its articles and the place reached. A source that fails keeps what it gave, is marked as
degraded with the reason, and is asked again next time; nothing ever pauses for good.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from overparam.errors import Unavailable
from overparam.feed.merge import Absorbed, absorb
from overparam.feed.sources.gate import Gate
from overparam.feed.sources.step import Source
from overparam.ledger import Ledger
from overparam.ledger.clock import now as present
from overparam.ledger.clock import written
from overparam.ledger.schema import source_state

DAYS = 7  # votes move for about a week
DEGRADED = timedelta(minutes=15)  # at least so long a failed source is said to be degraded
STALE_SECONDS = 30 * 3600.0  # a source read once a day may be six hours late
BATCH = 1_000
SHOWN = 3  # problems named in the state of a source
Progress = Callable[[str, str, Absorbed], None]


@dataclass(frozen=True)
class Report:
    """How it went with one source.

    Attributes:
        source: Its name, or that of a file.
        absorbed: What became of its records.
        steps: Days or pages that were kept.
        problems: Entries that could not be read, with the reason.
        error: Why it stopped early; None if it did not.
        seconds: How long it took.
    """

    source: str
    absorbed: Absorbed = field(default_factory=Absorbed)
    steps: int = 0
    problems: tuple[str, ...] = ()
    error: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class SourceState:
    """How current a source is.

    Attributes:
        source: Its name.
        succeeded_at: When it was last read to the end.
        tried_at: When it was last asked.
        degraded_until: Set while it fails.
        message: What went wrong, or None.
        age_seconds: Since it was last read to the end; None if never.
        stale: Whether that is too long ago.
    """

    source: str
    succeeded_at: str | None
    tried_at: str | None
    degraded_until: str | None
    message: str | None
    age_seconds: float | None
    stale: bool


def standard(names: Sequence[str] = (), *, categories: Sequence[str] = ()) -> list[Source]:
    """Set up the usual sources.

    Args:
        names: `huggingface`, `arxiv`; empty for both.
        categories: Of arXiv; empty for the usual ones.

    Returns:
        Sources in the order in which they are read; arXiv always gives the papers that have code here, too.
    """
    from overparam.feed.sources.arxiv import CATEGORIES, Arxiv
    from overparam.feed.sources.huggingface import HuggingFace
    from overparam.lab.registry import papers

    ids = tuple(entry.paper.arxiv for entry in papers().values())
    every: list[Source] = [HuggingFace(), Arxiv(tuple(categories) or CATEGORIES, ids)]
    return [source for source in every if not names or source.name in names]


def fetch(
    ledger: Ledger,
    sources: Sequence[Source] | None = None,
    *,
    days: int = DAYS,
    now: str | None = None,
    progress: Progress | None = None,
) -> list[Report]:
    """Read what the sources list and merge it. Doing it twice changes nothing the second time.

    Args:
        ledger: Where it goes.
        sources: By default the usual ones.
        days: How many days up to today are read again; days missed since the last success are added.
        now: The time.
        progress: Called after each step with source, label and what became of the records.

    Returns:
        A report for each source; one that failed does not keep the others from being read.
    """
    now = now or present()
    return [_fetch_one(ledger, source, days, now, progress) for source in sources or standard()]


def _fetch_one(ledger: Ledger, source: Source, days: int, now: str, progress: Progress | None) -> Report:
    from overparam.feed.sources.transport import Transport

    started = time.monotonic()
    absorbed, steps, problems, error = Absorbed(), 0, [], None
    gate = Gate(ledger, source.name, source.interval)
    mine = source_state.c.source == source.name
    with ledger.writing() as db:
        db.execute(sa.update(source_state).where(mine).values(tried_at=now))
        cursor = json.loads(db.execute(sa.select(source_state.c.cursor_json).where(mine)).scalar_one())
    try:
        with Transport(source.network, gate) as transport:
            for step in source.steps(transport.get, cursor, date.fromisoformat(now[:10]), days):
                with ledger.writing() as db:
                    result = absorb(ledger, step.records, db=db, now=now)
                    db.execute(sa.update(source_state).where(mine).values(cursor_json=json.dumps(step.cursor)))
                absorbed, steps = absorbed + result, steps + 1
                problems += step.problems
                if progress:
                    progress(source.name, step.label, result)
    except Unavailable as failure:
        error = str(failure)
    _conclude(ledger, gate, now, error, problems)
    return Report(source.name, absorbed, steps, tuple(problems), error, time.monotonic() - started)


def _conclude(ledger: Ledger, gate: Gate, now: str, error: str | None, problems: Sequence[str]) -> None:
    values: dict[str, str | None] = {"succeeded_at": now, "degraded_until": None, "message": None}
    if problems:
        shown = "; ".join(problems[:SHOWN])
        values["message"] = f"{len(problems)} entries could not be read: {shown}"
    if error is not None:
        until = max(datetime.fromisoformat(now) + DEGRADED, gate.closed_until())
        values = {"degraded_until": written(until.astimezone(UTC)), "message": error}
    with ledger.writing() as db:
        db.execute(sa.update(source_state).where(source_state.c.source == gate.source).values(values))


def fetch_file(
    ledger: Ledger,
    path: Path,
    *,
    year: int | None = None,
    listed: date | None = None,
    now: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Bring in the papers of a file, a thousand at a time.

    Args:
        ledger: Where they go.
        path: JSON, JSON lines or CSV, perhaps with .gz.
        year: Of dates without one.
        listed: Day of the page whose listing the file holds.
        now: The time.
        progress: Called after each thousand.

    Returns:
        The report.
    """
    from overparam.feed.sources.exports import Export

    started, now = time.monotonic(), now or present()
    export = Export(path, year, listed)
    records = export.records()
    absorbed, steps, seen = Absorbed(), 0, 0
    while batch := list(itertools.islice(records, BATCH)):
        result = absorb(ledger, batch, now=now)
        absorbed, steps, seen = absorbed + result, steps + 1, seen + len(batch)
        if progress:
            progress(path.name, f"{seen:,} entries", result)
    return Report(path.name, absorbed, steps, tuple(export.problems), None, time.monotonic() - started)


def sources_state(ledger: Ledger, *, now: str | None = None) -> list[SourceState]:
    """Say how current the sources are; one that was never asked is left out.

    Args:
        ledger: The ledger.
        now: The time.

    Returns:
        A state for each source, by name.
    """
    moment = datetime.fromisoformat(now or present())
    with ledger.reading() as db:
        rows = db.execute(sa.select(source_state).order_by(source_state.c.source)).all()
    states = []
    for row in rows:
        done = row.succeeded_at
        age = (moment - datetime.fromisoformat(done)).total_seconds() if done else None
        stale = age is None or age > STALE_SECONDS
        states.append(SourceState(row.source, done, row.tried_at, row.degraded_until, row.message, age, stale))
    return states
