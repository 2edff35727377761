from itertools import product
from math import comb

import numpy as np
import pytest

from overparam.errors import BadInput
from overparam.methods.theory.long_tail import FrequencyPrior

PRIORS = {
    "zipf": FrequencyPrior.zipf(300),
    "steep": FrequencyPrior.zipf(300, 2.0),
    "geometric": FrequencyPrior.geometric(200, 0.97),
    "two levels": FrequencyPrior.two_level(200, 10.0),
    "list": FrequencyPrior.from_list([3.0, 1.0, 1.0, 0.5]),
}
every = pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)


@every
def test_tau_is_the_ratio_of_moments(prior):
    a = np.repeat(prior.values, np.round(prior.weights * prior.size).astype(int))
    assert len(a) == prior.size
    assert a.sum() == pytest.approx(1.0)
    for n, times in ((5, 0), (40, 1), (40, 3), (40, 40)):
        seen = comb(n, times) * a**times * (1 - a) ** (n - times)
        assert prior.tau(n, times) == pytest.approx((a * seen).sum() / seen.sum(), rel=1e-9)
        assert prior.expected_counts(n, times) == pytest.approx(seen.sum(), rel=1e-9)
        assert prior.expected_mass(n, times) == pytest.approx((a * seen).sum(), rel=1e-9)


@every
def test_tau_increases_and_everything_adds_up(prior):
    n = 30
    taus = [prior.tau(n, times) for times in range(n + 1)]
    assert (np.diff(taus) >= -1e-15).all()
    assert taus[0] < taus[1] < taus[2]
    assert sum(prior.expected_counts(n, times) for times in range(n + 1)) == pytest.approx(prior.size)
    assert sum(times * prior.expected_counts(n, times) for times in range(n + 1)) == pytest.approx(n)
    assert sum(prior.expected_mass(n, times) for times in range(n + 1)) == pytest.approx(1.0)
    assert prior.weight(0, 1) == pytest.approx(1.0)


def test_a_uniform_prior_learns_nothing_from_counts():
    prior = FrequencyPrior.uniform(50)
    assert [prior.tau(20, times) for times in (0, 1, 7, 20)] == pytest.approx([1 / 50] * 4)


def test_scale_and_order_of_the_list_do_not_matter():
    one, two = FrequencyPrior.from_list([1, 2, 3]), FrequencyPrior.from_list([30, 10, 20])
    assert one.tau(10, 1) == pytest.approx(two.tau(10, 1), rel=1e-14)


def test_tau_is_the_posterior_mean_over_all_draws_and_samples():
    """Oracle: levels {1, 10}, three points, four draws; every assignment of levels and every count of one point."""
    levels, n = (1.0, 10.0), 4
    for times in range(n + 1):
        top = bottom = 0.0
        for p in product(levels, repeat=3):
            a = p[0] / sum(p)
            seen = comb(n, times) * a**times * (1 - a) ** (n - times)
            top, bottom = top + a * seen, bottom + seen
        prior = FrequencyPrior.from_list([1.0, 10.0, 10.0, 1.0])  # half of each
        prior = FrequencyPrior(3, prior.levels, prior.shares, prior.values, prior.weights)
        assert prior.sampled(draws=40_000).tau(n, times) == pytest.approx(top / bottom, rel=5e-3)
        if times == 0:
            assert top / bottom == pytest.approx(0.12976, abs=5e-6)


def test_the_head_does_not_underflow():
    prior = FrequencyPrior.zipf(50_000)
    assert prior.values.max() > 0.08
    assert 50_000 * prior.tau(50_000, 1) == pytest.approx(0.4717, abs=1e-4)
    assert prior.tau(50_000, 4_400) == pytest.approx(0.0877, abs=1e-3)  # only the head is seen so often
    assert prior.opt_error(50_000, 10) == pytest.approx(0.1526, abs=1e-3)


