import numpy as np
import pytest

from overparam.errors import BadInput
from overparam.methods.theory import long_tail_simulation
from overparam.methods.theory.long_tail import FrequencyPrior
from overparam.methods.theory.long_tail_simulation import (
    SubpopulationMixture,
    named_learner,
    simulate_discrete,
)

ZIPF = FrequencyPrior.zipf(200)


def run(learner, n_rep=300, seed=0, n=200, m=10, noise=0.0, prior=ZIPF):
    return simulate_discrete(prior, n=n, n_classes=m, learner=learner, n_rep=n_rep, seed=seed, label_noise=noise)


def mean_and_error(values):
    return values.mean(), values.std(ddof=1) / np.sqrt(len(values))


def test_counts_and_mass_follow_the_closed_forms():
    found, prior = run("memorise", n_rep=800), ZIPF.sampled(draws=4000)
    for times in range(4):
        mean, error = mean_and_error(found.counts[:, times])
        assert abs(mean - prior.expected_counts(200, times)) < 4 * error + 0.005 * mean
        mean, error = mean_and_error(found.mass[:, times])
        assert abs(mean - prior.expected_mass(200, times)) < 4 * error + 0.005 * mean
    np.testing.assert_allclose(found.mass.sum(1), 1.0)
    assert (found.counts.sum(1) == 200).all()
    assert found.opt.mean() == pytest.approx(prior.opt_error(200, 10), rel=0.03)


def test_the_identity_of_the_paper_holds_in_expectation():
    """err = opt + sum of tau_l errn_l, over data sets; per data set the posterior couples the points."""
    prior = ZIPF.sampled(draws=4000)
    for learner in ("guess_singletons", "k_anonymous:3"):
        found = run(learner, n_rep=1500)
        predicted = sum(prior.tau(200, times) * found.errn[:, times] for times in (1, 2))
        mean, error = mean_and_error(found.err - found.opt - predicted)
        assert abs(mean) < 4 * error + 0.002 * predicted.mean()
        assert predicted.mean() > 20 * error  # the test could fail


def test_the_memoriser_is_optimal_and_nothing_is_better():
    found = run("memorise")
    np.testing.assert_allclose(found.err, found.opt, atol=1e-12)
    assert (found.errn[:, 1:] == 0).all()
    assert (run("guess_singletons").err > found.opt).all()


def test_named_learners():
    counts, labels = np.array([[0, 1, 2, 5]]), np.array([[-1, 0, 1, 2]])
    assert named_learner("memorise")(counts, labels, 4)[0, 1:].tolist() == [1, 1, 1]
    assert named_learner("guess_singletons")(counts, labels, 4)[0, 1:].tolist() == [0.25, 1, 1]
    assert named_learner("k_anonymous:3")(counts, labels, 4)[0, 1:].tolist() == [0.25, 0.25, 1]
    assert named_learner("skip:0.5")(counts, labels, 4)[0, 1:].tolist() == [0.625, 1, 1]
    for name, twin in (("skip:0", "memorise"), ("skip:1", "guess_singletons"), ("k_anonymous:1", "memorise")):
        np.testing.assert_array_equal(run(name, 5).err, run(twin, 5).err)


def test_a_function_learns_from_counts_and_observed_labels():
    seen = []

    def label_zero_only(counts, labels, m):
        seen.append((counts, labels))
        return (labels == 0).astype(float)

    found = run(label_zero_only, n_rep=40)
    counts, labels = seen[0]
    assert ((labels == -1) == (counts == 0)).all()
    assert labels.max() == 9
    assert found.errn[:, 1].mean() == pytest.approx(0.9 * found.counts[:, 1].mean(), rel=0.05)
    one = run("guess_singletons", m=1)
    assert (one.err == 0).all()


