import numpy as np
import pytest
import torch

from overparam.data.xor_clusters import XORClusters
from overparam.errors import BadInput
from overparam.methods.theory.dual_descent import dual_gd
from overparam.methods.theory.xor_grokking import alignment, feature_alignment, step_one_linear
from overparam.models.two_layer import TwoLayerReLU

WORLD = XORClusters(p=4000, mu_norm=15.0)


def first_step(m, seeds=(0,)):
    train, test = WORLD.rotated(60, 200, rng=0)
    log = dual_gd(train.x, train.y, test.x, m=m, lr=1e-3, init_scale=1e-9, steps=1, log_steps=[1], seeds=seeds)
    return log, step_one_linear(train.x, train.y, test.x, lr=1e-3)


def test_a_wide_network_is_the_linear_function_after_one_step():
    log, linear = first_step(6000)
    f = log.test_outputs[0, 0]
    assert np.corrcoef(f, linear)[0, 1] > 0.995
    assert f @ linear / (linear @ linear) == pytest.approx(1, abs=0.05)


def test_the_even_part_falls_as_one_over_the_width():
    even = [np.mean(1 - first_step(m, seeds=range(6))[0].odd_fraction) for m in (100, 1600)]
    assert even[0] / even[1] == pytest.approx(16, rel=0.5)


def test_the_linear_function_is_what_it_says():
    rng = np.random.default_rng(0)
    x, y, t = rng.normal(size=(5, 3)), np.array([1, -1, 1, 1, -1]), rng.normal(size=(2, 3))
    slow = [0.4 / 40 * sum(y[i] * (x[i] @ v) for i in range(5)) for v in t]
    np.testing.assert_allclose(step_one_linear(x, y, t, lr=0.4), slow)
    with pytest.raises(BadInput, match="give"):
        step_one_linear(x, y[:3], t, lr=0.4)
    with pytest.raises(BadInput, match="n >= 1"):
        step_one_linear(x[:0], y[:0], t, lr=0.4)


def test_units_on_their_own_means_are_matched():
    net = TwoLayerReLU(10, 12, 0.1, generator=torch.Generator().manual_seed(0))
    means = 3 * np.eye(2, 10)
    with torch.no_grad():
        for j in range(12):
            net.weight[j] = torch.tensor((-1) ** j * means[0 if net.second[j] > 0 else 1])
    found = feature_alignment(net, means)
    assert (found.matched, found.crossed) == pytest.approx((1, 0))
    swapped = feature_alignment(net, means[::-1])
    assert (swapped.matched, swapped.crossed) == pytest.approx((0, 1))
    still = feature_alignment(net, means, start=net.weight.detach().numpy())
    assert (still.matched, still.crossed) == (0, 0)
    np.testing.assert_array_equal(found.positive, net.second.numpy() > 0)
    assert set(np.sign(found.cosines[found.positive, 0])) == {-1, 1}


def test_shapes_are_checked():
    net = TwoLayerReLU(10, 12, 0.1, generator=torch.Generator().manual_seed(0))
    with pytest.raises(BadInput, match=r"give \(2, 10\), none of them zero"):
        feature_alignment(net, np.eye(2, 9))
    with pytest.raises(BadInput, match="none of them zero"):
        feature_alignment(net, np.zeros((2, 10)))
    with pytest.raises(BadInput, match=r"give \(m, 2\) and \(m,\)"):
        alignment(np.ones((3, 3)), np.ones(3))
