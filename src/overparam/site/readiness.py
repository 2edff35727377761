"""Whether the site can do its work: database, tables, disk, sources, queue. For machines and for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from overparam.errors import OverparamError
from overparam.feed.fetch import sources_state
from overparam.lab.wording import count, duration, joined, megabytes
from overparam.ledger import Ledger
from overparam.ledger.clock import now as clock
from overparam.ledger.schema import HEAD, run_request
from overparam.settings import data_folder

FREE_MEGABYTES = 200
WAITS_TOO_LONG_AFTER = timedelta(minutes=10)


Figures = dict[str, float | str | None]


@dataclass(frozen=True)
class Check:
    """What was found of one thing.

    Attributes:
        name: What was looked at.
        ok: Whether the site can work with it.
        detail: The finding in words, and what to do where it is not well.
        figures: The finding in numbers.
    """

    name: str
    ok: bool
    detail: str
    figures: Figures

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def age_seconds(moment: str, now: str) -> float:
    """Return the seconds from one moment of the ledger to another."""
    return (datetime.fromisoformat(now) - datetime.fromisoformat(moment)).total_seconds()


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def readiness(ledger: Ledger, *, now: str | None = None) -> list[Check]:
    """Look at everything.

    Args:
        ledger: The ledger that the site uses.
        now: The time; by default the clock's.

    Returns:
        One check a thing. What cannot be looked at has failed; nothing is raised.
    """
    at = now or clock()
    looks: dict[str, Callable[[], Check]] = {
        "database": lambda: _database(ledger),
        "tables": lambda: _tables(ledger),
        "disk": lambda: _disk(ledger),
        "sources": lambda: _sources(ledger, at),
        "queue": lambda: _queue(ledger, at),
    }
    return list(_every(looks))


def _every(looks: dict[str, Callable[[], Check]]) -> Iterator[Check]:
    for name, look in looks.items():
        try:
            yield look()
        except (OverparamError, OSError, sa.exc.SQLAlchemyError) as error:
            yield Check(name, False, " ".join(str(error).split()), {})


def _database(ledger: Ledger) -> Check:
    with ledger.reading() as db:
        db.execute(sa.text("SELECT 1"))
    kind = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[ledger.engine.dialect.name]
    return Check("database", True, f"{kind} answers", {"store": kind})


def _tables(ledger: Ledger) -> Check:
    with ledger.reading() as db:
        version = db.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    ok = version == HEAD
    words = f"at {version}" if ok else f"at {version}, this overparam needs {HEAD}; restart it after the upgrade"
    return Check("tables", ok, words, {"version": version, "needed": HEAD})


def _disk(ledger: Ledger) -> Check:
    import psutil

    file = ledger.engine.url.database if ledger.engine.dialect.name == "sqlite" else None
    folder = Path(file).resolve().parent if file else data_folder()
    while not folder.exists():  # the data folder is made when it is first needed
        folder = folder.parent
    free = psutil.disk_usage(str(folder)).free / 1e6
    ok = free >= FREE_MEGABYTES
    words = f"{megabytes(free)} free" + ("" if ok else f"; at least {FREE_MEGABYTES} MB are needed, delete something")
    return Check("disk", ok, words, {"free_megabytes": round(free, 1)})


def _sources(ledger: Ledger, at: str) -> Check:
    states = sources_state(ledger, now=at)
    if not states:
        return Check("sources", True, "none has been read yet; overparam fetch reads them", {})
    figures: Figures = {f"{state.source}_age_seconds": _rounded(state.age_seconds) for state in states}
    late = [f"{state.source} was {_last_read(state.age_seconds)}" for state in states if state.stale]
    if late:
        return Check("sources", False, f"{joined(late)}; overparam fetch reads them again", figures)
    oldest = max(state.age_seconds or 0 for state in states)
    return Check("sources", True, f"the oldest was read {duration(oldest)} ago", figures)


def _last_read(age: float | None) -> str:
    return "never read" if age is None else f"last read {duration(age)} ago"


def queue(ledger: Ledger, at: str) -> tuple[int, float | None, int]:
    """Measure the queue of runs.

    Args:
        ledger: Where it lies.
        at: The time.

    Returns:
        How many wait, for how many seconds the oldest has (None if none does), and how many living workers are at work.
    """
    columns = run_request.c
    waiting = sa.select(sa.func.count(), sa.func.min(columns.created_at)).where(columns.state == "queued")
    alive = sa.select(sa.func.count()).where(columns.state == "running", columns.lease_until > at)
    with ledger.reading() as db:
        n, oldest = db.execute(waiting).one()
        working = db.execute(alive).scalar_one()
    return int(n), age_seconds(oldest, at) if oldest else None, int(working)


def _queue(ledger: Ledger, at: str) -> Check:
    n, age, working = queue(ledger, at)
    figures: Figures = {"waiting": n, "oldest_seconds": _rounded(age), "at_work": working}
    if age is None:
        return Check("queue", True, "nobody waits", figures)
    words = f"{count(n, 'run')} waiting, the oldest for {duration(age)}"
    stuck = age > WAITS_TOO_LONG_AFTER.total_seconds() and not working
    return Check(
        "queue", not stuck, words + ("; no worker takes it, overparam serve starts one" if stuck else ""), figures
    )
