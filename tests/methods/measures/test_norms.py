import math

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize

from overparam.errors import BadInput
from overparam.methods.measures.norms import (
    conv_spectral_norm,
    fold_batchnorm,
    path_norm,
    plain_copy,
    spectral_norm,
    weight_matrices,
)
from overparam.models.cnn import cnn
from overparam.models.mlp import mlp
from overparam.models.resnet import resnet18


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def dense(weight, height, width, *, circular):
    """Oracle: the matrix of a convolution, column by column."""
    channels, pad = weight.shape[1], (weight.shape[2] // 2, weight.shape[3] // 2)
    images = torch.eye(channels * height * width, dtype=torch.float64).view(-1, channels, height, width)
    if circular:
        images = functional.pad(images, (pad[1], pad[1], pad[0], pad[0]), mode="circular")
        return functional.conv2d(images, weight).flatten(1)
    return functional.conv2d(images, weight, padding=pad).flatten(1)


@pytest.mark.parametrize("kernel", [(3, 3), (1, 1), (5, 3)])
def test_norm_of_a_convolution_is_that_of_its_matrix(kernel):
    weight = torch.randn(4, 3, *kernel, generator=draw(), dtype=torch.float64)
    circular = torch.linalg.matrix_norm(dense(weight, 6, 7, circular=True), 2)
    padded = torch.linalg.matrix_norm(dense(weight, 6, 7, circular=False), 2)
    assert conv_spectral_norm(weight, (6, 7)) == pytest.approx(float(circular), rel=1e-10)
    assert conv_spectral_norm(weight, (6, 7), method="power") == pytest.approx(float(padded), rel=1e-5)


def test_all_methods_agree_on_kernels_of_one_pixel():
    weight = torch.randn(5, 3, 1, 1, generator=draw())
    expected = float(torch.linalg.matrix_norm(weight.flatten(1).double(), 2))
    for method in ("fft", "reshape", "power"):
        assert conv_spectral_norm(weight, (6, 6), method=method) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (1, 5)])
def test_spectral_norm(shape):
    matrix = torch.randn(*shape, generator=draw())
    assert spectral_norm(matrix) == pytest.approx(float(torch.linalg.svdvals(matrix.double())[0]), rel=1e-10)


def test_spectral_norm_of_a_large_matrix(monkeypatch):
    matrix = torch.randn(60, 90, generator=draw())
    exact = spectral_norm(matrix)
    monkeypatch.setattr("overparam.methods.measures.norms.DENSE_SIDE", 10)
    assert spectral_norm(matrix) == pytest.approx(exact, rel=1e-5)
    assert spectral_norm(torch.zeros(60, 90)) == 0.0


def test_path_norm_of_a_positive_linear_network_is_the_sum_of_the_product_of_squares():
    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Linear(4, 5, bias=False), nn.Linear(5, 2, bias=False))
    product = torch.eye(3, dtype=torch.float64)
    for layer in model:
        product = layer.weight.detach().double().square() @ product
    assert path_norm(model, (3,)) == pytest.approx(float(product.sum()), rel=1e-12)


def test_path_norm_sums_over_all_paths():
    model = mlp(2, [3], 2, generator=draw()).requires_grad_(False)
    first, second = model[1], model[3]
    first.bias.normal_(generator=draw(1)), second.bias.normal_(generator=draw(2))
    total = 0.0
    for out in range(2):
        total += float(second.bias[out]) ** 2
        for h in range(3):
            into = sum(float(first.weight[h, i]) ** 2 for i in range(2)) + float(first.bias[h]) ** 2
            total += float(second.weight[out, h]) ** 2 * into
    assert path_norm(model, (2,)) == pytest.approx(total, rel=1e-6)


def test_path_norm_does_not_change_when_one_layer_is_scaled_against_the_next():
    model = mlp(4, [6], 3, generator=draw())
    before = path_norm(model, (4,))
    with torch.no_grad():
        model[1].weight.mul_(7), model[1].bias.mul_(7), model[3].weight.div_(7)
    assert path_norm(model, (4,)) == pytest.approx(before, rel=1e-5)


