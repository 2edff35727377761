import pytest
import torch

from overparam.errors import BadInput
from overparam.models.two_layer import TwoLayerReLU


def network(p=6, m=9, scale=0.5, seed=0, **more):
    return TwoLayerReLU(p, m, scale, generator=torch.Generator().manual_seed(seed), **more).double()


def test_output_and_gradient_are_those_of_the_formula():
    net, x = network(), torch.randn(4, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    plain = [
        sum(float(a) * max(0.0, float(w @ v)) for a, w in zip(net.second, net.weight.detach(), strict=True)) for v in x
    ]
    torch.testing.assert_close(net(x).detach(), torch.tensor(plain, dtype=torch.float64))
    net(x).sum().backward()
    active = (x @ net.weight.T > 0).double()
    torch.testing.assert_close(net.weight.grad, net.second[:, None] * (active.T @ x))


def test_zero_input_gives_zero_and_zero_gradient():
    net = network()
    out = net(torch.zeros(1, 6, dtype=torch.float64))
    out.sum().backward()
    assert float(out.detach()) == 0.0
    assert not net.weight.grad.any()


def test_start_has_its_scale_and_signs():
    net = network(p=200, m=400, scale=1e-4)
    assert float(net.weight.detach().std()) == pytest.approx(1e-4, rel=0.02)
    assert set(net.second.detach().tolist()) == {-float(net.second.detach().max()), float(net.second.detach().max())}
    assert float(net.second.detach().max()) == pytest.approx(1 / 20)
    assert abs(float(net.second.detach().sum())) < 4


def test_the_second_layer_moves_only_if_asked():
    assert not network().second.requires_grad
    assert network(frozen_second=False).second.requires_grad
    assert torch.equal(network().weight, network(frozen_second=False).weight)


@pytest.mark.parametrize("given", [{"p": 0}, {"m": 0}, {"scale": 0.0}, {"scale": float("nan")}])
def test_arguments_are_checked(given):
    with pytest.raises(BadInput, match="give p, m >= 1 and init_scale > 0"):
        network(**given)
