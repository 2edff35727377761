import itertools

import numpy as np
import pytest
import torch
from torch import nn

from overparam.errors import BadInput
from overparam.methods.theory.estimability import (
    average_estimability,
    estimability_gap,
    nullity_distribution,
    p_exact_erm,
    two_worlds,
)
from overparam.methods.theory.finite_field import FiniteFieldLinear


def classifier():
    torch.manual_seed(0)
    return nn.Linear(3, 4)


def test_worlds_share_the_sample_and_differ_in_the_error():
    model = classifier()
    x, pool = torch.randn(20, 3), torch.randn(80, 3)
    worlds = two_worlds(model, (x, model(x).argmax(1)), pool, classes=4, bounds={"low": 0.0, "high": 0.6, "half": 0.3})
    assert (worlds.loss_a, worlds.unseen) == (0.0, 0.8)
    assert worlds.loss_b == pytest.approx(0.75 * 0.8)
    assert worlds.forced_error == pytest.approx({"low": 0.6, "high": 0.6, "half": 0.3})


def test_every_bound_is_off_by_half_the_gap_or_more():
    model = classifier()
    x, pool = torch.randn(20, 3), torch.randn(60, 3)
    bounds = {str(b): float(b) for b in np.linspace(-1, 3, 101)}
    worlds = two_worlds(model, (x, model(x).argmax(1)), pool, classes=4, bounds=bounds)
    assert min(worlds.forced_error.values()) >= (worlds.loss_b - worlds.loss_a) / 2 - 1e-12


def test_error_of_the_second_world_by_drawing_its_labels():
    model = classifier()
    x, pool = torch.randn(50, 3), torch.randn(50, 3)
    pool[:10] = x[:10]
    h = model(pool).argmax(1)
    worlds = two_worlds(model, (x, model(x).argmax(1)), pool, classes=4, bounds={})
    labels = torch.randint(0, 4, (20_000, 40))
    wrong = (labels != h[10:]).double().mean() * 40 / 90
    assert worlds.loss_b == pytest.approx(float(wrong), abs=0.005)


def test_a_pool_of_training_inputs_leaves_nothing_unseen():
    model = classifier()
    x = torch.randn(20, 3)
    worlds = two_worlds(model, (x, model(x).argmax(1)), x, classes=4, bounds={"zero": 0.0})
    assert worlds.loss_b == 0.0
    assert worlds.forced_error == {"zero": 0.0}


@pytest.mark.parametrize(("q", "d", "m"), [(2, 3, 3), (2, 4, 2), (3, 2, 3)])
def test_nullities_against_enumeration(q, d, m):
    rows = np.array(list(itertools.product(range(q), repeat=d)))
    found = np.zeros(d + 1)
    for choice in itertools.product(range(len(rows)), repeat=m):
        kernel = (rows @ rows[list(choice)].T % q == 0).all(1).sum()
        found[round(np.log(kernel) / np.log(q))] += 1
    np.testing.assert_allclose(nullity_distribution(q, d, m), found / found.sum(), atol=1e-12)


def test_nullities_sum_to_one():
    for q, d, m in ((2, 40, 40), (101, 200, 196), (5, 20, 0)):
        assert nullity_distribution(q, d, m).sum() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize(("q", "d", "m"), [(2, 12, 12), (2, 12, 11), (5, 6, 6), (2, 12, 22)])
def test_exact_learning_against_simulation(q, d, m):
    space, trials = FiniteFieldLinear(q, d), 4000
    w = space.target(trials, rng=0)
    x, y = space.sample(w, m, rng=1)
    share = (space.disagreement(space.erm(x, y, rng=2).w, w) == 0).mean()
    p = p_exact_erm(q, d, m)
    assert share == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / trials) + 1e-3)


def test_known_values():
    assert p_exact_erm(2, 60, 60) == pytest.approx(0.61, abs=0.005)
    assert p_exact_erm(2, 60, 59) == pytest.approx(0.39, abs=0.005)
    assert p_exact_erm(2, 60, 70) > 0.999
    assert p_exact_erm(7, 3, 0) == pytest.approx(7.0**-3)


