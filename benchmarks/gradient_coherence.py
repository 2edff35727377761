"""Gradient coherence side by side with materialised gradients and BackPACK: time, peak memory, growth."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import warnings
from collections.abc import Callable

import torch
from harness import Result, compare, figure
from torch import Tensor, nn
from torch.nn import functional

from overparam.methods.measures.coherence import coherence, m_coherence, per_example_grads
from overparam.methods.training.coherent_gradients import robust_step, winsorized_mean
from overparam.models.cnn import cnn
from overparam.models.mlp import mlp

EXAMPLES = 1000
PEAK = """
import json, pathlib, sys
import torch
sys.path.insert(0, sys.argv[1])
import gradient_coherence as b
torch.set_num_threads(1)
model, x, y = b.perceptron(int(sys.argv[3]))
status = pathlib.Path("/proc/self/status")
peak = lambda: next(int(l.split()[1]) for l in status.read_text().splitlines() if l.startswith("VmHWM"))
b.ours(model, x[:8], y[:8])
before = peak()
(b.ours if sys.argv[2] == "ours" else b.materialised)(model, x, y)
print(json.dumps((peak() - before) / 1024))
"""


def perceptron(width: int = 256, examples: int = EXAMPLES) -> tuple[nn.Module, Tensor, Tensor]:
    """A perceptron on inputs as large as MNIST's."""
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(examples, 784, generator=draw), torch.randint(0, 10, (examples,), generator=draw)
    return mlp(784, [width], 10, generator=draw).eval(), x, y


def convolutions(examples: int = EXAMPLES) -> tuple[nn.Module, Tensor, Tensor]:
    """A small convolutional network on inputs as large as CIFAR-10's."""
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(examples, 3, 32, 32, generator=draw), torch.randint(0, 10, (examples,), generator=draw)
    return cnn(3, 10, generator=draw).eval(), x, y


def ours(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """One pass."""
    return coherence(model, functional.cross_entropy, (x, y)).m_coherence


def materialised(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """All gradients at once, by vmap(grad)."""
    return m_coherence(per_example_grads(model, functional.cross_entropy, x, y))


def by_backpack(model: nn.Module) -> Callable[[Tensor, Tensor], float] | None:
    """Norms by BackPACK's BatchL2Grad, with the gradient of the sum in the same backward pass."""
    try:
        with warnings.catch_warnings(action="ignore"):
            from backpack import backpack, extend
            from backpack.extensions import BatchL2Grad
    except ImportError:
        print("BackPACK is not installed; its rows are left out")
        return None
    extended = extend(copy.deepcopy(model))
    loss = extend(nn.CrossEntropyLoss(reduction="sum"))

    def measure(x: Tensor, y: Tensor) -> float:
        squares, total = 0.0, 0.0
        extended.zero_grad()
        for xs, ys in zip(x.split(512), y.split(512), strict=True):
            with warnings.catch_warnings(action="ignore"), backpack(BatchL2Grad()):
                loss(extended(xs), ys).backward()
            squares += sum(float(p.batch_l2.sum()) for p in extended.parameters())
        total = sum(float(p.grad.square().sum()) for p in extended.parameters())
        return total / squares

    return measure


def peak(way: str, width: int) -> float:
    """Megabytes above the start, in a process of its own."""
    words = [sys.executable, "-c", PEAK, str(__file__).rsplit("/", 1)[0], way, str(width)]
    return float(json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout))


def main() -> list[Result]:
    """Check, time and compare."""
    torch.set_num_threads(1)
    results = []
    for name, (model, x, y) in {"perceptron": perceptron(), "convolutions": convolutions()}.items():
        wanted = ours(model, x, y)
        assert abs(materialised(model, x, y) / wanted - 1) < 1e-4
        run = lambda m=model, a=x, b=y: ours(m, a, b)  # noqa: E731
        results.append(compare(f"m-coherence of 1,000 examples, {name}", run,
                               lambda m=model, a=x, b=y: materialised(m, a, b), peer_name="vmap(grad)", repeats=5,
                               target=3))  # fmt: skip
        peer = by_backpack(model)
        if peer is not None:
            assert abs(peer(x, y) / wanted - 1) < 1e-4
            results.append(compare(f"m-coherence of 1,000 examples, {name}", run, lambda p=peer, a=x, b=y: p(a, b),
                                   peer_name="BackPACK BatchL2Grad", repeats=5, target=1))  # fmt: skip
    for width in (128, 512):
        mine, theirs = peak("ours", width), peak("materialised", width)
        weights = sum(p.numel() for p in perceptron(width)[0].parameters())
        results.append(figure(f"peak memory, {weights:,} weights: ours", mine, "MB"))
        results.append(figure(f"peak memory, {weights:,} weights: vmap(grad)", theirs, "MB"))
    results += [_seconds(f"{n:,} examples", *perceptron(256, n)) for n in (1000, 2000, 4000)]
    results += [_seconds(f"width {w}", *perceptron(w)) for w in (256, 512, 1024)]
    results += _winsor()
    return results


def _seconds(name: str, model: nn.Module, x: Tensor, y: Tensor) -> Result:
    import statistics
    import time

    times = []
    for _ in range(7):
        start = time.perf_counter()
        ours(model, x, y)
        times.append(1e3 * (time.perf_counter() - start))
    weights = sum(p.numel() for p in model.parameters())
    return figure(f"growth: {name}, {weights:,} weights", statistics.median(times[1:]), "ms")


def _winsor() -> list[Result]:
    draw = torch.Generator().manual_seed(0)
    grads = torch.randn(60, 4810, generator=draw)

    def by_topk() -> Tensor:
        columns = grads.T.contiguous()
        top, bottom = columns.topk(5, dim=1).values, columns.topk(5, dim=1, largest=False).values
        return columns.clamp(bottom[:, -1:], top[:, -1:]).mean(1)

    torch.testing.assert_close(winsorized_mean(grads, 4), by_topk())
    model, x, y = mlp(64, [64], 10, generator=draw), torch.randn(60, 64), torch.arange(60) % 10
    steps = {rule: torch.optim.SGD(model.parameters(), lr=0.0) for rule in ("winsor", "mean")}
    step = lambda rule: robust_step(model, functional.cross_entropy, x, y, steps[rule], rule=rule, c=4)  # noqa: E731
    return [
        compare("winsorised mean of 60 gradients, 4,810 weights", lambda: winsorized_mean(grads, 4), by_topk,
                peer_name="torch.topk", target=1),
        compare("winsorised step, batch of 60", lambda: step("winsor"), lambda: step("mean"), peer_name="plain step"),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
