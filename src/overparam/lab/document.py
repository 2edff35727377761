"""The JSON document of a run: what `--json` prints, what the report shows and what `evidence/` keeps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from overparam.lab.experiment import require_scale
from overparam.lab.registry import Entry
from overparam.ledger import Ledger

FAILURES_SHOWN = 50


def document(entry: Entry, ledger: Ledger, run_id: str) -> dict[str, Any]:
    """Describe a run: verdicts, trials, failures, cost, provenance.

    Args:
        entry: The paper.
        ledger: Where the run lies.
        run_id: The run.

    Returns:
        Plain data. Infinite edges are None.
    """
    run = ledger.run(run_id)
    assert run is not None
    options = json.loads(run.options_json)
    counts = ledger.counts(run_id)
    rows = ledger.verdicts(run_id)
    bodies = {row.claim: {**json.loads(row.body_json), "supersedes": _superseded(row)} for row in rows}
    totals, failures = _totals(ledger, run_id)
    shown = [bodies[claim.id] for claim in entry.claims if claim.id in bodies]
    open_claims = [
        {"claim": c.id, "reason": r, "untestable": bool(c.untestable)} for c, r in _open(entry, run, counts, bodies)
    ]
    return {
        "paper": run.paper,
        "scale": run.scale,
        "run": run.id,
        "state": run.state,
        "attempt": run.attempt,
        "custom": options["custom"],
        "sabotage": options["sabotage"],
        "started_at": run.created_at,
        "ended_at": run.ended_at,
        "verdicts": shown,
        "not_judged": open_claims,
        "trials": {key: sum(c[key] for c in counts.values()) for key in ("planned", "done", "cached", "failed")},
        "failures": failures,
        "cost": {**totals, "wall_seconds": round(run.wall_seconds, 3)},
        "provenance": {
            **json.loads(run.provenance_json),
            "engine": run.engine,
            "workers": run.workers,
            "device": totals.pop("device"),
        },
    }


def _superseded(row: Any) -> dict[str, str] | None:
    if row.supersedes is None or row.old_status is None:
        return None
    reason = "the rule changed" if row.old_rule_hash != row.rule_hash else "a newer run"
    return {"status": row.old_status, "at": row.old_at, "reason": reason}


def _open(
    entry: Entry, run: Any, counts: dict[str, dict[str, int]], judged: dict[str, Any]
) -> Iterator[tuple[Any, str]]:
    for claim in entry.claims:
        if claim.id in judged:
            continue
        state = counts.get(claim.on)
        if claim.untestable:
            yield claim, claim.untestable
        elif state is None:
            yield claim, f"not part of this run{_why_absent(entry, claim.on, run.scale)}"
        else:
            missing = state["planned"] - state["done"] - state["failed"]
            yield claim, f"{missing} of {state['planned']} trials are not done yet"


def _why_absent(entry: Entry, experiment: str, scale: str) -> str:
    grids = entry.experiments()[experiment].grids
    grid = grids.get(require_scale(scale))
    if grid is None:
        return f"; it is tried at {' and '.join(sorted(grids))} scale"
    missing = grid.missing()
    return f"; it needs {' and '.join(missing)}, not at hand (set OVERPARAM_DATA)" if missing else ""


def _totals(ledger: Ledger, run_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    cpu = fresh = peak = 0.0
    new = 0
    devices: set[str] = set()
    failures: list[dict[str, Any]] = []
    for row in ledger.trials(run_id):
        cpu += row.cpu_seconds or 0.0
        fresh += 0.0 if row.cached else row.cpu_seconds or 0.0
        peak = max(peak, row.peak_megabytes or 0.0)
        new += row.state == "done" and not row.cached
        devices |= {row.device} if row.device else set()
        if row.state == "failed" and len(failures) < FAILURES_SHOWN:
            failures.append({
                "experiment": row.experiment,
                "params": json.loads(row.params_json),
                "seed": row.seed,
                "outcome": row.outcome,
                "message": row.message,
            })
    cost = {
        "cpu_seconds": round(cpu, 3),
        "new_cpu_seconds": round(fresh, 3),
        "peak_megabytes": round(peak, 1),
        "new_trials": new,
        "device": ", ".join(sorted(devices)),
    }
    return cost, failures
