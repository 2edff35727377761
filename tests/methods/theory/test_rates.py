import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overparam.errors import BadInput
from overparam.methods.theory.rates import compare_rates, fit_rate

T = np.arange(1, 400)


@given(st.floats(0.01, 0.2), st.floats(0.1, 10))
def test_exact_exponentials_are_recovered(rate, scale):
    found = fit_rate(T, scale * np.exp(-rate * T), "exp")
    assert found.slope.estimate == pytest.approx(-rate, rel=1e-9)
    assert found.r2 == pytest.approx(1.0)
    assert compare_rates(T, scale * np.exp(-rate * T)) > 0


@given(st.floats(0.5, 3), st.floats(0.1, 10))
def test_exact_power_laws_are_recovered(power, scale):
    assert fit_rate(T, scale * T**-power, "power").slope.estimate == pytest.approx(-power, rel=1e-9)
    assert compare_rates(T, scale * T**-power) < 0


def test_the_window_leaves_transient_and_floor_out():
    error = np.maximum(np.exp(-0.1 * T), 1e-10)
    error[:20] = 1.0
    found = fit_rate(T, error, "exp", error_within=(1e-9, 0.1))
    assert found.slope.estimate == pytest.approx(-0.1, rel=1e-9)
    late = fit_rate(T, error, "exp", steps_within=(20, 150), error_within=(1e-9, 1.0))
    assert late.slope.estimate == pytest.approx(-0.1, rel=0.05)


def test_bad_windows_and_kinds_are_refused():
    with pytest.raises(BadInput, match="holds 0 of 399 points; widen"):
        fit_rate(T, np.ones(399), "exp", error_within=(2, 3))
    with pytest.raises(BadInput, match="give 'exp' or 'power'"):
        fit_rate(T, np.ones(399), "linear")
