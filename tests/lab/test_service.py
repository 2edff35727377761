import json
import subprocess
import sys
import threading
import time

import pytest

from overparam.errors import BadInput, Conflict, NotFound
from overparam.lab.document import document
from overparam.lab.registry import find
from overparam.lab.service import ask, work
from overparam.ledger import requests
from overparam.ledger.owner import owner_of_this_process


@pytest.fixture
def serve(url, monkeypatch):
    """Work off the queue, here and now."""
    monkeypatch.setenv("TOY_SECONDS", "0.02")

    def call(**options):
        work(url, **{"once": True, "engine": "inline", **options})

    return call


def wait_for(condition, seconds=20):
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


@pytest.mark.slow
def test_a_request_becomes_a_run_with_verdicts_and_figures(ledger, serve):
    key = ask(ledger, "toy", "smoke", ["t1", "T3"], requested_by="local")
    serve()
    asked = requests.find(ledger, key)
    run = ledger.run(asked.run_id)
    assert (asked.state, run.state, asked.message) == ("succeeded", "succeeded", None)
    assert {v.claim for v in ledger.verdicts(run.id)} == {"T1", "T3"}
    (figure,) = ledger.figures(run.id)
    assert figure.name == "means"
    assert figure.svg.startswith("<svg")
    assert figure.caption == "All means are <positive> & sound."
    assert json.loads(figure.table_json)["columns"] == ["shift", "seed", "mean"]
    again = ask(ledger, "toy", "smoke", ["T1", "T3"], requested_by="local")
    assert again != key
    serve()
    cached = document(find("toy"), ledger, requests.find(ledger, again).run_id)
    assert cached["trials"]["cached"] == cached["trials"]["planned"] == 11


def test_only_what_can_be_run_may_be_asked_for(ledger):
    for slug, scale, claims, error, says in (
        ("no-such", "smoke", (), NotFound, "no paper is called"),
        ("toy", "huge", (), NotFound, "scale 'huge' is unknown"),
        ("toy", "smoke", ("T9",), NotFound, "has no claim 'T9'"),
        ("toy", "smoke", ("T7",), BadInput, "T7 has no rule: there is nothing to measure"),
    ):
        with pytest.raises(error, match=says):
            ask(ledger, slug, scale, claims, requested_by="local")
    assert requests.unfinished(ledger) == []


def test_what_prevents_a_run_is_said_in_one_line(ledger, serve, monkeypatch):
    key = ask(ledger, "toy", "smoke", ["T4"], requested_by="local")
    serve()
    assert requests.find(ledger, key).state == "failed"
    assert requests.find(ledger, key).message == "toy has nothing to run at smoke scale; try another scale"

    def broken(*_arguments, **_options):
        raise RuntimeError("in\ntwo lines")

    monkeypatch.setattr("overparam.lab.runner.execute", broken)
    key = ask(ledger, "toy", "smoke", requested_by="local")
    serve()
    assert requests.find(ledger, key).message == "RuntimeError: in two lines"


def test_a_run_with_failed_trials_fails_its_request(ledger, serve, monkeypatch):
    monkeypatch.setattr("overparam.lab.figures.draw", lambda *_: 1 / 0)  # takes nothing from the verdicts
    entry = find("toy")
    monkeypatch.setitem(entry.experiments()["faults"].grids, "smoke", _grid())
    key = ask(ledger, "toy", "smoke", ["T4"], requested_by="local")
    serve()
    asked = requests.find(ledger, key)
    assert (asked.state, ledger.run(asked.run_id).state) == ("failed", "failed")
    assert [v.status for v in ledger.verdicts(asked.run_id)] == ["inconclusive"]


def _grid():
    from overparam.lab import grid

    return grid(kind=["fine", "raises"])


def test_a_worker_that_is_stopped_gives_its_request_back(ledger, serve, monkeypatch):
    monkeypatch.setenv("TOY_SECONDS", "0.1")
    key = ask(ledger, "toy", "laptop", ["T5"], requested_by="local")
    stop = threading.Event()

    def end():
        run_id = wait_for(lambda: requests.find(ledger, key).run_id)
        wait_for(lambda: (c := ledger.counts(run_id).get("slow")) and c["done"])
        stop.set()

    threading.Thread(target=end).start()
    serve(stop=stop)
    asked = requests.find(ledger, key)
    kept = ledger.counts(asked.run_id)["slow"]
    assert (asked.state, asked.attempt, asked.lease_owner) == ("queued", 1, None)
    assert ledger.run(asked.run_id).state == "interrupted"
    assert 0 < kept["done"] < kept["planned"] == kept["done"] + kept["queued"]


