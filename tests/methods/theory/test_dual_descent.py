import numpy as np
import pytest
import torch

from overparam.data.xor_clusters import XORClusters
from overparam.errors import BadInput, Diverged
from overparam.methods.theory import dual_descent
from overparam.methods.theory.dual_descent import dual_gd, dual_gd_from
from overparam.methods.theory.xor_grokking import feature_alignment
from overparam.models.two_layer import TwoLayerReLU

WORLD = XORClusters(p=70, mu_norm=6.0)
TRAIN, TEST = WORLD.sample(24, rng=0), WORLD.sample(15, rng=1)
X, Y, T = TRAIN.x.astype(np.float64), TRAIN.y, TEST.x.astype(np.float64)


def network(m=30, scale=0.05, seed=0):
    return TwoLayerReLU(70, m, scale, generator=torch.Generator().manual_seed(seed)).double()


def descend(net, lr, steps, gates=None):
    """Plain PyTorch: autograd and SGD on the weights; with fixed gates if given."""
    x, y = torch.tensor(X), torch.tensor(Y, dtype=torch.float64)
    optimiser = torch.optim.SGD([net.weight], lr=lr)
    for _ in range(steps):
        optimiser.zero_grad()
        f = net(x) if gates is None else ((x @ net.weight.T) * gates) @ net.second
        torch.nn.functional.softplus(-y * f).mean().backward()
        optimiser.step()


def dual(x=X, y=Y, test=T, **more):
    return dual_gd(x, y, test, **{"m": 20, "lr": 0.05, "init_scale": 1e-4, "steps": 10, **more})


def test_dual_and_primal_are_one_descent():
    net = network()
    start = net.weight.detach().clone()
    log = dual_gd_from(net, X, Y, T, lr=0.3, steps=40, log_steps=[0, 1, 7, 40], directions=WORLD.means())
    assert torch.equal(net.weight, start)  # the network is left as it is
    for i, more in enumerate((0, 1, 6, 33)):
        descend(net, 0.3, more)
        for points, outputs in ((X, log.train_outputs), (T, log.test_outputs), (-T, log.mirrored_outputs)):
            np.testing.assert_allclose(net(torch.tensor(points)).detach(), outputs[0, i], rtol=1e-9, atol=1e-12)
    aligned = feature_alignment(net, WORLD.means(), start=start)
    np.testing.assert_allclose(log.cosines[0, -1], aligned.cosines, atol=1e-10)
    assert not log.cosines[0, 0].any()


def test_single_precision_agrees_to_four_digits():
    net = network().float()
    log = dual_gd_from(net, TRAIN.x, Y, TEST.x, lr=0.3, steps=40, log_steps=[40])
    net = net.double()
    descend(net, 0.3, 40)
    outputs = net(torch.tensor(T)).detach().numpy()
    np.testing.assert_allclose(log.test_outputs[0, 0], outputs, atol=1e-4 * np.abs(outputs).max())


def test_frozen_gates_are_the_linearised_network():
    net = network(scale=0.2)
    gates, ahead = (torch.tensor(v) @ net.weight.T.detach() > 0 for v in (X, T))
    log = dual_gd_from(net, X, Y, T, lr=0.3, steps=25, log_steps=[25], gates="frozen")
    descend(net, 0.3, 25, gates=gates)
    linear = ((torch.tensor(T) @ net.weight.T) * ahead) @ net.second
    np.testing.assert_allclose(log.test_outputs[0, 0], linear.detach(), rtol=1e-9, atol=1e-12)


def test_what_it_reports_follows_from_outputs():
    log = dual(log_steps=[1, 10])
    f = log.train_outputs[0, -1]
    assert log.loss[0, -1] == pytest.approx(np.log1p(np.exp(-Y * f)).mean())
    assert log.train_acc[0, -1] == (Y * f > 0).mean()
    assert log.accuracy(TEST.y)[0, -1] == (TEST.y * log.test_outputs[0, -1] > 0).mean()
    assert log.accuracy(np.stack([TEST.y])).shape == (1, 2)
    with pytest.raises(BadInput, match="labels of shape"):
        log.accuracy(TEST.y[:3])


def test_an_output_of_zero_is_wrong():
    log = dual(test=np.zeros((2, 70)))
    np.testing.assert_array_equal(log.accuracy([1, -1]), 0.0)
    assert np.isnan(log.odd_fraction).all()


def test_other_labels_mirror_the_first_step_of_a_tiny_start():
    ours, theirs = (dual(y=y, init_scale=1e-12, steps=1, log_steps=[1]) for y in (Y, -Y))
    np.testing.assert_allclose(theirs.test_outputs, ours.mirrored_outputs, rtol=1e-6, atol=1e-9)


def test_a_network_that_is_symmetric_in_its_weights_has_no_odd_part():
    net = network(m=8)
    with torch.no_grad():
        net.weight[4:] = -net.weight[:4]
        net.second[4:] = net.second[:4]
    assert dual_gd_from(net, X, Y, T, lr=0.1, steps=1, log_steps=[0]).odd_fraction[0, 0] < 1e-25
    assert dual(log_steps=[10]).odd_fraction[0, 0] > 0.01


