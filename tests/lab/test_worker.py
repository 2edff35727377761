import math

import numpy as np
import pytest

from overparam.errors import BadInput
from overparam.lab.planner import Task
from overparam.lab.worker import _NotFinite, encode, run_task

TASK = Task(0, "toy_pack", "draws", {"shift": 1.0, "size": 8}, (3,), ("k",), False, 60.0, 2000.0)


def test_metrics_keep_every_bit_and_are_sorted():
    text = encode(
        {"b": 0.1 + 0.2, "a": np.float64(1e-300), "n": np.int64(3), "c": np.array([1.5, 2.5]), "z": None}, TASK
    )
    assert text == '{"a": 1e-300, "b": 0.30000000000000004, "c": [1.5, 2.5], "n": 3, "z": null}'


@pytest.mark.parametrize("value", [math.nan, math.inf, [1.0, math.nan], np.array([-math.inf])])
def test_numbers_that_are_not_finite_are_refused(value):
    with pytest.raises(_NotFinite):
        encode({"a": value}, TASK)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"shift": 1.0}, "has the name of a parameter"),
        ({"a": "text"}, "holds str"),
        ({"a": [[1.0]]}, "holds list"),
        ({"a": list(range(20_000))}, "keep curves to 10000"),
    ],
)
def test_only_numbers_and_short_curves_are_metrics(row, says):
    with pytest.raises(BadInput, match=says):
        encode(row, TASK)


def test_a_task_reports_its_cost():
    result = run_task(TASK)
    assert result.outcome == "done"
    assert result.wall_seconds > 0
    assert result.peak_megabytes > 10
    assert result.metrics == run_task(TASK).metrics


def test_limits_are_put_back_after_a_task():
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_AS), signal.getsignal(signal.SIGALRM)
    run_task(TASK)
    assert (resource.getrlimit(resource.RLIMIT_AS), signal.getsignal(signal.SIGALRM)) == before


def test_what_a_trial_prints_does_not_reach_stdout(capsys, monkeypatch):
    import toy_pack.experiments as module

    def loud(shift: float, size: int, seed: int, sabotage: bool = False) -> dict[str, float]:
        print("hello")  # noqa: T201
        return {"mean": 1.0}

    loud.experiment = module.draws.experiment
    monkeypatch.setattr(module, "draws", loud)
    run_task(TASK)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "hello\n")