def test_parities_at_the_edge_fail_a_third_of_the_time():
    """An unbiased learner of parities in d variables from d examples: right with chance 2^-s at nullity s."""
    nullity = nullity_distribution(2, 40, 40)
    right = 2.0 ** -np.arange(41.0)
    posterior = np.stack([nullity * right, nullity * (1 - right)], 1)
    found = average_estimability(posterior, [0.0, 0.5], epsilon=0.25)
    assert found.failure == pytest.approx((nullity * np.minimum(right, 1 - right)).sum())
    assert 0.32 <= found.failure < 0.34
    assert found.squared_error == pytest.approx((nullity * right * (1 - right)).sum() / 4)


def test_the_best_estimator_against_a_search():
    rng = np.random.default_rng(0)
    joint, losses = rng.random((3, 5)), np.array([0.9, 0.1, 0.4, 0.25, 0.6])
    joint /= joint.sum()
    found = average_estimability(joint, losses, epsilon=0.12)
    guesses = np.linspace(0, 1, 10_001)
    hit = np.abs(guesses[:, None] - losses) < 0.12
    assert found.failure == pytest.approx(1 - (hit @ joint.T).max(0).sum(), abs=1e-9)
    errors = ((guesses[:, None] - losses) ** 2) @ joint.T
    assert found.squared_error == pytest.approx(errors.min(0).sum(), abs=1e-7)


def test_half_way_between_fails_on_both():
    assert average_estimability([[0.5, 0.5]], [0.0, 0.5], epsilon=0.25).failure == 0.5


def test_trained_estimators_find_what_there_is_and_no_more():
    rng = np.random.default_rng(0)
    seen = rng.integers(0, 2, 4000)
    known = estimability_gap(np.where(seen, 0.9, 0.0), np.stack([seen, rng.integers(0, 2, 4000)], 1), epsilon=0.45)
    assert (known.failure, known.mean_error) == (0.0, 0.0)
    assert known.constant_failure == pytest.approx(0.5, abs=0.05)
    blind = estimability_gap(rng.permutation(np.where(seen, 0.9, 0.0)), rng.normal(size=(4000, 3)), epsilon=0.45)
    assert blind.failure == pytest.approx(0.5, abs=0.05)
    assert blind.held_out == 2000


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: two_worlds(classifier(), (torch.ones(1, 3), torch.zeros(1)), torch.ones(0, 3), classes=4, bounds={}),
         "0 inputs in the pool"),
        (lambda: two_worlds(classifier(), (torch.ones(1, 3), torch.zeros(1)), torch.ones(1, 3), classes=1, bounds={}),
         "classes=1"),
        (lambda: average_estimability([[0.5, -0.5]], [0, 1], epsilon=0.1), "not negative"),
        (lambda: average_estimability([[0.5, 0.5]], [0, 1, 2], epsilon=0.1), "posterior"),
        (lambda: average_estimability([[0.5, 0.5]], [0, 1], epsilon=0.0), "positive epsilon"),
        (lambda: estimability_gap([0.0] * 3, [[0.0]] * 3, epsilon=0.1), "n >= 4"),
        (lambda: estimability_gap([0.0] * 4 + [np.nan], [[0.0]] * 5, epsilon=0.1), "NaN"),
        (lambda: nullity_distribution(4, 2, 2), "no prime"),
        (lambda: nullity_distribution(2, 0, 2), "d >= 1"),
    ],
)  # fmt: skip
def test_bad_input(call, message):
    with pytest.raises(BadInput, match=message):
        call()


def test_a_model_with_training_errors_is_refused():
    model, x = classifier(), torch.randn(5, 3)
    with pytest.raises(BadInput, match="wrong on 5 of 5"):
        two_worlds(model, (x, (model(x).argmax(1) + 1) % 4), x, classes=4, bounds={})