@pytest.mark.parametrize("noise", [0.0, 0.3, 0.95])
def test_with_wrong_labels_the_price_of_skipping_is_linear(noise):
    """Slope of the error in q: mass of singletons times 1 - 1/m - noise, per data set in expectation over the noise."""
    errs = [run(f"skip:{q}", n_rep=600, noise=noise) for q in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(errs[0].err + errs[2].err, 2 * errs[1].err, atol=1e-12)
    slope = (errs[2].err - errs[0].err) / errs[0].mass[:, 1]
    mean, error = mean_and_error(slope)
    assert abs(mean - (0.9 - noise)) < 4 * error + 1e-9
    assert errs[0].errn[:, 1].sum() == 0  # the observed labels are all fitted


def test_runs_repeat_and_blocks_only_bound_the_memory(monkeypatch):
    first = run("guess_singletons", 20)
    np.testing.assert_array_equal(first.err, run("guess_singletons", 20).err)
    assert not np.array_equal(first.err, run("guess_singletons", 20, seed=1).err)
    monkeypatch.setattr(long_tail_simulation, "BLOCK", 1)
    small = run("guess_singletons", 400)
    monkeypatch.undo()
    whole = run("guess_singletons", 400, seed=5)
    gap = abs(small.err.mean() - whole.err.mean())
    assert gap < 4 * np.hypot(mean_and_error(small.err)[1], mean_and_error(whole.err)[1])


def test_groups_have_equal_mass_whatever_their_size():
    world = SubpopulationMixture(
        (FrequencyPrior.uniform(5), FrequencyPrior.zipf(50)), dim=8, noise=0.4, n_classes=5, seed=2
    )
    assert [world.frequency[world.group == g].sum() for g in (0, 1)] == pytest.approx([0.5, 0.5])
    sample = world.sample(4000, seed=0)
    assert abs((sample.group == 1).mean() - 0.5) < 4 * np.sqrt(0.25 / 4000)
    np.testing.assert_array_equal(sample.y, world.labels[sample.subpopulation])
    np.testing.assert_allclose(np.linalg.norm(world.centres, axis=1), 1.0)
    distances = ((sample.x - world.centres[sample.subpopulation]) ** 2).sum(1)
    assert distances.mean() == pytest.approx(0.16, rel=0.05)


def test_the_prior_of_a_mixture_pools_its_groups():
    groups = (FrequencyPrior.uniform(20), FrequencyPrior.zipf(60))
    worlds = [SubpopulationMixture(groups, dim=1, noise=0.1, n_classes=2, seed=s) for s in range(400)]
    prior = worlds[0].prior()
    assert prior.size == 80
    assert prior.size * prior.weights @ prior.values == pytest.approx(1.0, abs=0.01)
    a = np.concatenate([w.frequency for w in worlds])
    for times in (0, 1, 2):
        seen = a**times * (1 - a) ** (50 - times)
        assert prior.tau(50, times) == pytest.approx((a * seen).sum() / seen.sum(), rel=0.03)


def test_fresh_points_cover_every_cluster_and_are_not_the_sample():
    world = SubpopulationMixture((FrequencyPrior.zipf(30),), dim=4, noise=0.1, n_classes=2, seed=0)
    fresh = world.fresh(3, seed=0)
    assert np.bincount(fresh.subpopulation).tolist() == [3] * 30
    sample = world.sample(90, seed=0)
    assert not set(map(tuple, fresh.x.tolist())) & set(map(tuple, sample.x.tolist()))
    np.testing.assert_array_equal(world.sample(90, seed=0).x, sample.x)
    assert not np.array_equal(world.sample(90, seed=1).x, sample.x)


def mixture(**change):
    keywords = {"dim": 2, "noise": 0.1, "n_classes": 2, "seed": 0} | change
    return SubpopulationMixture(keywords.pop("groups", (ZIPF,)), **keywords)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: run("memorise", n=0), "n=0"),
        (lambda: run("memorise", n_rep=0), "n_rep=0"),
        (lambda: run("memorise", m=0), "n_classes=0"),
        (lambda: run("memorise", noise=1.0), "label_noise=1.0"),
        (lambda: run("remember"), "is unknown"),
        (lambda: run("k_anonymous:x"), "is unknown"),
        (lambda: run("k_anonymous:0"), "is unknown"),
        (lambda: run("skip:2"), "is unknown"),
        (lambda: run(lambda c, y, m: np.full(c.shape, 2.0), 2), "probability for every point"),
        (lambda: run(lambda c, y, m: np.zeros(3), 2), "probability for every point"),
        (lambda: mixture(groups=()), "groups=0"),
        (lambda: mixture(dim=0), "dim=0"),
        (lambda: mixture(noise=-1.0), "noise=-1.0"),
        (lambda: mixture(n_classes=0), "n_classes=0"),
        (lambda: mixture().sample(0, 0), "n>=1"),
        (lambda: mixture().fresh(0, 0), "each>=1"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(BadInput, match=message):
        call()
