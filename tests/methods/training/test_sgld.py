import pytest
import torch

from overparam.errors import BadInput, Diverged
from overparam.methods.training.sgld import SGLD, langevin_variance


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()


X = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def loss(model):
    return (model(X) ** 2).mean()


def test_without_noise_it_is_gradient_descent_with_weight_decay():
    cold, plain = network(), network()
    langevin = SGLD(cold.parameters(), lr=1e-3, num_data=20, prior_precision=2.0, temperature=0.0)
    descent = torch.optim.SGD(plain.parameters(), lr=20 * 1e-3 / 2, weight_decay=2.0 / 20)
    for _ in range(5):
        for model, optimiser in ((cold, langevin), (plain, descent)):
            optimiser.zero_grad()
            loss(model).backward()
            optimiser.step()
    for a, b in zip(cold.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_the_stationary_variance_is_the_closed_form():
    """Many independent copies of one weight with a normal posterior of precision 5."""
    weight = torch.zeros(20_000, dtype=torch.float64, requires_grad=True)
    generator = torch.Generator().manual_seed(0)
    optimiser = SGLD([weight], lr=0.2, num_data=4, prior_precision=1.0, generator=generator)
    for _ in range(60):
        optimiser.zero_grad()
        (0.5 * weight**2).sum().backward()  # the mean loss of each copy, so its precision is 4
        optimiser.step()
    expected = langevin_variance(torch.tensor(5.0, dtype=torch.float64), 0.2)
    assert float(weight.detach().var() / expected) == pytest.approx(1, abs=0.05)
    assert float(expected) > 0.2  # biased upwards


def test_temperature_scales_the_noise():
    spread = []
    for temperature in (1.0, 4.0):
        weight = torch.zeros(50_000, requires_grad=True)
        optimiser = SGLD([weight], lr=0.01, num_data=1, prior_precision=0.0, temperature=temperature)
        weight.grad = torch.zeros_like(weight)
        optimiser.generator = torch.Generator().manual_seed(0)
        optimiser.step()
        spread.append(float(weight.detach().std()))
    assert spread[0] == pytest.approx(0.1, rel=0.02)
    assert spread[1] == pytest.approx(2 * spread[0], rel=1e-4)


def test_seeds_repeat_and_closures_return_the_loss():
    found = []
    for _ in range(2):
        model = network()
        optimiser = SGLD(model.parameters(), lr=1e-4, num_data=20, generator=torch.Generator().manual_seed(5))

        def closure(model=model, optimiser=optimiser):
            optimiser.zero_grad()
            value = loss(model)
            value.backward()
            return value

        assert float(optimiser.step(closure).detach()) > 0
        found.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*found)


def test_a_gradient_that_is_not_finite_names_the_step():
    weight = torch.ones(2, requires_grad=True)
    optimiser = SGLD([weight], lr=0.1, num_data=1)
    weight.grad = torch.zeros(2)
    optimiser.step()
    weight.grad = torch.tensor([0.0, float("nan")])
    with pytest.raises(Diverged, match="step 2; lower lr=0.1"):
        optimiser.step()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"lr": 0.0}, "lr=0"),
        ({"num_data": 0}, "num_data=0"),
        ({"temperature": -1.0}, "temperature=-1"),
        ({"prior_precision": -1.0}, "prior_precision=-1"),
    ],
)
def test_bad_settings_are_named(settings, said):
    with pytest.raises(BadInput, match=said):
        SGLD([torch.zeros(1, requires_grad=True)], **{"lr": 0.1, "num_data": 1, **settings})


@pytest.mark.parametrize(("precision", "lr", "said"), [(1.0, 4.0, "unstable"), (-1.0, 0.1, "positive")])
def test_unstable_steps_are_refused(precision, lr, said):
    with pytest.raises(BadInput, match=said):
        langevin_variance(torch.tensor([precision]), lr)
