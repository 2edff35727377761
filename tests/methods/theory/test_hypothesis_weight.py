import numpy as np
import pytest

from overparam.errors import BadInput
from overparam.methods.theory.hypothesis_weight import effective_dimension, kl_ball_weight, regret_bound

RNG = np.random.default_rng(0)
KL = np.concatenate([[0.0], RNG.exponential(size=200)])
PRIOR = np.log(RNG.dirichlet(np.ones(201)))


def test_the_bound_is_the_best_over_all_radii():
    for n in (0, 1, 30, 1_000):
        wanted = min(n * e - np.log(np.exp(PRIOR[e >= KL]).sum()) for e in KL)
        found = regret_bound(KL, n, log_prior=PRIOR)
        assert float(found.value) == pytest.approx(wanted)
        assert float(found.weight) == pytest.approx(kl_ball_weight(KL, float(found.eps_star), log_prior=PRIOR).value)


def test_distinct_hypotheses_of_equal_weight_cost_the_log_of_their_number():
    bound = regret_bound([0.0, 9.0, 9.0, 9.0], 1_000, log_prior=np.log(np.full(4, 0.25)))
    assert float(bound.value) == pytest.approx(np.log(4))
    assert float(regret_bound([0.3] * 4, 10, log_prior=np.log(np.full(4, 0.25))).value) == pytest.approx(3.0)


def test_the_bound_grows_with_n_ever_slower():
    values = regret_bound(KL, np.arange(0, 500, 10), log_prior=PRIOR).value
    assert (np.diff(values) >= -1e-12).all()
    assert (np.diff(values, 2) <= 1e-9).all()  # an infimum of lines is concave
    assert values[-1] <= -PRIOR[0] + 1e-12


def test_hypotheses_at_infinity_do_not_count():
    kl = np.array([np.inf, 0.5])
    assert float(regret_bound(kl, 4, log_prior=np.log([0.5, 0.5])).value) == pytest.approx(2 + np.log(2))


def test_the_mixture_keeps_the_bound():
    """Binary outcomes, 30 hypotheses: the exact expected regret over all 2^8 sequences."""
    p = RNG.uniform(0.05, 0.95, 30)
    prior, truth, n = np.log(RNG.dirichlet(np.ones(30))), 0.3, 8
    ones = np.arange(n + 1)
    from scipy.special import comb, logsumexp

    log_q = logsumexp(prior[:, None] + ones * np.log(p[:, None]) + (n - ones) * np.log(1 - p[:, None]), axis=0)
    log_truth = ones * np.log(truth) + (n - ones) * np.log(1 - truth)
    regret = (comb(n, ones) * np.exp(log_truth) * (log_truth - log_q)).sum()
    kl = truth * np.log(truth / p) + (1 - truth) * np.log((1 - truth) / (1 - p))
    assert regret <= float(regret_bound(kl, n, log_prior=prior).value)


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_dimensions_of_a_smooth_family(dimension):
    theta = RNG.uniform(-1, 1, size=(200_000, dimension))
    kl = 0.5 * (theta**2).sum(1)
    found = effective_dimension(kl, 0.02, log_prior=np.full(len(kl), -np.log(len(kl))))
    assert found == pytest.approx(dimension, abs=0.15)


def test_draws_have_an_interval_and_no_hit_is_not_no_mass():
    draws = np.random.default_rng(1).uniform(size=(200, 500))
    found = [kl_ball_weight(row, 0.1) for row in draws]
    covered = np.mean([f.low < 0.1 < f.high for f in found])
    assert 0.9 < covered < 0.99
    with pytest.warns(UserWarning, match="none of 50 draws"):
        none = kl_ball_weight(np.ones(50), 0.5)
    assert (none.value, none.high) == (0.0, 0.06)
    assert kl_ball_weight([0.2, 0.4], 0.3, log_prior=np.log([0.7, 0.3])).low == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: kl_ball_weight([1.0], -1.0), "eps=-1"),
        (lambda: kl_ball_weight([-1.0], 1.0), "none negative"),
        (lambda: kl_ball_weight([], 1.0), "one divergence a hypothesis"),
        (lambda: regret_bound([1.0], -1, log_prior=[0.0]), "none negative"),
        (lambda: regret_bound([1.0, 2.0], 1, log_prior=[0.0]), "have to be equal"),
        (lambda: regret_bound([np.inf], 1, log_prior=[0.0]), "the bound is infinite"),
        (lambda: effective_dimension([1.0], 0.0, log_prior=[0.0]), "eps > 0"),
        (lambda: effective_dimension([1.0], 0.1, log_prior=[0.0]), "larger eps"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(BadInput, match=said):
        call()
