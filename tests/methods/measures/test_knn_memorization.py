from itertools import combinations
from math import comb

import numpy as np
import pytest
import torch

from overparam.errors import BadInput
from overparam.methods.measures import knn_memorization
from overparam.methods.measures.knn_memorization import knn_memorization_exact
from overparam.methods.measures.memorization import subset_masks


def accuracy(x, y, i, subset):
    """Chance that a nearest point of the subset, drawn at random among equals, has the label of i."""
    distances = ((x[subset] - x[i]) ** 2).sum(1)
    return (y[subset][np.isclose(distances, distances.min(), rtol=1e-9, atol=1e-12)] == y[i]).mean()


def by_enumeration(x, y, size):
    """Oracle: every subset of the size."""
    n, result = len(x), []
    for i in range(n):
        arms = {True: [], False: []}
        for subset in combinations(range(n), size):
            arms[i in subset].append(accuracy(x, y, i, list(subset)))
        result.append(np.mean(arms[True]) - np.mean(arms[False]))
    return np.array(result)


@pytest.mark.parametrize("size", [1, 3, 5, 8])
@pytest.mark.parametrize("ties", ["none", "lattice", "duplicates"])
def test_matches_the_enumeration_of_all_subsets(size, ties):
    rng = np.random.default_rng(size)
    x = rng.normal(size=(9, 2))
    if ties == "lattice":
        x = rng.integers(0, 3, size=(9, 2)) * 0.1
    elif ties == "duplicates":
        x[4:8] = x[[0, 0, 1, 2]]
    y = rng.integers(0, 3, size=9)
    found = knn_memorization_exact(x, y, fraction=size / 9)
    np.testing.assert_allclose(found, by_enumeration(x, y, size), atol=1e-12)


def test_matches_the_sum_over_ranks_on_many_points():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 5)), rng.integers(0, 4, size=200)
    n, m, expected = 200, 140, []
    for i in range(n):
        order = np.argsort(((x - x[i]) ** 2).sum(1))[1:]
        hit = [comb(n - 1 - k, m - 1) / comb(n - 1, m) if n - 1 - k >= m - 1 else 0.0 for k in range(1, n)]
        expected.append(1 - np.dot(hit, y[order] == y[i]))
    np.testing.assert_allclose(knn_memorization_exact(x, y, fraction=0.7), expected, atol=1e-12)


def test_random_labels_are_memorised_but_for_chance():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(3000, 3)), rng.integers(0, 10, size=3000)
    assert knn_memorization_exact(x, y).mean() == pytest.approx(0.9, abs=0.02)


def test_does_not_depend_on_order_place_scale_or_names_of_labels():
    rng = np.random.default_rng(2)
    x, y = rng.integers(0, 4, size=(60, 3)).astype(float), rng.integers(0, 3, size=60)
    plain = knn_memorization_exact(x, y)
    order = rng.permutation(60)
    np.testing.assert_allclose(knn_memorization_exact(x[order], y[order]), plain[order], atol=1e-12)
    np.testing.assert_allclose(knn_memorization_exact(0.5 * x + 77.0, np.array(list("abc"))[y]), plain, atol=1e-12)


def test_a_far_outlier_does_not_blur_the_near_distances():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(40, 2)), rng.integers(0, 2, size=40)
    far = np.concatenate([x, [[1e6, 1e6]]])
    found = knn_memorization_exact(far, np.append(y, 0), fraction=0.5)
    order = [np.argsort(((far - p) ** 2).sum(1))[1:] for p in far[:40]]
    labels = np.append(y, 0)
    hit = np.array([comb(40 - k, 19) / comb(40, 20) for k in range(1, 22)])
    expected = [1 - hit @ (labels[o[:21]] == y[i]) for i, o in enumerate(order)]
    np.testing.assert_allclose(found[:40], expected, atol=1e-12)


def test_chunks_do_not_change_the_result(monkeypatch):
    rng = np.random.default_rng(4)
    x, y = rng.integers(0, 5, size=(50, 2)), rng.integers(0, 2, size=50)
    whole = knn_memorization_exact(x, y)
    monkeypatch.setattr(knn_memorization, "CHUNK_BYTES", 8 * 50 * 7)
    np.testing.assert_array_equal(knn_memorization_exact(x, y), whole)


def test_integers_booleans_images_and_tensors_are_taken_as_they_are():
    rng = np.random.default_rng(5)
    images, y = rng.integers(0, 255, size=(20, 1, 4, 4)).astype(np.uint8), rng.integers(0, 2, size=20)
    plain = knn_memorization_exact(images.reshape(20, -1).astype(float), y)
    np.testing.assert_array_equal(knn_memorization_exact(images, y.astype(bool)), plain)
    np.testing.assert_array_equal(knn_memorization_exact(torch.tensor(images), torch.tensor(y)), plain)
    assert plain.dtype == np.float64


def test_all_points_equal():
    y = np.array([0, 0, 0, 1])
    found = knn_memorization_exact(np.zeros((4, 2)), y, fraction=0.5)
    np.testing.assert_allclose(found, by_enumeration(np.zeros((4, 2)), y, 2), atol=1e-12)


def test_subsets_are_those_of_the_estimator():
    """Monte Carlo with the masks of the estimator and an own 1-NN rule agrees within its error."""
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(30, 2)), rng.integers(0, 2, size=30)
    masks = subset_masks(30, 4000, fraction=0.6, seed=3)
    distances = ((x[:, None] - x) ** 2).sum(2)
    nearest = np.where(masks[:, None, :], distances, np.inf).argmin(2)
    right = y[nearest] == y
    inside = (right * masks).sum(0) / masks.sum(0)
    outside = (right * ~masks).sum(0) / (~masks).sum(0)
    error = np.sqrt(outside * (1 - outside) / (~masks).sum(0)) + 1e-3
    assert np.abs((inside - outside - knn_memorization_exact(x, y, fraction=0.6)) / error).max() < 4


@pytest.mark.parametrize(
    ("x", "y", "fraction", "message"),
    [
        (np.zeros((0, 2)), [], 0.7, "no examples"),
        (np.zeros((3, 2)), [0, 1], 0.7, "one label a row"),
        (np.zeros((3, 2)), [1, 1, 1], 0.7, "1 class"),
        ([[0.0], [np.nan], [1.0]], [0, 1, 0], 0.7, r"X\[1\] holds NaN"),
        (np.zeros((3, 2)), [0.5, 1.0, 0.0], 0.7, r"y\[0\]=0.5 is no class"),
        (np.zeros((3, 2)), [0, np.nan, 1], 0.7, "no class"),
        (np.zeros((3, 2)), [0, 1, 0], 1.0, r"outside \(0, 1\)"),
        (np.zeros((3, 2)), [0, 1, 0], 0.1, "subset empty"),
        (np.array([["a"], ["b"]]), [0, 1], 0.5, "pass numbers"),
        ([[1e300], [-1e300]], [0, 1], 0.5, "overflow"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_refuses(x, y, fraction, message):
    with pytest.raises(BadInput, match=message):
        knn_memorization_exact(x, y, fraction=fraction)
