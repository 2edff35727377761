"""What happens with a run or a request right now: the panel on its page, and the grid of its trials."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from overparam.lab.experiment import SCALES
from overparam.lab.planner import REGULAR
from overparam.lab.wording import capital, count, duration, joined
from overparam.ledger import Ledger, requests
from overparam.ledger.clock import now
from overparam.ledger.owner import is_gone
from overparam.ledger.schema import event, run, trial
from overparam.site.live import progress

SETTINGS_IN_PANEL = 24
SETTINGS_ON_PAGE = 200
SEEDS_AT_MOST = 50
PLACES = ("Next", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth", "Tenth")
OUTCOMES = {
    "raised": "raised an error",
    "not finite": "gave numbers that are not finite",
    "out of memory": "ran out of memory",
    "timed out": "took too long",
    "lost": "lost the process that ran them",
}
NO_CELL = {"state": "", "words": ""}


def panel(ledger: Ledger, paper: str) -> dict[str, Any] | None:
    """Describe the newest request or run of a paper that has not simply succeeded.

    Args:
        ledger: Where it lies.
        paper: Slug.

    Returns:
        What `run_panel.html.jinja` shows as `live`, or None when there is nothing to say.
    """
    asked = requests.newest(ledger, paper=paper)
    newest = _newest_run(ledger, paper)
    if asked is not None:
        if asked.state == "queued" or (asked.run_id is None and asked.state == "running"):
            return request_panel(ledger, asked)
        if asked.state == "running":
            return run_panel(ledger, asked.run_id)
        unborn = asked.state == "failed" and asked.run_id is None
        if unborn and (newest is None or newest.id < asked.id):
            return request_panel(ledger, asked)
    if newest is None or newest.state == "succeeded":
        return None
    return run_panel(ledger, newest.id)


def _newest_run(ledger: Ledger, paper: str) -> sa.Row[Any] | None:
    found: list[sa.Row[Any]] = []
    with ledger.reading() as db:
        for scale in SCALES:  # for each the index gives the newest at once
            where = (run.c.paper == paper, run.c.scale == scale, run.c.options_json == REGULAR)
            query = sa.select(run.c.id, run.c.state).where(*where).order_by(run.c.id.desc()).limit(1)
            found.extend(db.execute(query))
    return max(found, key=lambda row: row.id, default=None)


def request_panel(ledger: Ledger, asked: sa.Row[Any]) -> dict[str, Any]:
    """Describe a request that has no run to show.

    Args:
        ledger: Where it lies.
        asked: Row of `run_request`.

    Returns:
        What `run_panel.html.jinja` shows as `live`.
    """
    shown = {
        **_blank(asked.paper, asked.scale, asked.requested_by),
        "request": asked.id,
        "state": asked.state,
        "active": asked.state in requests.OPEN,
    }
    if asked.state == "queued":
        place = requests.position(ledger, asked.id) or 1
        where = f"{PLACES[place - 1]} in the queue" if place <= len(PLACES) else f"Number {place} in the queue"
        wait = _wait(ledger, asked)
        shown |= {"mark": "queued", "title": "Queued", "text": f"{where}. {wait}".strip()}
    elif asked.state == "running":
        shown |= {"mark": "running", "title": "Starting", "text": "A worker has taken it and loads the experiments."}
    elif asked.state == "cancelled":
        shown |= {"mark": "cancelled", "title": "Cancelled", "text": "Cancelled before it began."}
    else:
        text = capital(asked.message or "it came to nothing").rstrip(".")
        shown |= {"mark": "failed", "title": "Run failed", "text": f"{text}."}
    if shown["active"]:
        return shown | {"cancel": f"/requests/{asked.id}/cancel"}
    return shown | {"again": "Run again"}


def _blank(paper: str, scale: str, owner: str | None) -> dict[str, Any]:
    texts = dict.fromkeys(("run", "request", "text", "now", "left", "cancel", "again", "promise"), "")
    return {"paper": paper, "scale": scale, "owner": owner, "after": 0, "progress": None, "grid": None, **texts}


def _wait(ledger: Ledger, asked: sa.Row[Any]) -> str:
    """Say when a request will start, if all that runs or waits before it has been run before."""
    seconds = 0.0
    for row in requests.unfinished(ledger):
        if row.id >= asked.id and row.state == "queued":
            continue
        usual = requests.usual_seconds(ledger, row.paper, row.scale)
        if usual is None:
            return ""
        since = _seconds_since(row.started_at) if row.state == "running" else 0.0
        seconds += max(0.0, usual - since)
    return f"Starts in about {duration(seconds)}." if seconds >= 1 else ""


def _seconds_since(moment: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()


def state_of(row: sa.Row[Any]) -> str:
    """Tell the state of a run as it is, even when nobody has noticed yet that its process died.

    Args:
        row: Of `run`.

    Returns:
        running, interrupted, succeeded, failed or cancelled.
    """
    dead = row.state == "running" and (row.lease_until < now() or is_gone(row.lease_owner))
    return "interrupted" if dead else str(row.state)


def run_panel(ledger: Ledger, run_id: str) -> dict[str, Any] | None:
    """Describe a run.

    Args:
        ledger: Where it lies.
        run_id: The run.

    Returns:
        What `run_panel.html.jinja` shows as `live`, or None if there is no such run.
    """
    row = ledger.run(run_id)
    if row is None:
        return None
    asked = requests.newest(ledger, run_id=run_id)
    with ledger.reading() as db:
        last = db.execute(sa.select(sa.func.max(event.c.seq)).where(event.c.run_id == run_id)).scalar()
    told = progress(ledger, row)  # read after the number, so that the stream repeats rather than leaves out
    told |= json.loads(row.provenance_json).get("recorded", {}).get("trials", {})
    state = state_of(row)
    shown = {
        **_blank(row.paper, row.scale, asked.requested_by if asked else None),
        "run": run_id,
        "state": state,
        "active": state == "running",
        "after": last or 0,
        "progress": {"done": told["done"] + told["failed"], "planned": told["planned"]},
    }
    coming = asked is not None and asked.state in requests.OPEN
    return shown | {
        "running": _running,
        "interrupted": _interrupted,
        "cancelled": _cancelled,
        "failed": _failed,
        "succeeded": _succeeded,
    }[state](ledger, row, told, coming)


def _of(told: dict[str, Any]) -> str:
    return f"{told['done']:,} of {count(told['planned'], 'trial')}"


def _cached(told: dict[str, Any]) -> str:
    return f", {told['cached']:,} of them from the cache" if told["cached"] else ""


def _running(ledger: Ledger, row: sa.Row[Any], told: dict[str, Any], _coming: bool) -> dict[str, Any]:
    trials = grid(ledger, row.id, SETTINGS_IN_PANEL)
    seeds = {len(group["seeds"]) for group in trials["groups"]} if not trials["hidden"] else set()
    over = f", {count(seeds.pop(), 'seed')}" if len(seeds) == 1 else ""
    failed = f", {told['failed']:,} failed" if told["failed"] else ""
    return {
        "mark": "running",
        "title": f"Running at {row.scale} scale{over}",
        "left": _left(told["left"]),
        "text": f"{_of(told)} done{_cached(told)}{failed}. {duration(_elapsed(ledger, row))} so far.",
        "now": f"Now: {told['experiment'].replace('_', ' ')}, {told['note']}" if told["note"] else "",
        "grid": trials if trials["groups"] and not trials["hidden"] else None,
        "cancel": f"/runs/{row.id}/cancel",
        "promise": "If this machine stops, the run goes on from the last finished trial.",
    }


def _left(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"about {duration(seconds)} left" if seconds >= 10 else "a few seconds left"


def _elapsed(ledger: Ledger, row: sa.Row[Any]) -> float:
    kinds = event.c.kind.in_(["started", "resumed"])
    with ledger.reading() as db:
        began = db.execute(sa.select(sa.func.max(event.c.at)).where(event.c.run_id == row.id, kinds)).scalar()
    return float(row.wall_seconds) + (max(0.0, _seconds_since(began)) if began else 0.0)


def _interrupted(_ledger: Ledger, _row: sa.Row[Any], told: dict[str, Any], coming: bool) -> dict[str, Any]:
    then = "A worker goes on from there in a moment." if coming else "The run can go on from there."
    text = f"Its process is gone, with {_of(told)} done. They are kept. {then}"
    return {"mark": "stale", "title": "Interrupted", "text": text, "active": coming, "again": "" if coming else "Go on"}


def _cancelled(_ledger: Ledger, _row: sa.Row[Any], told: dict[str, Any], _coming: bool) -> dict[str, Any]:
    return {
        "mark": "cancelled",
        "title": "Cancelled",
        "text": f"Cancelled after {_of(told)}. {'It is' if told['done'] == 1 else 'They are'} kept.",
        "again": "Go on",
    }


def _failed(ledger: Ledger, row: sa.Row[Any], told: dict[str, Any], _coming: bool) -> dict[str, Any]:
    failed = (trial.c.run_id == row.id, trial.c.state == "failed")
    with ledger.reading() as db:
        query = sa.select(trial.c.outcome, sa.func.count().label("n")).where(*failed).group_by(trial.c.outcome)
        found = db.execute(query.order_by(sa.func.count().desc(), trial.c.outcome)).all()
    parts = [f"{n:,} {OUTCOMES.get(outcome, 'failed')}" for outcome, n in found] or [f"{told['failed']:,} failed"]
    text = f"Of {count(told['planned'], 'trial')}, {joined(parts)}. "
    text += f"The other {told['done']:,} are kept" if told["done"] else "None is left to judge by"
    again = f"Run the {told['failed']:,} again" if told["failed"] > 1 else "Run it again"
    return {
        "mark": "failed",
        "title": "Run failed",
        "text": f"{text}; claims that need the failed ones stay inconclusive.",
        "again": again,
    }


def _succeeded(_ledger: Ledger, row: sa.Row[Any], told: dict[str, Any], _coming: bool) -> dict[str, Any]:
    text = f"{_of(told)} done{_cached(told)}, in {duration(row.wall_seconds)}."
    return {"mark": "trial done", "title": f"Done at {row.scale} scale", "text": text, "again": "Run again"}


def grid(ledger: Ledger, run_id: str, settings: int) -> dict[str, Any]:
    """Lay the trials of a run out by setting and seed.

    Args:
        ledger: Where they lie.
        run_id: The run.
        settings: How many settings are shown at most.

    Returns:
        `groups`, one an experiment, with its name, seeds and rows of cells; `hidden`, whether more was planned.
    """
    limit = settings * SEEDS_AT_MOST
    rows = ledger.states(run_id, limit + 1)
    found: dict[str, dict[str, dict[int, dict[str, str]]]] = {}
    shown = 0
    for row in rows[:limit]:
        points = found.setdefault(row.experiment, {})
        if row.params_json not in points:
            if shown == settings:
                break
            shown += 1
        state = "cached" if row.state == "done" and row.cached else row.state
        cell = {"state": state, "words": "from the cache" if state == "cached" else state}
        points.setdefault(row.params_json, {})[row.seed] = cell
    else:
        return {"groups": _groups(found), "hidden": len(rows) > limit}
    return {"groups": _groups({name: points for name, points in found.items() if points}), "hidden": True}


def _groups(found: dict[str, dict[str, dict[int, dict[str, str]]]]) -> list[dict[str, Any]]:
    groups = []
    for name, points in found.items():
        params = [json.loads(text) for text in points]
        varied = [key for key in params[0] if len({str(p.get(key)) for p in params}) > 1]
        seeds = sorted({seed for cells in points.values() for seed in cells})
        rows = [
            {
                "name": ", ".join(f"{key.replace('_', ' ')} {p.get(key)}" for key in varied) or "the only setting",
                "cells": [cells.get(seed, NO_CELL) for seed in seeds],
            }
            for p, cells in zip(params, points.values(), strict=True)
        ]
        groups.append({"experiment": name.replace("_", " "), "seeds": seeds, "rows": rows})
    return groups
