"""Memorisation and private training side by side with scikit-learn and Opacus, and growth with n and t.

Run from the repository root: `python benchmarks/long_tail.py`. Equal numbers are asserted before any timing.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import numpy as np
import torch
from harness import Result, compare, growth
from numpy.typing import NDArray
from torch import Tensor, nn

from overparam.data import load
from overparam.methods.measures.knn_memorization import knn_memorization_exact
from overparam.methods.measures.memorization import Mask, influence_from_correctness, subset_masks
from overparam.methods.measures.mlp_bank import MLPBank
from overparam.methods.training.private import DPSGD
from overparam.models.cnn import cnn
from overparam.models.mlp import mlp

MEMBERS = 100
BANK = MLPBank(widths=(64,), steps=150, learning_rate=0.01)
Data = tuple[NDArray[np.float32], NDArray[np.int64]]


def digits(n: int) -> Data:
    """Take n of the bundled digits."""
    images = load("digits", split="train")
    return (images.images[:n].reshape(n, -1) / 255).astype(np.float32), images.labels[:n].copy()


def sklearn_loop(x: NDArray[np.float32], y: NDArray[np.int64], masks: Mask, steps: int) -> list[NDArray[np.float64]]:
    """Probabilities of networks that scikit-learn trains one by one: full batches, Adam, our initial weights."""
    from sklearn.neural_network import MLPClassifier

    found = []
    for seed, mask in enumerate(masks):
        size = int(mask.sum())
        net = MLPClassifier(
            (64,), batch_size=size, max_iter=1, learning_rate_init=BANK.learning_rate, alpha=0.0, tol=0.0,
            n_iter_no_change=10**9, warm_start=True, shuffle=False, random_state=seed,
            epsilon=1e-9,  # it is added before the correction of the bias there, so ours is smaller by up to 30 times
        )  # fmt: skip
        net.fit(x[mask], y[mask])  # one step to make the arrays; then the initial weights are put in place
        model = mlp(x.shape[1], [64], 10, generator=torch.Generator().manual_seed(seed))
        dense = [layer for layer in model if isinstance(layer, nn.Linear)]
        net.coefs_ = [layer.weight.detach().numpy().T.copy() for layer in dense]
        net.intercepts_ = [layer.bias.detach().numpy().copy() for layer in dense]
        net.set_params(max_iter=steps)
        net.fit(x[mask], y[mask])
        found.append(net.predict_proba(x))
    return found


def torch_loop(x: NDArray[np.float32], y: NDArray[np.int64], masks: Mask) -> Tensor:
    """Logits of networks that an ordinary PyTorch loop trains one by one."""
    points, labels, found = torch.from_numpy(x), torch.from_numpy(y), []
    for seed, mask in enumerate(masks):
        model = mlp(x.shape[1], [64], 10, generator=torch.Generator().manual_seed(seed))
        optimiser = torch.optim.Adam(model.parameters(), lr=BANK.learning_rate)
        rows = torch.from_numpy(mask)
        mine, wanted = points[rows], labels[rows]
        for _ in range(BANK.steps):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(mine), wanted).backward()
            optimiser.step()
        found.append(model(points).detach())
    return torch.stack(found)


def banks() -> list[Result]:
    """The bank against loops, at three sizes of data."""
    results, seeds = [], list(range(MEMBERS))
    for n in (250, 500, 1000):
        x, y = digits(n)
        masks = subset_masks(n, MEMBERS)

        def ours(x: NDArray[np.float32] = x, y: NDArray[np.int64] = y, masks: Mask = masks) -> Tensor:
            return BANK.train(x, y, masks, seeds).logits(x)

        # a few steps agree closely; over many, rounding grows as it does between any two orders of summation
        few = MLPBank(widths=(64,), steps=10).train(x, y, masks[:3], seeds[:3]).logits(x).softmax(2)
        for k, peer in enumerate(sklearn_loop(x, y, masks[:3], 10)):
            np.testing.assert_allclose(few[k].numpy(), peer, rtol=0, atol=2e-3)
        torch.testing.assert_close(ours()[:3].softmax(2), torch_loop(x, y, masks[:3]).softmax(2), atol=5e-3, rtol=0)
        for threads in (1, 2):  # the loop does not gain from a second one: its products are too small
            torch.set_num_threads(threads)
            results.append(
                compare(
                    f"{MEMBERS} perceptrons on subsets of {n:,} digits, threads: {threads}",
                    ours,
                    lambda x=x, y=y, masks=masks: sklearn_loop(x, y, masks, BANK.steps),
                    peer_name="MLPClassifier in a loop",
                    repeats=3,
                    target=5.0,
                )
            )
        torch.set_num_threads(1)
    results.append(
        compare(
            "the same, 1,000 digits", ours, lambda: torch_loop(x, y, masks), peer_name="PyTorch in a loop", repeats=3
        )
    )
    return results


def opacus_step(model: nn.Module, x: Tensor, y: Tensor) -> tuple[nn.Module, Callable[[], None]]:
    """A step of Opacus on the same batch: per-sample gradients, clipping, noise."""
    from opacus import GradSampleModule
    from opacus.optimizers import DPOptimizer

    sampled = GradSampleModule(model).train()
    optimiser = DPOptimizer(
        torch.optim.SGD(sampled.parameters(), lr=0.1), noise_multiplier=0.0, max_grad_norm=1.0,
        expected_batch_size=len(x),
    )  # fmt: skip

    def step() -> None:
        optimiser.zero_grad()
        nn.functional.cross_entropy(sampled(x), y).backward()
        optimiser.step()

    return sampled, step


def private_steps() -> list[Result]:
    """DP-SGD against Opacus, on perceptrons of three widths and a convolutional network."""
    draw = torch.Generator().manual_seed(0)
    results = []
    nets: list[tuple[str, nn.Module, tuple[int, ...]]] = [
        (f"perceptron 64-{w}-5", mlp(64, [w], 5, generator=draw), (64,)) for w in (64, 256, 1024)
    ]
    nets.append(("three convolutions, 16 x 16", cnn(3, 5, generator=draw), (3, 16, 16)))
    for name, model, shape in nets:
        x, y = torch.randn(128, *shape, generator=draw), torch.randint(0, 5, (128,), generator=draw)
        peer, opacus = opacus_step(copy.deepcopy(model), x, y)
        optimiser = DPSGD(
            model.parameters(), model, lr=0.1, clip=1.0, noise=0.0, sample_rate=0.5, size=256, generator=draw
        )

        def ours(optimiser: DPSGD = optimiser, x: Tensor = x, y: Tensor = y) -> None:
            optimiser.backward(x, y)
            optimiser.step()

        for _ in range(3):
            ours()
            opacus()
        for a, b in zip(model.parameters(), peer.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
        results.append(
            compare(
                f"DP-SGD step on 128 examples, {name}",
                lambda ours=ours: [ours() for _ in range(10)],
                lambda opacus=opacus: [opacus() for _ in range(10)],
                peer_name="Opacus",
                repeats=15,
                target=1.0,
            )
        )
    return results


def doublings() -> list[Result]:
    """CPU time when n or t doubles; 2 is linear, 4 is quadratic."""
    rng = np.random.default_rng(0)
    x, y = digits(1000)

    def by_members(t: int) -> Callable[[], object]:
        masks = subset_masks(500, t)
        return lambda: BANK.train(x[:500], y[:500], masks, list(range(t)))

    def by_examples(n: int) -> Callable[[], object]:
        masks = subset_masks(n, 40)
        return lambda: BANK.train(x[:n], y[:n], masks, list(range(40)))

    def nearest(n: int) -> Callable[[], object]:
        points, labels = rng.normal(size=(n, 64)), rng.integers(0, 10, n)
        return lambda: knn_memorization_exact(points, labels)

    def influence(n: int) -> Callable[[], object]:
        masks, right = subset_masks(n, 400), rng.random((400, 1000)) < 0.5
        return lambda: influence_from_correctness(right, masks)

    cases = (
        ("bank, members", by_members, (20, 40, 80), 2.4),
        ("bank, examples", by_examples, (250, 500, 1000), 2.4),
        ("exact 1-NN memorisation, examples", nearest, (2000, 4000, 8000), 4.8),
        ("influence on 1,000 points, examples", influence, (2000, 4000, 8000), 2.4),
    )
    return [growth(name, {n: make(n) for n in sizes}, at_most=most) for name, make, sizes, most in cases]


def main() -> list[Result]:
    """Check, time and compare.

    Returns:
        One result a comparison.
    """
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn counts steps as not converged, Opacus leaves hooks behind
        return [*banks(), *private_steps(), *doublings()]


if __name__ == "__main__":
    main()
