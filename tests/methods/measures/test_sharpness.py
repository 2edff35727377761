import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from overparam.errors import BadInput
from overparam.methods.measures.sharpness import loss_along, random_directions
from overparam.models.mlp import mlp


def setting():
    g = torch.Generator().manual_seed(0)
    return mlp(4, [6], 3, generator=g), torch.randn(20, 4, generator=g), torch.randint(0, 3, (20,), generator=g)


def test_it_agrees_with_moving_the_weights_by_hand():
    model, x, y = setting()
    d = random_directions(model, 2, generator=torch.Generator().manual_seed(1))
    rise = loss_along(model, functional.cross_entropy, (x, y), d, radii=(-0.1, 0.1), chunk=7)
    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    moved = copy.deepcopy(model)
    torch.nn.utils.vector_to_parameters(weights + 0.1 * weights.norm() * d[1], moved.parameters())
    assert float(rise.loss[1, 2]) == pytest.approx(functional.cross_entropy(moved(x), y).item(), rel=1e-5)
    assert rise.radii.tolist() == [-0.1, 0.0, 0.1]
    assert float(rise.loss[0, 1]) == pytest.approx(functional.cross_entropy(model(x), y).item(), rel=1e-5)


def test_a_quadratic_rises_by_half_the_curvature():
    g = torch.Generator().manual_seed(0)
    model, x = nn.Linear(3, 1, bias=False).double(), torch.randn(30, 3, generator=g).double()
    y = model(x).detach()  # at the minimum
    values, vectors = torch.linalg.eigh(2 * x.T @ x / 30)
    rise = loss_along(model, nn.MSELoss(), (x, y), vectors.T, radii=(-0.02, 0.02)).at(0.02)
    expected = values * (0.02 * float(model.weight.detach().norm())) ** 2 / 2
    torch.testing.assert_close(rise, expected.detach())


def test_length_and_sign_of_a_direction_do_not_matter():
    model, x, y = setting()
    d = random_directions(model, 1, generator=torch.Generator().manual_seed(1))
    one, two = (loss_along(model, functional.cross_entropy, (x, y), v).at(0.01) for v in (d, -7 * d))
    torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-7)


def test_the_model_is_left_alone():
    model, x, y = setting()
    before = copy.deepcopy(model.state_dict())
    state = torch.get_rng_state()
    loss_along(model, functional.cross_entropy, (x, y), random_directions(model, 1, generator=torch.Generator()))
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


def test_frozen_weights_stay_where_they_are():
    model, x, y = setting()
    model[1].requires_grad_(False)
    d = torch.zeros(1, 21)
    d[0, 0] = 1
    assert loss_along(model, functional.cross_entropy, (x, y), d).loss.shape == (1, 3)


def test_bad_input():
    model, x, y = setting()
    for bad, words in (
        (torch.zeros(1, 51), "zero or not finite"),
        (torch.full((1, 51), torch.nan), "zero or not finite"),
        (torch.ones(1, 3), "P=51"),
    ):
        with pytest.raises(BadInput, match=words):
            loss_along(model, functional.cross_entropy, (x, y), bad)
    rise = loss_along(model, functional.cross_entropy, (x, y), torch.ones(1, 51))
    for radius in (0.0, 0.3):
        with pytest.raises(BadInput, match="was not measured"):
            rise.at(radius)