@pytest.mark.parametrize("way", ["_by_blocks", "_by_law"])
def test_both_ways_of_drawing_the_start_have_its_covariance(way, monkeypatch):
    monkeypatch.setattr(dual_descent, "COLUMNS", 32)
    both = np.concatenate([X[:4], T[:3]])
    gram, cross, train, test = getattr(dual_descent, way)(X[:4], T[:3], 40_000, 0.5, [np.random.default_rng(0)])
    np.testing.assert_allclose(gram[0], X[:4] @ X[:4].T)
    np.testing.assert_allclose(cross[0], T[:3] @ X[:4].T)
    h = np.concatenate([train[0], test[0]])
    wanted = 0.25 * both @ both.T
    error = 0.25 * 5 * np.sqrt(2 / 40_000) * (both**2).sum(1).max()
    np.testing.assert_allclose(h @ h.T / 40_000, wanted, atol=error)


def test_repeated_points_are_drawn_without_a_cholesky_factor():
    again = np.concatenate([T, T])
    log = dual(test=again, m=80)
    np.testing.assert_allclose(log.test_outputs[:, :, :15], log.test_outputs[:, :, 15:], rtol=1e-6, atol=1e-12)


def test_blocks_of_columns_do_not_change_the_descent(monkeypatch):
    whole = dual_gd_from(network(), X, Y, T, lr=0.3, steps=5)
    monkeypatch.setattr(dual_descent, "COLUMNS", 9)
    parts = dual_gd_from(network(), X, Y, T, lr=0.3, steps=5)
    np.testing.assert_allclose(parts.test_outputs, whole.test_outputs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("m", [20, 60])
def test_seeds_together_are_seeds_one_by_one(m):
    together = dual(seeds=(0, 1, 2), m=m)
    several = dual(np.stack([X, -X]), np.stack([Y, Y]), np.stack([T, -T]), seeds=(5, 6), m=m)
    for seed in (0, 1, 2):
        np.testing.assert_allclose(dual(seeds=(seed,), m=m).test_outputs[0], together.test_outputs[seed], rtol=1e-9)
    alone = dual((-X)[None], Y[None], (-T)[None], seeds=(6,), m=m)
    np.testing.assert_allclose(alone.test_outputs[0], several.test_outputs[1], rtol=1e-9)


def test_a_memory_map_will_do_and_nothing_is_changed(tmp_path):
    np.save(tmp_path / "x.npy", TRAIN.x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    before = TRAIN.x.copy()
    np.testing.assert_array_equal(
        dual(mapped, test=TEST.x, directions=WORLD.means()).test_outputs, dual(TRAIN.x, test=TEST.x).test_outputs
    )
    np.testing.assert_array_equal(TRAIN.x, before)


@pytest.mark.parametrize("m", [20, 80])
def test_whole_numbers_of_one_byte_do_not_overflow(m):
    whole, test = (np.clip(20 * v, -120, 120).round() for v in (X, T))
    short = dual(whole.astype(np.int8), test=test.astype(np.int8), m=m, directions=WORLD.means())
    wide = dual(whole, test=test, m=m)
    assert np.corrcoef(short.test_outputs[0, -1], wide.test_outputs[0, -1])[0, 1] > 0.999


def test_divergence_names_the_step():
    with pytest.raises(Diverged, match="not finite at step 1; lr=1e"):
        dual(lr=1e308)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"m": 0}, "m=0"),
        ({"init_scale": 0.0}, "init_scale=0.0"),
        ({"lr": 0.0}, "lr=0.0"),
        ({"lr": float("nan")}, "lr=nan"),
        ({"steps": 0}, "steps=0"),
        ({"seeds": ()}, "seeds is empty"),
        ({"gates": "open"}, "gates='open'"),
        ({"log_steps": [3, 3]}, "give increasing steps"),
        ({"log_steps": [11]}, "give increasing steps"),
        ({"log_steps": []}, "give increasing steps"),
        ({"y": Y * 2}, "other than -1 and 1"),
        ({"y": Y[:5]}, "one label a point"),
        ({"x": X[None], "test": T[None]}, "one label a point"),
        ({"test": T[:, :5]}, "give [(]n, p[)] and [(]k, p[)]"),
        ({"test": T[:0]}, "with n, k, p >= 1"),
        ({"x": X[None], "test": T[None], "seeds": (0, 1)}, "one data set a seed"),
        ({"directions": np.zeros((1, 70))}, "none of them zero"),
    ],
)
def test_arguments_are_checked(given, says):
    with pytest.raises(BadInput, match=says):
        dual(**given)


def test_a_network_has_to_fit_the_points():
    with pytest.raises(BadInput, match=r"the network takes \(n, 70\)"):
        dual_gd_from(network(), X[:, :9], Y, T[:, :9], lr=0.1, steps=1)
