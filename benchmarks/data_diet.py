"""Example scores side by side with per-example gradients by vmap and by Opacus, and with plain inference.

Run from the repository root: `python benchmarks/data_diet.py`. Equal numbers are asserted before any timing.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import numpy as np
import torch
from harness import Result, compare
from torch import Tensor, nn

from overparam import data
from overparam.methods.measures.example_scores import el2n
from overparam.methods.measures.grand import grand
from overparam.models.mlp import mlp

EXAMPLES = 10_000
CHUNK = 512


def examples() -> tuple[Tensor, Tensor]:
    """Take 10,000 images of MNIST, or noise of the same shape where it is not at hand."""
    if data.available("mnist"):
        images = data.load("mnist", split="test")
        x = torch.from_numpy(np.array(images.images, dtype=np.float32)) / 255
        return x[:EXAMPLES], torch.from_numpy(images.labels[:EXAMPLES].copy())
    draw = torch.Generator().manual_seed(0)
    return torch.rand(EXAMPLES, 1, 28, 28, generator=draw), torch.randint(0, 10, (EXAMPLES,), generator=draw)


def by_opacus(model: nn.Module, x: Tensor, y: Tensor) -> Callable[[], Tensor]:
    """Norms from the per-sample gradients of Opacus, in chunks of the same size."""
    from opacus import GradSampleModule

    sampled = GradSampleModule(copy.deepcopy(model), loss_reduction="sum").train()

    def norms() -> Tensor:
        parts = []
        for xs, ys in zip(torch.split(x, CHUNK), torch.split(y, CHUNK), strict=True):
            sampled.zero_grad()
            nn.functional.cross_entropy(sampled(xs), ys, reduction="sum").backward()
            squares = [p.grad_sample.flatten(1).square().sum(1) for p in sampled.parameters()]
            parts.append(torch.stack(squares).sum(0).sqrt())
        return torch.cat(parts)

    return norms


@torch.no_grad()
def inference(model: nn.Module, x: Tensor) -> Tensor:
    """Probabilities of all examples."""
    return torch.cat([model(xs).softmax(1) for xs in torch.split(x, CHUNK)])


def main() -> list[Result]:
    """Check, time and compare.

    Returns:
        One result a comparison.
    """
    torch.set_num_threads(1)
    x, y = examples()
    model = mlp(784, [128], 10, generator=torch.Generator().manual_seed(0)).eval()

    def ours() -> Tensor:
        return grand(model, x, y, method="hooks", chunk=CHUNK)

    def vmapped() -> Tensor:
        return grand(model, x, y, method="vmap", chunk=CHUNK)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Opacus leaves hooks on the input that torch warns about
        opacus = by_opacus(model, x, y)
        for peer in (vmapped, opacus):
            torch.testing.assert_close(ours(), peer(), rtol=1e-4, atol=1e-6)
        wrong = (inference(model, x) - nn.functional.one_hot(y, 10)).norm(dim=1)
        torch.testing.assert_close(el2n(model, (x, y)), wrong, rtol=1e-4, atol=1e-6)
        return [
            compare("GraNd of 10,000 images, perceptron", ours, vmapped, peer_name="vmap(grad)", target=10.0),
            compare("GraNd of 10,000 images, perceptron", ours, opacus, peer_name="Opacus 1.6", target=1.0),
            compare(
                "EL2N of 10,000 images, perceptron",
                lambda: el2n(model, (x, y), chunk=CHUNK),
                lambda: inference(model, x),
                peer_name="plain inference",
                target=1,  # the same pass, and a norm
            ),
        ]


if __name__ == "__main__":
    main()