def test_path_norm_overflows_to_infinity_not_to_nan():
    model = nn.Sequential(*[nn.Linear(2, 2) for _ in range(3)])
    with torch.no_grad():
        for layer in model:
            layer.weight.fill_(1e38)
    assert path_norm(nn.Sequential(*model, *model), (2,)) == math.inf


def normed(bias=True):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=bias), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5), nn.BatchNorm1d(5)
    )
    for norm in (model[1], model[5]):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    return model.eval()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("sampled", [True, False])
def test_folding_keeps_the_outputs_and_multiplies_the_weights(bias, sampled):
    model, x = normed(bias), torch.randn(3, 2, 6, 6, generator=draw())
    folded = fold_batchnorm(model, x if sampled else None)
    assert not [m for m in folded.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    torch.testing.assert_close(folded(x), model(x), rtol=1e-4, atol=1e-5)
    scale = model[1].weight / (model[1].running_var + model[1].eps).sqrt()
    torch.testing.assert_close(folded[0].weight, model[0].weight * scale[:, None, None, None])


def test_folding_leaves_a_normalisation_that_follows_no_layer():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 3), nn.ReLU(inplace=True), nn.BatchNorm1d(3)).eval()
    model[0].running_mean.fill_(2.0)
    x = torch.randn(4, 3, generator=draw())
    folded = fold_batchnorm(model, x)
    assert [type(m).__name__ for m in folded] == ["BatchNorm1d", "Linear", "ReLU", "BatchNorm1d"]
    torch.testing.assert_close(folded(x), model(x))


class TwoReaders(nn.Module):
    """The output of the convolution goes into the normalisation and around it."""

    def __init__(self):
        super().__init__()
        self.layer, self.norm = nn.Linear(3, 3), nn.BatchNorm1d(3)
        self.norm.running_var.fill_(4.0)

    def forward(self, x):
        a = self.layer(x)
        return self.norm(a) + a


def test_folding_gives_up_where_the_outputs_would_change():
    model, x = TwoReaders().eval(), torch.randn(4, 3, generator=draw())
    folded = fold_batchnorm(model, x)
    torch.testing.assert_close(folded(x), model(x))
    assert isinstance(folded.norm, nn.BatchNorm1d)


def test_folding_a_residual_network_keeps_its_outputs():
    model, x = resnet18(3, 4, width=4, generator=draw()).eval(), torch.randn(2, 3, 8, 8, generator=draw())
    folded = fold_batchnorm(model, x)
    assert not [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d)]
    torch.testing.assert_close(folded(x), model(x), rtol=1e-3, atol=1e-4)


def test_weight_matrices_name_shared_weights_once_and_leave_out_embeddings():
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    model[3].weight = model[1].weight
    assert list(weight_matrices(model)) == ["1.weight"]


def test_parametrised_weights_become_plain_and_the_model_stays():
    model = nn.Sequential(nn.Linear(4, 3))
    nn.utils.parametrizations.weight_norm(model[0])
    plain = plain_copy(model)
    assert list(weight_matrices(plain)) == ["0.weight"]
    torch.testing.assert_close(plain[0].weight, model[0].weight)
    assert parametrize.is_parametrized(model[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conv_spectral_norm(torch.ones(2, 2), (4, 4)), "kernel of a convolution"),
        (lambda: conv_spectral_norm(torch.ones(2, 2, 3, 3), (2, 4)), "below the kernel"),
        (lambda: conv_spectral_norm(torch.ones(2, 2, 3, 3), (4, 4), method="svd"), "is unknown"),
        (lambda: spectral_norm(torch.ones(3)), "pass a matrix"),
        (lambda: path_norm(nn.Linear(3, 2), (0,)), "is not positive"),
        (lambda: path_norm(cnn(3, 2, generator=draw()), (5,)), "refuses an input"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(BadInput, match=message):
        call()
