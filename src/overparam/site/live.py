"""Events of a run as they happen, by server-sent events. One poller a run serves all who watch it.

Each message carries the number of the event up to which it tells, so a reader who was cut off goes on from there:
`progress` (state, done, planned, cached, failed, left, experiment, note), `judged` (claim, status) and, when the run
is over, `end` (state), after which the stream closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from overparam.ledger import Ledger
from overparam.ledger.schema import event
from overparam.site.security import network_of
from overparam.site.viewer import viewer_of

POLL_SECONDS = 0.25  # also the shortest time between two progress messages
PING_SECONDS = 15
SEND_SECONDS = 30.0  # a reader that takes nothing for so long is let go
STREAMS = 200
STREAMS_EACH = 4
RETRY_SECONDS = "10"
KEPT = 256
ENDED = ("succeeded", "failed", "cancelled")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Message:
    """What streams send.

    Attributes:
        seq: Number of the event up to which it tells.
        kind: progress, judged or end.
        data: JSON.
    """

    seq: int
    kind: str
    data: str


def messages(ledger: Ledger, run_id: str, after: int) -> list[Message]:
    """Read what happened in a run: verdicts one by one, then how it stands, then whether it is over.

    Args:
        ledger: Where the run lies.
        run_id: The run.
        after: Only what came after this event.

    Returns:
        Messages in the order of their numbers; none when nothing happened.
    """
    columns = event.c
    with ledger.reading() as db:
        mine = columns.run_id == run_id
        last = db.execute(
            sa.select(columns.seq, columns.kind).where(mine).order_by(columns.seq.desc()).limit(1)
        ).first()
        if last is None or last.seq <= after:
            return []
        new = (mine, columns.seq > after, columns.seq <= last.seq, columns.kind == "judged")
        judged = sa.select(columns.seq, columns.body_json).where(*new)
        found = [Message(row.seq, "judged", row.body_json) for row in db.execute(judged.order_by(columns.seq))]
    return [*found, *standing(ledger, run_id, last.seq, last.kind)]


def standing(ledger: Ledger, run_id: str, seq: int, kind: str) -> list[Message]:
    """Tell how a run stands.

    Args:
        ledger: Where the run lies.
        run_id: The run.
        seq: Number of its last event.
        kind: Its kind; some end the run.

    Returns:
        A progress message, and one on the end when there is one.
    """
    run = ledger.run(run_id)
    assert run is not None
    found = [Message(seq, "progress", json.dumps(progress(ledger, run)))]
    return [*found, Message(seq, "end", json.dumps({"state": kind}))] if kind in ENDED else found


def progress(ledger: Ledger, run: sa.Row[Any]) -> dict[str, Any]:
    """Count the trials of a run, and say what runs now.

    Args:
        ledger: Where the run lies.
        run: Its row.

    Returns:
        state, done, planned, cached, failed, left (seconds, None when not known), experiment and note.
    """
    counts = ledger.counts(run.id).values()
    totals = {name: sum(count[name] for count in counts) for name in ("done", "planned", "cached", "failed")}
    columns = event.c
    newest = sa.select(columns.body_json).where(columns.run_id == run.id, columns.kind == "note")
    with ledger.reading() as db:
        text = db.execute(newest.order_by(columns.seq.desc()).limit(1)).scalar()
    note = json.loads(text) if text and run.state == "running" else {}
    said = {"left": note.get("left"), "experiment": note.get("experiment", ""), "note": note.get("text", "")}
    return {"state": run.state, **totals, **said}


class _Channel:
    """What is new in one run, for all who watch it."""

    def __init__(self, ledger: Ledger, run_id: str) -> None:
        self.ledger, self.run_id = ledger, run_id
        self.watchers = 0
        self.recent: list[Message] = []
        self.since = math.inf  # what came after this event is in `recent`; readers further behind ask the ledger
        self.changed = asyncio.Event()
        self.task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        last = -1
        while True:
            try:
                found = await run_in_threadpool(messages, self.ledger, self.run_id, last)
            except Exception:  # readers get news again when the ledger can be read again
                log.exception("events of run %s", self.run_id)
                found = []
            if found:
                if last < 0:
                    self.since = found[-1].seq
                else:
                    self.recent += found
                    for old in self.recent[:-KEPT]:
                        self.since = old.seq
                    del self.recent[:-KEPT]
                last = found[-1].seq
                self.changed.set()
                self.changed = asyncio.Event()
            await asyncio.sleep(POLL_SECONDS)


class Hub:
    """All streams of this process.

    Args:
        ledger: Where runs lie.
        each: Streams that one reader may hold.
        total: Streams in all.
    """

    def __init__(self, ledger: Ledger, *, each: int = STREAMS_EACH, total: int = STREAMS) -> None:
        self.ledger, self.each, self.total = ledger, each, total
        self.channels: dict[str, _Channel] = {}
        self.streams: Counter[str] = Counter()

    @contextlib.contextmanager
    def seat(self, who: str) -> Iterator[None]:
        """Take one of the streams that are allowed.

        Args:
            who: The reader.

        Yields:
            Nothing; stream inside.

        Raises:
            HTTPException: 429 when the reader has too many, 503 when there are too many in all.
        """
        wait = {"Retry-After": RETRY_SECONDS}
        if self.streams[who] >= self.each:
            raise HTTPException(429, f"You watch {self.each} runs already; close one of them.", wait)
        if self.streams.total() >= self.total:
            raise HTTPException(503, "Too many people watch runs at the moment; reload the page to see news.", wait)
        self.streams[who] += 1
        try:
            yield
        finally:
            self.streams[who] -= 1
            if not self.streams[who]:
                del self.streams[who]

    async def listen(self, run_id: str, after: int) -> AsyncIterator[ServerSentEvent]:
        """Stream what happens in a run until it is over.

        Args:
            run_id: The run.
            after: Number of the last event that the reader has seen.

        Yields:
            Messages.
        """
        channel = self.channels.get(run_id)
        if channel is None:
            channel = self.channels[run_id] = _Channel(self.ledger, run_id)
        channel.watchers += 1
        try:
            fresh = await run_in_threadpool(_first, self.ledger, run_id, after)
            while True:
                changed = channel.changed
                for message in fresh:
                    yield ServerSentEvent(message.data, event=message.kind, id=str(message.seq))
                    after = message.seq
                    if message.kind == "end":
                        return
                if after < channel.since < math.inf:
                    fresh = await run_in_threadpool(messages, self.ledger, run_id, after)
                else:
                    fresh = _coalesced([m for m in channel.recent if m.seq > after])
                if not fresh:
                    await changed.wait()
        finally:
            channel.watchers -= 1
            if not channel.watchers:
                channel.task.cancel()
                del self.channels[run_id]


def _first(ledger: Ledger, run_id: str, after: int) -> list[Message]:
    """What a new reader is told: what it missed, or else how the run stands."""
    if found := messages(ledger, run_id, after):
        return found
    run = ledger.run(run_id)
    assert run is not None
    return standing(ledger, run_id, after, run.state)


def _coalesced(found: list[Message]) -> list[Message]:
    """Leave out progress that newer progress makes old."""
    newest = max((m.seq for m in found if m.kind == "progress"), default=0)
    return [m for m in found if m.kind != "progress" or m.seq == newest]


class _Stream(EventSourceResponse):
    """A stream that keeps its seat until it is over, however it ends."""

    def __init__(self, seat: contextlib.AbstractContextManager[None], content: AsyncIterator[ServerSentEvent]) -> None:
        self._seat = seat
        headers = {"Cache-Control": "no-cache, no-transform"}
        super().__init__(content, headers=headers, ping=PING_SECONDS, send_timeout=SEND_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._seat:
            await super().__call__(scope, receive, send)


def hub_of(request: Request) -> Hub:
    """Return the hub of the application, made when it is first needed."""
    state = request.app.state
    if not hasattr(state, "hub"):
        state.hub = Hub(state.ledger)
    return state.hub  # type: ignore[no-any-return]


def _reader(request: Request) -> str:
    """Name who reads: the account, else the network."""
    return viewer_of(request).account_id or network_of(request)


async def events(request: Request) -> Response:
    """Stream the events of a run."""
    hub = hub_of(request)
    run_id = request.path_params["run_id"]
    seen = request.headers.get("last-event-id") or request.query_params.get("after") or "0"
    if not seen.isascii() or not seen.isdigit() or len(seen) > 15:
        raise HTTPException(400, f"after={seen[:20]!r} is no number of an event; leave it out for all")
    if await run_in_threadpool(hub.ledger.run, run_id) is None:
        raise HTTPException(404, f"no run has the id {run_id[:40]!r}")
    seat = hub.seat(await run_in_threadpool(_reader, request))
    return _Stream(seat, hub.listen(run_id, int(seen)))


routes = [Route("/api/v1/runs/{run_id}/events", events)]
