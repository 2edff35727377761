import pytest
import torch
from torch.nn.functional import nll_loss

from overparam.errors import BadInput, Diverged
from overparam.methods.training.posterior import PosteriorEnsemble, sample_posterior

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] + 0.3 * X[:, 1] > 0).long()


def starts(count, seed=0):
    torch.manual_seed(seed)
    return [torch.nn.Linear(3, 2) for _ in range(count)]


@pytest.fixture(scope="module")
def chains():
    return sample_posterior(
        starts(3), X, Y, lr=0.02, samples=10, burn_in=100, sampler="mala", generator=torch.Generator().manual_seed(1)
    )


def test_shapes_and_acceptance(chains):
    assert chains.ensemble.samples["weight"].shape == (30, 2, 3)
    assert chains.log_loss.shape == (10, 3)
    assert (chains.acceptance > 0.5).all()


def test_the_ensemble_averages_probabilities(chains):
    probabilities = chains.ensemble.members(X).exp()
    torch.testing.assert_close(chains.ensemble(X).exp(), probabilities.mean(0))
    members = torch.stack([nll_loss(m, Y) for m in chains.ensemble.members(X)])
    assert chains.ensemble.log_loss(X, Y) <= float(members.mean())


def test_opposite_members_predict_one_half():
    samples = {"weight": torch.stack([torch.eye(2), -torch.eye(2)]) * 3, "bias": torch.zeros(2, 2)}
    ensemble = PosteriorEnsemble(torch.nn.Linear(2, 2), samples)
    torch.testing.assert_close(ensemble(torch.tensor([[1.0, 0.0]])).exp(), torch.full((1, 2), 0.5))


def normal(out, target):
    return 0.5 * ((out - target) ** 2).mean()


@pytest.mark.parametrize(("sampler", "lr"), [("mala", 0.02), ("sgld", 0.002)])
@pytest.mark.slow
def test_a_known_posterior_is_sampled(sampler, lr):
    x, y = X[:, :2].double(), X[:, 2:].double()
    precision = x.T @ x + 2 * torch.eye(2, dtype=torch.float64)
    torch.manual_seed(0)
    models = [torch.nn.Linear(2, 1, bias=False, dtype=torch.float64) for _ in range(500)]
    found = sample_posterior(
        models, x, y, lr=lr, samples=20, burn_in=200, thin=20, prior_precision=2.0, sampler=sampler, loss=normal,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    weights = found.ensemble.samples["weight"][:, 0]
    torch.testing.assert_close(weights.mean(0), torch.linalg.solve(precision, x.T @ y)[:, 0], atol=0.02, rtol=0)
    torch.testing.assert_close(weights.T.cov(), precision.inverse(), atol=0.002, rtol=0.05)


def test_chains_together_are_chains_alone_without_noise():
    models = starts(2)
    settings = {"lr": 0.01, "samples": 3, "burn_in": 5, "temperature": 0.0}
    both = sample_posterior(models, X, Y, **settings).ensemble.samples["weight"].view(3, 2, 2, 3)
    for k, model in enumerate(models):
        alone = sample_posterior([model], X, Y, **settings).ensemble.samples["weight"]
        torch.testing.assert_close(both[:, k], alone)


def test_starts_are_not_changed_and_batches_are_drawn():
    models = starts(2)
    before = models[0].weight.clone()
    found = sample_posterior(
        models, X, Y, lr=0.01, samples=2, burn_in=3, batch=8, generator=torch.Generator().manual_seed(0)
    )
    assert torch.equal(models[0].weight, before)
    assert torch.equal(found.acceptance, torch.ones(2))


def test_priors_by_parameter():
    tight = {"weight": 1e4, "bias": torch.tensor(1.0)}
    found = sample_posterior(
        starts(2),
        X,
        Y,
        lr=1e-4,
        samples=5,
        burn_in=300,
        prior_precision=tight,
        generator=torch.Generator().manual_seed(0),
    )
    assert float(found.ensemble.samples["weight"].std()) < 0.05
    with pytest.raises(BadInput, match="no entry for 'bias'"):
        sample_posterior(starts(1), X, Y, lr=0.1, samples=1, burn_in=0, prior_precision={"weight": 1.0})


def test_a_student_comes_close_to_the_ensemble(chains):
    torch.manual_seed(0)
    student = chains.ensemble.distill(torch.nn.Linear(3, 2), torch.randn(300, 3), steps=300)
    with torch.no_grad():
        gap = torch.log_softmax(student(X), -1).exp() - chains.ensemble(X).exp()
    assert float(gap.abs().max()) < 0.1


def test_divergence_names_its_step():
    with pytest.raises(Diverged, match="not finite at step"):
        sample_posterior(starts(1), X * 1e18, Y, lr=1e20, samples=5, burn_in=50)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"models": []}, "no models"),
        ({"sampler": "hmc"}, "sampler='hmc'"),
        ({"sampler": "mala", "batch": 4}, "mala needs the full batch"),
        ({"samples": 0}, "samples=0"),
        ({"lr": -1.0}, "lr=-1"),
        ({"models": [torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))]}, "batch normalisation"),
    ],
)
def test_bad_input_is_named(change, said):
    given = {"models": starts(1), "lr": 0.1, "samples": 1, "burn_in": 0, **change}
    with pytest.raises(BadInput, match=said):
        sample_posterior(given.pop("models"), X, Y, **given)


def test_dropout_warns():
    model = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(3, 2))
    with pytest.warns(UserWarning, match="dropout is on"):
        sample_posterior([model], X, Y, lr=0.01, samples=1, burn_in=0)
