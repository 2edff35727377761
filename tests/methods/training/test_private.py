import warnings

import numpy as np
import pytest
import torch
from torch import nn

from overparam.errors import BadInput, Diverged
from overparam.methods.training.private import DPSGD
from overparam.models.mlp import mlp


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


class Tokens(nn.Module):
    """A linear layer over positions, pooled: its input has three dimensions."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(5, 6), nn.Linear(6, 3, bias=False)

    def forward(self, x):
        return self.outer(torch.relu(self.inner(x)).mean(1))


def perceptron():
    return mlp(12, [7, 6], 3, generator=draw(1)), torch.randn(9, 12, generator=draw(2))


def convolution():
    layers = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 6, 3, stride=2, groups=2, bias=False), nn.ReLU(),
        nn.Flatten(), nn.Linear(6 * 9, 3),
    )  # fmt: skip
    return layers, torch.randn(9, 2, 8, 8, generator=draw(2))


def tokens():
    return Tokens(), torch.randn(9, 4, 5, generator=draw(2))


def normalised():
    layers = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 3)).eval()
    return layers, torch.randn(9, 2, 8, 8, generator=draw(2))


MODELS = {"perceptron": perceptron, "convolution": convolution, "tokens": tokens, "normalised": normalised}
every = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
Y = torch.randint(0, 3, (9,), generator=draw(3))


def private(model, method="auto", **change):
    keywords = {"lr": 0.1, "clip": 0.7, "noise": 0.0, "sample_rate": 0.25, "size": 40, "generator": draw(9)} | change
    return DPSGD(model.parameters(), model, method=method, **keywords)


def one_by_one(model, x, y, clip, loss_fn=nn.functional.cross_entropy):
    """Oracle: an ordinary backward pass for each example, clipped over all parameters together."""
    total = None
    for k in range(len(y)):
        gradients = torch.autograd.grad(loss_fn(model(x[k : k + 1]), y[k : k + 1]), list(model.parameters()))
        flat = torch.cat([g.flatten() for g in gradients])
        flat = flat * min(1.0, clip / float(flat.norm()))
        total = flat if total is None else total + flat
    return total


def gradient(optimiser, x, y):
    optimiser.backward(x, y)
    return torch.cat([p.grad.flatten() for group in optimiser.param_groups for p in group["params"]])


@every
@pytest.mark.parametrize("clip", [0.05, 0.7, 1e6])
def test_the_clipped_sum_is_that_of_single_passes(make, clip):
    model, x = make()
    model, x = model.double(), x.double()
    expected = one_by_one(model, x, Y, clip) / 10  # the expected batch, not the nine that came
    for method in ("auto", "vmap"):
        found = gradient(private(model, method, clip=clip), x, Y)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@every
def test_without_clipping_it_is_the_ordinary_gradient(make):
    model, x = make()
    loss = nn.functional.cross_entropy(model(x), Y, reduction="sum") / 10
    expected = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
    torch.testing.assert_close(gradient(private(model, clip=1e9), x, Y), expected, rtol=1e-4, atol=1e-6)


def test_no_example_weighs_more_than_the_clip():
    model, x = perceptron()
    alone = gradient(private(model, clip=0.3), 100 * x[:1], Y[:1])
    assert float(alone.norm()) * 10 == pytest.approx(0.3, rel=1e-5)


@every
def test_chunks_and_order_do_not_change_the_sum(make):
    model, x = make()
    whole = gradient(private(model), x, Y)
    torch.testing.assert_close(gradient(private(model, chunk=2), x, Y), whole)
    order = torch.randperm(9, generator=draw())
    torch.testing.assert_close(gradient(private(model), x[order], Y[order]), whole)


def test_ghost_is_taken_where_it_applies():
    for make, covered in ((perceptron, True), (convolution, True), (tokens, True), (normalised, False)):
        model, x = make()
        if covered:
            private(model, "ghost").backward(x, Y)
        else:
            with pytest.raises(BadInput, match="BatchNorm2d"):
                private(model, "ghost").backward(x, Y)


def test_shared_weights_and_a_part_of_a_layer_take_vmap():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    x, y = torch.randn(5, 4, generator=draw()), torch.randint(0, 4, (5,), generator=draw())
    torch.testing.assert_close(gradient(private(model), x, y), one_by_one(model, x, y, 0.7) / 10)
    only = DPSGD([model[0].bias], model, lr=0.1, clip=1e9, noise=0.0, sample_rate=0.25, size=40, generator=draw())
    loss = nn.functional.cross_entropy(model(x), y, reduction="sum") / 10
    torch.testing.assert_close(gradient(only, x, y), torch.autograd.grad(loss, model[0].bias)[0])
    assert model[2].bias.grad is not None  # from the first optimiser, not touched by the second
    with pytest.raises(BadInput, match="share"):
        private(model, "ghost").backward(x, y)


def test_only_the_given_layers_count_towards_the_norm():
    model, x = perceptron()
    last = list(model[-1].parameters())
    found = DPSGD(last, model, lr=0.1, clip=0.1, noise=0.0, sample_rate=0.25, size=40, generator=draw())
    total = torch.zeros(sum(p.numel() for p in last))
    for k in range(9):
        loss = nn.functional.cross_entropy(model(x[k : k + 1]), Y[k : k + 1])
        flat = torch.cat([g.flatten() for g in torch.autograd.grad(loss, last)])
        total += flat * min(1.0, 0.1 / float(flat.norm()))
    torch.testing.assert_close(gradient(found, x, Y), total / 10)


def test_other_losses():
    model, x = perceptron()
    y = torch.randn(9, 3, generator=draw(4))
    for loss in (nn.functional.mse_loss, nn.MSELoss()):
        found = gradient(private(model, loss_fn=loss), x, y)
        torch.testing.assert_close(found, one_by_one(model, x, y, 0.7, nn.functional.mse_loss) / 10)


def test_agrees_with_opacus():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from opacus import GradSampleModule
        from opacus.optimizers import DPOptimizer

        model, x = convolution()
        twin, _ = convolution()
        twin.load_state_dict(model.state_dict())
        sampled = GradSampleModule(twin)
        peer = DPOptimizer(
            torch.optim.SGD(sampled.parameters(), lr=0.1), noise_multiplier=0.0, max_grad_norm=0.7,
            expected_batch_size=10,
        )  # fmt: skip
        nn.functional.cross_entropy(sampled(x), Y).backward()
        peer.step()
    optimiser = private(model, "ghost")
    optimiser.backward(x, Y)
    optimiser.step()
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_noise_has_the_deviation_of_the_mechanism_and_an_empty_batch_is_noise_alone():
    model, x = nn.Linear(400, 50), torch.zeros(0, 400)
    optimiser = private(model, noise=2.0, clip=0.5)
    found = gradient(optimiser, x, torch.zeros(0, dtype=torch.long))
    size = found.numel()
    assert float(found.std()) == pytest.approx(2.0 * 0.5 / 10, rel=4 / np.sqrt(2 * size))
    assert abs(float(found.mean())) < 4 * 0.1 / np.sqrt(size)
    assert (optimiser.released, optimiser.epsilon(1e-5) > 0) == (1, True)
    again = gradient(optimiser, x, torch.zeros(0, dtype=torch.long))
    assert not torch.equal(found, again)
    same = gradient(private(model, noise=2.0, clip=0.5), x, torch.zeros(0, dtype=torch.long))
    assert torch.equal(found, same)


def test_noise_is_added_to_the_clipped_sum():
    model, x = perceptron()
    plain, noise = gradient(private(model), x, Y), gradient(private(model, noise=1.0), x[:0], Y[:0])
    torch.testing.assert_close(gradient(private(model, noise=1.0), x, Y), plain + noise)


def test_batches_are_poisson_samples():
    model, _ = perceptron()
    optimiser = private(model, sample_rate=0.1, size=200)
    batches = [optimiser.sample() for _ in range(2000)]
    sizes = np.array([len(b) for b in batches])
    assert sizes.mean() == pytest.approx(20, abs=4 * np.sqrt(18 / 2000))
    assert sizes.var() == pytest.approx(18, rel=0.15)  # a fixed batch would have no variance
    hits = np.bincount(torch.cat(batches).numpy(), minlength=200) / 2000
    assert np.abs(hits - 0.1).max() < 4.5 * np.sqrt(0.09 / 2000)
    assert len(private(model, sample_rate=1.0).sample()) == 40


def test_steps_are_those_of_sgd():
    model, x = perceptron()
    start = [p.detach().clone() for p in model.parameters()]
    optimiser = private(model, momentum=0.9, weight_decay=0.1)
    velocity = [torch.zeros_like(p) for p in start]
    for _ in range(3):
        optimiser.backward(x, Y)
        for p, s, v in zip(model.parameters(), start, velocity, strict=True):
            v.mul_(0.9).add_(p.grad + 0.1 * s)
            s.sub_(0.1 * v)
        optimiser.step()
    for p, s in zip(model.parameters(), start, strict=True):
        torch.testing.assert_close(p.detach(), s)
    torch.optim.lr_scheduler.StepLR(optimiser, 1)  # schedulers take it as the SGD it is


def test_mode_inputs_and_global_state_stay_as_they_are():
    model, x = perceptron()
    model.train()
    before, state = x.clone(), torch.get_rng_state()
    private(model, noise=1.0).backward(x, Y)
    assert model.training
    assert torch.equal(x, before)
    assert torch.equal(state, torch.get_rng_state())
    assert not any(layer._forward_hooks for layer in model.modules())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clip": 0.0}, "clip=0.0"),
        ({"noise": -1.0}, "noise=-1.0"),
        ({"sample_rate": 0.0}, "sample_rate=0.0"),
        ({"sample_rate": 1.5}, "sample_rate=1.5"),
        ({"size": 0}, "size=0"),
        ({"method": "hooks"}, "method='hooks'"),
        ({"chunk": 0}, "chunk=0"),
    ],
)
def test_refuses_numbers_out_of_range(change, message):
    with pytest.raises(BadInput, match=message):
        private(perceptron()[0], **change)


def test_refuses_what_has_no_private_gradient():
    model, x = perceptron()
    with pytest.raises(BadInput, match="not a trainable part"):
        DPSGD([nn.Parameter(torch.zeros(2))], model, lr=1, clip=1, noise=1, sample_rate=0.5, size=2, generator=draw())
    with pytest.raises(BadInput, match="uses the batch or chance"):
        private(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    with pytest.raises(BadInput, match="uses the batch or chance"):
        private(nn.Sequential(nn.Linear(2, 2), nn.Dropout()))
    optimiser = private(model)
    with pytest.raises(BadInput, match="9 inputs and y 8 labels"):
        optimiser.backward(x, Y[:8])
    with pytest.raises(BadInput, match="call backward"):
        optimiser.step()
    optimiser.backward(x, Y)
    with pytest.raises(BadInput, match="no closure"):
        optimiser.step(lambda: 0.0)
    optimiser.step()
    with pytest.raises(BadInput, match="call backward"):
        optimiser.step()
    with pytest.raises(Diverged, match="example 2 of the batch"):
        x[2] = float("nan")
        optimiser.backward(x, Y)


def test_training_learns():
    model = mlp(2, [16], 2, generator=draw())
    x = torch.randn(400, 2, generator=draw(5))
    y = (x[:, 0] > 0).long()
    optimiser = private(model, noise=0.5, clip=1.0, sample_rate=0.2, size=400, lr=1.0)
    for _ in range(40):
        batch = optimiser.sample()
        optimiser.backward(x[batch], y[batch])
        optimiser.step()
    assert float((model(x).argmax(1) == y).float().mean()) > 0.9
