import json
import os
import signal
import subprocess
import sys
import time

import pytest

from overparam.errors import BadInput, Conflict, NotFound
from overparam.lab.document import document
from overparam.lab.planner import Spec, parse_override
from overparam.lab.runner import execute


def table(ledger, run_id):
    """Everything of a run that must not depend on how it was run."""
    return [(r.experiment, r.params_json, r.seed, r.state, r.metrics_json) for r in ledger.trials(run_id)]


@pytest.mark.slow
def test_inline_and_processes_give_the_same_bytes(ledger, toy):
    spec = Spec(toy, "smoke")
    one = execute(spec, ledger, engine="inline")
    two = execute(spec, ledger, engine="processes", workers=2, fresh=True)
    three = execute(spec, ledger, engine="processes", workers=1, fresh=True)
    assert table(ledger, one) == table(ledger, two) == table(ledger, three)
    assert len(table(ledger, one)) == 15
    assert {v.claim: v.status for v in ledger.verdicts(one)} == {
        "T1": "reproduced",
        "T2": "reproduced",
        "T3": "reproduced",
        "T6": "reproduced",
    }


@pytest.mark.slow
@pytest.mark.cluster
def test_ray_gives_the_same_bytes_while_a_worker_is_killed(ledger, toy, monkeypatch):
    import psutil

    pytest.importorskip("ray", reason="Ray is not installed: the extra `cluster`")
    monkeypatch.setenv("TOY_SECONDS", "0.3")
    spec = parse_override(Spec(toy, "laptop", ("T5",)), "part=0,1")
    one = execute(spec, ledger, engine="inline")

    class Killer:
        """Kills one worker of the cluster in the middle of a trial."""

        killed = 0

        def planned(self, counts, *, resumed):
            pass

        def done(self, experiment, n):
            if not self.killed:
                for process in psutil.Process().children(recursive=True) + list(psutil.process_iter()):
                    name = " ".join(process.cmdline()) if process.is_running() else ""
                    if name.startswith("ray::run_task"):
                        process.kill()
                        Killer.killed += 1
                        return

        def note(self, experiment, text):
            pass

        def left(self, seconds):
            pass

    two = execute(spec, ledger, engine="ray", workers=2, fresh=True, listener=Killer())
    assert Killer.killed == 1
    assert table(ledger, one) == table(ledger, two)


def test_a_second_run_computes_nothing(ledger, toy):
    spec = Spec(toy, "smoke", ("T1",))
    execute(spec, ledger, engine="inline")
    again = execute(spec, ledger, engine="inline")
    found = document(toy, ledger, again)
    assert found["trials"] == {"planned": 8, "done": 8, "cached": 8, "failed": 0}
    assert found["cost"]["new_trials"] == 0
    assert found["state"] == "succeeded"
    fresh = document(toy, ledger, execute(spec, ledger, engine="inline", fresh=True))
    assert fresh["trials"]["cached"] == 0


def test_claims_choose_experiments_and_departures_follow_the_parameters(ledger, toy):
    run = execute(Spec(toy, "smoke", ("t2",)), ledger, engine="inline")
    found = document(toy, ledger, run)
    (verdict,) = found["verdicts"]
    assert verdict["departs"] == ["a tiny size"]
    assert verdict["proxy"]
    assert [p["state"] for p in verdict["parts"]] == ["holds", "holds"]
    reasons = {c["claim"]: c["reason"] for c in found["not_judged"]}
    assert reasons["T7"] == "there is nothing to measure"
    assert reasons["T4"].endswith("it is tried at paper scale")


@pytest.mark.slow
def test_every_failure_has_a_name_and_costs_only_its_own_claim(ledger, toy):
    run = execute(Spec(toy, "paper"), ledger, workers=2)
    outcomes = {json.loads(r.params_json)["kind"]: r.outcome for r in ledger.trials(run)}
    assert outcomes == {
        "fine": None,
        "raises": "raised",
        "nan": "not finite",
        "memory": "out of memory",
        "time": "timed out",
        "dies": "lost",
    }
    found = document(toy, ledger, run)
    assert found["state"] == "failed"
    assert [(v["claim"], v["status"]) for v in found["verdicts"]] == [("T4", "inconclusive")]
    assert "5 trials of 6 failed" in found["verdicts"][0]["sentence"]
    messages = {f["params"]["kind"]: f["message"] for f in found["failures"]}
    assert messages["raises"] == "RuntimeError: as asked in two lines"
    assert messages["nan"] == "value is nan"
    assert "died 3 times" in messages["dies"]


def test_the_budget_stops_a_run_and_the_same_call_goes_on(ledger, toy, monkeypatch):
    monkeypatch.setenv("TOY_SECONDS", "0.05")
    spec = parse_override(Spec(toy, "laptop", ("T5",)), "part=0,1")
    first = execute(spec, ledger, engine="inline", max_seconds=0.3)
    found = document(toy, ledger, first)
    assert found["state"] == "cancelled"
    assert 0 < found["trials"]["done"] < 20
    assert "not done yet" in {c["claim"]: c["reason"] for c in found["not_judged"]}["T5"]
    second = execute(spec, ledger, engine="inline")
    assert second == first
    found = document(toy, ledger, second)
    assert (found["state"], found["trials"]["done"], found["attempt"]) == ("succeeded", 20, 2)


