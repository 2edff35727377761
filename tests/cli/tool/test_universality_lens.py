import json

import numpy as np
import pytest

from overparam.cli.tool.universality_lens import bounds
from overparam.errors import BadInput


def test_equal_weights_give_the_log_of_their_number():
    found = bounds(np.array([0.0, 5.0, 5.0, 5.0]), None, (1_000,), 0.01)
    assert found["rows"][0]["regret"] == pytest.approx(np.log(4))
    assert found["examples_needed"] == 139  # ln 4 / 0.01


def test_a_reference_that_no_model_reaches_has_no_answer():
    assert bounds(np.array([0.5, 0.7]), None, (10,), 0.1)["examples_needed"] is None


def test_weights_matter():
    kl = np.array([0.0, 5.0])
    light, heavy = (bounds(kl, np.array([w, 1.0]), (10**6,), 0.1)["rows"][0]["regret"] for w in (0.01, 10.0))
    assert light == pytest.approx(np.log(101))
    assert heavy == pytest.approx(np.log(1.1))


def test_the_command(overparam, tmp_path):
    np.savetxt(tmp_path / "kl.csv", [0.0, 0.1, 0.2])
    done = overparam("tool", "universality-lens", str(tmp_path / "kl.csv"))
    assert done.returncode == 0, done.stderr
    assert "Mixture of 3 hypotheses" in done.stdout
    document = json.loads(overparam("tool", "universality-lens", str(tmp_path / "kl.csv"), "--n", "7", "--json").stdout)
    assert [r["n"] for r in document["rows"]] == [7]


def test_bad_input_is_named():
    with pytest.raises(BadInput, match="one positive weight for each"):
        bounds(np.ones(2), np.ones(3), (1,), 0.1)
    with pytest.raises(BadInput, match="--target 0"):
        bounds(np.ones(2), None, (1,), 0.0)
