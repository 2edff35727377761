"""Posterior samples of a perceptron on digits, beside trained networks and their ensemble."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax, nll_loss

from overparam.data import load
from overparam.lab import Progress
from overparam.methods.training.posterior import PosteriorEnsemble, sample_posterior
from overparam.models.streams import draw

MEMBERS, HIDDEN = 5, 64
SCALES = (10.0, 33.0, 100.0)  # variance of a weight, times the number of its inputs


def network(seed: int) -> nn.Module:
    """Make a perceptron on 8 x 8 digits with weights of its own."""
    model = nn.Sequential(nn.Linear(64, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 10))
    generator = draw(41, seed)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * (p.shape[-1] ** -0.5 if p.ndim > 1 else 0.0))
    return model


def data(n: int, seed: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Draw n training images, 200 for validation and 500 without labels; the test images are always the same."""
    train, test = load("digits"), load("digits", split="test")
    order = np.random.default_rng((42, seed)).permutation(len(train))

    def part(images: np.ndarray, labels: np.ndarray) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(images).float().flatten(1) / 255, torch.from_numpy(labels)

    rows = {"train": order[:n], "validation": order[n : n + 200], "unlabelled": order[n + 200 : n + 700]}
    found = {name: part(train.images[r], train.labels[r]) for name, r in rows.items()}
    return found | {"test": part(test.images, test.labels)}


def trained(
    model: nn.Module, x: Tensor, y: Tensor, held_out: tuple[Tensor, Tensor], epochs: int
) -> dict[str, nn.Module]:
    """Train by gradient descent with momentum; return the last network and the one of smallest held-out loss."""
    import copy

    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    best, stopped = float("inf"), model
    for epoch in range(epochs):
        optimiser.zero_grad()
        cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if epoch % 5 == 4:
            with torch.no_grad():
                now = float(cross_entropy(model(held_out[0]), held_out[1]))
            if now < best:
                best, stopped = now, copy.deepcopy(model)
    return {"last": model, "stopped": stopped}


def losses(n: int, epochs: int, steps: int, seed: int, progress: Progress) -> dict[str, float]:
    """Return test log-losses in nats of all learners, of the student of the ensemble, and the Jensen gap."""
    sets = data(n, seed)
    (x, y), (tx, ty) = sets["train"], sets["test"]
    models = [trained(network(100 * seed + k), x, y, sets["validation"], epochs) for k in range(MEMBERS)]
    last = [pair["last"] for pair in models]
    row = {name: float(np.mean([_loss(pair[name], tx, ty) for pair in models])) for name in ("last", "stopped")}
    with torch.no_grad():
        together = torch.logsumexp(torch.stack([log_softmax(m(tx), -1) for m in last]), 0) - np.log(MEMBERS)
    row["deep_ensemble"] = float(nll_loss(together, ty))
    progress.step(1, 2, "Langevin chains")
    choices = _sampled(last, x, y, steps, seed)
    chosen = min(SCALES, key=lambda scale: choices[scale].log_loss(*sets["validation"]))
    ensemble = choices[chosen]
    members = ensemble.members(tx)
    each = torch.stack([nll_loss(m, ty) for m in members])
    row |= {"langevin": ensemble.log_loss(tx, ty), "one_sample": float(each.mean()), "prior_scale": chosen}
    row["jensen_excess"] = max(0.0, row["langevin"] - row["one_sample"])
    student = ensemble.distill(network(10_000 + seed), sets["unlabelled"][0], steps=epochs)
    row["student"] = _loss(student, tx, ty)
    return row


def _sampled(models: list[nn.Module], x: Tensor, y: Tensor, steps: int, seed: int) -> dict[float, PosteriorEnsemble]:
    """Sample from every model under every prior, all chains together."""
    scales = torch.tensor(SCALES).repeat_interleave(len(models))
    precision = {
        name: ((HIDDEN if p.ndim > 1 else 1) / scales).view(-1, *[1] * p.ndim)
        for name, p in models[0].named_parameters()
    }
    kept = 20
    found = sample_posterior(
        models * len(SCALES), x, y, lr=2e-2 / len(x), samples=kept, burn_in=steps // 2, thin=max(1, steps // 40),
        prior_precision=precision, generator=draw(43, seed),
    ).ensemble.samples  # fmt: skip
    parts = {name: v.view(kept, len(SCALES), len(models), *v.shape[1:]) for name, v in found.items()}
    return {
        scale: PosteriorEnsemble(models[0], {name: v[:, i].flatten(0, 1) for name, v in parts.items()})
        for i, scale in enumerate(SCALES)
    }


def _loss(model: nn.Module, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        return float(cross_entropy(model(x), y))
