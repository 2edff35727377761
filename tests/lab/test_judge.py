import json

from overparam.lab.judge import as_json, finite, judge, table
from overparam.lab.planner import Spec
from overparam.lab.runner import execute


def test_the_table_holds_parameters_seeds_and_metrics_in_order(ledger, toy):
    run = execute(Spec(toy, "smoke", ("T1",)), ledger, engine="inline")
    rows = table(ledger, run, "draws").rows
    assert [(r["shift"], r["seed"]) for r in rows] == [(s, i) for s in (1.0, 2.0) for i in range(4)]
    assert set(rows[0]) == {"shift", "size", "seed", "mean"}


def test_judging_again_gives_the_same_verdicts(ledger, toy):
    spec = Spec(toy, "smoke")
    run = execute(spec, ledger, engine="inline")
    verdicts, waiting = judge(spec, ledger, run)
    stored = {v.claim: json.loads(v.body_json) for v in ledger.verdicts(run)}
    assert {v.claim: as_json(v, toy.claim(v.claim)) for v in verdicts} == stored
    assert waiting == {"T4": "not part of smoke scale", "T5": "not part of smoke scale"}


def test_json_holds_no_infinities(ledger, toy):
    spec = Spec(toy, "smoke", ("T1",))
    run = execute(spec, ledger, engine="inline")
    (verdict,), _ = judge(spec, ledger, run)
    body = as_json(verdict, toy.claim("T1"))
    json.dumps(body, allow_nan=False)
    assert body["parts"][0]["region"] == {"low": 0.5, "high": None, "closed": False}
    assert (finite(float("inf")), finite(None), finite(1.0)) == (None, None, 1.0)


def test_the_headline_is_the_part_that_went_worst(ledger, toy):
    spec = Spec(toy, "smoke", ("T2",), sabotage=True)
    run = execute(spec, ledger, engine="inline")
    (verdict,), _ = judge(spec, ledger, run)
    assert verdict.status == "not reproduced"
    assert verdict.headline == verdict.parts[0]
