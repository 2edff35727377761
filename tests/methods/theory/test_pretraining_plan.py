import math

import numpy as np
import pytest

from overparam.errors import BadInput
from overparam.methods.theory.factor_model import FactorMLE, FactorModel
from overparam.methods.theory.pretraining_plan import PretrainingPlan

MODEL = FactorModel(
    np.linalg.qr(np.random.default_rng(0).standard_normal((30, 3)))[0] * [3, 4, 5], [0.6, 0.6, 0.5], noise=0.5
)
PLAN = PretrainingPlan.of(MODEL)


def simulate(m, n, seeds):
    found = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        basis = FactorMLE(3).fit_covariance(MODEL.sample_covariance(m, rng)).basis_
        x, y = MODEL.sample(n, rng)
        found.append(float(MODEL.excess(basis @ np.linalg.lstsq(x @ basis, y, rcond=None)[0])))
    return np.mean(found), np.std(found) / seeds**0.5


@pytest.mark.parametrize(("m", "n"), [(200, 2_000), (1_000, 40), (100_000, 20)])
def test_the_closed_form_is_what_simulation_gives(m, n):
    mean, error = simulate(m, n, 300)
    assert abs(mean - float(PLAN.excess(m, n))) < 3 * error + 0.03 * mean


def test_the_subspace_part_is_the_floor_of_an_estimated_subspace():
    rng, m = np.random.default_rng(0), 2_000
    floors = [
        float(MODEL.floor(FactorMLE(3).fit_covariance(MODEL.sample_covariance(m, rng)).basis_)) for _ in range(300)
    ]
    assert np.mean(floors) * m == pytest.approx(PLAN.subspace_constant, rel=0.05)


def test_least_squares_and_ridge_are_what_simulation_gives():
    rng = np.random.default_rng(1)
    ols, ridge = [], []
    lam = np.logspace(-1, 4, 60)
    for _ in range(300):
        x, y = MODEL.sample(60, rng)
        ols.append(float(MODEL.excess(np.linalg.lstsq(x, y, rcond=None)[0])))
        u, s, v = np.linalg.svd(x, full_matrices=False)
        ridge.append(MODEL.excess((s * (u.T @ y) / (s**2 + lam[:, None])) @ v))
    assert np.mean(ols) == pytest.approx(float(PLAN.least_squares(60)), rel=0.06)
    assert np.mean(ridge, axis=0).min() == pytest.approx(PLAN.ridge(60), rel=0.1)
    assert math.isinf(PLAN.least_squares(31))
    assert PLAN.supervised(31) == PLAN.ridge(31) < 1


def test_what_is_needed_is_the_smallest_number_that_reaches_the_target():
    n = PLAN.labelled_needed(0.02, m=2_000)
    assert float(PLAN.excess(2_000, n)) <= 0.02 < float(PLAN.excess(2_000, n - 1))
    m = PLAN.unlabelled_needed(0.02, n=80)
    assert float(PLAN.excess(m, 80)) <= 0.02
    assert m == math.ceil(PLAN.reliable_from) or float(PLAN.excess(m - 1, 80)) > 0.02
    s = PLAN.supervised_needed(0.02)
    assert PLAN.supervised(s) <= 0.02 < PLAN.supervised(s - 1)


def test_where_it_cannot_be_reached_the_number_is_infinite():
    assert math.isinf(PLAN.labelled_needed(1e-6, m=100))
    assert math.isinf(PLAN.unlabelled_needed(1e-6, n=100))
    assert math.isinf(PLAN.unlabelled_needed(0.1, n=4))
    assert math.isinf(PLAN.excess(1_000, 4))


def test_limits():
    assert float(PLAN.excess(np.inf, 10**9)) == pytest.approx(0, abs=1e-8)
    assert float(PLAN.excess(np.inf, 40)) == pytest.approx(MODEL.bayes_risk * 3 / 36)
    assert PLAN.excess(np.array([100, 1_000]), 40)[0] > PLAN.excess(np.array([100, 1_000]), 40)[1]
    m = PLAN.crossover(60)
    assert float(PLAN.excess(m, 60)) <= PLAN.supervised(60)


def test_units_of_the_inputs_do_not_matter():
    scaled = PretrainingPlan.of(FactorModel(MODEL.loadings * 7, MODEL.coefficients, noise=0.5, input_noise=7.0))
    assert float(scaled.excess(500, 50)) == pytest.approx(float(PLAN.excess(500, 50)))
    assert scaled.ridge(50) == pytest.approx(PLAN.ridge(50), rel=1e-6)
    assert scaled.reliable_from == pytest.approx(PLAN.reliable_from)


def test_a_plan_from_data_comes_close_to_the_true_one():
    rng = np.random.default_rng(0)
    x, _ = MODEL.sample(20_000, rng)
    found = PretrainingPlan.from_data(FactorMLE(3, "isotropic").fit(x), *MODEL.sample(2_000, rng))
    assert found.residual == pytest.approx(MODEL.bayes_risk, rel=0.1)
    assert found.subspace_constant == pytest.approx(PLAN.subspace_constant, rel=0.1)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: PretrainingPlan(3, [0.5], [1.0], 1.0), "above input_noise"),
        (lambda: PretrainingPlan(1, [2.0, 3.0], [1.0, 1.0], 1.0), "no more of them than inputs"),
        (lambda: PretrainingPlan(3, [2.0], [1.0], -1.0), "residual=-1"),
        (lambda: PretrainingPlan.of(FactorModel(np.ones((4, 2)), [1.0, 1.0], noise=1)), "dependent columns"),
        (lambda: PLAN.excess(0, 10), "positive numbers of examples"),
        (lambda: PLAN.labelled_needed(0, 10), "target=0"),
        (lambda: PLAN.unlabelled_needed(0.1, -1), "n=-1"),
        (lambda: PLAN.supervised_needed(-1), "target=-1"),
        (
            lambda: PretrainingPlan.from_data(FactorMLE(1).fit_covariance(np.eye(2) * 3), np.ones((2, 2)), [1, 2]),
            "too few",
        ),
        (
            lambda: PretrainingPlan.from_data(FactorMLE(1).fit_covariance(np.eye(2) * 3), np.ones((2, 3)), [1, 2]),
            "needed",
        ),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(BadInput, match=said):
        call()
