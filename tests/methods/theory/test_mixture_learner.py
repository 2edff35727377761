import numpy as np
import pytest
from scipy.special import logsumexp

from overparam.errors import BadInput
from overparam.methods.theory.mixture_learner import FiniteMixture, online_to_batch

RNG = np.random.default_rng(0)
PRIOR = np.log(RNG.dirichlet(np.ones(6)))
CHANCE = RNG.dirichlet(np.ones(3), size=(6, 40))  # hypotheses, examples, outcomes
Y = RNG.integers(3, size=40)
SEEN = np.log(CHANCE[:, np.arange(40), Y])


def test_single_predictions_multiply_to_the_marginal():
    learner = FiniteMixture(PRIOR)
    steps = [learner.predictive(SEEN[:, :t], np.log(CHANCE[:, t]))[Y[t]] for t in range(40)]
    np.testing.assert_allclose(np.cumsum(steps), learner.log_marginal(SEEN))


def test_predictions_are_probabilities_and_order_does_not_matter():
    learner = FiniteMixture(PRIOR)
    assert logsumexp(learner.predictive(SEEN, np.log(CHANCE[:, 0]))) == pytest.approx(0)
    order = RNG.permutation(40)
    assert learner.log_marginal(SEEN[:, order])[-1] == pytest.approx(learner.log_marginal(SEEN)[-1])


def test_regret_is_never_above_the_log_of_one_over_the_weight():
    learner = FiniteMixture(PRIOR)
    for h in range(6):
        assert (learner.regret(SEEN[h], SEEN) <= -PRIOR[h] + 1e-9).all()  # pathwise, always


def test_regret_can_be_negative_on_a_path():
    assert FiniteMixture(PRIOR).regret(np.full(40, np.log(0.01)), SEEN)[-1] < 0


def test_probabilities_are_averaged_not_logits():
    opposite = np.log([[0.9, 0.1], [0.1, 0.9]])
    learner = FiniteMixture(np.log([0.5, 0.5]))
    np.testing.assert_allclose(np.exp(learner.predictive(np.empty((2, 0)), opposite)), 0.5)
    always = np.tile(opposite[:, :1], 200)
    assert learner.regret(always[0], always)[-1] <= np.log(2)


def test_the_posterior_concentrates_on_the_truth():
    truth, other = np.log([0.8, 0.2]), np.log([0.5, 0.5])
    y = np.random.default_rng(1).choice(2, size=400, p=[0.8, 0.2])
    seen = np.stack([truth[y], other[y]])
    assert np.exp(FiniteMixture(np.log([0.01, 0.99])).log_posterior(seen))[0] > 0.999


def test_averaged_predictions_have_at_most_the_mean_risk():
    q = RNG.dirichlet(np.ones(3), size=(10, 5))
    law = RNG.dirichlet(np.ones(3), size=5)
    risk = lambda log_q: (law * (np.log(law) - log_q)).sum(-1)  # noqa: E731
    assert (risk(online_to_batch(np.log(q))) <= risk(np.log(q)).mean(0) + 1e-12).all()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: FiniteMixture([]), "at least one"),
        (lambda: FiniteMixture(np.log([0.5, 0.6])), "sum to 1, not 1.1"),
        (lambda: FiniteMixture([np.nan]), "hold numbers"),
        (lambda: FiniteMixture(PRIOR).log_marginal(np.ones((5, 3))), r"\(6, n\)"),
        (lambda: FiniteMixture(PRIOR).regret(np.ones(3), SEEN), "truth has shape"),
        (lambda: online_to_batch(np.ones(3)), "n at least 1"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(BadInput, match=said):
        call()
