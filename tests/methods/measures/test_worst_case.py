import time

import pytest
import torch
from torch import nn
from torch.func import functional_call

from overparam.errors import BadInput
from overparam.methods.measures.pac_bayes import pacbayes_sigma, perturbed
from overparam.methods.measures.worst_case import worst_case_scale
from overparam.models.mlp import mlp


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def fitted(n=400):
    model, x = mlp(6, [16], 3, generator=draw()), torch.randn(n, 6, generator=draw(1))
    return model, (x, model(x).argmax(1))


def test_a_larger_drop_needs_a_larger_change():
    model, data = fitted()
    worst = [float(worst_case_scale(model, data, target_drop=drop)) for drop in (0.05, 0.1, 0.2)]
    assert worst == sorted(worst)
    assert worst[0] < worst[-1]


def test_a_linear_classifier_against_the_closed_form():
    """Weights (1, b) on one input: the order turns at b (1 - a) = 1 + a, so a = (b - 1) / (b + 1)."""
    for b in (1.5, 2.0, 5.0):
        model = nn.Linear(1, 2, bias=False)
        with torch.no_grad():
            model.weight.copy_(torch.tensor([[1.0], [b]]))
        found = worst_case_scale(model, (torch.ones(20, 1), torch.ones(20, dtype=torch.long)))
        assert float(found) == pytest.approx((b - 1) / (b + 1), abs=0.01)


def test_scaling_layers_against_each_other_changes_nothing():
    model, data = fitted()
    before = float(worst_case_scale(model, data))
    with torch.no_grad():
        model[1].weight.mul_(8), model[1].bias.mul_(8), model[3].weight.div_(8)
    assert float(worst_case_scale(model, data)) == pytest.approx(before, rel=1e-6)


def test_batches_do_not_matter():
    model, (x, y) = fitted()
    parts = list(zip(x.split(37), y.split(37), strict=True))
    assert float(worst_case_scale(model, parts)) == pytest.approx(float(worst_case_scale(model, (x, y))), rel=0.05)


def test_the_worst_case_is_worse_than_chance():
    model, (x, y) = fitted()
    alpha = float(worst_case_scale(model, (x, y)))
    signs = torch.Generator().manual_seed(5)
    for _ in range(5):
        moved = {
            name: w * (1 + alpha * (2 * torch.randint(0, 2, w.shape, generator=signs) - 1))
            for name, w in perturbed(model, everything=False).items()
        }
        assert float((functional_call(model, moved, (x,)).argmax(1) != y).double().mean()) < 0.1


def test_it_is_smaller_than_the_noise_that_costs_as_much():
    model, data = fitted()
    assert float(worst_case_scale(model, data)) < float(pacbayes_sigma(model, data, magnitude=True))


def test_a_deadline_ends_the_search():
    model, data = fitted()
    found = worst_case_scale(model, data, deadline=time.monotonic() - 1)
    assert (found.state, found.value) == ("deadline", 0.0)


def test_the_model_stays_as_it_was():
    model, data = fitted()
    before = {name: w.clone() for name, w in model.state_dict().items()}
    worst_case_scale(model, data)
    assert all(torch.equal(before[name], w) for name, w in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("arguments", [{"steps": 0}, {"target_drop": 1.0}, {"depth": 0}, {"tolerance": 0.0}])
def test_arguments_out_of_range(arguments):
    model, data = fitted(20)
    with pytest.raises(BadInput, match="pass 0 < tolerance|must be positive"):
        worst_case_scale(model, data, **arguments)
