import pytest
import torch
from torch import nn

from overparam.errors import BadInput
from overparam.methods.measures.kernel_velocity import kernel_velocity, tangent_kernel, turn
from overparam.models.cnn import cnn
from overparam.models.mlp import mlp
from overparam.models.resnet import resnet18


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n=3):
    return torch.randn(n, 3, 8, 8, generator=draw(1), dtype=torch.float64)


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Linear(5, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.embed(x)).mean(1))


MODELS = {
    "perceptron": (lambda: mlp(192, [7], 4, generator=draw()), images()),
    "convolutions": (lambda: cnn(3, 4, widths=(5, 6), generator=draw()), images()),
    "residual network": (lambda: resnet18(3, 4, width=2, generator=draw()).eval(), images(2)),
    "positions": (Tokens, torch.randn(3, 4, 5, generator=draw(), dtype=torch.float64)),
}


@pytest.mark.parametrize("name", MODELS)
def test_layers_equal_the_jacobian(name):
    make, x = MODELS[name]
    model = make().double()
    kernel = tangent_kernel(model, x, method="layers")
    torch.testing.assert_close(kernel, tangent_kernel(model, x, method="jacobian"), rtol=1e-9, atol=1e-10)
    assert float(torch.linalg.eigvalsh(kernel).min()) > -1e-9 * float(kernel.diagonal().max())


def test_other_layers_fall_back_to_the_jacobian():
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3), nn.LayerNorm(3)).double()
    torch.testing.assert_close(tangent_kernel(model, images()), tangent_kernel(model, images(), method="jacobian"))
    with pytest.raises(BadInput, match="LayerNorm"):
        tangent_kernel(model, images(), method="layers")


def test_linear_models_have_no_velocity():
    before, after = nn.Linear(4, 2).double(), nn.Linear(4, 2).double()
    x = torch.randn(5, 4, generator=draw(), dtype=torch.float64)
    assert abs(kernel_velocity(before, after, x)) < 1e-12


def test_velocity_is_symmetric_and_between_zero_and_one():
    before, after = (mlp(192, [7], 4, generator=draw(s)).double() for s in (0, 1))
    forward, backward = kernel_velocity(before, after, images()), kernel_velocity(after, before, images())
    assert 0 < forward < 1
    assert forward == pytest.approx(backward, abs=1e-12)


def test_turn_ignores_scale_and_is_one_between_orthogonal_matrices():
    first = torch.diag(torch.tensor([1.0, 0.0]))
    assert turn(first, 7 * first) == pytest.approx(0)
    assert turn(first, torch.diag(torch.tensor([0.0, 2.0]))) == pytest.approx(1)
    with pytest.raises(BadInput, match="zero"):
        turn(first, torch.zeros(2, 2))


def test_refuses():
    model = mlp(192, [7], 4, generator=draw()).double()
    with pytest.raises(BadInput, match="method='dense'"):
        tangent_kernel(model, images(), method="dense")
    with pytest.raises(BadInput, match="no trainable weights"):
        tangent_kernel(model.requires_grad_(False), images())
    with pytest.raises(BadInput, match=r"call model\.eval"):
        tangent_kernel(resnet18(3, 4, width=2, generator=draw()), images().float())
