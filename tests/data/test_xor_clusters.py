import numpy as np
import pytest
from scipy.stats import binom, ks_2samp

from overparam.data import names
from overparam.data.xor_clusters import XORClusters
from overparam.errors import BadInput

WORLD = XORClusters(p=60, mu_norm=5.0, flip=0.2)


def test_a_generator_is_no_reader():
    assert "xor-clusters" not in names()


def test_clusters_have_their_centres_labels_and_unit_noise():
    batch = XORClusters(p=8, mu_norm=30.0, flip=0.2).sample(8000, rng=0)
    centres = np.concatenate([[m, -m] for m in XORClusters(p=8, mu_norm=30.0).means()])
    noise = batch.x - centres[batch.cluster]
    np.testing.assert_allclose(noise.mean(0), 0, atol=0.05)
    np.testing.assert_allclose(np.cov(noise.T), np.eye(8), atol=0.06)
    np.testing.assert_array_equal(batch.y_clean, np.array([1, 1, -1, -1])[batch.cluster])
    np.testing.assert_array_equal(batch.y != batch.y_clean, batch.flipped)
    low, high = binom.ppf([1e-4, 1 - 1e-4], 8000, 0.2)
    assert low <= batch.flipped.sum() <= high
    assert np.all(np.abs(np.bincount(batch.cluster) - 2000) < 4 * 2000**0.5)


def test_chunks_do_not_change_the_numbers(monkeypatch):
    whole = WORLD.sample(50, rng=3)
    monkeypatch.setattr("overparam.data.xor_clusters.CHUNK", 120)
    np.testing.assert_array_equal(WORLD.sample(50, rng=3).x, whole.x)
    np.testing.assert_array_equal(WORLD.sample(50, rng=np.random.default_rng(3)).x, whole.x)


@pytest.mark.parametrize("read", ["norm", "inner", "along", "volume"])
def test_rotated_points_have_the_law_of_all_coordinates(read):
    def value(x):
        if read == "volume":
            return np.linalg.slogdet(x @ x.T)[1]
        return {"norm": x[3] @ x[3], "inner": x[1] @ x[5], "along": x[4, 0] * x[2, 1]}[read]

    plain, turned = [], []
    for seed in range(600):
        plain.append(value(WORLD.sample(8, rng=[seed, 0]).x.astype(float)))
        turned.append(value(np.concatenate([b.x for b in WORLD.rotated(5, 3, rng=[seed, 1])])))
    assert ks_2samp(plain, turned).pvalue > 0.01


def test_rotated_points_are_narrow_and_the_test_points_clean():
    world = XORClusters(p=10**13, mu_norm=1e5, flip=0.4)
    train, test = world.rotated(20, 10, rng=0)
    assert train.x.shape == (20, 32)
    assert not train.x[:, 22:].any()  # training points do not need the coordinates of the test points
    assert train.flipped.any()
    np.testing.assert_array_equal(test.y, test.y_clean)
    np.testing.assert_allclose((train.x**2).sum(1) / 1e13, 1, atol=0.01)
    assert world.means(32).shape == (2, 32)


def test_pairs_for_pytorch():
    batch = WORLD.sample(7, rng=0)
    points, labels = batch.dataset().tensors
    np.testing.assert_array_equal(points.numpy(), batch.x)
    np.testing.assert_array_equal(labels.numpy(), batch.y)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"p": 1}, "p=1"),
        ({"mu_norm": 0.0}, "mu_norm=0.0"),
        ({"mu_norm": float("inf")}, "mu_norm=inf"),
        ({"flip": 0.5}, "flip=0.5"),
        ({"flip": -0.1}, "flip=-0.1"),
    ],
)
def test_attributes_are_checked(given, says):
    with pytest.raises(BadInput, match=says):
        XORClusters(**{"p": 10, "mu_norm": 1.0, **given})


def test_there_has_to_be_a_point_and_room_for_it():
    with pytest.raises(BadInput, match="n=0"):
        WORLD.sample(0, rng=0)
    with pytest.raises(BadInput, match="n=0"):
        WORLD.rotated(10, 0, rng=0)
    with pytest.raises(BadInput, match="p=60 is below n [+] n_test [+] 2 = 62; use sample"):
        WORLD.rotated(30, 30, rng=0)
