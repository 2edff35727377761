"""Maximal updates side by side with the package mup, and first steps of wide networks against autograd in a loop.

Run from the repository root: `python benchmarks/feature_learning.py`. Equal numbers are asserted before any timing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from harness import Result, compare, figure
from torch import Tensor, nn
from torch.nn import functional

from overparam.methods.scaling.abc import ABC
from overparam.methods.scaling.abc_mlp import ABCMLP, feature_movement
from overparam.methods.scaling.mup import mup_, mup_param_groups

BASE = 64
DRAW = torch.Generator().manual_seed(0)
X, Y = torch.randn(64, 32, generator=DRAW), torch.randint(0, 10, (64,), generator=DRAW)


def body(width: int) -> list[nn.Module]:
    """Layers below the readout: two matrices and a normalisation."""
    return [nn.Linear(32, width), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]


def ours(width: int) -> nn.Module:
    """The model as anybody would write it."""
    return nn.Sequential(*body(width), nn.Linear(width, 10))


def theirs(width: int) -> nn.Module:
    """The model with the readout that the peer asks for."""
    from mup import MuReadout

    return nn.Sequential(*body(width), MuReadout(width, 10))


def prepared(width: int, optimizer: str) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Our model and optimiser."""
    torch.manual_seed(0)
    model = mup_(ours(width), BASE, make=ours)
    kind: Any = torch.optim.SGD if optimizer == "sgd" else torch.optim.AdamW
    return model, kind(mup_param_groups(model, 0.01, optimizer, weight_decay=0.01))  # type: ignore[arg-type]


def peer_prepared(width: int, optimizer: str) -> tuple[nn.Module, torch.optim.Optimizer]:
    """The same by the peer."""
    from mup import MuAdamW, MuSGD, set_base_shapes

    torch.manual_seed(0)
    model = theirs(width)
    with torch.random.fork_rng(devices=[]):
        set_base_shapes(model, theirs(BASE), delta=theirs(2 * BASE))
    kind = MuSGD if optimizer == "sgd" else MuAdamW
    return model, kind(model.parameters(), lr=0.01, weight_decay=0.01)


def curve(model: nn.Module, optimiser: torch.optim.Optimizer, steps: int) -> Tensor:
    """Losses along some steps."""
    found = []
    for _ in range(steps):
        optimiser.zero_grad()
        loss = functional.cross_entropy(model(X), Y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        found.append(loss.detach())
    return torch.stack(found)


def against_mup() -> list[Result]:
    """Curves agree; then the cost of preparing, and of ten steps."""
    gap = 0.0
    for optimizer in ("sgd", "adamw"):
        for width in (64, 256, 1024):
            mine, peer = (curve(*make(width, optimizer), steps=50) for make in (prepared, peer_prepared))
            torch.testing.assert_close(mine, peer, rtol=1e-5, atol=1e-5)
            gap = max(gap, float((mine - peer).abs().max()))
    results = [figure("largest gap of 50 losses, SGD and AdamW, three widths", gap, "nats", at_most=1e-5)]
    for width in (256, 1024, 2048):
        results.append(
            compare(
                f"model and optimiser made, width {width:,}",
                lambda width=width: prepared(width, "adamw"),
                lambda width=width: peer_prepared(width, "adamw"),
                peer_name="mup",
                target=0.9,
            )
        )
        pair = [make(width, "adamw") for make in (prepared, peer_prepared)]
        results.append(
            compare(
                f"ten steps, width {width:,}",
                lambda pair=pair: curve(*pair[0], 10),
                lambda pair=pair: curve(*pair[1], 10),
                peer_name="mup",
                target=0.9,
            )
        )
    return results


def by_autograd(family: list[ABC], width: int, x: np.ndarray, y: np.ndarray) -> list[float]:
    """Change of the last hidden layer, network by network."""
    inputs, targets, found = torch.from_numpy(x), torch.from_numpy(y), []
    for abc in family:
        net = ABCMLP(x.shape[1], width, 1, abc, seed=0, dtype=torch.float64)
        first, optimiser = net.features(inputs)[-1].detach(), net.sgd(1.0)
        for _ in range(3):
            optimiser.zero_grad()
            loss = ((net(inputs)[:, 0] - targets) ** 2).mean() / 2
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        found.append(float((net.features(inputs)[-1].detach() - first).square().mean().sqrt()))
    return found


def movement() -> list[Result]:
    """First steps of ten parametrisations, against a loop; and growth with the width."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 0.25, (16, 16)), rng.choice([-1.0, 1.0], 16)
    family = [ABC.mup(2).shift(0.1 * k) for k in range(5)] + [ABC.ntk(2).shift(0.1 * k) for k in range(5)]
    results, seconds = [], []
    for width in (512, 1024, 2048):
        run: Callable[[], Any] = lambda width=width: feature_movement(family, width, x, y, eta=1.0)  # noqa: E731
        np.testing.assert_allclose(run().features[:, -1], by_autograd(family, width, x, y), rtol=1e-8)
        results.append(
            compare(
                f"three steps of ten parametrisations, width {width:,}",
                run,
                lambda width=width: by_autograd(family, width, x, y),
                peer_name="automatic differentiation in a loop",
                repeats=3,
                target=3.0,
            )
        )
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    results.append(
        figure("first steps, per doubling of the width", (seconds[2] / seconds[0]) ** 0.5, "times", at_most=4.8)
    )
    return results


def main() -> list[Result]:
    """Check, time and compare.

    Returns:
        One result a comparison.
    """
    torch.set_num_threads(1)
    return [*against_mup(), *movement()]


if __name__ == "__main__":
    main()
