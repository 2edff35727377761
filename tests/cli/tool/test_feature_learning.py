import json

import pytest
import torch
from typer.testing import CliRunner

from overparam.cli.tool.feature_learning import app, checked, describe
from overparam.errors import BadInput, NotFound
from overparam.methods.scaling.abc import ABC

RUN = CliRunner()
MODEL = """
import torch
from torch import nn

def build(width):
    model = nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 3))
    x = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    return model, None, (x, torch.arange(50) % 3)

def broken(width):
    raise RuntimeError("no such width")
"""


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "mine_for_coord_check.py"
    path.write_text(MODEL)
    return str(path)


def test_a_parametrisation_is_described():
    found = describe("given", ABC.sp(2))
    assert (found["regime"], found["r"], found["movement"]) == ("kernel", 0.5, [-1.5, -0.5, 0.0])
    assert describe("given", ABC.sp(2, c=0))["movement"] is None
    assert describe("given", ABC.mup(3))["starts_at_zero"]


def test_exponents_from_the_command_line():
    found = RUN.invoke(app, ["regime", "--a", "-0.5,0,0.5", "--b", "0.5,0.5,0.5", "--c", "0", "--json"])
    assert json.loads(found.output)["regime"] == "feature"
    table = RUN.invoke(app, ["regime", "--depth", "1"]).output
    assert [line.split()[0] for line in table.splitlines()[1:6]] == ["SP", "SP,", "NTK", "muP", "mean"]
    assert len(json.loads(RUN.invoke(app, ["regime", "--json"]).output)) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--a", "0,0"], "go together"),
        (["--a", "0,x", "--b", "0,0"], "--a 0,x: give numbers"),
        (["--a", "0", "--b", "0"], "2 at least"),
    ],
)
def test_bad_exponents_are_named(arguments, words):
    error = RUN.invoke(app, ["regime", *arguments]).exception
    assert isinstance(error, BadInput)
    assert words in str(error)


def test_a_users_model_is_checked(target):
    state = torch.get_rng_state()
    found = checked(f"{target}:build", [64, 256], 0.1, "sgd", 2, 2, 32)
    assert [row["layer"] for row in found["layers"]] == ["0", "2", "output"]
    assert {row["mup"]["verdict"] for row in found["layers"]} == {"steady"}
    assert found["verdict"]["mup"] == "every layer learns at the same rate at every width"
    assert found["verdict"]["sp"].startswith("unstable: ")
    assert found["unstable_widths"] == {"sp": [], "mup": []}
    assert torch.equal(state, torch.get_rng_state())


def test_divergence_is_told(target):
    found = checked(f"{target}:build", [8, 16], 1e30, "sgd", 3, 1, 8)
    assert found["verdict"]["sp"] == "unstable: training left the finite numbers at width 8, 16"
    assert found["layers"][0]["sp"]["slope"] is None
    json.dumps(found, allow_nan=False)


def test_the_command_prints_a_table_or_one_document(target):
    options = [f"{target}:build", "--widths", "16,64", "--seeds", "1", "--steps", "1"]
    table = RUN.invoke(app, ["coord-check", *options]).output
    assert "\nMaximal updates: " in table
    document = json.loads(RUN.invoke(app, ["coord-check", *options, "--json"]).output)
    assert document["widths"] == [16, 64]


def test_targets_that_fail_are_told(target):
    for place, kind, words in (
        (f"{target}:absent", NotFound, "no function"),
        (f"{target}:broken", BadInput, "no such width"),
    ):
        with pytest.raises(kind, match=words):
            checked(place, [8, 16], 0.1, "sgd", 1, 1, 8)
    error = RUN.invoke(app, ["coord-check", f"{target}:build", "--widths", "wide"]).exception
    assert "--widths wide: give whole numbers" in str(error)
