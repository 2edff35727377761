"""Runs: all of them, one of them, what waits, and the forms that start and stop them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from overparam.errors import NotFound
from overparam.lab.document import document
from overparam.lab.experiment import SCALES
from overparam.lab.registry import find, papers
from overparam.lab.report import open_context, verdict_context
from overparam.lab.service import ask
from overparam.ledger import Ledger, requests
from overparam.ledger.schema import run, verdict
from overparam.site.costs import costs_of
from overparam.site.panels import SETTINGS_ON_PAGE, grid, request_panel, run_panel, state_of
from overparam.site.verdicts import STATUSES
from overparam.site.viewer import Viewer, account_of, viewer_of
from overparam.site.views import page

ROWS = 50
SECONDS_A_DAY = 600.0  # of runs that a member may ask for
STATES = ("running", "succeeded", "failed", "cancelled", "interrupted")
FILTERS = ("paper", "scale", "state")
ROW = ("id", "paper", "scale", "state", "lease_owner", "lease_until", "created_at", "wall_seconds", "options_json")


def index(request: Request) -> Response:
    """List all runs, the newest first, and what waits."""
    ledger = request.app.state.ledger
    query = request.query_params
    chosen = {name: query[name] for name in FILTERS if query.get(name)}
    found = listed(ledger, chosen, before=query.get("before"), after=query.get("after"))
    waiting = [row for row in requests.unfinished(ledger) if row.state == "queued"]
    return page(
        request,
        "runs.html.jinja",
        **found,
        chosen=chosen,
        waiting=waiting if not (query.get("before") or query.get("after") or chosen) else [],
        titles={key: entry.paper.title for key, entry in papers().items()},
        scales=SCALES,
        states=STATES,
    )


def listed(
    ledger: Ledger, chosen: Mapping[str, str], *, before: str | None = None, after: str | None = None
) -> dict[str, Any]:
    """Read a page of runs. Its place is an id, so the last page costs as much as the first.

    Args:
        ledger: Where they lie.
        chosen: Values of paper, scale and state that runs must have.
        before: Only runs older than this one.
        after: Only runs newer than this one, the oldest of them; `0` for the last page.

    Returns:
        `rows`, and the ids for links: `newer`, `older` and whether it is the `first` or the `last` page.
    """
    where = [run.c[name] == value for name, value in chosen.items()]
    forward = after is not None
    if forward:
        where.append(run.c.id > after)
    elif before is not None:
        where.append(run.c.id < before)
    query = sa.select(*(run.c[name] for name in ROW)).where(*where)
    query = query.order_by(run.c.id if forward else run.c.id.desc()).limit(ROWS + 1)
    with ledger.reading() as db:
        found = db.execute(query).all()
        more, found = len(found) > ROWS, found[:ROWS]
        rows = found[::-1] if forward else found
        ids = [row.id for row in rows]
        tally = sa.select(verdict.c.run_id, verdict.c.status, sa.func.count().label("n"))
        tallied = db.execute(tally.where(verdict.c.run_id.in_(ids)).group_by(verdict.c.run_id, verdict.c.status)).all()
    counts = {(row.run_id, row.status): row.n for row in tallied}
    return {
        "rows": [_row(row, counts) for row in rows],
        "newer": ids[0] if ids else "",
        "older": ids[-1] if ids else "",
        "first": not more if forward else before is None,
        "last": after == "0" if forward else not more,
    }


def _row(row: sa.Row[Any], counts: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    options = json.loads(row.options_json)
    tally = [f"{counts[row.id, status]} {status}" for status in STATUSES if (row.id, status) in counts]
    return {
        **{name: row._mapping[name] for name in ("id", "paper", "scale", "created_at", "wall_seconds")},
        **shown_state(state_of(row)),
        "verdicts": ", ".join(tally),
        "by_hand": bool(options.get("custom") or options.get("sabotage")),
    }


def shown_state(state: str) -> dict[str, str]:
    """Return mark and word for the state of a run.

    Args:
        state: As told by `state_of`.

    Returns:
        `mark` and `word`.
    """
    special = {
        "succeeded": ("trial done", "Done"),
        "failed": ("failed", "Run failed"),
        "interrupted": ("stale", "Interrupted"),
    }
    mark, word = special.get(state, (state, state.capitalize()))
    return {"mark": mark, "word": word}


def one(request: Request) -> Response:
    """Show a run: how it stands, verdicts, trials, failures, cost, provenance."""
    ledger = request.app.state.ledger
    row = _found(ledger, request.path_params["run_id"])
    entry = find(row.paper)
    found = document(entry, ledger, row.id)
    live = run_panel(ledger, row.id)
    assert live is not None
    trials = None if live["grid"] else grid(ledger, row.id, SETTINGS_ON_PAGE)
    return page(
        request,
        "run.html.jinja",
        entry=entry,
        run=row,
        doc=found,
        verdicts=[verdict_context(body, entry) for body in found["verdicts"]],
        open=[open_context(claim, entry) for claim in found["not_judged"]],
        live=live,
        trials=trials,
        settings=SETTINGS_ON_PAGE,
        costs=costs_of(ledger, row, entry),
        made=found["provenance"],
    )


def _found(ledger: Ledger, run_id: str) -> sa.Row[Any]:
    row = ledger.run(run_id)
    if row is None:
        raise NotFound(f"no run has the id {run_id[:40]!r}; the list of runs has them all")
    return row


def panel_of_run(request: Request) -> Response:
    """Send the panel of a run alone, for the script."""
    ledger = request.app.state.ledger
    row = _found(ledger, request.path_params["run_id"])
    return page(request, "run_panel.html.jinja", live=run_panel(ledger, row.id))


def _asked(request: Request) -> sa.Row[Any]:
    key = request.path_params["request_id"]
    row = requests.find(request.app.state.ledger, key)
    if row is None:
        raise NotFound(f"no request has the id {key[:40]!r}; the list of runs shows what waits")
    return row


def waiting(request: Request) -> Response:
    """Show a request that waits; once its run has begun, go there."""
    row = _asked(request)
    if row.run_id is not None and row.state != "queued":
        return RedirectResponse(f"/runs/{row.run_id}", status_code=303)
    live = request_panel(request.app.state.ledger, row)
    return page(request, "waiting.html.jinja", entry=find(row.paper), asked=row, live=live)


def panel_of_request(request: Request) -> Response:
    """Send the panel of a request alone, for the script: that of its run once there is one."""
    ledger, row = request.app.state.ledger, _asked(request)
    begun = row.run_id is not None and row.state != "queued"
    live = run_panel(ledger, row.run_id) if begun else request_panel(ledger, row)
    return page(request, "run_panel.html.jinja", live=live)


async def start(request: Request) -> Response:
    """Ask for a run of a paper."""
    async with request.form() as form:
        scale = str(form.get("scale", "laptop"))
        claims = [str(value) for value in form.getlist("claim")]
    return await run_in_threadpool(_start, request, scale, claims)


def _start(request: Request, scale: str, claims: list[str]) -> Response:
    slug = request.path_params["slug"]
    entry = find(slug)
    viewer = _member(request, f"/papers/{entry.paper.slug}")
    if isinstance(viewer, Response):
        return viewer
    ledger = request.app.state.ledger
    limit = None if viewer.starts_at_once else SECONDS_A_DAY
    ask(ledger, slug, scale, claims, requested_by=account_of(ledger, viewer), seconds_a_day=limit)
    return RedirectResponse(f"/papers/{slug}#live", status_code=303)


def _member(request: Request, back: str) -> Viewer | Response:
    """Return who may start and stop runs, or the way to sign in."""
    viewer = viewer_of(request)
    if viewer.account_id is None:
        return RedirectResponse(f"/sign-in?next={back}", status_code=303)
    if not viewer.may_run:
        raise HTTPException(403, "Your account may read here, but not start or stop runs. An admin can change that.")
    return viewer


def cancel_run(request: Request) -> Response:
    """Ask the worker of a run to stop."""
    ledger = request.app.state.ledger
    row = _found(ledger, request.path_params["run_id"])
    back = f"/runs/{row.id}"
    viewer = _member(request, back)
    if isinstance(viewer, Response):
        return viewer
    asked = requests.newest(ledger, run_id=row.id)
    _require_own(viewer, asked.requested_by if asked is not None else None)
    if asked is not None:
        requests.cancel(ledger, asked.id)
    if row.state == "running":
        ledger.request_cancel(row.id)
    return RedirectResponse(back, status_code=303)


def cancel_request(request: Request) -> Response:
    """Cancel a request."""
    row = _asked(request)
    back = f"/requests/{row.id}"
    viewer = _member(request, back)
    if isinstance(viewer, Response):
        return viewer
    _require_own(viewer, row.requested_by)
    requests.cancel(request.app.state.ledger, row.id)
    return RedirectResponse(back, status_code=303)


def _require_own(viewer: Viewer, owner: str | None) -> None:
    if not (viewer.local or viewer.is_admin or viewer.account_id == owner):
        raise HTTPException(403, "Somebody else asked for this run. They or an admin can cancel it.")


routes = [
    Route("/runs", index),
    Route("/runs/{run_id}", one),
    Route("/runs/{run_id}/panel", panel_of_run),
    Route("/runs/{run_id}/cancel", cancel_run, methods=["POST"]),
    Route("/requests/{request_id}", waiting),
    Route("/requests/{request_id}/panel", panel_of_request),
    Route("/requests/{request_id}/cancel", cancel_request, methods=["POST"]),
    Route("/papers/{slug}/runs", start, methods=["POST"]),
]
