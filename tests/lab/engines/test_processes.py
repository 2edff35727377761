import time

import pytest

from overparam.lab.engines import Died, Said
from overparam.lab.engines.processes import Processes
from overparam.lab.planner import Task
from overparam.lab.worker import Result

pytestmark = pytest.mark.slow


@pytest.fixture
def engine():
    made = Processes(2)
    yield made
    made.close()


def task(number, experiment="draws", params=None, limit=60.0):
    params = params or {"shift": 1.0, "size": 8}
    return Task(number, "toy_pack", experiment, params, (0,), (f"k{number}",), False, limit, 2000.0, attempt=5)


def until(engine, number, seconds=30):
    messages = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        messages += engine.poll(0.2)
        if any(m.number == number and isinstance(m, Result | Died) for m in messages):
            return messages
    raise AssertionError(messages)


def test_a_worker_that_dies_costs_only_its_task_and_is_replaced(engine):
    engine.submit(task(0, "faults", {"kind": "dies"}))
    engine.submit(task(1))
    messages = until(engine, 0)
    died = next(m for m in messages if isinstance(m, Died))
    assert (died.number, died.attempt, died.how) == (0, 5, "exit code 7")
    engine.submit(task(2))
    assert next(m for m in until(engine, 2) if m.number == 2).outcome == "done"


def test_progress_comes_through_and_a_task_can_be_killed(engine, monkeypatch):
    monkeypatch.setenv("TOY_SECONDS", "30")
    engine.submit(task(0, "slow", {"part": 0}))
    deadline = time.monotonic() + 30
    while not any(isinstance(m, Said) and m.note == "halfway" for m in engine.poll(0.2)):
        assert time.monotonic() < deadline
    engine.kill(0)
    assert isinstance(until(engine, 0)[-1], Died)


def test_workers_end_with_the_engine():
    import psutil

    engine = Processes(1)
    engine.submit(task(0))
    until(engine, 0)
    pids = [w.process.pid for w in engine._workers]
    engine.close()
    assert not any(psutil.pid_exists(p) for p in pids)
