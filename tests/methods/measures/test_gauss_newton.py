import pytest
import torch
from torch import nn

from overparam.errors import BadInput
from overparam.methods.measures import gauss_newton
from overparam.methods.measures.gauss_newton import decompose, ggn_spectrum
from overparam.methods.measures.hessian_operator import HessianOperator
from overparam.models.mlp import mlp

CE = nn.CrossEntropyLoss()


def problem(n, width=6, classes=3, seed=0):
    draw = torch.Generator().manual_seed(seed)
    model = mlp(4, [width], classes, generator=draw).double()
    return model, torch.randn(n, 4, generator=draw).double(), torch.arange(n) % classes


@pytest.mark.parametrize("n", [4, 60])
@pytest.mark.parametrize("loss", ["cross-entropy", "squares"])
def test_spectrum_from_either_side_is_that_of_the_matrix(n, loss):
    model, x, y = problem(n)
    loss_fn, y = (CE, y) if loss == "cross-entropy" else (nn.MSELoss(), torch.ones(n, 3).double())
    found = ggn_spectrum(model, loss_fn, x, y, chunk=7)
    dense = torch.linalg.eigvalsh(HessianOperator(model, loss_fn, (x, y), kind="ggn").to_dense()).flip(0)
    assert len(found) == min(3 * n, len(dense))
    torch.testing.assert_close(found, dense[: len(found)].clamp_min(0), rtol=1e-9, atol=1e-12)
    assert dense[len(found) :].abs().sum() < 1e-10


def test_blocks_of_the_gram_matrix_join():
    """More rows than one block of 512."""
    model, x, y = problem(180, width=90)
    found = ggn_spectrum(model, CE, x, y)
    assert len(found) == 540
    exact = HessianOperator(model, CE, (x, y), kind="ggn")
    torch.testing.assert_close(found.sum(), exact.to_dense().trace())


def test_rank_is_examples_times_classes_less_one():
    model, x, y = problem(4, width=20)
    found = ggn_spectrum(model, CE, x, y)
    assert int((found > 1e-12 * found[0]).sum()) == 4 * 2
    square = ggn_spectrum(model, nn.MSELoss(), x, torch.zeros(4, 3).double())
    assert int((square > 1e-12 * square[0]).sum()) == 4 * 3


def test_hessian_is_the_sum_of_its_parts():
    for loss_fn, y in ((CE, torch.arange(9) % 3), (nn.MSELoss(), torch.ones(9, 3).double())):
        model, x, _ = problem(9)
        h, g, r = decompose(model, loss_fn, x, y)
        torch.testing.assert_close(h, g + r, rtol=0, atol=1e-12)
        assert float(r.abs().max()) > 1e-3
        assert float(torch.linalg.eigvalsh(g)[0]) > -1e-12


def test_residual_vanishes_with_the_slopes_of_the_loss():
    model, x, _ = problem(9)
    _, g, r = decompose(model, nn.MSELoss(), x, model(x).detach())
    assert float(r.abs().max()) < 1e-14
    assert float(g.abs().max()) > 1e-3


def test_logistic_regression_has_no_residual():
    x, model = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)).double(), nn.Linear(3, 3).double()
    h, g, r = decompose(model, CE, x, torch.arange(8) % 3)
    assert float(r.abs().max()) == 0
    torch.testing.assert_close(h, g)


def test_frozen_weights_are_left_out_and_the_model_stays():
    model, x, y = problem(50)
    whole = decompose(model, CE, x, y)
    model[1].requires_grad_(False)
    part = decompose(model, CE, x, y)
    assert len(ggn_spectrum(model, CE, x, y)) == 21
    for a, b in zip(part, whole, strict=True):
        torch.testing.assert_close(a, b[30:, 30:])
    assert model[3].weight.grad is None


def test_several_outputs_of_several_dimensions():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 3).double()

        def forward(self, x):
            return torch.tanh(self.inner(x)).mT

    torch.manual_seed(0)
    model, x, y = Tokens(), torch.randn(5, 4, 2).double(), torch.arange(20).view(5, 4) % 3
    found = ggn_spectrum(model, CE, x, y)
    exact = torch.linalg.eigvalsh(HessianOperator(model, CE, (x, y), kind="ggn").to_dense()).flip(0)
    torch.testing.assert_close(found, exact, rtol=1e-9, atol=1e-12)


def test_saturated_outputs_in_single_precision():
    """Far from the boundary p (1 - p) is below the rounding of single precision, yet the loss is convex."""
    model, x, y = problem(20)
    with torch.no_grad():
        model[3].weight.mul_(40)
    exact = ggn_spectrum(model, CE, x, y)
    single = ggn_spectrum(model.float(), CE, x.float(), y)
    torch.testing.assert_close(single, exact, rtol=1e-4, atol=1e-5 * float(exact[0]))
    ggn_spectrum(model, nn.MSELoss(), x.float(), torch.ones(20, 3))


def test_refuses(monkeypatch):
    model, x, y = problem(5)
    with pytest.raises(BadInput, match="not convex"):
        ggn_spectrum(model, lambda z, y: -z.square().sum(), x, y)
    with pytest.raises(BadInput, match="no examples"):
        ggn_spectrum(model, CE, x[:0], y[:0])
    with pytest.raises(BadInput, match=r"call model\.eval"):
        ggn_spectrum(nn.Sequential(model, nn.Dropout()), CE, x, y)
    monkeypatch.setattr(gauss_newton, "LARGEST", 10)
    with pytest.raises(BadInput, match="above 10; use lanczos"):
        ggn_spectrum(model, CE, x, y)


def test_a_loss_without_curvature_gives_zeros():
    model, x, y = problem(5)
    assert ggn_spectrum(model, lambda z, y: z.sum(), x, y).abs().max() == 0
