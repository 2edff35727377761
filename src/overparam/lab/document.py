"""The JSON document of a run: what `--json` prints, what the report shows and what `evidence/` keeps."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from overparam.lab.planner import Spec
from overparam.lab.registry import Entry
from overparam.ledger import Ledger

FAILURES_SHOWN = 50


def document(entry: Entry, ledger: Ledger, run_id: str) -> dict[str, Any]:
    """Describe a run: verdicts, trials, failures, cost, provenance. Reads only the ledger, so it loads no torch.

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
    shown = [bodies[claim.id] for claim in entry.claims if claim.id in bodies]
    left_out: dict[str, str] = next((json.loads(e.body_json) for e in ledger.events(run_id, kind="absent")), {})
    open_claims = [
        {"claim": c.id, "reason": r, "untestable": bool(c.untestable)}
        for c, r in _open(entry, left_out, counts, bodies)
    ]
    made = json.loads(run.provenance_json)
    recorded = made.pop("recorded", {})  # of a run that came as evidence: its trials stayed where they ran
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
        "failures": [_failure(row) for row in ledger.failures(run_id, FAILURES_SHOWN)],
        "experiments": [_rounded(row._asdict()) for row in ledger.costs(run_id)],
        "cost": {**_totals(ledger, run_id), "wall_seconds": round(run.wall_seconds, 3)},
        "provenance": {
            **made,
            "engine": run.engine,
            "workers": run.workers,
            "device": made.get("device") or ", ".join(ledger.devices(run_id)),
        },
        **recorded,
    }


def _superseded(row: Any) -> dict[str, str] | None:
    if row.supersedes is None or row.old_status is None:
        return None
    reason = "the rule changed" if row.old_rule_hash != row.rule_hash else "a newer run"
    return {"status": row.old_status, "at": row.old_at, "reason": reason}


def _open(
    entry: Entry, left_out: Mapping[str, str], counts: Mapping[str, Mapping[str, int]], judged: Mapping[str, Any]
) -> Iterator[tuple[Any, str]]:
    for claim in entry.claims:
        if claim.id in judged:
            continue
        state = counts.get(claim.on)
        if claim.untestable:
            yield claim, claim.untestable
        elif state is None:
            yield claim, f"not part of this run{left_out.get(claim.on, '')}"
        else:
            missing = state["planned"] - state["done"] - state["failed"]
            waits = f"{missing} of {state['planned']} trials are not done yet"
            yield claim, waits if missing else "not asked for in this run"


def absent(spec: Spec) -> dict[str, str]:
    """Say why experiments of a paper are not part of a run. This imports the experiments, and with them torch.

    Args:
        spec: What was asked.

    Returns:
        Experiment to the end of a sentence; only those with something to say.
    """
    words = {}
    for name, declared in spec.entry.experiments().items():
        chosen = declared.grids.get(spec.scale)
        if chosen is None:
            words[name] = f"; it is tried at {' and '.join(sorted(declared.grids))} scale"
        elif missing := chosen.missing():
            words[name] = f"; it needs {' and '.join(missing)}, not at hand (set OVERPARAM_DATA)"
    return words


def _failure(row: Any) -> dict[str, Any]:
    return {
        "experiment": row.experiment,
        "params": json.loads(row.params_json),
        "seed": row.seed,
        "outcome": row.outcome,
        "message": row.message,
    }


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()}


def _totals(ledger: Ledger, run_id: str) -> dict[str, Any]:
    rows = ledger.costs(run_id)
    return {
        "cpu_seconds": round(sum(row.cpu_seconds for row in rows), 3),
        "new_cpu_seconds": round(sum(row.new_cpu_seconds for row in rows), 3),
        "peak_megabytes": round(max((row.peak_megabytes for row in rows), default=0.0), 1),
        "new_trials": sum(row.new for row in rows),
    }
