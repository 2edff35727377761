"""Coordinate check: does every layer of a model move at the same rate at every width?

From Yang and Hu, arXiv 2011.14522, whose regimes differ in how the change of the features scales with width, and the
test that Yang et al., arXiv 2203.03466, appendix D.1, make of it. Under maximal updates the change of each layer's
activations after a few steps has a slope of about 0 in log width. A negative slope means that the layer freezes as the
model grows, a positive one that training blows up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from overparam.errors import BadInput
from overparam.methods.scaling.mup import Optimiser, mup_, mup_param_groups
from overparam.stats import slope

Parametrisation = Literal["mup", "sp"]
Batch = tuple[Any, Tensor]
Verdict = Literal["steady", "freezes", "grows", "unknown"]
HALFWAY = 0.25  # exponents of the usual parametrisations are multiples of a half
OUTPUT = "output"
_OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


@dataclass(frozen=True)
class Coordinate:
    """One line of the table.

    Attributes:
        width: Width of the model.
        seed: Of its initial weights.
        layer: Name of a module that has parameters, or `output`.
        step: Steps taken.
        rms_act: Root mean square of its activations on the batch.
        rms_delta: Root mean square of their change since step 0.
    """

    width: int
    seed: int
    layer: str
    step: int
    rms_act: float
    rms_delta: float


@dataclass(frozen=True)
class CoordCheck:
    """What a coordinate check found.

    Attributes:
        rows: Table, a line for each width, seed, layer and step.
        unstable: Widths at which loss or activations left the finite numbers; they have no part in the slopes.
    """

    rows: tuple[Coordinate, ...]
    unstable: tuple[int, ...]

    def slopes(self) -> dict[str, float]:
        """Fit log rms of the change against log width after the last step, in geometric mean over seeds.

        Returns:
            Layer to slope; NaN where fewer than two widths are stable, or a layer did not move.
        """
        last = max((row.step for row in self.rows), default=0)
        return self._slopes([row for row in self.rows if row.step == last], "rms_delta")

    def start_slopes(self) -> dict[str, float]:
        """Fit log rms of the initial activations against log width.

        A clearly positive slope says that initial weights do not shrink as 1/sqrt(fan-in). At the readout -1/2 is
        what maximal updates want.

        Returns:
            Layer to slope.
        """
        return self._slopes([row for row in self.rows if row.step == 0], "rms_act")

    def verdicts(self) -> dict[str, Verdict]:
        """Name what each layer does as the model grows.

        Returns:
            `steady` for a slope within 1/4 of 0, below that `freezes`, above it `grows`; `unknown` without a slope.
        """
        return {layer: _verdict(found) for layer, found in self.slopes().items()}

    def _slopes(self, rows: Sequence[Coordinate], metric: str) -> dict[str, float]:
        stable = [row for row in rows if row.width not in self.unstable]
        return {
            layer: _log_slope([(r.width, getattr(r, metric)) for r in stable if r.layer == layer])
            for layer in dict.fromkeys(row.layer for row in self.rows)
        }


def _log_slope(pairs: Sequence[tuple[int, float]]) -> float:
    if len({width for width, _ in pairs}) < 2 or any(value <= 0 for _, value in pairs):
        return math.nan
    return slope(np.log([width for width, _ in pairs]), np.log([value for _, value in pairs])).estimate


def _verdict(found: float) -> Verdict:
    if math.isnan(found):
        return "unknown"
    return "steady" if abs(found) <= HALFWAY else "freezes" if found < 0 else "grows"


def coord_check(
    make: Callable[[int], nn.Module],
    widths: Sequence[int],
    batch: Batch,
    *,
    parametrisation: Parametrisation = "mup",
    base_width: int | None = None,
    loss: Callable[[Any, Tensor], Tensor] = nn.functional.cross_entropy,
    lr: float = 0.1,
    optimizer: Optimiser = "sgd",
    steps: int = 3,
    seeds: Sequence[int] = (0, 1, 2),
) -> CoordCheck:
    """Train a model of several widths for a few steps on one batch and record how far its activations move.

    Args:
        make: Builds the model at a width. Its random numbers may come from torch's global generator, which is seeded
            for each model and put back at the end; dropout draws the same mask at every step.
        widths: Two at least.
        batch: Inputs and labels.
        parametrisation: `mup` rescales each model by `mup_`; `sp` leaves it and the learning rate as they are.
        base_width: Width at which the learning rate holds; the smallest if None.
        loss: Takes outputs and labels; the mean over the batch.
        lr: Learning rate at the base width.
        optimizer: `sgd`, `adam` or `adamw`.
        steps: 1 or more.
        seeds: Of the initial weights; the slopes are steadier with more.

    Returns:
        The table. Divergence is not an error but a finding: see `unstable`.

    Raises:
        BadInput: Fewer than two widths, no steps or seeds, or an unknown parametrisation or optimiser.

    Source: arXiv 2203.03466, appendix D.1.

    Example:
        >>> make = lambda n: nn.Sequential(nn.Linear(8, n), nn.ReLU(), nn.Linear(n, n), nn.ReLU(), nn.Linear(n, 3))
        >>> batch = torch.eye(8), torch.arange(8) % 3
        >>> for kind in ("mup", "sp"):
        ...     print(coord_check(make, [64, 512], batch, parametrisation=kind).verdicts()["output"])
        steady
        grows
    """
    if len(set(widths)) < 2 or min(widths) < 1 or steps < 1 or not seeds:
        raise BadInput(
            f"widths={list(widths)}, steps={steps}, {len(seeds)} seeds: give two different widths, a step and a seed"
        )
    if parametrisation not in ("mup", "sp"):
        raise BadInput(f"parametrisation={parametrisation!r} is unknown; give mup or sp")
    if optimizer not in _OPTIMISERS:
        raise BadInput(f"optimizer={optimizer!r} is unknown; give {', '.join(_OPTIMISERS)}")
    rows: list[Coordinate] = []
    unstable: list[int] = []
    with torch.random.fork_rng(devices=[]):
        for width in sorted(set(widths)):
            for seed in seeds:
                torch.manual_seed(seed)
                model = make(width)
                if parametrisation == "mup":
                    mup_(model, min(widths) if base_width is None else base_width, make=make)
                    groups: Any = mup_param_groups(model, lr, optimizer)
                else:
                    groups = model.parameters()
                made = _OPTIMISERS[optimizer](groups, lr=lr)
                found, fine = _follow(model, made, batch, loss, steps, width, seed)
                rows += found
                if not fine and width not in unstable:
                    unstable.append(width)
    return CoordCheck(tuple(rows), tuple(unstable))


def _follow(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    loss: Callable[[Any, Tensor], Tensor],
    steps: int,
    width: int,
    seed: int,
) -> tuple[list[Coordinate], bool]:
    """Train one model; stop where something is not finite."""
    x, y = batch
    rows: list[Coordinate] = []
    first: dict[str, Tensor] = {}
    with _Recorder(model) as recorder:
        for step in range(steps + 1):
            torch.manual_seed(seed)  # the same noise in every pass, so that it cancels in the change
            out, seen = recorder.run(x)
            first = first or seen
            value = loss(out, y)
            for layer, act in seen.items():
                rows.append(Coordinate(width, seed, layer, step, _rms(act), _rms(act - first[layer])))
            if not all(math.isfinite(v) for v in (float(value.detach()), *(r.rms_act for r in rows[-len(seen) :]))):
                return rows, False
            if step < steps:
                optimiser.zero_grad()
                value.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
    return rows, True


def _rms(x: Tensor) -> float:
    return float(x.double().square().mean().sqrt())


class _Recorder:
    """Keeps what the modules with parameters of their own give out."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.seen: dict[str, Tensor] = {}

    def __enter__(self) -> _Recorder:
        self.handles = [
            module.register_forward_hook(self._keeper(name))
            for name, module in self.model.named_modules()
            if name and any(True for _ in module.parameters(recurse=False))
        ]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _keeper(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
            found = output[0] if isinstance(output, tuple) else output
            if isinstance(found, Tensor) and found.is_floating_point():
                self.seen[name] = found

        return keep

    def run(self, x: Any) -> tuple[Any, dict[str, Tensor]]:
        """Run the model; a module whose output is that of the model is listed as `output` only."""
        self.seen = {}
        out = self.model(x)
        seen = {name: act.detach() for name, act in self.seen.items() if act is not out}
        return out, {**seen, OUTPUT: out.detach()}
