import copy
import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from overparam.errors import BadInput, Diverged
from overparam.methods.fewshot.adaptation import Inner
from overparam.methods.fewshot.episodes import TaskSampler
from overparam.methods.fewshot.kernel_maml import KernelStart, gram
from overparam.methods.fewshot.linear_maml import LinearStart
from overparam.methods.fewshot.maml import FOMAML, ModuleStart
from overparam.methods.scaling.infinite_width import FiniteLinear, InfiniteLinear
from overparam.methods.scaling.kernel_limit import KernelLimit

DRAW = torch.Generator().manual_seed(0)
EXAMPLES = torch.randn(20, 6, 12, generator=DRAW, dtype=torch.float64)


def sampler(seed=1, examples=EXAMPLES, **given):
    return TaskSampler(examples, queries=2, generator=torch.Generator().manual_seed(seed), **given)


def linear(bias_mult=1.3, width=None):
    net = InfiniteLinear(12, 5, 1.0, 0.3, bias_mult, 0.7).double()
    if width:
        net = net.sample(width, torch.Generator().manual_seed(2))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=DRAW, dtype=torch.float64))
    return net


def by_loop(module, tasks, inner, lr, clip):
    """One outer step, task by task, as the definition reads."""
    total = [torch.zeros_like(p) for p in module.parameters()]
    logits = []
    for k in range(len(tasks)):
        own = copy.deepcopy(module)
        for _ in range(inner.steps):
            loss = cross_entropy(own(tasks.support[k]), tasks.support_labels[k])
            slopes = torch.autograd.grad(loss, list(own.parameters()))
            with torch.no_grad():
                for parameter, g in zip(own.parameters(), slopes, strict=True):
                    parameter -= inner.lr * g
        out = own(tasks.query[k])
        logits.append(out.detach())
        slopes = torch.autograd.grad(cross_entropy(out, tasks.query_labels[k]), list(own.parameters()))
        total = [a + b for a, b in zip(total, slopes, strict=True)]
    norm = math.sqrt(sum(float((g**2).sum()) for g in total))
    with torch.no_grad():
        for parameter, g in zip(module.parameters(), total, strict=True):
            parameter -= lr * min(1.0, clip / norm) * g
    return torch.stack(logits)


