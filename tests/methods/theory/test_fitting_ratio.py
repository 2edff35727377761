import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from overparam.errors import BadInput
from overparam.methods.theory.fitting_ratio import (
    _Modes,
    finite_fitting_curve,
    fitting_curve,
    optimal_fitting_ratio,
)
from overparam.methods.theory.random_features import rf_risk

EXPONENTS = st.floats(1.05, 4.0).flatmap(lambda a: st.tuples(st.just(a), st.floats(1.02, 2 * a + 0.98)))


@settings(max_examples=60, deadline=None)
@given(EXPONENTS, st.sampled_from([0.0, 0.5, 1.0, 5.0, 50.0]))
def test_the_closed_form_is_the_least_value_of_the_curve(exponents, noise):
    alpha, beta = exponents
    best = optimal_fitting_ratio(alpha, beta, noise)
    curve = lambda w: float(fitting_curve(w**2, alpha, beta, noise))  # noqa: E731
    found = minimize_scalar(curve, bounds=(0, 0.999999), method="bounded", options={"xatol": 1e-12})
    assert curve(np.sqrt(best)) <= found.fun * (1 + 1e-12)
    assert (best == 0) == (noise <= (beta - alpha) / (alpha * (alpha - 1)) + 1e-15)


@settings(max_examples=60, deadline=None)
@given(EXPONENTS, st.sampled_from([0.0, 1.0, 50.0]))
def test_missing_the_best_ratio_costs_at_least_a_quadratic(exponents, noise):
    alpha, beta = exponents
    best = optimal_fitting_ratio(alpha, beta, noise)
    ratios = np.linspace(0, 0.999, 300)
    cost = fitting_curve(ratios, alpha, beta, noise) / fitting_curve(best, alpha, beta, noise) - 1
    floor = ((alpha - 1) / alpha) ** 2 * (np.sqrt(ratios) - np.sqrt(best)) ** 2
    assert (cost >= floor - 1e-12).all()


def test_more_noise_asks_for_less_fitting():
    ratios = [optimal_fitting_ratio(1.3, 1.6, s) for s in (0, 0.5, 1, 2, 5, 50, 500)]
    assert ratios[0] == 0
    assert (np.diff(ratios) >= 0).all()
    assert ratios[-1] > 0.9


@pytest.mark.parametrize("kappa", [1e-4, 1e-3, 0.3])
def test_sums_over_all_modes_agree_with_brute_force(kappa):
    alpha, beta = 2.0, 2.5
    index = np.arange(1, 2_000_001, dtype=float)
    lam, v2 = index**-alpha, index**-beta
    left = kappa / (lam + kappa)
    exact = (1 - left).sum() + 1 / index[-1] / kappa, (left * (1 - left)).sum() + 1 / index[-1] / kappa, left**2 @ v2
    for floor in (kappa, kappa / 50):
        np.testing.assert_allclose(_Modes(alpha, beta, floor).sums(kappa), exact, rtol=1e-6)


def test_the_finite_curve_is_that_of_the_eigenframework_on_a_long_spectrum():
    alpha, beta, n = 2.0, 2.5, 50
    index = np.arange(1, 50_001, dtype=float)
    spectrum = index**-alpha, index**-beta
    unit = rf_risk(*spectrum, n, np.inf, 0.0).test
    path = rf_risk(*spectrum, n, np.inf, np.geomspace(1e-5, 1, 30), 5 * unit)
    curve = finite_fitting_curve(alpha, beta, 5.0, n=n, points=400)
    mine = np.interp(np.sqrt(path.train / path.test), np.sqrt(curve.ratio), curve.risk)
    np.testing.assert_allclose(mine, path.test / unit, rtol=2e-3)
    assert curve.best_risk <= curve.risk.min()


@pytest.mark.parametrize(
    ("alpha", "beta", "noise", "at_100", "at_1000"),
    [(2, 2.5, 5, 0.2533, 0.2517), (1.5, 1.2, 1, 0.5579, 0.5538), (1.17, 1.14, 1, 0.3140, 0.3123), (1.5, 2, 0.5, 0, 0)],
)
def test_finite_samples_approach_the_closed_form(alpha, beta, noise, at_100, at_1000):
    closed = optimal_fitting_ratio(alpha, beta, noise)
    few, many = (finite_fitting_curve(alpha, beta, noise, n=n).best_ratio for n in (100, 1000))
    assert (few, many) == pytest.approx((at_100, at_1000), abs=6e-5)
    assert abs(many - closed) <= 0.15 * abs(few - closed)


def test_noise_free_interpolation_is_the_unit():
    assert fitting_curve(0.0, 1.5, 2.0) == 1
    curve = finite_fitting_curve(1.5, 2.0, n=100)
    assert (curve.ratio[0], curve.best_ratio) == (0, 0)
    assert curve.risk[0] == curve.best_risk == 1
    assert (np.diff(curve.ratio) > 0).all()


@pytest.mark.parametrize(
    "call", [optimal_fitting_ratio, lambda *a: fitting_curve(0.1, *a), lambda *a: finite_fitting_curve(*a, n=10)]
)
def test_exponents_out_of_range_are_named(call):
    with pytest.raises(BadInput, match="alpha=1.0 is not allowed"):
        call(1.0, 1.5, 0.0)
    with pytest.raises(BadInput, match="beta=1.0 is not allowed"):
        call(1.5, 1.0, 0.0)
    with pytest.raises(BadInput, match="beta=4.0 is not allowed; give 1 < beta < 2 alpha"):
        call(1.5, 4.0, 0.0)
    with pytest.raises(BadInput, match="noise_rel=-1.0"):
        call(1.5, 2.0, -1.0)
    with pytest.raises(BadInput, match="alpha=nan"):
        call(float("nan"), 2.0, 0.0)


def test_other_bad_input_is_named():
    with pytest.raises(BadInput, match="outside"):
        fitting_curve([0.5, 1.0], 1.5, 2.0)
    with pytest.raises(BadInput, match="n=0"):
        finite_fitting_curve(1.5, 2.0, n=0)
