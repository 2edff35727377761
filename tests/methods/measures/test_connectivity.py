import pytest
import torch
from torch import nn

from overparam.errors import BadInput
from overparam.methods.measures.connectivity import Path, error_path
from overparam.models.mlp import mlp


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def test_swapped_hidden_units_make_a_barrier_that_the_network_itself_has_not():
    """Two networks that compute the same function with opposite units cancel halfway."""
    model = mlp(2, [2], 2, generator=draw()).double()
    state = {k: v.clone() for k, v in model.state_dict().items()}
    state["1.weight"] = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]).double()
    state["3.weight"] = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).double()
    state["1.bias"], state["3.bias"] = torch.zeros(2).double(), torch.tensor([0.0, 1e-9]).double()
    other = {**state, "1.weight": state["1.weight"].flip(0), "3.weight": state["3.weight"].flip(1)}
    x = torch.randn(200, 2, generator=draw(1), dtype=torch.float64)
    y = (x[:, 0] < 0).long()
    path = error_path(model, state, other, x, y)
    assert float(path.error()[0]) == float(path.error()[-1]) == 0.0
    assert path.barrier() == pytest.approx(float((y == 0).double().mean()))
    assert path.barrier(torch.nonzero(y == 1).flatten()) == 0.0
    assert error_path(model, state, state, x, y).barrier() == 0.0


def test_path_is_symmetric_and_does_not_depend_on_chunks():
    model = mlp(3, [5], 2, generator=draw())
    ends = [mlp(3, [5], 2, generator=draw(s)).state_dict() for s in (1, 2)]
    x, y = torch.randn(50, 3, generator=draw(3)), torch.arange(50) % 2
    forward, backward = error_path(model, *ends, x, y), error_path(model, *ends[::-1], x, y, chunk=7)
    assert torch.equal(forward.wrong, backward.wrong.flip(0))


def test_barrier_is_measured_above_the_line_between_the_ends():
    wrong = torch.tensor([[0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]]).bool()
    assert Path(torch.tensor([0, 0.5, 1]).double(), wrong).barrier() == 0.0
    peak = torch.tensor([[0, 0, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1]]).bool()
    assert Path(torch.tensor([0, 0.5, 1]).double(), peak).barrier() == pytest.approx(0.5)


def test_the_model_is_not_changed():
    model = mlp(3, [5], 2, generator=draw())
    before = {k: v.clone() for k, v in model.state_dict().items()}
    other = mlp(3, [5], 2, generator=draw(1)).state_dict()
    error_path(model, other, other, torch.zeros(4, 3), torch.zeros(4).long())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_refuses():
    model, x, y = mlp(3, [5], 2, generator=draw()), torch.zeros(4, 3), torch.zeros(4).long()
    state = model.state_dict()
    with pytest.raises(BadInput, match="points=1"):
        error_path(model, state, state, x, y, points=1)
    with pytest.raises(BadInput, match="end does not fit"):
        error_path(model, state, mlp(3, [6], 2, generator=draw()).state_dict(), x, y)
    with pytest.raises(BadInput, match="start does not fit"):
        error_path(model, {}, state, x, y)
    normed = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    with pytest.raises(BadInput, match=r"call model\.eval"):
        error_path(normed, normed.state_dict(), normed.state_dict(), x, y)
