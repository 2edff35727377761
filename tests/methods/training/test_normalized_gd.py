import pytest
import torch

from overparam.errors import BadInput
from overparam.methods.training.normalized_gd import NormalizedGD


def parameters(*scales):
    draw = torch.Generator().manual_seed(0)
    made = [torch.nn.Parameter(torch.randn(3, 2, generator=draw, dtype=torch.float64)) for _ in scales]
    for p, scale in zip(made, scales, strict=True):
        p.grad = scale * torch.randn(3, 2, generator=draw, dtype=torch.float64)
    return made


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
def test_a_step_has_the_given_length_whatever_the_gradient(scale):
    (p,) = parameters(scale)
    before, direction = p.detach().clone(), p.grad / scale
    NormalizedGD([p], lr=0.25, eps=0.0).step()
    moved = before - p.detach()
    assert moved.norm().item() == pytest.approx(0.25)
    torch.testing.assert_close(moved / 0.25, direction / direction.norm())


def test_each_tensor_has_its_own_norm_or_all_share_one():
    for per_param, total in ((True, 2**0.5), (False, 1.0)):
        pair = parameters(1.0, 1e-3)
        before = [p.detach().clone() for p in pair]
        NormalizedGD(pair, lr=1.0, eps=0.0, per_param=per_param).step()
        moved = torch.stack([b - p.detach() for b, p in zip(before, pair, strict=True)])
        assert moved.norm().item() == pytest.approx(total)


def test_eps_is_added_to_the_norm_and_decay_to_the_gradient():
    (p,) = parameters(1e-3)
    before, gradient = p.detach().clone(), p.grad.clone()
    NormalizedGD([p], lr=1.0, eps=0.5, decay=0.1).step()
    slope = gradient + 0.1 * before
    torch.testing.assert_close(p.detach(), before - slope / (slope.norm() + 0.5))


def test_zero_and_missing_gradients_leave_weights_and_the_gradient_stays():
    still, silent, moving = parameters(0.0, 1.0, 1.0)
    silent.grad = None
    before, kept = [p.detach().clone() for p in (still, silent)], moving.grad.clone()
    assert NormalizedGD([still, silent, moving], lr=1.0).step(lambda: 7.0) == 7.0
    torch.testing.assert_close(still.detach(), before[0])
    torch.testing.assert_close(silent.detach(), before[1])
    torch.testing.assert_close(moving.grad, kept)


@pytest.mark.parametrize("given", [{"lr": 0.0}, {"eps": -1.0}, {"decay": -1.0}, {"lr": float("nan")}])
def test_arguments_are_checked(given):
    with pytest.raises(BadInput, match=next(iter(given))):
        NormalizedGD(parameters(1.0), **given)