def test_sampled_prior_has_the_same_mean_and_repeats():
    prior = FrequencyPrior.zipf(100)
    sampled = prior.sampled(draws=4000, seed=1)
    assert sampled.weights.sum() == pytest.approx(1.0)
    assert sampled.size * sampled.weights @ sampled.values == pytest.approx(1.0, abs=0.01)
    np.testing.assert_array_equal(sampled.values, prior.sampled(draws=4000, seed=1).values)
    assert not np.array_equal(sampled.values, prior.sampled(draws=4000, seed=2).values)
    naive = prior.draw(np.random.default_rng(3), 4000).ravel()  # pooled draws of whole distributions
    seen = naive * (1 - naive) ** 99
    assert sampled.tau(100, 1) == pytest.approx((naive * seen).sum() / seen.sum(), rel=0.02)


def test_list_and_sampled_forms_differ_by_two_per_cent_at_a_thousand():
    prior = FrequencyPrior.zipf(1000)
    gap = prior.sampled(draws=2000).tau(1000, 1) / prior.tau(1000, 1) - 1
    assert 0.01 < gap < 0.03


@pytest.mark.parametrize("n", [3, 10, 1000])
@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
def test_the_floor_lies_below_tau(n, exponent):
    for prior in (FrequencyPrior.zipf(n, exponent), FrequencyPrior.zipf(7 * n, exponent)):
        assert prior.singleton_floor(n) <= prior.tau(n, 1)


def test_without_mass_around_one_over_n_a_singleton_stands_for_little():
    n = 2000
    found = [n * FrequencyPrior.two_level(n, gap).tau(n, 1) for gap in (2.0, 20.0, 200.0)]
    assert found[0] > 0.4
    assert found[1:] == pytest.approx([1 / 20, 1 / 200], rel=0.02)
    assert FrequencyPrior.two_level(n, 20.0).weight(1 / (3 * n), 2 / n) == 0.0


def test_excess_adds_up_and_one_class_costs_nothing():
    prior = FrequencyPrior.zipf(20)
    assert prior.excess(10, {0: 2.0, 1: 3.0}) == pytest.approx(2 * prior.tau(10, 0) + 3 * prior.tau(10, 1))
    assert prior.excess(10, {}) == 0.0
    assert prior.opt_error(10, 1) == 0.0


def test_a_single_point_is_always_seen():
    prior = FrequencyPrior.uniform(1)
    assert prior.tau(3, 3) == 1.0
    assert np.isnan(prior.tau(3, 1))
    assert prior.expected_counts(3, 1) == 0.0
    assert prior.expected_mass(3, 0) == 0.0
    assert prior.sampled(draws=2).values.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FrequencyPrior.from_list([]), "list of positive numbers"),
        (lambda: FrequencyPrior.from_list([[1.0]]), "list of positive numbers"),
        (lambda: FrequencyPrior.from_list([1.0, 0.0]), r"levels\[1\]=0"),
        (lambda: FrequencyPrior.from_list([np.nan, 1.0]), r"levels\[0\]=nan"),
        (lambda: FrequencyPrior.zipf(0), "size>=1"),
        (lambda: FrequencyPrior.zipf(10, 1e9), "not positive and finite"),
        (lambda: FrequencyPrior.uniform(0), "size>=1"),
        (lambda: FrequencyPrior.geometric(10, 1.5), r"outside \(0, 1\]"),
        (lambda: FrequencyPrior.geometric(0), "size>=1"),
        (lambda: FrequencyPrior.two_level(10, 0.5), "gap>=1"),
        (lambda: FrequencyPrior.two_level(0, 2), "n>=1"),
        (lambda: PRIORS["zipf"].tau(0, 0), "n>=1"),
        (lambda: PRIORS["zipf"].tau(5, 6), "outside 0 to n=5"),
        (lambda: PRIORS["zipf"].tau(5, -1), "outside 0 to n=5"),
        (lambda: PRIORS["zipf"].expected_counts(5, 6), "outside 0 to n=5"),
        (lambda: PRIORS["zipf"].weight(1, 0), "low<=high"),
        (lambda: PRIORS["zipf"].singleton_floor(2), "n>=3"),
        (lambda: PRIORS["zipf"].opt_error(5, 0), "n_classes>=1"),
        (lambda: PRIORS["zipf"].sampled(draws=0), "draws>=1"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(BadInput, match=message):
        call()
