"""Dual gradient descent on two-layer networks side by side with a PyTorch loop on the weights, and growth with p and n.

Run from the repository root: `python benchmarks/xor_grokking.py`. Equal predictions from equal weights are asserted
before any timing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from harness import Result, compare, figure, growth
from numpy.typing import NDArray
from torch import Tensor

from overparam.data.xor_clusters import XORClusters
from overparam.methods.theory.dual_descent import dual_gd, dual_gd_from
from overparam.models.two_layer import TwoLayerReLU

N, TESTED, UNITS, STEPS = 200, 500, 500, 300
Points = NDArray[np.float32]


def problem(p: int) -> tuple[Points, NDArray[np.int64], Points, float]:
    """Points of XOR clusters with the means and the step size of the experiments."""
    world = XORClusters(p, float(np.sqrt(5 * np.sqrt(p))))
    train, test = world.sample(N, rng=0), world.sample(TESTED, rng=1)
    return train.x, train.y, test.x, 100 / p


def network(p: int) -> TwoLayerReLU:
    """Weights that both sides start from."""
    return TwoLayerReLU(p, UNITS, 1e-6, generator=torch.Generator().manual_seed(0))


def loop(p: int, x: Points, y: NDArray[np.int64], test: Points, lr: float, steps: int) -> Tensor:
    """An ordinary loop: full batches through the module, autograd, SGD."""
    model, points, labels = network(p), torch.from_numpy(x), torch.from_numpy(y).float()
    optimiser = torch.optim.SGD([model.weight], lr=lr)
    for _ in range(steps):
        optimiser.zero_grad()
        torch.nn.functional.softplus(-labels * model(points)).mean().backward()
        optimiser.step()
    return model(torch.from_numpy(test)).detach()


def training() -> list[Result]:
    """The whole of a run from given weights, drawing them included, at three dimensions."""
    results = []
    for p, target in ((5_000, None), (10_000, None), (20_000, 20.0)):
        x, y, test, lr = problem(p)

        def ours(
            p: int = p, x: Points = x, y: NDArray[np.int64] = y, test: Points = test, lr: float = lr
        ) -> NDArray[np.float64]:
            log = dual_gd_from(network(p), x, y, test, lr=lr, steps=STEPS, log_steps=[STEPS])
            return log.test_outputs[0, 0]

        theirs = loop(p, x, y, test, lr, STEPS).numpy()
        difference = float(np.abs(ours() - theirs).max() / np.abs(theirs).max())
        results.append(figure(f"difference of predictions, p = {p:,}", difference, "relative", at_most=1e-4))
        assert difference <= 1e-4
        results.append(
            compare(
                f"{STEPS} steps, n = {N}, {UNITS} units, p = {p:,}",
                ours,
                lambda p=p, x=x, y=y, test=test, lr=lr: loop(p, x, y, test, lr, STEPS),
                peer_name="PyTorch loop",
                repeats=2,
                target=target,
            )
        )
    return results


def drawing() -> Result:
    """A data set of the experiments with its network: rotated coordinates against all of them, equal in law."""
    world = XORClusters(40_000, 28.3)

    def short() -> object:
        train, test = world.rotated(N, TESTED, rng=0)
        return dual_gd(train.x, train.y, test.x, m=300, lr=2e-3, init_scale=1e-6, steps=100)

    def whole() -> object:
        train, test = world.sample(N, rng=0), world.sample(TESTED, rng=1)
        return dual_gd(train.x, train.y, test.x, m=300, lr=2e-3, init_scale=1e-6, steps=100)

    return compare("draw and train, p = 40,000", short, whole, peer_name="all coordinates", repeats=3)


def doublings() -> list[Result]:
    """CPU time of a run when p or n doubles; 1 is constant, 2 linear, 4 quadratic."""

    def run(n: int, p: int) -> Callable[[], object]:
        train, test = XORClusters(p, 30.0).rotated(n, 100, rng=0)
        return lambda: dual_gd(train.x, train.y, test.x, m=200, lr=1e-4, init_scale=1e-9, steps=100)

    return [
        growth("dimensions p, in steps of 10,000 times", {p: run(200, p) for p in (10**4, 10**8, 10**12)}, at_most=1.3),
        growth("points n", {n: run(n, 10**4) for n in (200, 400, 800)}, at_most=4.8),
    ]


def main() -> list[Result]:
    """Check, time and compare.

    Returns:
        One result a comparison.
    """
    torch.set_num_threads(1)
    return [*training(), drawing(), *doublings()]


if __name__ == "__main__":
    main()