def test_changes_by_hand_are_checked_and_set_the_run_apart(ledger, toy):
    from overparam.lab.planner import REGULAR

    run = execute(parse_override(Spec(toy, "smoke", ("T1",)), "shift=3"), ledger, engine="inline")
    found = document(toy, ledger, run)
    assert found["custom"] == ["shift=3.0"]
    assert "changed by hand: shift=3.0" in found["verdicts"][0]["departs"]
    assert ledger.latest_verdicts(REGULAR) == []
    with pytest.raises(BadInput, match="no float; shift takes float"):
        parse_override(Spec(toy, "smoke"), "shift=wide")
    with pytest.raises(BadInput, match="no such parameter; it has"):
        execute(parse_override(Spec(toy, "smoke"), "colour=red"), ledger, engine="inline")
    with pytest.raises(BadInput, match="write name=value"):
        parse_override(Spec(toy, "smoke"), "shift")


def test_unknown_names_are_refused(ledger, toy):
    with pytest.raises(NotFound, match="has no claim 'T9'; it has T1"):
        execute(Spec(toy, "smoke", ("T9",)), ledger, engine="inline")
    with pytest.raises(NotFound, match="engine 'slurm' is unknown"):
        execute(Spec(toy, "smoke"), ledger, engine="slurm")


def test_sabotage_turns_a_verdict(ledger, toy):
    run = execute(Spec(toy, "smoke", ("T1",), sabotage=True), ledger, engine="inline")
    assert ledger.verdicts(run)[0].status == "not reproduced"
    assert document(toy, ledger, run)["sabotage"]


def test_a_living_run_is_not_started_twice(ledger, toy, home):
    code = (
        "import time; from overparam.ledger import Ledger; from overparam.lab.registry import find\n"
        "from overparam.lab.planner import Spec; from overparam.lab.runner import execute\n"
        "execute(Spec(find('toy'), 'laptop', ('T5',)), Ledger(), engine='inline')"
    )
    environment = {
        **os.environ,
        "TOY_SECONDS": "0.2",
        "OVERPARAM_DATABASE_URL": str(ledger.engine.url.render_as_string(False)),
    }
    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    try:
        deadline = time.monotonic() + 60
        while (run := ledger.latest_run("toy")) is None or not ledger.counts(run.id):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        with pytest.raises(Conflict, match="is alive"):
            execute(Spec(toy, "laptop", ("T5",)), ledger, engine="inline")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    ledger.reap()
    assert ledger.latest_run("toy").state == "interrupted"


def test_artefacts_are_computed_once_and_recorded(ledger, toy, home, monkeypatch):
    monkeypatch.setenv("TOY_MARKS", str(home))
    run = execute(Spec(toy, "smoke", ("T6",)), ledger, workers=2)
    assert (home / "costly-10").read_text() == "x"
    execute(Spec(toy, "smoke", ("T6",)), ledger, engine="inline", fresh=True)
    assert (home / "costly-10").read_text() == "xx"  # once for the fresh run, shared by its four trials
    (made,) = ledger.artefacts(run)
    assert made.name == "costly"
    assert made.bytes > 0


def test_claims_are_judged_while_the_run_goes_on(ledger, toy, monkeypatch):
    from overparam.lab import judge

    spec = Spec(toy, "smoke")
    run = execute(spec, ledger, engine="inline")
    kinds = [event.kind for event in ledger.events(run)]
    assert kinds.index("judged") < len(kinds) - 1 - kinds[::-1].index("trial")
    judged = [json.loads(e.body_json) for e in ledger.events(run, kind="judged")]
    assert judged[0] == {"claim": "T1", "status": "reproduced"}
    assert sorted(j["claim"] for j in judged) == ["T1", "T2", "T3", "T6"]  # each once
    at_the_end = [judge.as_row(v, toy.claim(v.claim), "toy") for v in judge.judge(spec, ledger, run)[0]]
    stored = [{name: row._mapping[name] for name in at_the_end[0]} for row in ledger.verdicts(run)]
    assert sorted(stored, key=lambda r: r["claim"]) == sorted(at_the_end, key=lambda r: r["claim"])


@pytest.mark.slow
def test_what_runs_now_is_one_event_whose_number_grows(ledger, toy, monkeypatch):
    monkeypatch.setenv("TOY_SECONDS", "0.1")
    spec = parse_override(Spec(toy, "laptop", ("T5",)), "part=0")
    seen = set()

    class Listener:
        def planned(self, counts, *, resumed):
            pass

        def done(self, experiment, n):
            seen.update(event.seq for event in ledger.events(run[0], kind="note"))

        def note(self, experiment, text):
            pass

        def left(self, seconds):
            pass

    run = []
    execute(spec, ledger, engine="inline", begun=run.append, listener=Listener())
    (note,) = ledger.events(run[0], kind="note")
    body = json.loads(note.body_json)
    assert body["experiment"] == "slow"
    assert body["text"] in {"halfway", *(f"seed {i}" for i in range(10))}
    assert body["left"] >= 0
    assert 2 <= len(seen) <= 5  # a second, four times a second at most
    numbers = [event.seq for event in ledger.events(run[0])]
    assert numbers == sorted(set(numbers))


def test_a_run_that_breaks_is_interrupted_at_once(ledger, toy, monkeypatch):
    def broken(*_arguments, **_options):
        raise RuntimeError("no rule")

    monkeypatch.setattr("overparam.lab.runner.judge", broken)
    with pytest.raises(RuntimeError, match="no rule"):
        execute(Spec(toy, "smoke", ("T1",)), ledger, engine="inline")
    assert ledger.latest_run("toy").state == "interrupted"
    monkeypatch.undo()
