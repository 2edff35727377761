import numpy as np
import pytest

from overparam.errors import BadInput
from overparam.methods.theory.additive_rate import fit_additive_rate

M, N = (v.ravel() for v in np.meshgrid([50.0, 200, 1000, 5000], [10.0, 40, 160, 640]))
TRUTH = 3 * M**-1.0 + 0.5 * N**-0.6


def test_a_clean_surface_gives_its_exponents():
    found = fit_additive_rate(M, N, TRUTH[:, None], resamples=3)
    assert found.a == pytest.approx(3, rel=1e-4)
    assert found.b == pytest.approx(0.5, rel=1e-4)
    assert (found.p.estimate, found.q.estimate) == pytest.approx((1.0, 0.6), abs=1e-5)
    assert found.q.low == pytest.approx(0.6, abs=1e-4)


def test_intervals_cover_the_truth_and_shrink_with_seeds():
    rng = np.random.default_rng(0)
    noisy = TRUTH[:, None] * rng.chisquare(3, size=(len(M), 160)) / 3
    many, few = fit_additive_rate(M, N, noisy, resamples=100), fit_additive_rate(M, N, noisy[:, :20], resamples=100)
    assert many.q.low < 0.6 < many.q.high
    assert many.p.low < 1.0 < many.p.high
    assert many.q.high - many.q.low < few.q.high - few.q.low


def test_the_factor_is_the_unit_of_the_error():
    one, ten = (fit_additive_rate(M, N, c * TRUTH[:, None], resamples=2) for c in (1, 10))
    assert ten.a == pytest.approx(10 * one.a, rel=1e-4)
    assert ten.p.estimate == pytest.approx(one.p.estimate, abs=1e-5)


@pytest.mark.parametrize(
    ("m", "n", "error", "said"),
    [
        (M, N, TRUTH, r"\(cells, seeds\)"),
        (M[:4], N[:4], TRUTH[:4, None], "4 cells"),
        (M * 0 + 1, N, TRUTH[:, None], "two values of both"),
        (M, N, -TRUTH[:, None], "positive"),
        (M, N, TRUTH[:, None] * np.nan, "finite"),
    ],
)
def test_bad_input_is_named(m, n, error, said):
    with pytest.raises(BadInput, match=said):
        fit_additive_rate(m, n, error)
