import pytest
import torch
from torch import nn

from overparam.models.cnn import cnn
from overparam.models.initialise import initialise_
from overparam.models.mlp import mlp
from overparam.models.resnet import resnet18


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


MAKERS = {
    "mlp": lambda g: mlp(192, [16], 10, generator=g),
    "cnn": lambda g: cnn(3, 10, generator=g),
    "resnet18": lambda g: resnet18(3, 10, width=4, generator=g),
}


@pytest.mark.parametrize("name", MAKERS)
def test_weights_come_from_the_generator_alone(name):
    state = torch.get_rng_state()
    first, again, other = (MAKERS[name](draw(s)) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    x = torch.randn(2, 3, 8, 8, generator=draw(2))
    assert torch.equal(first.eval()(x), again.eval()(x))
    assert not torch.equal(first.eval()(x), other.eval()(x))
    assert first(x).shape == (2, 10)


def test_numbers_of_weights():
    count = lambda model: sum(p.numel() for p in model.parameters())  # noqa: E731
    assert count(mlp(784, [128], 10, generator=draw())) == 784 * 128 + 128 + 1280 + 10
    assert count(resnet18(3, 10, generator=draw())) == 11_173_962


def test_small_images_keep_their_size_in_the_first_stage():
    model = resnet18(3, 10, width=4, generator=draw()).eval()
    assert model[:4](torch.zeros(1, 3, 32, 32)).shape == (1, 4, 32, 32)


def test_variance_of_fresh_weights_and_reset_statistics():
    model = nn.Sequential(nn.Conv2d(8, 400, 3), nn.BatchNorm2d(400), nn.Flatten(), nn.Linear(400, 500))
    nn.init.constant_(model[1].running_var, 7.0)
    assert initialise_(model, draw()) is model
    model.requires_grad_(False)
    assert float(model[0].weight.var()) == pytest.approx(2 / 72, rel=0.05)
    assert float(model[3].weight.var()) == pytest.approx(1 / 400, rel=0.05)
    assert float(model[0].bias.abs().sum()) == 0
    assert float(model[1].running_var.mean()) == 1
