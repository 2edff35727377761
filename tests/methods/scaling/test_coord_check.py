import math

import pytest
import torch
from torch import nn

from overparam.errors import BadInput
from overparam.methods.scaling.coord_check import coord_check
from overparam.methods.scaling.mup import mup_

DRAW = torch.Generator().manual_seed(0)
X, Y = torch.randn(16, 8, generator=DRAW), torch.randint(0, 3, (16,), generator=DRAW)
WIDTHS = [64, 256, 1024]


def make(width):
    return nn.Sequential(
        nn.Linear(8, width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, 3)
    )  # fmt: skip


@pytest.mark.parametrize(("optimizer", "lr"), [("sgd", 0.1), ("adam", 0.001)])
def test_maximal_updates_are_steady_and_the_usual_ones_are_not(optimizer, lr):
    found = {p: coord_check(make, WIDTHS, (X, Y), parametrisation=p, optimizer=optimizer, lr=lr) for p in ("mup", "sp")}
    assert list(found["mup"].slopes()) == ["0", "3", "output"]
    assert set(found["mup"].verdicts().values()) == {"steady"}
    assert found["sp"].verdicts()["output"] == "grows"
    assert found["mup"].start_slopes()["output"] < -0.2  # its bias stays
    assert found["sp"].start_slopes()["output"] == pytest.approx(0.0, abs=0.15)


class Lazy(nn.Module):
    """The NTK parametrisation; a layer that nothing depends on stays where it is."""

    def __init__(self, width):
        super().__init__()
        self.unused, self.hidden, self.readout = nn.Linear(8, 1), nn.Linear(8, width), nn.Linear(width, 3, bias=False)
        nn.init.normal_(self.hidden.weight)
        nn.init.normal_(self.readout.weight)

    def forward(self, x):
        self.unused(x)
        return self.readout(self.hidden(x).tanh()) / len(self.hidden.bias) ** 0.5


def test_a_kernel_regime_freezes():
    found = coord_check(Lazy, WIDTHS, (X, Y), parametrisation="sp")
    assert found.verdicts() == {"unused": "unknown", "hidden": "freezes", "readout": "grows", "output": "steady"}
    assert found.slopes()["hidden"] == pytest.approx(-0.5, abs=0.1)


def test_rows_say_what_moved():
    found = coord_check(make, [8, 16], (X, Y), steps=2, seeds=(0, 5))
    assert len(found.rows) == 2 * 2 * 3 * 3
    assert {r.rms_delta for r in found.rows if r.step == 0} == {0.0}  # dropout draws the same mask again
    assert all(r.rms_delta > 0 for r in found.rows if r.step == 2)
    again = coord_check(make, [16, 8], (X, Y), steps=2, seeds=(0, 5))
    assert found == again


def test_measured_changes_are_those_of_a_step_by_hand():
    found = coord_check(make, [8, 16], (X, Y), steps=1, seeds=(3,), parametrisation="sp", lr=0.5)
    torch.manual_seed(3)
    model = make(16)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    torch.manual_seed(3)
    before = model(X)
    nn.functional.cross_entropy(before, Y).backward()
    optimiser.step()
    torch.manual_seed(3)
    change = float((model(X) - before).detach().double().square().mean().sqrt())
    (row,) = (r for r in found.rows if (r.width, r.layer, r.step) == (16, "output", 1))
    assert row.rms_delta == pytest.approx(change, rel=1e-6)


def test_divergence_is_a_finding():
    found = coord_check(make, [8, 16], (X, Y), parametrisation="sp", lr=1e30, seeds=(0,))
    assert found.unstable == (8, 16)
    assert all(math.isnan(v) for v in found.slopes().values())
    assert set(found.verdicts().values()) == {"unknown"}


def test_the_generator_of_torch_is_put_back():
    before = torch.get_rng_state()
    coord_check(make, [8, 16], (X, Y), seeds=(0,), steps=1)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"widths": [8, 8]}, "two different widths"),
        ({"steps": 0}, "steps=0"),
        ({"seeds": ()}, "0 seeds"),
        ({"parametrisation": "ntk"}, "parametrisation='ntk'"),
        ({"optimizer": "lion"}, "optimizer='lion'"),
    ],
)
def test_bad_input_is_named(options, words):
    with pytest.raises(BadInput, match=words):
        coord_check(make, **{"widths": [8, 16], "batch": (X, Y), **options})


def test_models_that_were_rescaled_before_are_refused():
    with pytest.raises(BadInput, match="second time"):
        coord_check(lambda n: mup_(make(n), 8, make=make), [8, 16], (X, Y))
