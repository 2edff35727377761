import math
import warnings

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from overparam.errors import BadInput
from overparam.methods.training.privacy_accountant import ORDERS, epsilon, noise_for, renyi

CASES = [(0.01, 1.0, 1000, 1e-5), (0.107, 1.0, 400, 1e-4), (0.001, 0.7, 10_000, 1e-6), (0.5, 20.0, 100, 1e-5)]


@pytest.mark.parametrize(("rate", "noise", "steps", "delta"), CASES)
def test_agrees_with_opacus(rate, noise, steps, delta):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from opacus.accountants import RDPAccountant

        accountant = RDPAccountant()
        accountant.history = [(noise, rate, steps)]
        same_orders = accountant.get_epsilon(delta, alphas=[a for a in ORDERS if a < 512])
        all_orders = accountant.get_epsilon(delta)
    found = epsilon(rate, noise, steps, delta)
    assert found == pytest.approx(same_orders, rel=1e-9)
    assert all_orders <= found * (1 + 1e-9)  # fractional orders can only be tighter
    assert found < 1.03 * all_orders


@pytest.mark.parametrize("order", [2, 3, 8])
def test_one_step_is_the_divergence_of_the_mixture(order):
    """Oracle: the integral of (mixture / normal)^order under the normal, by quadrature."""
    rate, noise = 0.1, 1.3

    def integrand(x):
        plain = norm.pdf(x, 0, noise)
        mixed = (1 - rate) * plain + rate * norm.pdf(x, 1, noise)
        return (mixed / plain) ** order * plain

    integral = quad(integrand, -30, 40, points=[0, 1, order], limit=200)[0]
    assert renyi(rate, noise)[ORDERS.index(order)] == pytest.approx(math.log(integral) / (order - 1), rel=1e-6)


def test_more_steps_larger_batches_and_less_noise_cost_more():
    base = epsilon(0.05, 1.0, 100, 1e-5)
    assert base < epsilon(0.05, 1.0, 200, 1e-5)
    assert base < epsilon(0.1, 1.0, 100, 1e-5)
    assert base < epsilon(0.05, 0.9, 100, 1e-5)
    assert base < epsilon(0.05, 1.0, 100, 1e-6)


def test_limits():
    assert epsilon(0.0, 1.0, 100, 1e-5) == 0.0
    assert epsilon(0.1, 1.0, 0, 1e-5) == 0.0
    assert epsilon(0.1, 0.0, 1, 1e-5) == math.inf
    np.testing.assert_allclose(renyi(1 - 1e-12, 2.0), renyi(1.0, 2.0), rtol=1e-8)
    assert 0.0 <= epsilon(1e-4, 100.0, 1, 0.5) < 1e-3


@pytest.mark.parametrize("target", [0.5, 3.0, 20.0])
def test_noise_for_a_target(target):
    noise = noise_for(target, 0.1, 50, 1e-5)
    assert epsilon(0.1, noise, 50, 1e-5) <= target < epsilon(0.1, 0.99 * noise, 50, 1e-5)


@pytest.mark.parametrize(
    "arguments",
    [(-0.1, 1, 1, 0.1), (1.1, 1, 1, 0.1), (0.1, -1, 1, 0.1), (0.1, math.nan, 1, 0.1), (0.1, 1, -1, 0.1),
     (0.1, 1, 1, 0.0), (0.1, 1, 1, 1.0)],
)  # fmt: skip
def test_refuses(arguments):
    with pytest.raises(BadInput, match="pass"):
        epsilon(*arguments)


def test_refuses_targets_out_of_reach():
    with pytest.raises(BadInput, match="not positive"):
        noise_for(0.0, 0.1, 1, 1e-5)
    with pytest.raises(BadInput, match=r"above 10,000"):
        noise_for(1e-9, 1.0, 10_000, 1e-5)
