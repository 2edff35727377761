import json

import numpy as np
import pytest

from overparam.cli.tool.unsupervised_pretraining import from_files, from_numbers, predictions
from overparam.errors import BadInput
from overparam.methods.theory.factor_model import FactorModel


@pytest.fixture
def files(tmp_path):
    model = FactorModel(np.eye(12)[:, :2] * 3, [0.8, 0.6], noise=0.3)
    rng = np.random.default_rng(0)
    (u, _), (x, y) = model.sample(3_000, rng), model.sample(200, rng)
    paths = []
    for name, value in (("u", u + 5), ("x", x + 5), ("y", y - 2)):
        paths.append(tmp_path / f"{name}.npy")
        np.save(paths[-1], value)
    return paths


def test_files_give_the_plan_of_their_law(files):
    plan, variance, found = from_files(*files, None)
    assert found["factors"] == 2
    assert found["explained"] == pytest.approx(0.9 / 1.09, abs=0.05)
    assert variance == pytest.approx(1.09, rel=0.2)
    told = predictions(plan, variance, 0.02, 3_000)
    assert told["labels_needed"] < told["labels_needed_supervised"]
    assert next(r["labels"] for r in told["rows"]) == 10


def test_numbers_explain_the_stated_share():
    plan, variance, _ = from_numbers(100, 5, 8.0, 0.7)
    assert (plan.eigenvalues * plan.weight**2).sum() == pytest.approx(0.7)
    assert plan.residual == pytest.approx(0.3)
    assert variance == 1


def test_what_cannot_be_reached_is_none():
    plan, variance, _ = from_numbers(100, 5, 0.5, 0.7)
    assert predictions(plan, variance, 1e-6, 200)["labels_needed"] is None


def test_the_command(overparam, files):
    table = overparam("tool", "unsupervised-pretraining", "--inputs", "100", "--factors", "5")
    assert table.returncode == 0, table.stderr
    assert "labels with pretraining" in table.stdout
    u, x, y = map(str, files)
    done = overparam("tool", "unsupervised-pretraining", "--unlabelled", u, "--labelled", x, "--responses", y, "--json")
    assert json.loads(done.stdout)["m"] == 3_000
    wrong = overparam("tool", "unsupervised-pretraining")
    assert wrong.returncode == 2
    assert "give either --unlabelled" in wrong.stderr


def test_files_that_do_not_fit_are_named(files, tmp_path):
    np.save(tmp_path / "short.npy", np.ones(3))
    with pytest.raises(BadInput, match="12 columns and 3 rows fit"):
        from_files(files[0], files[1], tmp_path / "short.npy", 2)
    with pytest.raises(BadInput, match="needs --factors"):
        from_numbers(10, None, 1.0, 0.5)
    with pytest.raises(BadInput, match="--strength 0, --explained 2"):
        from_numbers(10, 2, 0.0, 2.0)
