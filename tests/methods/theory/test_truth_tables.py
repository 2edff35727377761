import itertools

import numpy as np
import pytest
import torch

from overparam.errors import BadInput
from overparam.methods.theory.hypothesis_weight import regret_bound
from overparam.methods.theory.mixture_learner import FiniteMixture
from overparam.methods.theory.truth_tables import TruthTableMixture, all_inputs, truth_log_likelihood, uniform_regret

EVERY = np.array(list(itertools.product([False, True], repeat=4)))  # all functions of two bits
TARGET = np.array([False, True, True, False])


def test_inputs_are_all_different():
    x = all_inputs(3)
    assert len(np.unique(x, axis=0)) == 8
    assert x[0].tolist() == [-1, -1, -1]
    assert x[1].tolist() == [-1, -1, 1]


def test_grouped_regret_is_that_of_the_plain_mixture():
    mixture = TruthTableMixture(EVERY, np.arange(1, 17), noise=0.1)
    rng = np.random.default_rng(0)
    x = rng.integers(4, size=30)
    y = TARGET[x] ^ (rng.random(30) < 0.1)
    seen = np.log(np.where(EVERY[:, x] == y, 0.9, 0.1))
    plain = FiniteMixture(mixture.log_prior).regret(np.log(np.where(TARGET[x] == y, 0.9, 0.1)), seen)[-1]
    counts = np.stack([np.bincount(x[~y], minlength=4), np.bincount(x[y], minlength=4)])[:, :, None]
    assert mixture.regret(TARGET, counts)[0] == pytest.approx(plain)
    posterior = FiniteMixture(mixture.log_prior).log_posterior(seen)
    inside = mixture.divergence(TARGET) <= 0.5
    assert mixture.ball_mass(TARGET, counts, 0.5)[0] == pytest.approx(np.exp(posterior[inside]).sum())


def test_the_uniform_prior_factorises_over_inputs():
    mixture = TruthTableMixture(EVERY, np.ones(16), noise=0.1)
    counts = mixture.sample_counts(TARGET, 25, 40, np.random.default_rng(0))
    np.testing.assert_allclose(uniform_regret(TARGET, counts, 0.1), mixture.regret(TARGET, counts))
    assert uniform_regret(TARGET, counts, 0.1).max() <= 4 * np.log(2) + 1e-9


def test_data_sets_follow_the_target_and_its_noise():
    mixture = TruthTableMixture(EVERY, np.ones(16), noise=0.2)
    counts = mixture.sample_counts(TARGET, 50, 400, np.random.default_rng(0))
    assert (counts.sum((0, 1)) == 50).all()
    right = np.where(TARGET[:, None], counts[1], counts[0]).sum() / counts.sum()
    assert right == pytest.approx(0.8, abs=0.01)
    log_likelihood = truth_log_likelihood(TARGET, counts, 0.2)
    row = np.flatnonzero((EVERY == TARGET).all(1))[0]
    np.testing.assert_allclose(mixture.log_likelihood(counts)[row], log_likelihood)


def test_the_divergence_is_the_mean_of_the_log_ratio():
    mixture = TruthTableMixture(EVERY, np.ones(16), noise=0.1)
    counts = mixture.sample_counts(TARGET, 100, 4_000, np.random.default_rng(0))
    measured = (truth_log_likelihood(TARGET, counts, 0.1) - mixture.log_likelihood(counts)).mean(1) / 100
    np.testing.assert_allclose(measured, mixture.divergence(TARGET), atol=0.02)


def test_networks_are_computed_as_written():
    generator = torch.Generator().manual_seed(3)
    mixture = TruthTableMixture.of_networks([4], bits=3, draws=1, noise=0.1, generator=generator)
    again = torch.Generator().manual_seed(3)
    x = torch.from_numpy(all_inputs(3)).float()
    w1, b1 = torch.randn(1, 3, 4, generator=again)[0] / 3**0.5, torch.randn(1, 1, 4, generator=again)[0]
    w2, b2 = torch.randn(1, 4, 1, generator=again)[0] / 2, torch.randn(1, 1, 1, generator=again)[0]
    wanted = ((torch.relu(x @ w1 + b1) @ w2 + b2)[:, 0] > 0).numpy()
    np.testing.assert_array_equal(mixture.tables[0], wanted)


def test_weights_count_the_networks():
    mixture = TruthTableMixture.of_networks(
        [8], bits=2, draws=5_000, noise=0.1, generator=torch.Generator().manual_seed(0)
    )
    assert np.exp(mixture.log_prior).sum() == pytest.approx(1)
    assert len(mixture.tables) <= 16
    constant = np.exp(mixture.log_prior)[(mixture.tables == mixture.tables[:, :1]).all(1)].sum()
    assert constant > 0.3  # constants are the simplest


def test_the_expected_regret_keeps_the_bound():
    mixture = TruthTableMixture(EVERY, np.arange(1, 17), noise=0.1)
    for n in (5, 50):
        counts = mixture.sample_counts(TARGET, n, 2_000, np.random.default_rng(0))
        regret = mixture.regret(TARGET, counts)
        bound = float(regret_bound(mixture.divergence(TARGET), n, log_prior=mixture.log_prior).value)
        assert regret.mean() - 3 * regret.std() / 2_000**0.5 <= bound


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: all_inputs(0), "bits=0"),
        (lambda: TruthTableMixture(EVERY, np.ones(3), noise=0.1), "weights"),
        (lambda: TruthTableMixture(EVERY, np.zeros(16), noise=0.1), "positive"),
        (lambda: TruthTableMixture(EVERY, np.ones(16), noise=0.5), "noise=0.5"),
        (lambda: TruthTableMixture(EVERY, np.ones(16), noise=0.1).divergence([True]), "target has shape"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(BadInput, match=said):
        call()
