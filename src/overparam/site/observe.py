"""What can be seen of the site while it runs: health, figures for Prometheus, one line of log for each request."""

from __future__ import annotations

import ipaddress
import json
import logging
import re
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.datastructures import MutableHeaders, State
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from ulid import ULID

from overparam.errors import Unavailable
from overparam.ledger import Ledger
from overparam.ledger.clock import now, written
from overparam.ledger.schema import delivery, run, run_request, source_state
from overparam.site.readiness import age_seconds, queue, readiness
from overparam.site.viewer import viewer_of

access = logging.getLogger("overparam.access")
number_of_request: ContextVar[str] = ContextVar("number_of_request", default="")
NUMBER = re.compile(r"[A-Za-z0-9._-]{8,64}")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
MAIL_WINDOW = timedelta(hours=24)
UNMATCHED = "none"
LEFT = 499  # the client went away before there was an answer


class Observer:
    """The figures of one application.

    Args:
        state: Of the application: its ledger, and its hub once somebody watches a run. Asked when the figures are.

    Attributes:
        registry: What Prometheus reads.
        seconds: Duration of requests by route, method and class of status.
        in_flight: Requests that are being answered.
        faults: Requests that ended in an unexpected error.
    """

    def __init__(self, state: State) -> None:
        self.registry = CollectorRegistry()
        self.seconds = Histogram(
            "overparam_request_seconds",
            "Duration of requests until the last byte; streams are left out",
            ("route", "method", "status"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.in_flight = Gauge("overparam_requests_in_flight", "Requests being answered", registry=self.registry)
        self.faults = Counter("overparam_faults", "Requests that ended in an unexpected error", registry=self.registry)
        self.registry.register(_Figures(state))


def observer_of(state: State) -> Observer:
    """Return the observer of an application, made when it is first needed."""
    if not hasattr(state, "observer"):
        state.observer = Observer(state)
    return state.observer  # type: ignore[no-any-return]


class _Figures(Collector):
    """Figures that are read when they are asked for; each query goes by an index."""

    def __init__(self, state: State) -> None:
        self._state = state

    def describe(self) -> Iterable[Metric]:
        """Promise nothing, so that registering asks no database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Read the figures; without a database there is only the word that it does not answer."""
        hub = getattr(self._state, "hub", None)
        streams = 0 if hub is None else hub.streams.total()
        yield GaugeMetricFamily("overparam_live_streams", "Live streams that are open", streams)
        up = GaugeMetricFamily("overparam_database_up", "Whether the database answers")
        try:
            found = list(_read(self._state.ledger, now()))
        except Unavailable:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from found


def _read(ledger: Ledger, at: str) -> Iterator[Metric]:
    waiting, oldest, working = queue(ledger, at)
    yield GaugeMetricFamily("overparam_queue_waiting", "Runs that wait", waiting)
    yield GaugeMetricFamily("overparam_queue_oldest_seconds", "For how long the oldest waits", oldest or 0)
    yield GaugeMetricFamily("overparam_queue_at_work", "Requests that a living worker is at", working)
    lost = GaugeMetricFamily(
        "overparam_leases_lost", "Open requests and runs whose worker was lost at least once", labels=["what"]
    )
    mail = GaugeMetricFamily("overparam_mail_day", "Mails of 24 hours by outcome", labels=["state", "smtp"])
    ages = GaugeMetricFamily("overparam_source_age_seconds", "Since a source was read", labels=["source"])
    columns = run_request.c
    again = sa.select(sa.func.count()).where(columns.state.in_(("queued", "running")), columns.attempt > 1)
    stopped = sa.select(sa.func.count()).where(run.c.state == "interrupted")
    since = now(-MAIL_WINDOW)
    code = delivery.c.smtp_code / 100
    with ledger.reading() as db:
        lost.add_metric(["request"], db.execute(again).scalar_one())
        lost.add_metric(["run"], db.execute(stopped).scalar_one())
        for state in ("queued", "sending", "sent", "failed"):
            mine = (delivery.c.state == state, delivery.c.at > since)
            by_class: dict[str, int] = {}
            for value, n in db.execute(sa.select(code, sa.func.count()).where(*mine).group_by(code)):
                name = "none" if value is None else f"{int(value)}xx"
                by_class[name] = by_class.get(name, 0) + n
            for name, n in by_class.items():
                mail.add_metric([state, name], n)
        for row in db.execute(sa.select(source_state.c.source, source_state.c.succeeded_at)):
            if row.succeeded_at:
                ages.add_metric([row.source], age_seconds(row.succeeded_at, at))
    yield from (lost, mail, ages)


class Observed:
    """Numbers, times and logs every request. Goes outside of all other middleware.

    A number in `X-Request-ID` is taken over if it looks like one. The log names the route, never the path or the
    query, since these may carry tokens and addresses; nothing of the headers is logged.

    Args:
        app: What is observed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and note what became of it."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        given = next((v.decode("latin-1") for k, v in scope["headers"] if k == b"x-request-id"), "")
        number = given if NUMBER.fullmatch(given) else str(ULID())
        scope.setdefault("state", {})["request_id"] = number
        number_of_request.set(number)  # not reset: what the server logs after a fault still belongs to this request
        observer = observer_of(scope["app"].state)
        method, began = scope["method"], time.perf_counter()
        answered: dict[str, Any] = {"status": LEFT, "stream": False}

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = number
                answered["status"] = message["status"]
                answered["stream"] = headers.get("content-type", "").startswith("text/event-stream")
            await send(message)

        error = ""
        observer.in_flight.inc()
        try:
            await self.app(scope, receive, noted)
        except BaseException as fault:
            error = type(fault).__name__
            if isinstance(fault, Exception):
                answered["status"] = 500
                observer.faults.inc()
            raise
        finally:
            observer.in_flight.dec()
            _note(observer, scope, method, answered, time.perf_counter() - began, number, error)


def _note(
    observer: Observer, scope: Scope, method: str, answered: dict[str, Any], seconds: float, number: str, error: str
) -> None:
    route, status = route_of(scope), answered["status"]
    if not answered["stream"]:
        known = method if method in METHODS else "other"
        observer.seconds.labels(route, known, f"{status // 100}xx").observe(seconds)
    facts = {"route": route, "method": method[:10], "status": status, "ms": round(1000 * seconds, 1), "id": number}
    access.info("request", extra={"facts": {**facts, **({"error": error} if error else {})}})


def route_of(scope: Scope) -> str:
    """Name the route that a request took.

    Args:
        scope: After it was answered.

    Returns:
        Its template, such as `/papers/{key:path}`, with the place where it is mounted; `none` where nothing matched.
    """
    route = scope.get("route")
    template = getattr(route, "path", None)
    if template is None:
        return UNMATCHED
    mounted = str(scope.get("root_path", "")).removeprefix(str(scope.get("app_root_path", "")))
    return str(template) if isinstance(route, Mount) else f"{mounted}{template}"


class JsonLines(logging.Formatter):
    """Writes one JSON object a line, with the number of the request that it belongs to."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        at = written(datetime.fromtimestamp(record.created, UTC))
        line: dict[str, Any] = {"at": at, "level": record.levelname.lower(), "logger": record.name}
        line |= getattr(record, "facts", None) or {"message": record.getMessage()}
        line.setdefault("id", number_of_request.get())
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps({key: value for key, value in line.items() if value != ""}, ensure_ascii=False)


class PlainLines(logging.Formatter):
    """Writes lines for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        facts = getattr(record, "facts", None)
        if facts is None:
            return super().format(record)
        return f"{facts['method']} {facts['route']} {facts['status']} {facts['ms']:.0f} ms"


def configure_logging(json: bool) -> None:
    """Send all logs to stderr.

    The server's own access log is switched off, since it writes paths and queries.

    Args:
        json: One JSON object a line; else lines for people.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if json else PlainLines("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("overparam").setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"


def live(request: Request) -> Response:
    """Say that the process answers."""
    return JSONResponse({"status": "live"}, headers={"Cache-Control": "no-store"})


def ready(request: Request) -> Response:
    """Say whether the site can do its work, and what is wrong if not."""
    checks = readiness(request.app.state.ledger)
    ok = all(check.ok for check in checks)
    shown = [check.as_json() for check in checks]
    if not _trusted(request):  # the words may name folders and hosts
        shown = [{"name": check["name"], "ok": check["ok"]} for check in shown]
    body = {"status": "ready" if ok else "not ready", "checks": shown}
    return JSONResponse(body, 200 if ok else 503, headers={"Cache-Control": "no-store"})


def metrics(request: Request) -> Response:
    """Send the figures to Prometheus: from this machine, or with a token of scope admin."""
    if not _trusted(request):
        raise HTTPException(403, "Figures go to this machine alone, or to a token of scope admin.")
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    text = encode(observer_of(request.app.state).registry)
    return Response(text, headers={"Content-Type": media_type, "Cache-Control": "no-store"})


def _trusted(request: Request) -> bool:
    """Tell whether somebody at this machine asks, or an admin."""
    try:
        here = request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        here = False
    try:
        return here or viewer_of(request).is_admin
    except Unavailable:
        return False


routes = [
    Route("/health/live", live),
    Route("/health/ready", ready),
    Route("/metrics", metrics),
]
