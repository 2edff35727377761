import json

import numpy as np
import pytest

from overparam.cli.tool.generalization_dynamics import examination, prediction
from overparam.errors import BadInput
from overparam.methods.theory.gradient_flow import gradient_flow, largest_step
from overparam.methods.theory.linear_dynamics import generalization_error, optimal_stopping


def drawn(p=120, n=80, snr=2.0, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    h = scale * rng.normal(size=(p, n))
    return h, h @ rng.normal(size=n) / (scale * n**0.5) + rng.normal(0.0, snr**-0.5, p)


def test_predictions_are_those_of_the_theory():
    found = prediction(1000, 1200, 5.0, inr=1.0)
    best = optimal_stopping(1000 / 1200, 5.0, 1.0)
    assert found["stop"]["time"] == best.time
    assert found["end"] == pytest.approx(float(generalization_error(np.inf, 1000 / 1200, 5.0, 1.0)))
    assert found["overtraining"] == pytest.approx(found["end"] / best.error - 1)
    assert found["spectrum"]["frozen_fraction"] == pytest.approx(1 / 6)
    assert found["curve"][0]["test"] == found["start"] == pytest.approx(1.4)
    assert prediction(100, 100, 5.0)["end"] is None


def test_steps_are_those_of_torch():
    """Descent on torch's MSELoss for the predicted number of steps ends near the flow at the predicted time."""
    import torch

    p, n = 60, 90
    plan = prediction(p, n, 3.0, lr=0.002)
    h, y = drawn(p, n)
    layer = torch.nn.Linear(n, 1, bias=False, dtype=torch.float64)
    torch.nn.init.zeros_(layer.weight)
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.002)
    for _ in range(plan["stop"]["steps"]):
        optimiser.zero_grad()
        torch.nn.functional.mse_loss(layer(torch.from_numpy(h))[:, 0], torch.from_numpy(y)).backward()
        optimiser.step()
    flow = gradient_flow(h / n**0.5, y, 0, [plan["stop"]["time"]])[0] / n**0.5
    w = layer.weight.detach().numpy()[0]
    assert np.linalg.norm(w - flow) < 0.03 * np.linalg.norm(flow)


def test_losses_and_scales_of_inputs_change_steps_not_times():
    mean, total = (prediction(100, 50, 5.0, loss=loss, lr=lr) for loss, lr in (("mean", 0.02), ("sum", 0.0004)))
    assert mean["stop"] == total["stop"]
    wide = prediction(100, 50, 5.0, lr=0.02 / 4, input_variance=4.0)
    assert wide["stop"] == mean["stop"]
    assert wide["ridge"]["penalty"] == 4 * mean["ridge"]["penalty"]


def test_a_rate_that_diverges_is_named():
    limit = prediction(100, 50, 5.0)["limit"]
    assert prediction(100, 50, 5.0, lr=0.99 * limit)["stop"]["steps"] > 0
    h, y = drawn()
    for call in (lambda lr: prediction(100, 50, 5.0, lr=lr), lambda lr: examination(h, y, lr=lr)):
        with pytest.raises(BadInput, match=r"is not below 2/l_max = .* gradient descent diverges"):
            call(100.0)
        with pytest.raises(BadInput, match="lr=-1.0 is no step"):
            call(-1.0)
    top = examination(h, y, loss="sum", centre=False)["limit"]
    assert top == pytest.approx(largest_step(h))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"samples": 0}, "samples=0"),
        ({"snr": 0.0}, "snr=0.0"),
        ({"inr": -1.0}, "inr=-1.0"),
        ({"input_variance": 0.0}, "input_variance=0.0"),
        ({"loss": "huber"}, "loss='huber' is unknown"),
    ],
)
def test_numbers_are_checked(given, says):
    with pytest.raises(BadInput, match=says):
        prediction(**{"samples": 100, "inputs": 50, "snr": 5.0, **given})


def test_an_examination_finds_what_the_data_were_made_of():
    found = examination(*drawn(400, 100, snr=4.0))
    assert found["signal"]["low"] < 4.0 < found["signal"]["high"]
    assert found["spectrum"]["rank"] == 100
    assert found["stop"]["error"] <= found["stop"]["at_the_end"]
    assert 0.2 < found["stop"]["time"] / found["white_inputs"]["time"] < 5
    wide = examination(*drawn(50, 80))
    assert wide["spectrum"]["rank"] == 49  # one direction less: the mean
    assert examination(*drawn(50, 80), centre=False)["spectrum"]["rank"] == 50


def test_units_of_the_features_change_only_their_own():
    one, ten = (examination(*drawn(scale=s)) for s in (1.0, 10.0))
    assert ten["signal"]["snr"] == pytest.approx(one["signal"]["snr"], rel=1e-3)
    assert ten["stop"]["steps"] == one["stop"]["steps"]
    assert ten["ridge"]["penalty"] == pytest.approx(100 * one["ridge"]["penalty"], rel=1e-3)


@pytest.mark.slow
def test_the_commands_print_tables_or_one_document(overparam, tmp_path):
    table = overparam("tool", "generalization-dynamics", "predict", "--samples", 1000, "--inputs", 1000, "--snr", 5)
    assert table.returncode == 0, table.stderr
    assert "Overtrains without end" in table.stdout
    h, y = drawn()
    np.save(tmp_path / "h.npy", h)
    np.savetxt(tmp_path / "y.csv", y)
    files = (tmp_path / "h.npy", tmp_path / "y.csv")
    assert "Signal to noise" in overparam("tool", "generalization-dynamics", "data", *files).stdout
    document = json.loads(overparam("tool", "generalization-dynamics", "data", *files, "--json").stdout)
    assert document["stop"]["steps"] == examination(h, y)["stop"]["steps"]
    np.save(tmp_path / "short.npy", y[:5])
    short = overparam("tool", "generalization-dynamics", "data", files[0], tmp_path / "short.npy")
    assert short.returncode == 2
    assert "targets has shape (5,); pass (120,)" in short.stderr
