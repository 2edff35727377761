import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from overparam.errors import BadInput
from overparam.methods.measures.knn_memorization import knn_memorization_exact
from overparam.methods.measures.memorization import (
    estimate_memorization,
    influence_from_correctness,
    memorization_from_correctness,
    subset_masks,
    subset_size,
)


def table(t=60, n=12, z=5, seed=0):
    rng = np.random.default_rng(seed)
    masks = subset_masks(n, t, fraction=0.5, seed=seed)
    return rng.random((t, n)) < 0.3 + 0.5 * masks, rng.random((t, z)) < 0.5, masks


def data(n=40, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    return x, (x[:, 0] > 0).astype(int)


def test_memorisation_and_influence_match_loops():
    A, B, M = table()
    mem = memorization_from_correctness(A, M)
    influence = influence_from_correctness(B.astype(float), M)
    for i in range(M.shape[1]):
        inside, outside = M[:, i], ~M[:, i]
        assert mem.value[i] == pytest.approx(A[inside, i].mean() - A[outside, i].mean(), abs=1e-6)
        for z in range(B.shape[1]):
            assert influence.value[i, z] == pytest.approx(B[inside, z].mean() - B[outside, z].mean(), abs=1e-12)
    assert influence_from_correctness(A, M).value.diagonal() == pytest.approx(mem.value, abs=1e-6)


def test_single_precision_is_used_unless_double_is_given():
    _, B, M = table()
    single, double = influence_from_correctness(B, M), influence_from_correctness(B.astype(np.float64), M)
    assert (single.value.dtype, double.value.dtype) == (np.float32, np.float64)
    np.testing.assert_allclose(single.value, double.value, atol=1e-6)
    np.testing.assert_allclose(single.se, double.se, atol=1e-6)


def test_standard_errors_cover():
    """The deviation over the error has about unit size where correctness is a coin with a known bias."""
    rng = np.random.default_rng(0)
    M = subset_masks(5000, 60, fraction=0.5, seed=1)
    found = memorization_from_correctness(rng.random(M.shape) < np.where(M, 0.8, 0.3), M)
    scores = (found.value - 0.5) / found.se
    assert 0.95 < scores.std() < 1.1
    assert np.mean(np.abs(scores) < 1.96) > 0.93


def test_agreement_of_few_models_is_not_certainty():
    A, M = np.ones((4, 1)), np.array([[1], [1], [1], [0]])
    assert memorization_from_correctness(A, M).se[0] > 0.1


def test_an_example_in_all_or_no_subsets_has_no_value():
    M = np.array([[1, 0, 1], [1, 0, 0]])
    A, B = np.ones((2, 3)), np.ones((2, 2))
    for found in (memorization_from_correctness(A, M), influence_from_correctness(B, M)):
        assert np.isnan(found.value[:2]).all()
        assert np.isnan(found.se[:2]).all()
        assert np.isfinite(found.value[2]).all()


def test_masks_have_equal_sizes_repeat_and_cover_evenly():
    masks = subset_masks(50, 2000, fraction=0.7, seed=5)
    assert set(masks.sum(1)) == {35}
    np.testing.assert_array_equal(masks, subset_masks(50, 2000, fraction=0.7, seed=5))
    assert not np.array_equal(masks, subset_masks(50, 2000, fraction=0.7, seed=6))
    share = masks.mean(0)
    assert np.abs(share - 0.7).max() < 4.5 * np.sqrt(0.21 / 2000)
    pair = (masks[:, 0] & masks[:, 1]).mean()  # drawn without replacement: 35/50 x 34/49
    assert pair == pytest.approx(35 / 50 * 34 / 49, abs=0.05)


@pytest.mark.parametrize(("n", "fraction", "size"), [(100, 0.29, 29), (10, 0.7, 7), (2, 0.5, 1), (5, 0.999, 4)])
def test_sizes_are_not_spoilt_by_rounding(n, fraction, size):
    assert subset_size(n, fraction) == size


def test_one_nearest_neighbour_agrees_with_its_closed_form():
    x, y = data()
    y[:5] = 1 - y[:5]
    found = estimate_memorization(KNeighborsClassifier(1), x, y, n_subsets=200, fraction=0.6, seed=1)
    exact = knn_memorization_exact(x, y, fraction=0.6)
    assert np.abs((found.mem - exact) / found.se).max() < 4
    assert np.mean((found.mem - exact) ** 2) < 1 / (0.6 * 200) + 1 / (0.4 * 200)


def test_a_memoriser_of_random_labels_reaches_one_minus_chance():
    rng = np.random.default_rng(0)
    x, y = np.arange(300.0)[:, None], rng.integers(0, 4, 300)

    def fit(X, labels, seed):
        known = dict(zip(X[:, 0].tolist(), labels.tolist(), strict=True))
        guess = np.random.default_rng(seed)
        return lambda points: np.array([known.get(p, guess.integers(0, 4)) for p in points[:, 0].tolist()])

    found = estimate_memorization(fit, x, y, n_subsets=60)
    assert np.mean(found.mem) == pytest.approx(0.75, abs=0.03)
    assert found.mem.min() >= -1
    assert found.mem.max() <= 1


def test_influence_on_a_training_point_is_its_memorisation():
    x, y = data()
    found = estimate_memorization(KNeighborsClassifier(1), x, y, x, y, n_subsets=30)
    np.testing.assert_allclose(found.influence.diagonal(), found.mem, atol=1e-6)
    np.testing.assert_array_equal(found.correct, found.correct_test)
    assert found.influence_se.shape == (40, 40)


def test_every_kind_of_learner_gives_the_same_numbers():
    x, y = data()
    names = np.array(["left", "right"])[y]

    def network(X, labels, seed):
        weights = LogisticRegression().fit(X, labels)
        layer = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.9)).train()
        with torch.no_grad():
            layer[0].weight.copy_(torch.tensor(np.concatenate([-weights.coef_, weights.coef_])))
            layer[0].bias.copy_(torch.tensor(np.concatenate([-weights.intercept_, weights.intercept_])))
        return layer

    plain = estimate_memorization(LogisticRegression(), x, y, n_subsets=20)
    assert plain.influence is None
    for fit, labels in (
        (lambda X, y, seed: LogisticRegression().fit(X, y).predict, y),
        (lambda X, y, seed: LogisticRegression().fit(X, y), names),
        (network, y),
    ):
        np.testing.assert_array_equal(estimate_memorization(fit, x, labels, n_subsets=20).correct, plain.correct)
    tensors = estimate_memorization(network, torch.tensor(x), torch.tensor(y), n_subsets=20)
    np.testing.assert_array_equal(tensors.correct, plain.correct)


