import json

import numpy as np
import pytest

from overparam.cli.tool.xor_grokking import WIDTH, detect
from overparam.errors import BadInput

STEPS = np.array([0, 1, 10, 100, 1000, 5000, 10_000])
TRAIN = np.array([0.02, 0.3, 0.8, 1, 1, 1, 1])
TEST = np.array([0.02, 0.02, 0.03, 0.05, 0.4, 0.97, 0.99])


def write(path, train=TRAIN, test=TEST, gaps=(), steps=STEPS):
    lines = [f"{s},{a},{'' if i in gaps else b}" for i, (s, a, b) in enumerate(zip(steps, train, test, strict=True))]
    path.write_text("\n".join(["step,train_acc,test_acc", *lines]))
    return path


def test_the_command_says_when_and_how_late(overparam, tmp_path):
    log = write(tmp_path / "log.csv", gaps=(1, 2))
    shown = overparam("tool", "xor-grokking", log)
    assert shown.returncode == 0, shown.stderr
    words = " ".join(shown.stdout.split())
    assert "Grokking: fitted from step 100 on, test accuracy at 0.9 from step 5,000 on: 4,900 steps later, 50" in words
    assert "log scale" in words
    found = json.loads(overparam("tool", "xor-grokking", log, "--json").stdout)
    assert (found["fit"]["step"], found["good"]["step"], found["delay"], found["times"]) == (100, 5000, 4900, 50)
    assert (found["fit"]["lines"], found["good"]["lines"]) == (7, 5)
    assert found["test_at_fit"] == 0.05
    assert found["grokked"]


def test_other_names_units_and_formats(overparam, tmp_path):
    records = [
        {"epoch": int(s), "acc": 100 * a, "val": 100 * b, "note": "x"}
        for s, a, b in zip(STEPS, TRAIN, TEST, strict=True)
    ]
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join(json.dumps(r) for r in records))
    names = ("--step", "epoch", "--train", "acc", "--test", "val")
    refused = overparam("tool", "xor-grokking", log, *names)
    assert refused.returncode == 2
    assert "accuracies reach 100 but --fit=1; give --fit 100" in refused.stderr
    found = overparam("tool", "xor-grokking", log, *names, "--fit", 100, "--good", 90, "--json")
    assert json.loads(found.stdout)["delay"] == 4900


def test_sparklines_are_plain_where_they_have_to_be(overparam, tmp_path):
    log = write(tmp_path / "log.csv")
    shown = overparam("tool", "xor-grokking", log, NO_COLOR="1").stdout
    assert shown.isascii()
    train = shown.splitlines()[0].removeprefix("train ")[:WIDTH]
    assert train[0] == "."
    assert train[-1] == "#"


def test_what_is_no_transition_is_called_so():
    def sentence(train, test):
        return detect((STEPS, np.array(train)), (STEPS, np.array(test)))["sentence"]

    assert sentence(TRAIN, TRAIN).startswith("No grokking: fitted from step 100 on, test accuracy at 0.9 from step 100")
    assert sentence(TRAIN, TEST / 2) == "No transition: the test accuracy never keeps 0.9 (best 0.495)."
    both = sentence(TRAIN / 2, TEST / 2)
    assert both.startswith("No transition: the training accuracy never keeps 1 (best 0.5) and the test accuracy never")
    assert sentence(TRAIN, [0, 0.5, 0.7, 0.85, 0.95, 0.97, 0.99]).startswith("An ordinary lag: fitted from step 100 on")


def test_a_delay_from_step_zero_has_no_ratio():
    found = detect((STEPS, np.ones(7)), (STEPS, TEST))
    assert (found["fit"]["step"], found["delay"], found["times"]) == (0, 5000, None)
    assert "5,000 steps later; it was at 0.02" in found["sentence"]


def test_steps_of_two_runs_are_refused():
    with pytest.raises(BadInput, match="steps do not increase: 10000 is followed by 0"):
        detect((np.concatenate([STEPS, STEPS]), np.ones(14)), (STEPS, TEST))
