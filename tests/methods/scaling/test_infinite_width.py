import numpy as np
import pytest
import torch
from torch.nn import functional

from overparam.errors import BadInput
from overparam.methods.scaling.abc import ABC
from overparam.methods.scaling.abc_mlp import ABCMLP
from overparam.methods.scaling.infinite_width import InfiniteLinear, MeanFieldNet

DRAW = torch.Generator().manual_seed(0)
X = torch.randn(20, 6, generator=DRAW, dtype=torch.float64) / 6**0.5
Y = torch.randint(0, 3, (20,), generator=DRAW)


def limit(**more):
    return InfiniteLinear(6, 3, **{"bias_mult": 0.5, **more}).double()


def train(net, steps=30, lr=0.5, weight_decay=0.0):
    optimiser = torch.optim.SGD(net.parameters(), lr=lr, weight_decay=weight_decay)
    for _ in range(steps):
        optimiser.zero_grad()
        functional.cross_entropy(net(X), Y).backward()
        optimiser.step()
    return net(X).detach()


def orthogonal(net, infinite):
    """Put a finite network whose Gaussian vectors are exactly orthonormal into a sampled one."""
    width, h = len(net.input_weight), len(infinite.input_weight)
    q = torch.linalg.qr(torch.randn(width, h, generator=DRAW, dtype=torch.float64)).Q
    with torch.no_grad():
        net.input_weight.copy_(q @ infinite.input_weight)
        net.output_weight.copy_(infinite.output_weight @ q.T)
        if net.bias is not None:
            net.bias.copy_(q @ infinite.bias)
    return net


@pytest.mark.parametrize("more", [{}, {"bias_mult": 0.0}, {"sigma_u": 0.5, "sigma_v": 2.0, "alpha": 3.0}])
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_the_limit_is_a_finite_network_whose_gaussian_vectors_are_orthonormal(more, weight_decay):
    infinite = limit(**more)
    finite = orthogonal(infinite.sample(40, DRAW), infinite)
    one, two = (train(net, lr=0.1, weight_decay=weight_decay) for net in (infinite, finite))
    torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-9)
    assert one.abs().max() > 0.1


def test_samples_follow_the_limit_the_closer_the_wider():
    target = train(limit())
    gaps = []
    for width in (100, 6400):
        nets = [limit().sample(width, torch.Generator().manual_seed(s)) for s in range(4)]
        gaps.append(np.mean([float((train(net) - target).abs().max()) for net in nets]))
    assert gaps[1] < gaps[0] / 4  # a factor of eight in theory


def test_samples_of_a_trained_state_have_its_outputs_in_the_mean():
    infinite = limit()
    target = train(infinite)
    draws = torch.stack([infinite.sample(64, torch.Generator().manual_seed(s))(X).detach() for s in range(400)])
    error = draws.std(0) / 20
    assert ((draws.mean(0) - target).abs() / error).max() < 4.5
    assert limit()(X).abs().max() == 0  # the mean at the start


def test_without_a_multiplier_there_is_no_bias():
    assert limit(bias_mult=0.0).bias is None
    assert limit(bias_mult=0.0).sample(5, DRAW).bias is None
    assert len(list(limit().parameters())) == 3


def test_particles_are_the_mean_field_parametrisation():
    net = MeanFieldNet(6, 3, 50, generator=torch.Generator().manual_seed(1)).double()
    peer = ABCMLP(6, 50, 3, ABC.mean_field(), seed=0, dtype=torch.float64)
    with torch.no_grad():
        peer.weights[0].copy_(net.u)
        peer.weights[1].copy_(net.v)
    for one in (net, peer):
        optimiser = one.sgd(0.5)
        for _ in range(5):
            optimiser.zero_grad()
            functional.cross_entropy(one(X), Y).backward()
            optimiser.step()
    torch.testing.assert_close(net(X), peer(X), rtol=1e-10, atol=1e-12)


def test_linear_particles_tend_to_the_exact_limit():
    target = train(limit(bias_mult=0.0), steps=10)
    gaps = []
    for particles in (400, 25_600):
        nets = [
            MeanFieldNet(6, 3, particles, "identity", generator=torch.Generator().manual_seed(s)).double()
            for s in (0, 1, 2)
        ]
        found = []
        for net in nets:
            optimiser = net.sgd(0.5)
            for _ in range(10):
                optimiser.zero_grad()
                functional.cross_entropy(net(X), Y).backward()
                optimiser.step()
            found.append(float((net(X).detach() - target).abs().max()))
        gaps.append(np.mean(found))
    assert gaps[1] < gaps[0] / 4


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: InfiniteLinear(0, 3), "d_in=0"),
        (lambda: InfiniteLinear(2, 3, sigma_u=0.0), "sigma_u=0.0 is not positive"),
        (lambda: InfiniteLinear(2, 3, alpha=float("inf")), "alpha=inf"),
        (lambda: InfiniteLinear(2, 3, bias_mult=-1.0), "bias_mult=-1.0"),
        (lambda: InfiniteLinear(2, 3).sample(0, DRAW), "width=0 is below 1"),
        (lambda: MeanFieldNet(2, 1, 0, generator=DRAW), "particles=0"),
        (lambda: MeanFieldNet(2, 1, 5, "gelu", generator=DRAW), "act='gelu' is unknown"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(BadInput, match=words):
        make()
