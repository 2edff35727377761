import math

import numpy as np
import pytest
import torch

from overparam.errors import BadInput, Diverged
from overparam.methods.theory.robust_recovery import subgm
from overparam.methods.theory.symmetric_sensing import SymmetricSensing
from overparam.methods.training.subgradient import SubGM


def test_one_norm_serves_all_parameters_and_steps_shrink():
    p, q = torch.zeros(2, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimiser = SubGM([p, q], lr=2.0, decay=0.5)
    for expected in (2.0, 3.0, 3.5):
        optimiser.zero_grad()
        (3 * p.sum() + 4 * q.sum()).backward()
        optimiser.step()
        np.testing.assert_allclose(
            torch.cat([p, q]).detach(), -expected * np.array([3, 3, 4]) / math.sqrt(34), rtol=1e-6
        )


def test_the_descent_on_a_factored_matrix_is_subgm():
    rng = np.random.default_rng(0)
    a, y = rng.normal(size=(60, 5, 5)), rng.normal(size=60)
    a = a + a.transpose(0, 2, 1)
    u = torch.tensor(1e-2 * np.random.default_rng(4).normal(0.0, 5**-0.5, (5, 3)), requires_grad=True)
    optimiser = SubGM([u], lr=0.2, decay=0.97)
    for _ in range(100):
        optimiser.zero_grad()
        x = u @ u.T
        x.retain_grad()
        (torch.einsum("mij,ij->m", torch.tensor(a), x) - torch.tensor(y)).abs().mean().backward()
        optimiser.step(norm=2 * x.grad.norm())
    path = subgm(SymmetricSensing(a, y), 3, init_scale=1e-2, steps=100, rho=0.97, init="random", seeds=4)
    np.testing.assert_allclose(u.detach(), path.U[0], atol=1e-8)


def test_the_place_in_the_schedule_is_part_of_the_state():
    p = torch.ones(1, requires_grad=True)
    first = SubGM([p], lr=1.0, decay=0.5)
    p.grad = torch.ones(1)
    first.step()
    second = SubGM([p], lr=1.0, decay=0.5)
    second.load_state_dict(first.state_dict())
    second.step()
    assert p.item() == pytest.approx(1 - 1 - 0.5)


def test_a_zero_gradient_changes_nothing_and_closures_return_the_loss():
    p = torch.ones(2, requires_grad=True)
    optimiser = SubGM([p], lr=1.0)

    def closure():
        optimiser.zero_grad()
        loss = (0 * p).sum() + 7
        loss.backward()
        return loss.item()

    assert optimiser.step(closure) == 7
    assert p.tolist() == [1, 1]
    p.grad = None
    optimiser.step()


def test_bad_input_and_divergence_are_named():
    p = torch.ones(1, requires_grad=True)
    for given in ({"lr": 0.0}, {"lr": float("nan")}, {"lr": 1.0, "decay": 0.0}, {"lr": 1.0, "decay": 1.1}):
        with pytest.raises(BadInput, match="give a positive lr"):
            SubGM([p], **given)
    optimiser = SubGM([p], lr=1.0)
    p.grad = torch.ones(1)
    with pytest.raises(BadInput, match="norm=-1.0 is negative"):
        optimiser.step(norm=-1.0)
    optimiser.step()
    p.grad = torch.full((1,), float("inf"))
    with pytest.raises(Diverged, match="at step 1"):
        optimiser.step()
