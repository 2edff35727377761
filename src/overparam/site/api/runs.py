"""Runs, their trials and figures; asking for a run and taking that back."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from fastapi import APIRouter, Header, Query, Request, Response
from starlette.exceptions import HTTPException

from overparam.errors import BadInput, NotFound
from overparam.feed import audit, listings
from overparam.feed.listings import decode_cursor, encode_cursor
from overparam.lab.document import document
from overparam.lab.registry import find
from overparam.lab.service import ask
from overparam.ledger import Ledger, requests
from overparam.ledger.schema import figure, run, trial
from overparam.site.api import models
from overparam.site.api.once import once
from overparam.site.api.strict import After, Key, Limit, Runner, StrictRoute, link, link_next
from overparam.site.pages.runs import SECONDS_A_DAY
from overparam.site.security import network_of
from overparam.site.viewer import Viewer, account_of

router = APIRouter(route_class=StrictRoute, tags=["runs"], generate_unique_id_function=lambda route: route.name)
TO_RUN = {
    "run": link("read_run", "The first run in full", run_id="/items/0/id"),
    "trials": link("list_trials", "Its trials", run_id="/items/0/id"),
}
TO_REQUEST = {
    "request": link("read_request", "How the request stands", request_id="/id"),
    "cancel": link("cancel_request", "Cancel it", request_id="/id"),
}
PREFIX = "/api/v1"
RUNS_SHOWN = 20
RunState = Literal["running", "interrupted", "succeeded", "failed", "cancelled"]
DRAWING = "default-src 'none'; sandbox"  # for a drawing that is opened by itself


@router.get("/runs", summary="List runs", responses={200: {"links": TO_RUN}})
def list_runs(
    request: Request,
    response: Response,
    paper: Annotated[str | None, Query(max_length=80, description="Slug")] = None,
    scale: models.Scale | None = None,
    state: RunState | None = None,
    after: After = None,
    limit: Limit = 30,
) -> models.Runs:
    """List runs, newest first, those with changes made by hand included."""
    wanted = ((run.c.paper, paper), (run.c.scale, scale), (run.c.state, state))
    where = [column == value for column, value in wanted if value is not None]
    if after is not None:
        where.append(run.c.id < decode_cursor(after, (str,))[0])
    with request.app.state.ledger.reading() as db:
        rows = db.execute(sa.select(run).where(*where).order_by(run.c.id.desc()).limit(limit + 1)).all()
    cursor = encode_cursor([rows[limit - 1].id]) if len(rows) > limit else None
    return models.Runs(items=[_in_list(row) for row in rows[:limit]], next=link_next(request, response, cursor))


def newest_runs(ledger: Ledger, slug: str) -> list[models.RunInList]:
    """List the newest runs of a paper.

    Args:
        ledger: Where they lie.
        slug: The paper.

    Returns:
        At most twenty.
    """
    query = sa.select(run).where(run.c.paper == slug).order_by(run.c.id.desc()).limit(RUNS_SHOWN)
    with ledger.reading() as db:
        return [_in_list(row) for row in db.execute(query)]


def _in_list(row: sa.Row[Any]) -> models.RunInList:
    same = ("id", "paper", "scale", "state", "engine", "workers", "attempt", "ended_at", "wall_seconds")
    return models.RunInList(
        **{name: getattr(row, name) for name in same},
        **json.loads(row.options_json),
        started_at=row.created_at,
        document=f"{PREFIX}/runs/{row.id}",
    )


def figure_links(ledger: Ledger, run_ids: Sequence[str]) -> list[models.FigureLinks]:
    """List the figures of runs.

    Args:
        ledger: Where they lie.
        run_ids: The runs, in order.

    Returns:
        Names, captions and addresses.
    """
    columns = (figure.c.run_id, figure.c.name, figure.c.caption)
    query = sa.select(*columns).where(figure.c.run_id.in_(run_ids)).order_by(figure.c.position)
    with ledger.reading() as db:
        rows = sorted(db.execute(query), key=lambda row: run_ids.index(row.run_id))
    return [
        models.FigureLinks(
            run=row.run_id,
            name=row.name,
            caption=row.caption,
            svg=f"{PREFIX}/runs/{row.run_id}/figures/{row.name}.svg",
            csv=f"{PREFIX}/runs/{row.run_id}/figures/{row.name}.csv",
        )
        for row in rows
    ]


def _find(ledger: Ledger, run_id: str) -> sa.Row[Any]:
    row = ledger.run(run_id)
    if row is None:
        raise NotFound(f"no run has the id {run_id[:40]!r}; GET /api/v1/runs lists them")
    return row


@router.get("/runs/{run_id}", summary="Read a run")
def read_run(request: Request, run_id: str) -> models.RunInFull:
    """Read a run: verdicts, claims without one, failures, cost and provenance."""
    ledger = request.app.state.ledger
    row = _find(ledger, run_id)
    return models.RunInFull(
        **document(find(row.paper), ledger, run_id),
        figures=figure_links(ledger, [run_id]),
        pages_of_trials=f"{PREFIX}/runs/{run_id}/trials",
        events=f"{PREFIX}/runs/{run_id}/events",
    )


@router.get("/runs/{run_id}/trials", summary="List the trials of a run")
def list_trials(
    request: Request, response: Response, run_id: str, after: After = None, limit: Limit = 100
) -> models.Trials:
    """List trials in the order planned. Runs that came as saved evidence have none here."""
    ledger = request.app.state.ledger
    _find(ledger, run_id)
    last = decode_cursor(after, (int,))[0] if after is not None else -1
    query = sa.select(trial).where(trial.c.run_id == run_id, trial.c.position > last).order_by(trial.c.position)
    with ledger.reading() as db:
        rows = db.execute(query.limit(limit + 1)).all()
    cursor = encode_cursor([rows[limit - 1].position]) if len(rows) > limit else None
    return models.Trials(items=[_trial(row) for row in rows[:limit]], next=link_next(request, response, cursor))


def _trial(row: sa.Row[Any]) -> models.Trial:
    same = set(models.Trial.model_fields) - {"params", "metrics"}
    return models.Trial(
        **{name: getattr(row, name) for name in same},
        params=json.loads(row.params_json),
        metrics=json.loads(row.metrics_json) if row.metrics_json else None,
    )


def _figure(ledger: Ledger, run_id: str, name: str) -> sa.Row[Any]:
    _find(ledger, run_id)
    with ledger.reading() as db:
        row = db.execute(sa.select(figure).where(figure.c.run_id == run_id, figure.c.name == name)).first()
    if row is None:
        raise NotFound(f"run {run_id} has no figure {name[:40]!r}; its document lists them")
    return row


@router.get(
    "/runs/{run_id}/figures/{name}.svg",
    summary="Draw a figure of a run",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {"schema": {"type": "string"}}}}},
)
def read_drawing(request: Request, run_id: str, name: str) -> Response:
    """Get the drawing of a figure."""
    row = _figure(request.app.state.ledger, run_id, name)
    headers = {
        "Content-Security-Policy": DRAWING,
        "Content-Disposition": f'inline; filename="{row.name}.svg"',
        "Content-Type": "image/svg+xml",
    }
    return Response(row.svg.replace("<svg ", '<svg font-family="sans-serif" ', 1), headers=headers)


@router.get(
    "/runs/{run_id}/figures/{name}.csv",
    summary="Read the numbers of a figure",
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
def read_table(request: Request, run_id: str, name: str) -> Response:
    """Get the numbers behind a figure."""
    row = _figure(request.app.state.ledger, run_id, name)
    table = json.loads(row.table_json)
    text = io.StringIO()
    csv.writer(text).writerows([table["columns"], *table["rows"]])
    headers = {"Content-Disposition": f'attachment; filename="{row.name}.csv"'}
    return Response(text.getvalue(), media_type="text/csv", headers=headers)


@router.post(
    "/papers/{key:key}/runs",
    summary="Ask for a run",
    status_code=202,
    responses={
        202: {"headers": {"Location": {"schema": {"type": "string"}}}, "links": TO_REQUEST},
        409: {"description": "Too many wait"},
    },
)
def ask_for_run(
    request: Request,
    response: Response,
    key: Key,
    wanted: models.RunWanted,
    viewer: Runner,
    idempotency_key: Annotated[
        str | None,
        Header(min_length=1, max_length=200, description="With the same key and body nothing is done twice in 24 h"),
    ] = None,
) -> models.RunRequest:
    """Ask for a run. It waits in the queue; a request for the same that is still open is returned instead."""
    ledger: Ledger = request.app.state.ledger
    account_id = account_of(ledger, viewer)
    slug = _runnable(ledger, key)
    limit = None if viewer.starts_at_once else SECONDS_A_DAY

    def act() -> dict[str, Any]:
        try:
            asked = ask(ledger, slug, wanted.scale, wanted.claims, requested_by=account_id, seconds_a_day=limit)
        except NotFound as error:  # the address was found, so it is the body that names what does not exist
            raise BadInput(str(error)) from error
        with ledger.writing() as db:
            audit.record(db, account_id, "asked for a run", asked, network=network_of(request))
        return _state(ledger, asked).model_dump()

    if idempotency_key is None:
        body = act()
    else:
        body = once(ledger, account_id, idempotency_key, {"key": slug, **wanted.model_dump()}, act)
    response.headers["Location"] = f"{PREFIX}/requests/{body['id']}"
    return models.RunRequest(**body)


def _runnable(ledger: Ledger, key: str) -> str:
    row = listings.by_key(ledger, key)
    if row is None:
        raise NotFound(f"no paper is called {key[:60]!r}")
    if row.slug is None:
        raise BadInput(f"{row.key} has no code here, so it cannot be run")
    return str(row.slug)


def _state(ledger: Ledger, request_id: str) -> models.RunRequest:
    row = requests.find(ledger, request_id)
    if row is None:
        raise NotFound(f"no request has the id {request_id[:40]!r}")
    same = ("id", "paper", "scale", "state", "message", "created_at", "started_at", "ended_at")
    return models.RunRequest(
        **{name: getattr(row, name) for name in same},
        claims=json.loads(row.claims_json),
        position=requests.position(ledger, request_id),
        cancel_requested=row.cancel_requested_at is not None,
        run=row.run_id,
    )


@router.get("/requests/{request_id}", summary="See how a request for a run stands")
def read_request(request: Request, response: Response, request_id: str) -> models.RunRequest:
    """See whether a request waits, at which place, or which run it led to."""
    response.headers["Cache-Control"] = "no-store"
    return _state(request.app.state.ledger, request_id)


@router.delete("/requests/{request_id}", summary="Cancel a request for a run")
def cancel_request(request: Request, request_id: str, viewer: Runner) -> models.RunRequest:
    """Cancel a request: at once if it waits, else its worker stops soon. One that has ended stays as it is."""
    ledger: Ledger = request.app.state.ledger
    row = requests.find(ledger, request_id)
    if row is None:
        raise NotFound(f"no request has the id {request_id[:40]!r}")
    if not _may_cancel(viewer, row.requested_by):
        raise HTTPException(403, "Somebody else asked for this run; they or an admin can cancel it.")
    requests.cancel(ledger, request_id)
    return _state(ledger, request_id)


def _may_cancel(viewer: Viewer, requested_by: str) -> bool:
    return viewer.is_admin or viewer.account_id == requested_by
