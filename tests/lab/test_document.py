import json
import subprocess
import sys

import pytest

from overparam.lab.document import document
from overparam.lab.planner import Spec
from overparam.lab.runner import execute
from overparam.ledger import schema


def test_a_document_is_json_and_complete(ledger, toy):
    run = execute(Spec(toy, "smoke"), ledger, engine="inline")
    found = json.loads(json.dumps(document(toy, ledger, run), allow_nan=False))
    assert {v["claim"] for v in found["verdicts"]} | {c["claim"] for c in found["not_judged"]} == {
        c.id for c in toy.claims
    }
    assert found["trials"]["done"] == found["cost"]["new_trials"] == 15
    assert found["cost"]["cpu_seconds"] > 0
    assert found["provenance"]["engine"] == "inline"
    assert found["ended_at"].endswith("Z")


def test_a_changed_verdict_shows_what_it_supersedes(ledger, toy, monkeypatch):
    from dataclasses import replace

    from overparam.lab import Above

    execute(Spec(toy, "smoke", ("T1",)), ledger, engine="inline")
    stricter = replace(toy.claim("T1"), rule=Above("mean", 100.0))
    entry = replace(toy, claims=(stricter, *toy.claims[1:]))
    run = execute(Spec(entry, "smoke", ("T1",)), ledger, engine="inline")
    (verdict,) = document(entry, ledger, run)["verdicts"]
    assert verdict["status"] == "not reproduced"
    assert (verdict["supersedes"]["status"], verdict["supersedes"]["reason"]) == ("reproduced", "the rule changed")


READING = """
import json, sys
from overparam.lab.document import document
from overparam.lab.registry import find
from overparam.ledger import Ledger
found = document(find("toy"), Ledger(sys.argv[1]), sys.argv[2])
print(json.dumps([found["not_judged"][0], sorted({"torch", "pandas", "toy_pack.experiments"} & set(sys.modules))]))
"""


@pytest.mark.slow
def test_a_document_is_read_without_the_experiments_and_torch(url, ledger, toy):
    run = execute(Spec(toy, "smoke", ("T1",)), ledger, engine="inline")
    words = [sys.executable, "-c", READING, url, run]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    waiting, heavy = json.loads(done.stdout)
    assert heavy == []
    assert waiting == {"claim": "T2", "reason": waiting["reason"], "untestable": False}
    reasons = {c["claim"]: c["reason"] for c in document(toy, ledger, run)["not_judged"]}
    assert reasons["T4"] == "not part of this run; it is tried at paper scale"


def test_a_run_that_came_as_evidence_tells_what_was_recorded(ledger, toy):
    run = execute(Spec(toy, "smoke", ("T1",)), ledger, engine="inline")
    found = document(toy, ledger, run)
    recorded = {"trials": {**found["trials"], "planned": 99}, "cost": {"cpu_seconds": 1.5}, "failures": []}
    with ledger.writing() as db:
        db.execute(schema.trial.delete())
        made = json.loads(ledger.run(run).provenance_json) | {"recorded": recorded}
        db.execute(schema.run.update().values(provenance_json=json.dumps(made)))
    kept = document(toy, ledger, run)
    assert (kept["trials"]["planned"], kept["cost"]) == (99, {"cpu_seconds": 1.5})
    assert "recorded" not in kept["provenance"]
