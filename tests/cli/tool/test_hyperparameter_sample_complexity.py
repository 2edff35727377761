import json

import pytest

from overparam.cli.tool.hyperparameter_sample_complexity import describe, tuned
from overparam.errors import BadInput

TASKS = """
import numpy as np

def make():
    def task(cut):
        return (lambda a: (a[:, None] > [cut, 2 - cut]).astype(int)), np.array([1, 0])
    return [task(c) for c in (0.2, 0.5, 0.7)]

def nothing():
    return []

def odd():
    return [3]
"""


@pytest.fixture
def tasks(tmp_path):
    path = tmp_path / "tasks.py"
    path.write_text(TASKS)
    return path


def test_the_best_interval_is_common_to_all_tasks(tasks):
    document = describe(tuned(f"{tasks}:make", 0.0, 2.0, 1e-6, 5_000), None, 0.05)
    assert document["maximisers"][0] == pytest.approx([0.7, 1.3], abs=1e-5)
    assert document["utility"] == 1.0
    assert document["jumps"] == [2, 2, 2]
    assert document["deviation_algebraic"] is None
    assert len(document["curve"]["values"]) == 7


def test_the_commands(overparam, tasks):
    name = "hyperparameter-sample-complexity"
    done = overparam("tool", name, "tune", f"{tasks}:make", "--hi", "2")
    assert done.returncode == 0, done.stderr
    assert "Best value 1, average utility 1" in done.stdout
    assert "too few for a certificate at 95%" in done.stdout
    found = json.loads(overparam("tool", name, "tasks-needed", "--accuracy", "0.1", "--json").stdout)
    assert found["tasks"] > 100
    assert found["pseudo_dimension"] == 9


@pytest.mark.parametrize(("function", "said"), [("nothing", "return a list of tasks"), ("odd", "task 0 is no pair")])
def test_what_is_no_task_is_refused(tasks, function, said):
    with pytest.raises(BadInput, match=said):
        tuned(f"{tasks}:{function}", 0.0, 1.0, 1e-6, 5_000)
