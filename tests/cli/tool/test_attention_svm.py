import json

import numpy as np
import pytest
from typer.testing import CliRunner

from overparam.cli.main import app
from overparam.cli.tool.attention_svm import examined, trained
from overparam.errors import BadInput
from overparam.methods.theory.attention_svm import attention_svm


def layer(n=4, tokens=5, d=8):
    rng = np.random.default_rng(3)
    return rng.normal(size=(n, tokens, d)), rng.normal(size=(n, d)), rng.normal(size=(d, d))


@pytest.fixture
def files(tmp_path):
    x, z, W = layer()
    arrays = {
        "x": x,
        "z": z,
        "W": W,
        "s": np.einsum("ntd,de,ne->nt", x, W, z),
        "y": np.array([1.0, -1, 1, -1]),
        "v": W[0],
    }
    for name, values in arrays.items():
        np.save(tmp_path / f"{name}.npy", values)
    return {name: str(tmp_path / f"{name}.npy") for name in arrays}


def call(*words):
    return CliRunner().invoke(app, ["tool", "attention-svm", *words])


def test_the_machine_itself_attains_all_of_its_margin():
    x, z, _ = layer()
    chosen = np.array([0, 3, 1, 4])
    for norm in ("fro", "nuc"):
        W = attention_svm(x, z, chosen, norm=norm).W
        document = examined(x, z, weights=50 * W)
        assert document["selected"] == chosen.tolist()
        assert document["separated_by_weights"]
        machine = document["machines"][norm]
        assert machine["attained"] == pytest.approx(1)
        assert machine["correlation"] == pytest.approx(1)
        assert machine["margin"] == pytest.approx(1 / np.linalg.norm(W, norm))
        assert document["machines"]["nuc" if norm == "fro" else "fro"]["attained"] < 0.99


def test_weights_and_their_scores_select_the_same_tokens():
    x, z, W = layer()
    by_weights = examined(x, z, weights=W)
    by_scores = examined(x, z, scores=np.einsum("ntd,de,ne->nt", x, W, z))
    assert by_weights["selected"] == by_scores["selected"]
    assert by_scores["machines"]["fro"]["correlation"] is None
    assert by_weights["machines"]["fro"]["margin"] == by_scores["machines"]["fro"]["margin"]


def test_what_cannot_be_separated_is_said():
    x = np.ones((2, 3, 4))
    document = examined(x, np.ones((2, 4)), weights=np.eye(4))
    assert not document["separated_by_weights"]  # all scores are tied
    for machine in document["machines"].values():
        assert not machine["separable"]
        assert machine["certain"]
        assert machine["margin"] is None


def test_training_ends_at_tokens_and_names_the_best():
    x, z, W = layer()
    document = trained(x, z, np.array([1.0, -1, 1, -1]), W[0], 500, 0)
    worth = np.array([1, -1, 1, -1])[:, None] * (x @ W[0])
    for run in document["trained"].values():
        assert run["best"] == worth.argmax(1).tolist()
        assert run["global"] == (run["selected"] == run["best"])
        assert run["largest_probability"] > 0.95
        assert run["loss"][1] < run["loss"][0]
        assert run["machine"]["correlation"] > 0.9
    assert document["trained"]["KQ"]["machine"]["norm"] == "nuc"


def test_the_command_prints_a_table_or_one_document(files):
    shown = call(files["x"], files["z"], "--weights", files["W"])
    assert shown.exit_code == 0, shown.output
    assert "4 sequences of 5 tokens, width 8" in shown.output
    assert "Frobenius" in shown.output
    found = json.loads(call(files["x"], files["z"], "--scores", files["s"], "--json").stdout)
    assert found["sequences"] == 4
    text = call(files["x"], files["z"], "--labels", files["y"], "--head", files["v"], "--steps", "50")
    assert text.exit_code == 0, text.output
    assert "K Q', after 50 steps" in text.output


def test_the_table_says_what_cannot_be_separated(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((1, 2, 3)))
    np.save(tmp_path / "z.npy", np.ones((1, 3)))
    np.save(tmp_path / "W.npy", np.eye(3))
    shown = call(str(tmp_path / "x.npy"), str(tmp_path / "z.npy"), "--weights", str(tmp_path / "W.npy")).output
    assert "nuclear: no W separates these tokens" in shown
    assert "Some best scores are tied" in shown


def test_options_are_checked(files):
    for words in (
        (),
        ("--weights", files["W"], "--scores", files["s"]),
        ("--labels", files["y"]),
        ("--head", files["v"]),
    ):
        with pytest.raises(BadInput, match="give one of --weights"):
            CliRunner().invoke(app, ["tool", "attention-svm", files["x"], files["z"], *words], catch_exceptions=False)
    x, z, W = layer()
    with pytest.raises(BadInput, match="--weights has shape"):
        examined(x, z, weights=W[:3])
    with pytest.raises(BadInput, match="--scores has shape"):
        examined(x, z, scores=np.zeros((4, 4)))
    with pytest.raises(BadInput, match="training needs one width"):
        trained(x, z[:, :3], np.ones(4), W[0], 10, 0)