def test_each_subset_has_a_seed_of_its_own_and_the_run_repeats():
    seeds = []

    def fit(X, y, seed):
        seeds.append(seed)
        return DecisionTreeClassifier(splitter="random", random_state=seed).fit(X, y)

    x, y = data()
    first = estimate_memorization(fit, x, y, n_subsets=10, seed=3)
    assert len(set(seeds)) == 10
    again = estimate_memorization(DecisionTreeClassifier(splitter="random"), x, y, n_subsets=10, seed=3)
    np.testing.assert_array_equal(first.correct, again.correct)
    other = estimate_memorization(DecisionTreeClassifier(splitter="random"), x, y, n_subsets=10, seed=4)
    assert not np.array_equal(first.masks, other.masks)


def test_inputs_and_the_global_state_stay_as_they_are():
    x, y = data()
    before, state, numpy_state = x.copy(), torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    estimate_memorization(KNeighborsClassifier(1), x, y, n_subsets=5)
    np.testing.assert_array_equal(x, before)
    assert torch.equal(state, torch.get_rng_state())
    np.testing.assert_array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002


def constant(X, y, seed):
    return lambda points: np.zeros(len(points), dtype=int)


X2, Y2 = np.zeros((4, 1)), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        ((constant, np.zeros((0, 1)), []), {}, "no examples"),
        ((constant, X2, [0, 1]), {}, "one label a row"),
        ((constant, X2, np.zeros(4, int)), {}, "1 class"),
        ((constant, X2 * np.nan, Y2), {}, "holds NaN"),
        ((constant, X2, Y2 + 0.5), {}, "no class"),
        ((constant, X2, Y2, X2), {}, "belong together"),
        ((constant, X2, Y2, X2, [0, 1]), {}, "y_test has shape"),
        ((constant, X2, Y2, np.full((1, 1), np.inf), [0]), {}, "X_test"),
        ((constant, X2, Y2), {"fraction": 0.0}, r"outside \(0, 1\)"),
        ((constant, X2, Y2), {"fraction": float("nan")}, r"outside \(0, 1\)"),
        ((constant, X2, Y2), {"n_subsets": 1}, "n_subsets>=2"),
        ((3, X2, Y2), {}, "scikit-learn classifier"),
        ((lambda X, y, seed: lambda p: np.zeros(1), X2, Y2), {}, "one label a point"),
        ((lambda X, y, seed: 1 / 0, X2, Y2), {}, "ZeroDivisionError on subset 0 with 2 examples"),
    ],
)
def test_estimate_refuses(arguments, keywords, message):
    with pytest.raises(BadInput, match=message):
        estimate_memorization(*arguments, **keywords)


@pytest.mark.parametrize(
    ("function", "first", "message"),
    [
        (memorization_from_correctness, np.ones((3, 2)), "one row a model"),
        (memorization_from_correctness, np.ones((0, 2)), "one row a model"),
        (memorization_from_correctness, np.full((2, 2), np.nan), "holds NaN"),
        (influence_from_correctness, np.full((2, 2), 1.5), r"leaves \[0, 1\]"),
        (influence_from_correctness, np.ones((3, 2)), "one row a model in both"),
    ],
)
def test_tables_of_correctness_are_checked(function, first, message):
    with pytest.raises(BadInput, match=message):
        function(first, np.eye(2))
