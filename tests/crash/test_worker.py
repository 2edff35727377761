"""Workers and their parents, really killed: the request is taken up again and nothing committed is lost or repeated."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from overparam.lab.service import ask
from overparam.ledger import Ledger, requests
from overparam.site.panels import run_panel, state_of

pytestmark = [pytest.mark.crash, pytest.mark.slow]
PARENT = """
import os, subprocess, sys
worker = subprocess.Popen([sys.executable, "-m", "overparam", "work", "--workers", "2", "--parent", str(os.getpid())],
                          start_new_session=True)
print(worker.pid, flush=True)
worker.wait()
"""


@pytest.fixture
def marks(home, monkeypatch):
    """A folder in which every trial leaves a mark for each time it ran."""
    folder = home / "marks"
    folder.mkdir()
    monkeypatch.setenv("TOY_MARKS", str(folder))
    monkeypatch.setenv("TOY_SECONDS", "0.2")
    return folder


def worker(*words):
    command = [sys.executable, "-m", "overparam", "work", "--workers", "2", *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def wait_for(condition, seconds, what):
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, what
        time.sleep(0.05)
    return found


def committed(ledger, key):
    run_id = requests.find(ledger, key).run_id
    return {t.trial_key for t in ledger.trials(run_id) if t.state == "done"} if run_id else set()


def left_over():
    """Command lines of workers and their engines that still run."""
    found = []
    for process in psutil.process_iter(["cmdline", "status", "environ"]):
        words, environment = process.info["cmdline"] or [], process.info["environ"] or {}
        ours = environment.get("TOY_MARKS") == os.environ["TOY_MARKS"] and process.pid != os.getpid()
        if (
            ours
            and process.info["status"] != psutil.STATUS_ZOMBIE
            and ("overparam" in words or "spawn_main" in str(words))
        ):
            found.append(words)
    return found


def check_whole(ledger, key, marks, kills):
    """The run is whole, and a trial ran twice only if it was under way when something was killed."""
    asked = requests.find(ledger, key)
    run = ledger.run(asked.run_id)
    assert (asked.state, run.state) == ("succeeded", "succeeded")
    assert ledger.counts(run.id)["slow"] == {"planned": 200, "done": 200, "cached": 0, "failed": 0, "queued": 0}
    assert [(v.claim, v.status) for v in ledger.verdicts(run.id)] == [("T5", "reproduced")]
    times = {path.name: len(path.read_text()) for path in marks.iterdir()}
    assert len(times) == 200
    assert sum(n - 1 for n in times.values()) <= 2 * kills
    keys = [k for e in ledger.events(run.id, kind="trial") for k in json.loads(e.body_json)["keys"]]
    assert len(keys) == len(set(keys)) == 200  # each was committed once
    assert len(ledger.events(run.id, kind="judged")) == 1
    assert run_panel(ledger, run.id)["title"] == "Done at laptop scale"


def test_a_worker_that_is_killed_loses_nothing(home, marks):
    ledger = Ledger()
    key = ask(ledger, "toy", "laptop", ["T5"], requested_by="local")
    before: set[str] = set()
    for kill in (1, 2):
        process = worker()
        enough = len(before) + 5
        wait_for(lambda n=enough: len(committed(ledger, key)) > n, 60, "nothing more was committed")
        os.kill(process.pid, signal.SIGKILL) if kill == 1 else os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        run_id = requests.find(ledger, key).run_id
        assert before <= committed(ledger, key)
        before = committed(ledger, key)
        assert ledger.run(run_id).state == "running"  # nobody has noticed
        assert state_of(ledger.run(run_id)) == "interrupted"  # but pages say it as it is
        assert run_panel(ledger, run_id)["title"] == "Interrupted"
    began = time.monotonic()
    process = worker("--once")
    wait_for(lambda: len(committed(ledger, key)) > len(before), 45, "the run did not go on")
    assert time.monotonic() - began < 45
    assert run_panel(ledger, run_id)["title"].startswith("Running at laptop scale")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert before <= committed(ledger, key)
    assert requests.find(ledger, key).attempt == 3
    check_whole(ledger, key, marks, kills=2)
    assert left_over() == []


def test_a_worker_without_its_parent_gives_way(home, marks):
    ledger = Ledger()
    key = ask(ledger, "toy", "laptop", ["T5"], requested_by="local")
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert int(parent.stdout.readline()) != parent.pid
    wait_for(lambda: len(committed(ledger, key)) > 5, 60, "nothing was committed")
    parent.kill()
    parent.communicate()
    wait_for(lambda: requests.find(ledger, key).state == "queued", 15, "the worker kept its request")
    wait_for(lambda: left_over() == [], 30, left_over())
    run_id = requests.find(ledger, key).run_id
    assert ledger.run(run_id).state == "interrupted"
    before = committed(ledger, key)
    process = worker("--once")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert before < committed(ledger, key)
    assert requests.find(ledger, key).attempt == 1
    check_whole(ledger, key, marks, kills=1)


def test_a_worker_that_is_asked_to_stop_ends_cleanly(home, marks):
    ledger = Ledger()
    key = ask(ledger, "toy", "laptop", ["T5"], requested_by="local")
    process = worker()
    wait_for(lambda: len(committed(ledger, key)) > 5, 60, "nothing was committed")
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, b"")
    asked = requests.find(ledger, key)
    assert (asked.state, ledger.run(asked.run_id).state) == ("queued", "interrupted")
    assert left_over() == []


def test_three_losses_are_enough(home, marks):
    ledger = Ledger()
    key = ask(ledger, "toy", "laptop", ["T5"], requested_by="local")
    for _ in range(3):
        n = len(committed(ledger, key))
        process = worker()
        wait_for(lambda n=n: len(committed(ledger, key)) > n, 60, "nothing was committed")
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    worker("--once").communicate(timeout=60)
    asked = requests.find(ledger, key)
    assert asked.state == "failed"
    assert asked.message.startswith("lost: its worker died 3 times")
    assert state_of(ledger.run(asked.run_id)) == "interrupted"
    assert ledger.run(asked.run_id).state == "interrupted"