@pytest.mark.slow
def test_work_goes_on_where_it_was_left(ledger, serve, monkeypatch):
    test_a_worker_that_is_stopped_gives_its_request_back(ledger, serve, monkeypatch)
    (asked,) = requests.unfinished(ledger)
    monkeypatch.setenv("TOY_SECONDS", "0")
    serve()
    after = requests.find(ledger, asked.id)
    assert (after.state, after.run_id) == ("succeeded", asked.run_id)
    assert ledger.run(asked.run_id).attempt == 2
    assert max(t.attempt for t in ledger.trials(asked.run_id)) <= 2


@pytest.mark.slow
def test_cancel_is_seen_within_a_second(ledger, serve, monkeypatch):
    monkeypatch.setenv("TOY_SECONDS", "30")
    key = ask(ledger, "toy", "laptop", ["T5"], requested_by="local")
    asked_at = []

    def cancel():
        run_id = wait_for(lambda: requests.find(ledger, key).run_id)
        wait_for(lambda: any(t.state == "running" for t in ledger.states(run_id, 5)))
        asked_at.append(time.monotonic())
        assert requests.cancel(ledger, key) == "running"

    threading.Thread(target=cancel).start()
    serve(engine="processes", workers=1)
    assert time.monotonic() - asked_at[0] < 4  # a second to see it, one to end the process, and a slow machine
    asked = requests.find(ledger, key)
    assert (asked.state, ledger.run(asked.run_id).state) == ("cancelled", "cancelled")
    assert {t.state for t in ledger.states(asked.run_id, 500)} == {"queued"}


@pytest.mark.slow
def test_a_worker_without_its_parent_stops(ledger, serve, monkeypatch):
    monkeypatch.setenv("TOY_SECONDS", "0.1")
    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    key = ask(ledger, "toy", "laptop", ["T5"], requested_by="local")

    def orphan():
        run_id = wait_for(lambda: requests.find(ledger, key).run_id)
        wait_for(lambda: (c := ledger.counts(run_id).get("slow")) and c["done"])
        parent.kill()

    threading.Thread(target=orphan).start()
    serve(once=False, parent_pid=parent.pid)  # returns
    parent.communicate()
    assert requests.find(ledger, key).state == "queued"
    serve(once=False, parent_pid=parent.pid)
    assert requests.find(ledger, key).attempt == 1


def test_a_run_that_had_ended_is_not_run_again(ledger, serve):
    """A worker that died between the end of the run and that of the request."""
    key = ask(ledger, "toy", "smoke", ["T1"], requested_by="local")
    serve()
    first = requests.find(ledger, key)
    with ledger.writing() as db:
        from overparam.ledger.schema import figure, run_request

        db.execute(figure.delete())
        dead = owner_of_this_process().rsplit(":", 2)[0] + ":4194304:1.00"
        db.execute(run_request.update().values(state="running", lease_owner=dead, lease_until=first.created_at))
    serve()
    second = requests.find(ledger, key)
    assert (second.state, second.attempt, second.run_id) == ("succeeded", 2, first.run_id)
    assert len(ledger.figures(first.run_id)) == 1


def test_a_run_that_another_process_holds_is_waited_for(ledger, serve, monkeypatch):
    monkeypatch.setattr("overparam.lab.service.PATIENCE_SECONDS", 0.0)

    def busy(*_arguments, **_options):
        raise Conflict("run 01A of the same trials is alive")

    monkeypatch.setattr("overparam.lab.runner.execute", busy)
    monkeypatch.setattr("overparam.lab.service.HEARTBEAT_SECONDS", 0.01)
    key = ask(ledger, "toy", "smoke", ["T1"], requested_by="local")
    serve()
    assert requests.find(ledger, key).message == "run 01A of the same trials is alive"


def test_an_unknown_engine_is_refused_before_anything_is_claimed(ledger, serve):
    key = ask(ledger, "toy", "smoke", ["T1"], requested_by="local")
    with pytest.raises(NotFound, match="engine 'slurm' is unknown"):
        serve(engine="slurm")
    assert requests.find(ledger, key).state == "queued"


ASKING = """
import sys
from overparam.lab.service import ask
from overparam.ledger import Ledger
ledger = Ledger()
for slug in ("step-law", "data-diet", "generalization-bounds"):
    ask(ledger, slug, "smoke", requested_by="local")
print(sorted({"torch", "sklearn", "matplotlib", "pandas"} & set(sys.modules)))
"""


@pytest.mark.slow
def test_asking_loads_nothing_heavy(home):
    done = subprocess.run([sys.executable, "-c", ASKING], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
