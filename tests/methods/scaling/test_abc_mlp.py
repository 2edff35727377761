import numpy as np
import pytest
import torch
from torch import nn

from overparam.errors import BadInput
from overparam.methods.scaling.abc import ABC, scan_points
from overparam.methods.scaling.abc_mlp import ABCMLP, Slopes, feature_movement, movement_slopes

RNG = np.random.default_rng(0)
X, Y = RNG.normal(0, 0.25, (8, 16)), RNG.choice([-1.0, 1.0], 8)


def trained(abc, act="tanh", width=40, steps=3, eta=1.0, seed=3):
    """The slow way: automatic differentiation. Returns the network, and features and outputs at the start."""
    net = ABCMLP(16, width, 1, abc, act, seed=seed, dtype=torch.float64)
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    first, out = [h.detach() for h in net.features(x)], net(x)[:, 0].detach()
    optimiser = net.sgd(eta)
    for _ in range(steps):
        optimiser.zero_grad()
        (((net(x)[:, 0] - y) ** 2).mean() / 2).backward()
        optimiser.step()
    return net, first, out


def tangent_kernel(net, x):
    """Gram matrix of the gradients of the outputs by w, times the learning rate over eta."""
    rows = []
    for k in range(len(x)):
        found = torch.autograd.grad(net(x[k : k + 1])[0, 0], list(net.parameters()))
        rows.append(torch.cat([g.flatten() for g in found]))
    return torch.stack(rows) @ torch.stack(rows).T * float(net.width) ** -net.abc.c


@pytest.mark.parametrize("act", ["tanh", "relu", "identity"])
@pytest.mark.parametrize("abc", [ABC.mup(2), ABC.ntk(3), ABC.sp(1), ABC.mean_field()])
def test_steps_without_a_trained_matrix_are_those_of_autograd(abc, act):
    net, first, out = trained(abc, act)
    x = torch.from_numpy(X)
    start = ABCMLP(16, 40, 1, abc, act, seed=3, dtype=torch.float64)
    moved = feature_movement([abc.shift(0.25), abc], 40, X, Y, eta=1.0, steps=3, act=act, seed=3)
    rms = lambda t: float(t.detach().square().mean().sqrt())  # noqa: E731
    for k, (now, before) in enumerate(zip(net.features(x), first, strict=True)):
        assert moved.features[1, k] == pytest.approx(rms(now - before), rel=1e-9)
        assert moved.size[1, k] == pytest.approx(rms(now), rel=1e-9)
    assert moved.outputs[1] == pytest.approx(rms(net(x)[:, 0] - out), rel=1e-9)
    assert moved.residual[1] == pytest.approx(rms(out - torch.from_numpy(Y)), rel=1e-9)
    old, new = tangent_kernel(start, x), tangent_kernel(net, x)
    assert moved.kernel[1] == pytest.approx(float((new - old).norm() / old.norm()), rel=1e-8)
    assert moved.features[0] == pytest.approx(moved.features[1], rel=1e-9)  # another gauge


def test_the_initial_output_is_taken_over_the_signs_of_the_readout():
    net = ABCMLP(16, 40, 1, ABC.ntk(2), seed=0, dtype=torch.float64)
    last, weight = net.features(torch.from_numpy(X))[-1].tanh(), net.weights[-1].detach()
    signs = torch.from_numpy(np.random.default_rng(0).choice([-1.0, 1.0], (20_000, 40)))
    outputs = (signs * weight) @ last.detach().T / 40**0.5
    found = feature_movement([ABC.ntk(2)], 40, X, Y, seed=0).start[0]
    assert found == pytest.approx(float(outputs.square().mean().sqrt()), rel=0.02)


def test_inputs_are_left_alone_and_seeds_repeat():
    x, y = X.copy(), Y.copy()
    one, two, other = (feature_movement([ABC.mup(2)], 32, x, y, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(one.features, two.features)
    assert one.outputs[0] != other.outputs[0]


def test_slopes_are_the_exponents_of_the_paper():
    x, y = RNG.normal(0, 0.25, (16, 16)), RNG.choice([-1.0, 1.0], 16)
    family = [ABC.mup(2), ABC.ntk(2), ABC.sp(2), ABC.sp(2, c=2), ABC.sp(2, c=0)]
    found = movement_slopes(family, [128, 1024], x, y, seeds=range(6), eta=1.0)
    for abc, slopes in zip(family[:4], found, strict=False):
        assert slopes.features == pytest.approx(-abc.r(), abs=0.12)
        assert slopes.outputs == pytest.approx(-abc.output_exponent(), abs=0.12)
    assert [s.regime() for s in found] == [p.regime() for p in family]
    assert found[0].start == pytest.approx(-0.5, abs=0.05)


def test_regimes_of_drawn_points_are_told_from_slopes():
    rng = np.random.default_rng(1)
    for regime in ("trivial", "unstable"):  # the others need wider networks
        points = scan_points(regime, 6, rng)
        found = movement_slopes(points, [64, 512], X, Y, seeds=range(4), eta=1.0)
        assert [s.regime() for s in found] == [regime] * 6


def test_regimes_by_their_slopes():
    assert Slopes(-0.5, 0.0, 0.0, 0.02).regime() == "feature"
    assert Slopes(0.0, 0.0, 0.0, -0.5).regime() == "kernel"
    assert Slopes(0.0, 0.0, -0.5, -0.5).regime() == "trivial"
    assert Slopes(0.3, 0.0, -0.5, -0.5).regime() == "unstable"
    assert Slopes(float("nan"), 0.0, 0.0, 0.0).regime() == Slopes(0.0, 0.0, 0.0, float("nan")).regime() == "unstable"


def test_divergence_is_a_result():
    found = movement_slopes([ABC.sp(2, c=-3)], [32, 64], X, Y, seeds=[0], eta=1e150, steps=3)
    assert found[0].regime() == "unstable"


def test_bad_input_is_named():
    with pytest.raises(BadInput, match=r"family has depths \[2, 3\]"):
        feature_movement([ABC.mup(2), ABC.mup(3)], 8, X, Y)
    with pytest.raises(BadInput, match=r"y \(7,\)"):
        feature_movement([ABC.mup(2)], 8, X, Y[:7])
    with pytest.raises(BadInput, match="steps=0"):
        feature_movement([ABC.mup(2)], 8, X, Y, steps=0)
    with pytest.raises(BadInput, match="act='gelu' is unknown"):
        feature_movement([ABC.mup(2)], 8, X, Y, act="gelu")
    with pytest.raises(BadInput, match="act='gelu' is unknown"):
        ABCMLP(2, 8, 1, ABC.mup(1), "gelu", seed=0)
    with pytest.raises(BadInput, match="width=0"):
        ABCMLP(2, 0, 1, ABC.mup(1), seed=0)
    with pytest.raises(BadInput, match="two different widths"):
        movement_slopes([ABC.mup(2)], [8, 8], X, Y, seeds=[0])
    with pytest.raises(BadInput, match="a seed"):
        movement_slopes([ABC.mup(2)], [8, 16], X, Y, seeds=[])


def test_the_module_is_an_ordinary_one():
    net = ABCMLP(16, 8, 3, ABC.mup(2), seed=0)
    assert isinstance(net, nn.Module)
    assert [tuple(p.shape) for p in net.parameters()] == [(8, 16), (8, 8), (3, 8)]
    assert net(torch.zeros(2, 16)).tolist() == [[0.0] * 3] * 2
