"""Networks that may not memorise: by privacy, by few weights, or by weights taken away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from overparam.errors import BadInput
from overparam.methods.measures.mlp_bank import MLPBank, TrainedBank
from overparam.methods.theory.long_tail_simulation import MixtureSample
from overparam.methods.training.private import DPSGD
from overparam.models.mlp import mlp
from overparam.models.streams import draw
from overparam.papers.long_tail.worlds import CLASSES, FEATURES, Predict

BATCH, CLIP, RATE = 128, 1.0, 0.5  # of DP-SGD
WITHOUT_CLIPPING = 1e9
DELTA = 1e-4
PRIVATE = 1  # random numbers of its own


@dataclass(frozen=True)
class Setting:
    """Sizes of the networks and of their training.

    Attributes:
        hidden: Width of the network without limits.
        steps: Full-batch steps of Adam; half as many follow where a network is pruned and tuned.
        private_steps: Steps of DP-SGD.
    """

    hidden: int
    steps: int
    private_steps: int


def train_within(
    limit: str, level: float, samples: Sequence[MixtureSample], setting: Setting, seeds: Sequence[int]
) -> tuple[list[Predict], float | None]:
    """Train one network a sample under a limit.

    Args:
        limit: `none`; `width` (level: hidden units); `pruning` (level: share of weights set to zero, the smallest of
            both layers); `pruning and tuning` (further training of those that are left); `privacy` (DP-SGD, level:
            noise multiplier); `clipping` (the same without noise); `batches` (the same without clipping either).
        level: See above; 0 where it says nothing.
        samples: One a seed.
        setting: Sizes.
        seeds: Of weights, batches and noise.

    Returns:
        A function from points to labels for each sample, and epsilon at delta = 1e-4 under `privacy`.

    Raises:
        BadInput: An unknown limit.
    """
    if limit in ("privacy", "clipping", "batches"):
        clip = WITHOUT_CLIPPING if limit == "batches" else CLIP
        noise = level if limit == "privacy" else 0.0
        pairs = [_by_dpsgd(s, setting, clip, noise, seed) for s, seed in zip(samples, seeds, strict=True)]
        return [p for p, _ in pairs], pairs[0][1] if limit == "privacy" else None
    if limit not in ("none", "width", "pruning", "pruning and tuning"):
        raise BadInput(f"limit={limit!r} is unknown; see train_within for those there are")
    x, y = np.concatenate([s.x for s in samples]), np.concatenate([s.y for s in samples])
    owner = np.repeat(np.arange(len(samples)), [len(s.y) for s in samples])
    masks = owner == np.arange(len(samples))[:, None]  # all seeds in one program, each on the rows of its own sample
    width = int(level) if limit == "width" else setting.hidden
    bank = MLPBank(widths=(width,), steps=setting.steps).train(x, y, masks, seeds)
    if limit.startswith("pruning"):
        bank = pruned(bank, level)
    if limit == "pruning and tuning":
        bank = MLPBank(widths=(width,), steps=setting.steps // 2).train(x, y, masks, seeds, start=bank)
    return [bank.member(k).predict for k in range(len(samples))], None


def pruned(bank: TrainedBank, share: float) -> TrainedBank:
    """Set the smallest weights of each network to zero, all layers taken together; biases stay.

    Args:
        bank: Trained networks, not changed.
        share: Part of the weights to remove.

    Returns:
        The networks without them.
    """
    sizes = torch.cat([layer[:, :, :-1].abs().flatten(1) for layer in bank.layers], 1)
    gone = round(share * sizes.shape[1])
    edges = sizes.sort(1).values[:, gone - 1] if gone else torch.full((len(bank),), -1.0)
    layers = [layer.clone() for layer in bank.layers]
    for layer in layers:
        weights = layer[:, :, :-1]
        weights[weights.abs() <= edges[:, None, None]] = 0.0
    return TrainedBank(layers, bank.classes)


def _by_dpsgd(sample: MixtureSample, setting: Setting, clip: float, noise: float, seed: int) -> tuple[Predict, float]:
    generator = draw(PRIVATE, seed)
    net = mlp(FEATURES, [setting.hidden], CLASSES, generator=generator).eval()
    x, y = torch.from_numpy(sample.x), torch.from_numpy(sample.y)
    optimiser = DPSGD(
        net.parameters(), net, lr=RATE, clip=clip, noise=noise, sample_rate=min(1.0, BATCH / len(y)), size=len(y),
        generator=generator,
    )  # fmt: skip
    for _ in range(setting.private_steps):
        batch = optimiser.sample()
        optimiser.backward(x[batch], y[batch])
        optimiser.step()
    return _predictor(net), optimiser.epsilon(DELTA) if noise else 0.0


def _predictor(net: nn.Module) -> Predict:
    @torch.no_grad()
    def predict(points: np.ndarray) -> np.ndarray:
        return np.asarray(net(torch.from_numpy(points)).argmax(1).numpy())

    return predict
