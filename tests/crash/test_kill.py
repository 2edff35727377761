"""Real processes, really killed: nothing committed is lost, nothing is computed twice, nothing looks alive that is dead."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

import psutil
import pytest

from overparam.ledger import Ledger

pytestmark = [pytest.mark.crash, pytest.mark.slow]
RUN = ["run", "toy", "--scale", "laptop", "--claim", "T5", "--workers", "2", "--json"]


def start(*words, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "overparam", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a process group of its own, so that the whole group can be killed
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell has it ignored
        env={**os.environ, **environment},
    )


def workers_of(process):
    found = []
    for child in psutil.Process(process.pid).children():
        if "spawn_main" in " ".join(child.cmdline()):
            found.append(child)
    return found


def table(ledger, run_id):
    return [(r.experiment, r.params_json, r.seed, r.state, r.metrics_json) for r in ledger.trials(run_id)]


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def suspend_between_writes(process, path):
    """Stop a process at a moment at which it does not hold the file locked."""
    stopped = psutil.Process(process.pid)
    for _ in range(100):
        stopped.suspend()
        other = sqlite3.connect(path, timeout=0.1, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
            return
        except sqlite3.OperationalError:
            stopped.resume()
            time.sleep(0.05)
        finally:
            other.close()
    pytest.fail("the driver held the ledger locked whenever it was stopped")


def committed(ledger, run_id):
    return {r.trial_key for r in ledger.trials(run_id) if r.state == "done"}


def test_twenty_kills_change_nothing(home, overparam, monkeypatch):
    marks = home / "marks"
    marks.mkdir()
    monkeypatch.setenv("TOY_MARKS", str(marks))
    monkeypatch.setenv("TOY_SECONDS", "0.5")
    rng = random.Random(1)
    ledger = Ledger()
    kills = 0
    done_at_kill: dict[str, int] = {}
    while kills < 20:
        process = start(*RUN)
        victim = ("worker", "driver", "group")[kills % 3]
        began = time.monotonic()
        pause = rng.uniform(1.2, 3.0)
        while time.monotonic() - began < pause and process.poll() is None:
            time.sleep(0.02)
        assert process.poll() is None, f"ended before kill {kills}: {process.communicate()}"
        if victim == "worker":
            wait_for(lambda p=process: workers_of(p), 30, "no worker")
            rng.choice(workers_of(process)).kill()
            time.sleep(rng.uniform(0.2, 0.6))
            process.kill()  # and then the driver, in whatever it does about it
        elif victim == "driver":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        process.stderr.close()
        kills += 1
        run = ledger.latest_run("toy")
        if run is not None:
            for key in committed(ledger, run.id):
                done_at_kill.setdefault(key, kills)
    process = start(*RUN)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    document = json.loads(out)
    assert document["state"] == "succeeded"
    assert document["trials"]["done"] == 200
    run_id = document["run"]
    assert ledger.latest_run("toy").id == run_id  # one run, resumed each time

    # an undisturbed run in a ledger of its own
    monkeypatch.delenv("TOY_MARKS")
    url = f"sqlite:///{home / 'calm.sqlite3'}"
    calm = overparam(*RUN, OVERPARAM_DATABASE_URL=url, TOY_SECONDS="0")
    assert calm.returncode == 0, calm.stderr
    other = Ledger(url)
    assert table(ledger, run_id) == table(other, json.loads(calm.stdout)["run"])
    verdicts = [
        {k: v for k, v in d["verdicts"][0].items() if k != "cpu_seconds"} for d in (document, json.loads(calm.stdout))
    ]
    assert verdicts[0] == verdicts[1]

    # a trial ran again only if it was not committed before: at most the two in flight for each kill
    runs_of = {path.name: len(path.read_text()) for path in marks.iterdir()}
    assert len(runs_of) == 200
    assert sum(n - 1 for n in runs_of.values()) <= 2 * (kills + kills // 3 + 1)
    attempts = {r.trial_key: r.attempt for r in ledger.trials(run_id)}
    names = {r.trial_key: f"{json.loads(r.params_json)['part']}-{r.seed}" for r in ledger.trials(run_id)}
    for key, attempt in attempts.items():
        assert runs_of[names[key]] <= attempt
    events = [json.loads(e.body_json)["keys"] for e in ledger.events(run_id) if e.kind == "trial"]
    once = [key for keys in events for key in keys]
    assert len(once) == len(set(once)) == 200
    assert done_at_kill.keys() <= set(once)


def test_a_dead_run_does_not_look_alive(home, overparam, monkeypatch):
    monkeypatch.setenv("TOY_SECONDS", "0.2")
    process = start(*RUN)
    ledger = Ledger()
    wait_for(lambda: (r := ledger.latest_run("toy")) and committed(ledger, r.id), 60, "nothing committed")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert ledger.latest_run("toy").state == "running"  # nobody has looked yet
    shown = json.loads(overparam("show", "toy", "--json").stdout)
    assert shown["run"]["state"] == "interrupted"
    left = [
        p.info["cmdline"] or []
        for p in psutil.process_iter(["cmdline", "status"])
        if p.info["status"] != psutil.STATUS_ZOMBIE
    ]
    assert not [words for words in left if "overparam" in words and "toy" in words]


def test_a_worker_that_was_stopped_for_long_writes_nothing(home, monkeypatch):
    """A worker is stopped for 90 s in the middle of a trial and then continued."""
    marks = home / "marks"
    marks.mkdir()
    monkeypatch.setenv("TOY_MARKS", str(marks))
    monkeypatch.setenv("TOY_SECONDS", "0.5")
    process = start(*RUN, "--set", "part=0,1")
    ledger = Ledger()
    wait_for(lambda: (r := ledger.latest_run("toy")) and committed(ledger, r.id), 60, "nothing committed")
    victim = workers_of(process)[0]
    victim.suspend()
    began = time.monotonic()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    document = json.loads(out)
    assert document["trials"]["done"] == 20
    before = table(ledger, document["run"])
    while time.monotonic() - began < 90:
        time.sleep(1)
    if psutil.pid_exists(victim.pid):
        victim.resume()
    time.sleep(2)
    assert not psutil.pid_exists(victim.pid)
    assert table(ledger, document["run"]) == before
    assert max(r.attempt for r in ledger.trials(document["run"])) == 2


def test_a_driver_that_was_stopped_for_long_gives_way(home, overparam, monkeypatch):
    """A driver is stopped until its lease ends; another takes the run over; the first wakes up and writes nothing."""
    monkeypatch.setenv("TOY_SECONDS", "0.4")
    process = start(*RUN, "--set", "part=0,1")
    ledger = Ledger()
    wait_for(lambda: (r := ledger.latest_run("toy")) and committed(ledger, r.id), 60, "nothing committed")
    suspend_between_writes(process, home / "ledger.sqlite3")
    busy = overparam(*RUN, "--set", "part=0,1")
    assert busy.returncode == 1
    assert "is alive" in busy.stderr
    assert busy.stderr.count("\n") <= 2
    time.sleep(32)
    taken = overparam(*RUN, "--set", "part=0,1")
    assert taken.returncode == 0, taken.stderr
    document = json.loads(taken.stdout)
    assert (document["state"], document["attempt"], document["trials"]["done"]) == ("succeeded", 2, 20)
    before = table(ledger, document["run"])
    psutil.Process(process.pid).resume()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "taken over by another process" in err
    assert table(ledger, document["run"]) == before


def test_ctrl_c_stops_cleanly_and_the_same_command_goes_on(home, overparam, monkeypatch):
    monkeypatch.setenv("TOY_SECONDS", "0.2")
    process = start(*RUN, "--set", "part=0,1")
    ledger = Ledger()
    wait_for(lambda: (r := ledger.latest_run("toy")) and committed(ledger, r.id), 60, "nothing committed")
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Everything finished is kept" in err
    assert "Traceback" not in err
    run = ledger.latest_run("toy")
    assert run.state == "cancelled"
    kept = len(committed(ledger, run.id))
    document = json.loads(overparam(*RUN, "--set", "part=0,1").stdout)
    assert (document["run"], document["state"]) == (run.id, "succeeded")
    assert kept > 0
