import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from overparam import stats
from overparam.errors import BadInput

samples = st.lists(st.floats(-100, 100), min_size=3, max_size=20).filter(lambda x: np.std(x) > 1e-3)


def test_t_interval_agrees_with_statsmodels():
    x = np.random.default_rng(0).normal(3, 2, 17)
    found = stats.t_interval(x, level=0.9)
    assert (found.low, found.high) == pytest.approx(DescrStatsW(x).tconfint_mean(alpha=0.1), rel=1e-12)
    assert found.n == 17


def test_one_value_gives_no_interval_and_equal_values_give_no_width():
    for interval in (stats.t_interval, stats.bca_interval):
        assert (interval([2.0]).low, interval([2.0]).high) == (-math.inf, math.inf)
        assert (interval([2.0, 2.0]).low, interval([2.0, 2.0]).high) == (2.0, 2.0)


@given(samples, st.floats(-10, 10), st.floats(0.1, 10))
@settings(max_examples=50, deadline=None)
def test_t_interval_moves_and_scales_with_the_data(x, shift, scale):
    a, b = stats.t_interval(x), stats.t_interval(np.array(x) * scale + shift)
    assert b.low == pytest.approx(a.low * scale + shift, abs=1e-6)
    assert b.high == pytest.approx(a.high * scale + shift, abs=1e-6)
    wider = stats.t_interval(x, level=0.99)
    assert wider.low <= a.low
    assert a.high <= wider.high


def test_bca_is_seeded_and_covers_skewed_data_asymmetrically():
    x = np.random.default_rng(1).exponential(size=30)
    a, b = stats.bca_interval(x), stats.bca_interval(x)
    assert a == b
    assert a.high - a.estimate > a.estimate - a.low  # the tail is on the right
    plain = np.quantile(np.random.default_rng(2).choice(x, (20_000, 30)).mean(1), [0.025, 0.975])
    assert a.low > plain[0]  # bias correction and acceleration move both ends to the right
    assert a.high > plain[1]


def test_ratio_is_the_exponential_of_the_paired_logs():
    a, b = np.array([1.0, 2.0, 5.0]), np.array([2.0, 3.0, 4.0])
    found, logs = stats.ratio_interval(a, b), stats.t_interval(np.log(a / b))
    assert [found.estimate, found.low, found.high] == pytest.approx(np.exp([logs.estimate, logs.low, logs.high]))
    with pytest.raises(BadInput, match=r"against\[1\]=0 is not positive"):
        stats.ratio_interval([1.0, 1.0], [1.0, 0.0])


@given(samples, st.floats(0.1, 50))
@settings(max_examples=50, deadline=None)
def test_equivalence_agrees_with_statsmodels_and_with_its_interval(x, margin):
    found = stats.equivalence(x, margin=margin)
    p, (_, p_low, _), (_, p_high, _) = DescrStatsW(x).ttost_mean(-margin, margin)
    assert found.p == pytest.approx(p, abs=1e-9)
    assert (found.p_low, found.p_high) == pytest.approx((p_low, p_high), abs=1e-9)
    inside = found.interval.low > -margin and found.interval.high < margin
    assert inside == (found.p < 0.025)


def test_slope_agrees_with_scipy():
    from scipy.stats import linregress
    from scipy.stats import t as student

    rng = np.random.default_rng(3)
    x = rng.normal(size=12)
    y = 2 * x + rng.normal(size=12)
    oracle = linregress(x, y)
    found = stats.slope(x, y)
    half = student.ppf(0.975, 10) * oracle.stderr
    assert [found.estimate, found.low, found.high] == pytest.approx([
        oracle.slope,
        oracle.slope - half,
        oracle.slope + half,
    ])
    with pytest.raises(BadInput, match="two distinct x"):
        stats.slope([1, 1], [0, 1])


def test_spearman_agrees_with_scipy_with_ties_and_is_none_for_a_constant():
    from scipy.stats import spearmanr

    x, y = [1, 2, 2, 3, 5], [2, 1, 4, 4, 9]
    assert stats.spearman(x, y) == pytest.approx(spearmanr(x, y).statistic)
    assert stats.spearman([1, 1, 1], [1, 2, 3]) is None


@pytest.mark.parametrize(("successes", "n"), [(0, 5), (3, 10), (10, 10)])
def test_wilson_agrees_with_statsmodels(successes, n):
    found = stats.wilson(successes, n)
    assert (found.low, found.high) == pytest.approx(proportion_confint(successes, n, method="wilson"), abs=1e-12)
    with pytest.raises(BadInput, match="is no share"):
        stats.wilson(3, 2)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None)
def test_holm_agrees_with_statsmodels(p):
    assert stats.holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)


@given(st.integers(0, 10_000), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_holm_intervals_decide_exactly_as_holms_p_values(seed, parts):
    rng = np.random.default_rng(seed)
    data = [rng.normal(rng.uniform(-1.5, 1.5), 1, 8) for _ in range(parts)]
    clear = lambda _, interval: interval.low > 0 or interval.high < 0  # noqa: E731
    found = stats.holm_intervals([lambda level, x=x: stats.t_interval(x, level=level) for x in data], clear)
    p = [DescrStatsW(x).ttest_mean(0)[1] for x in data]
    assert [clear(0, i) for i in found] == list(multipletests(p, alpha=0.05, method="holm")[0])


@pytest.mark.parametrize("values", [[], [1.0, math.nan]])
def test_bad_values_are_refused(values):
    with pytest.raises(BadInput, match="finite"):
        stats.t_interval(values)
    with pytest.raises(BadInput, match="no coverage"):
        stats.t_interval([1.0], level=1.5)
    with pytest.raises(BadInput, match="one pair a unit"):
        stats.paired_interval([1.0], [1.0, 2.0])
    with pytest.raises(BadInput, match="positive margin"):
        stats.equivalence([1.0, 2.0], margin=0)
