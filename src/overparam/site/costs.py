"""What a run cost, by experiment: from its trials, or from the record that came with imported evidence."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from overparam.lab.registry import Entry
from overparam.ledger import Ledger


def costs_of(ledger: Ledger, row: sa.Row[Any], entry: Entry) -> dict[str, Any]:
    """Gather the cost of a run.

    Args:
        ledger: Where its trials lie.
        row: Of `run`.
        entry: Its paper.

    Returns:
        Rows by experiment and a total, each with trials, CPU seconds, wall seconds and megabytes.
    """
    recorded = json.loads(row.provenance_json).get("recorded", {}).get("experiments")
    rows = recorded or [dict(found._mapping) for found in ledger.costs(row.id)]
    for item in rows:
        item["claims"] = [c.id for c in entry.claims if c.on == item["experiment"]]
    total = {key: sum(item[key] for item in rows) for key in ("trials", "cpu_seconds", "wall_seconds")}
    return {"rows": rows, "total": {**total, "peak_megabytes": max((i["peak_megabytes"] for i in rows), default=0.0)}}
