import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overparam.errors import BadInput
from overparam.methods.theory.marchenko_pastur import edges, empirical_spectrum, marchenko_pastur


@given(st.floats(0.01, 0.999) | st.floats(1.001, 50.0))
def test_mass_and_moments_are_those_of_the_law(alpha):
    eigenvalues, weights, null = marchenko_pastur(alpha)
    assert weights.sum() == pytest.approx(min(alpha, 1.0), rel=1e-10)
    assert null == pytest.approx(max(0.0, 1 - alpha))
    assert weights @ eigenvalues == pytest.approx(alpha, rel=1e-12)  # E tr XX' / N
    assert weights @ eigenvalues**2 == pytest.approx(alpha + alpha**2, rel=1e-12)
    low, high = edges(alpha)
    assert low <= eigenvalues.min() <= eigenvalues.max() <= high


@pytest.mark.parametrize("alpha", [0.1, 0.9, 0.99, 0.999, 1.001, 1.5, 9.0])
def test_the_mean_inverse_is_exact_close_to_one_as_well(alpha):
    eigenvalues, weights, _ = marchenko_pastur(alpha)
    assert weights @ (1 / eigenvalues) == pytest.approx(min(alpha, 1.0) / abs(1 - alpha), rel=1e-10)


@pytest.mark.parametrize("time", [10.0, 1e4, 1e7])
def test_default_nodes_suffice_at_alpha_one(time):
    def noise(spectrum):
        e = np.expm1(-spectrum.eigenvalues * time)
        return spectrum.weights @ (e**2 / spectrum.eigenvalues)

    twice = marchenko_pastur(1.0, nodes=2 * len(marchenko_pastur(1.0, time=time).eigenvalues))
    assert noise(marchenko_pastur(1.0, time=time)) == pytest.approx(noise(twice), rel=1e-12)


def test_a_large_matrix_has_this_spectrum():
    x = np.random.default_rng(0).normal(0.0, 600**-0.5, (600, 300))
    drawn, law = empirical_spectrum(np.linalg.eigvalsh(x @ x.T)), marchenko_pastur(0.5)
    assert drawn.null_mass == law.null_mass == 0.5
    for penalty in (0.1, 1.0):
        both = [s.weights @ (1 / (s.eigenvalues + penalty)) for s in (drawn, law)]
        assert both[0] == pytest.approx(both[1], rel=0.02)


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan"), float("inf")])
def test_alpha_has_to_be_a_ratio(alpha):
    for call in (edges, marchenko_pastur):
        with pytest.raises(BadInput, match=f"alpha={alpha} is no ratio"):
            call(alpha)


def test_nodes_and_eigenvalues_are_checked():
    with pytest.raises(BadInput, match="nodes=1 is too few"):
        marchenko_pastur(0.5, nodes=1)
    for values in ([], [0.0, 0.0], [1.0, np.nan]):
        with pytest.raises(BadInput, match="none positive or not all finite"):
            empirical_spectrum(values)