@pytest.mark.parametrize("clip", [0.5, math.inf])
@pytest.mark.parametrize(
    "module",
    [
        linear(),
        linear(bias_mult=0.0),
        linear(width=3),
        FiniteLinear(linear().input_weight.detach(), linear().output_weight.detach(), None, bias_mult=2.0),
        nn.Sequential(nn.Linear(12, 9), nn.Tanh(), nn.Linear(9, 5)).double(),
    ],
    ids=["limit", "limit without bias", "width 3", "bias left out", "any module"],
)
def test_a_step_is_that_of_the_loop_over_tasks(module, clip):
    tasks, inner = sampler().sample(7), Inner(0.4, 3)
    ours, oracle = copy.deepcopy(module), copy.deepcopy(module)
    start = ModuleStart(ours) if isinstance(module, nn.Sequential) else LinearStart(ours)
    torch.testing.assert_close(start.adapted_logits(tasks, inner), by_loop(oracle, tasks, inner, 0.1, clip))
    start.outer_step(tasks, inner, 0.1, clip)
    for a, b in zip(ours.parameters(), oracle.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_tasks_of_other_shapes_than_vectors():
    net = nn.Sequential(nn.Conv2d(1, 3, 2), nn.Flatten(), nn.Linear(18, 5)).double()
    oracle, tasks, inner = (
        copy.deepcopy(net),
        sampler(examples=EXAMPLES.reshape(20, 6, 1, 3, 4)).sample(3),
        Inner(0.4, 2),
    )
    by_loop(oracle, tasks, inner, 0.1, 0.5)
    ModuleStart(net).outer_step(tasks, inner, 0.1, 0.5)
    for a, b in zip(net.parameters(), oracle.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_the_linear_kernel_is_a_linear_layer_from_zero():
    layer = nn.Linear(12, 5, bias=False).double()
    nn.init.zeros_(layer.weight)
    tasks = sampler()
    kernel = KernelStart(KernelLimit("linear"), tasks.points, 5)
    losses = [FOMAML(m, 0.1, 2).fit(s, 5, 0.1) for m, s in ((layer, sampler()), (kernel, tasks))]
    assert losses[0] == pytest.approx(losses[1], rel=1e-10)
    elsewhere = sampler(9, torch.randn(8, 6, 12, generator=DRAW, dtype=torch.float64)).sample(4)
    inner = Inner(0.1, 20)
    expected = ModuleStart(layer).adapted_logits(elsewhere, inner)
    torch.testing.assert_close(kernel.adapted_logits(elsewhere, inner), expected)


@pytest.mark.slow
def test_wide_networks_in_the_tangent_parametrisation_follow_the_kernel():
    """A ReLU network of width 40,000, its readout against a copy of the start so that outputs begin at zero."""

    class Tangent(nn.Module):
        def __init__(self, width):
            super().__init__()
            draw = torch.Generator().manual_seed(5)
            self.first = nn.Parameter(torch.randn(width, 12, generator=draw))
            self.last = nn.Parameter(torch.randn(5, width, generator=draw))
            self.scale = width**-0.5
            self.start = (self.first.detach().clone(), self.last.detach().clone())

        def forward(self, x):
            there = torch.relu(x @ self.start[0].T) @ self.start[1].T
            return self.scale * (torch.relu(x @ self.first.T) @ self.last.T - there)

    examples, inner = EXAMPLES.float(), Inner(0.1, 3)
    train, other = sampler(examples=examples), sampler(examples=examples)
    kernel, net = KernelStart(KernelLimit("ntk"), train.points, 5), Tangent(40_000)
    FOMAML(kernel, 0.1, 3).fit(train, 6, 0.5, tasks=4)
    FOMAML(net, 0.1, 3).fit(other, 6, 0.5, tasks=4)
    tasks = train.sample(20)
    found, expected = kernel.adapted_logits(tasks, inner), ModuleStart(net).adapted_logits(tasks, inner)
    assert float((found - expected).norm() / expected.norm()) < 0.05
    assert float(expected.std()) > 0.1


def test_a_gram_in_blocks_is_the_kernel_of_all_pairs(monkeypatch):
    points = EXAMPLES.flatten(0, 1)
    whole = KernelLimit("ntk").kernel(points.numpy(), points.numpy())
    monkeypatch.setattr("overparam.methods.fewshot.kernel_maml._BLOCK", 50)
    torch.testing.assert_close(gram(KernelLimit("ntk"), points), torch.from_numpy(whole), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        gram(KernelLimit("ntk"), points[:70], points), torch.from_numpy(whole[:70]), rtol=1e-6, atol=1e-6
    )


def test_meta_training_helps_the_limit_and_cannot_help_a_kernel_that_sees_labels_permuted():
    basis = torch.linalg.qr(torch.randn(12, 12, generator=DRAW, dtype=torch.float64))[0]
    examples = torch.randn(40, 1, 12, generator=DRAW, dtype=torch.float64) @ basis[:, :3] @ basis[:, :3].T
    noise = 2.0 * torch.randn(40, 10, 12, generator=DRAW, dtype=torch.float64) @ basis[:, 3:] @ basis[:, 3:].T
    train, test = sampler(examples=(examples + noise)[:30]), sampler(7, (examples + noise)[30:])
    before, after = [], []
    for model in (InfiniteLinear(12, 5, 1.0, 1.0).double(), KernelStart(KernelLimit("linear"), train.points, 5)):
        learner = FOMAML(model)
        before.append(float(learner.evaluate(test, 400).mean()))
        learner.fit(train, 200, 0.1)
        after.append(float(learner.evaluate(test, 400).mean()))
    assert after[0] > before[0] + 0.15
    assert abs(after[1] - before[1]) < 0.05


def test_arguments_are_checked():
    with pytest.raises(BadInput, match="clip=0"):
        FOMAML(linear(), clip=0)
    with pytest.raises(BadInput, match=r"inner lr=0\.0"):
        FOMAML(linear(), inner_lr=0.0)
    learner = FOMAML(linear())
    with pytest.raises(BadInput, match="steps=0"):
        learner.fit(sampler(), 0, 0.1)
    with pytest.raises(BadInput, match="n_tasks=0"):
        learner.evaluate(sampler(), 0)
    with pytest.raises(BadInput, match="4 classes and the network 5"):
        learner.fit(sampler(ways=4), 1, 0.1)
    kernel = KernelStart(KernelLimit("gp"), sampler().points, 5)
    with pytest.raises(BadInput, match="was not made for"):
        FOMAML(kernel).fit(sampler(examples=EXAMPLES.clone()), 1, 0.1)


def test_divergence_names_the_step():
    with pytest.raises(Diverged, match=r"step \d+ is (nan|inf)"):
        FOMAML(linear(), clip=math.inf).fit(sampler(), 100, 1e300)
