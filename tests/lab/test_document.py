import json

from overparam.lab.document import document
from overparam.lab.planner import Spec
from overparam.lab.runner import execute


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
