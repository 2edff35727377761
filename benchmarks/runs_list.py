"""The list of runs with 100,000 runs on the ledger: first page, last page, filters."""

from __future__ import annotations

import json
import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness import Result, figure

RUNS = 100_000
VISITS = 60
STATES = ("succeeded",) * 17 + ("failed", "cancelled", "interrupted")
PATHS = {
    "first page": "/runs",
    "last page": "/runs?after=0",
    "a page in the middle": "/runs?before={middle}",
    "one paper, its last page": "/runs?paper=step-law&after=0",
    "one scale and state": "/runs?scale=paper&state=failed",
    "one paper and a rare state": "/runs?paper=step-law&state=interrupted",
}


def _fill(url: str) -> str:
    """Insert the runs, three verdicts each; return the id of one in the middle."""
    import sqlalchemy as sa

    from overparam.lab.planner import REGULAR
    from overparam.lab.provenance import provenance
    from overparam.lab.registry import papers
    from overparam.lab.runner import record_paper
    from overparam.ledger import Ledger
    from overparam.ledger.schema import run, verdict

    ledger = Ledger(url)
    entries = [entry for entry in papers().values() if entry.runnable]
    for entry in entries:
        record_paper(entry, ledger)
    made = json.dumps({**provenance(), "data": {}})
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for chunk in range(0, RUNS, 5_000):
        rows, verdicts = [], []
        for i in range(chunk, chunk + 5_000):
            entry = entries[i % len(entries)]
            at = (start + timedelta(minutes=i)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            state = STATES[i * 7 % len(STATES)]
            rows.append({
                "id": f"{i:026d}", "paper": entry.paper.slug, "scale": ("smoke", "laptop", "paper")[i % 3],
                "spec_hash": f"{i}", "options_json": REGULAR, "state": state, "engine": "processes", "workers": 2,
                "attempt": 1, "created_at": at, "wall_seconds": 12.0, "provenance_json": made,
            })  # fmt: skip
            for claim in [c for c in entry.claims if c.rule][:3]:
                verdicts.append({
                    "run_id": f"{i:026d}", "claim": claim.id, "paper": entry.paper.slug, "rule_hash": claim.rule.hash,
                    "status": "reproduced", "n": 5, "body_json": "{}", "at": at,
                })  # fmt: skip
        with ledger.writing() as db:
            db.execute(sa.insert(run), rows)
            db.execute(sa.insert(verdict), verdicts)
    with ledger.writing() as db:
        db.execute(sa.text("ANALYZE"))  # PostgreSQL does so by itself within minutes
    ledger.close()
    return f"{RUNS // 2:026d}"


def main() -> list[Result]:
    """Measure."""
    from starlette.applications import Starlette
    from starlette.testclient import TestClient

    from overparam.ledger import Ledger
    from overparam.site.pages import runs

    results = []
    with tempfile.TemporaryDirectory() as folder:
        url = os.environ.get("BENCHMARK_DATABASE_URL", f"sqlite:///{folder}/ledger.sqlite3")
        middle = _fill(url)
        app = Starlette(routes=runs.routes)
        app.state.ledger, app.state.local = Ledger(url), False
        client = TestClient(app)
        for name, path in PATHS.items():
            seconds = []
            for _ in range(VISITS):
                start = time.perf_counter()
                answer = client.get(path.format(middle=middle))
                seconds.append(time.perf_counter() - start)
                assert answer.status_code == 200
            assert answer.text.count('href="/runs/0') == 50
            p95 = sorted(seconds)[int(0.95 * VISITS)]
            results.append(figure(f"{RUNS:,} runs, {name}, p95", p95 * 1e3, "ms", at_most=100))
        app.state.ledger.close()
        size = Path(folder, "ledger.sqlite3")
        if size.exists():
            print(f"ledger: {size.stat().st_size / 1e6:.0f} MB")
    return results


if __name__ == "__main__":
    main()
