import pytest
import torch
from torch import nn

from overparam.errors import BadInput
from overparam.methods.measures.connectivity import Path, barrier, error_path, linear_path
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


def test_linear_path_equals_the_loss_of_each_mixed_network():
    model = mlp(3, [5], 2, generator=draw()).double()
    a, b = (mlp(3, [5], 2, generator=draw(s)).double().state_dict() for s in (1, 2))
    x, y = torch.randn(23, 3, generator=draw(3)).double(), torch.arange(23) % 2
    loss = nn.CrossEntropyLoss()
    path = linear_path(model, a, b, loss, (x, y), n=6)
    for t, found in zip(torch.linspace(0, 1, 6).tolist(), path, strict=True):
        other = mlp(3, [5], 2, generator=draw()).double()
        other.load_state_dict({k: (1 - t) * a[k] + t * b[k] for k in a})
        assert float(found) == pytest.approx(loss(other(x), y).item(), rel=1e-6)
    uneven = [(x[:1], y[:1]), (x[1:20], y[1:20]), (x[20:], y[20:])]
    torch.testing.assert_close(linear_path(model, a, b, loss, uneven, n=6), path)
    torch.testing.assert_close(linear_path(model, b, a, loss, (x, y), n=6), path.flip(0))


def test_a_convex_loss_has_no_barrier_and_swapped_units_have_one():
    linear = nn.Linear(3, 2).double()
    ends = [nn.Linear(3, 2).double().state_dict() for _ in range(2)]
    x, y = torch.randn(30, 3, generator=draw()).double(), torch.arange(30) % 2
    path = linear_path(linear, *ends, nn.CrossEntropyLoss(), (x, y))
    assert len(path) == 21
    assert barrier(path) == 0.0
    model = mlp(2, [2], 2, generator=draw()).double()
    state = {k: v.clone() for k, v in model.state_dict().items()}
    state["1.weight"] = torch.tensor([[5.0, 0.0], [-5.0, 0.0]]).double()
    state["3.weight"] = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).double()
    other = {**state, "1.weight": state["1.weight"].flip(0), "3.weight": state["3.weight"].flip(1)}
    for s in (state, other):
        s["1.bias"] = s["3.bias"] = torch.zeros(2).double()
    x = torch.randn(50, 2, generator=draw(1)).double()
    path = linear_path(model, state, other, nn.CrossEntropyLoss(), (x, (x[:, 0] < 0).long()))
    assert float(path[0]) == pytest.approx(float(path[-1]))
    assert barrier(path) > 0.2


def test_barrier_of_losses_is_measured_above_the_chord():
    assert barrier([0.0, 0.5, 1.0]) == 0.0
    assert barrier(torch.tensor([0.0, 2.0, 1.0])) == pytest.approx(1.5)
    assert barrier([3.0, 0.0, 3.0]) == 0.0
    for losses, words in (([1.0], "n>=2"), ([[1.0, 2.0]], "n>=2"), ([0.0, float("nan"), 1.0], "NaN")):
        with pytest.raises(BadInput, match=words):
            barrier(losses)


def test_ends_that_are_views_of_the_same_weights_are_refused():
    """Training on moves a saved reference along, and the path becomes a point."""
    model, x, y = mlp(3, [5], 2, generator=draw()), torch.zeros(4, 3), torch.zeros(4).long()
    saved = model.state_dict()
    with pytest.raises(BadInput, match="clone the tensors"):
        linear_path(model, saved, model.state_dict(), nn.CrossEntropyLoss(), (x, y))
    copies = {k: v.clone() for k, v in saved.items()}
    assert barrier(linear_path(model, copies, saved, nn.CrossEntropyLoss(), (x, y))) == pytest.approx(0, abs=1e-6)


def test_linear_path_refuses_and_leaves_the_model():
    model, x, y = mlp(3, [5], 2, generator=draw()), torch.zeros(4, 3), torch.zeros(4).long()
    loss, other = nn.CrossEntropyLoss(), mlp(3, [5], 2, generator=draw(1)).state_dict()
    state = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(BadInput, match="n=1"):
        linear_path(model, state, other, loss, (x, y), n=1)
    with pytest.raises(BadInput, match="w_b does not fit"):
        linear_path(model, state, mlp(3, [6], 2, generator=draw()).state_dict(), loss, (x, y))
    with pytest.raises(BadInput, match="no examples"):
        linear_path(model, state, other, loss, [])
    with pytest.raises(BadInput, match=r"call model\.eval"):
        linear_path(nn.Dropout(), {}, {}, loss, (x, y))
    linear_path(model, other, state, loss, (x, y))
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
