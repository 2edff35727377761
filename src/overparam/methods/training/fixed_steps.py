"""Training of many small networks side by side, for a number of steps that does not depend on the size of the data.

Pruned and full data are compared fairly only at equal steps: with equal epochs a smaller set gets fewer updates and
looks worse than it is. Perceptrons run as one batched tensor program; other networks run one after another.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from overparam.errors import BadInput, Diverged

Observe = Callable[[int, Tensor, Tensor], None]
_DENSE = (nn.Flatten, nn.Linear, nn.ReLU)


@dataclass(frozen=True)
class Recipe:
    """Stochastic gradient descent with Nesterov momentum and a learning rate that follows the steps.

    Attributes:
        steps: Updates in all.
        batch_size: Examples an update.
        learning_rate: At the start.
        momentum: 0 to below 1; 0 is plain descent.
        weight_decay: Added to the gradient as this times the weight.
        schedule: `cosine` to zero, `step` by `factor` at each of `milestones`, or `constant`.
        milestones: Parts of the steps, 0 to 1, at which `step` lowers the rate.
        factor: By which `step` multiplies the rate.
    """

    steps: int
    batch_size: int = 64
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    milestones: tuple[float, ...] = (0.3, 0.6, 0.8)
    factor: float = 0.2

    def rate(self, step: int) -> float:
        """Return the learning rate of an update.

        Args:
            step: 0 to steps - 1.

        Returns:
            Learning rate.

        Example:
            >>> Recipe(steps=10, learning_rate=0.1).rate(5)
            0.05
        """
        if self.schedule == "cosine":
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * step / self.steps))
        passed = sum(step >= m * self.steps for m in self.milestones) if self.schedule == "step" else 0
        return float(self.learning_rate * self.factor**passed)


def batch_order(indices: Tensor, *, steps: int, batch_size: int, generator: torch.Generator) -> Tensor:
    """Draw the batches of a run: the examples in random order, over and over; the last partial batch is dropped.

    Args:
        indices: (k,) positions of the examples to train on.
        steps: Number of batches.
        batch_size: Examples a batch.
        generator: Draws the orders.

    Returns:
        (steps, batch_size) positions.

    Raises:
        BadInput: Fewer examples than one batch.

    Example:
        >>> order = batch_order(torch.arange(5), steps=3, batch_size=2, generator=torch.Generator().manual_seed(0))
        >>> tuple(order.shape), len(set(order[:2].flatten().tolist()))
        ((3, 2), 4)
    """
    a_round = len(indices) // batch_size
    if a_round == 0:
        raise BadInput(f"{len(indices)} examples do not fill a batch; pass batch_size<={len(indices)}")
    rounds = [
        torch.randperm(len(indices), generator=generator)[: a_round * batch_size].view(a_round, batch_size)
        for _ in range(max(1, -(-steps // a_round)))
    ]
    return indices[torch.cat(rounds)[:steps]]


class _Networks(Protocol):
    parameters: list[Tensor]

    def logits(self, x: Tensor) -> Tensor: ...

    def copies(self) -> list[nn.Module]: ...


class _Dense:
    """Perceptrons of one shape, their weights stacked as (m, inputs, outputs): forward is one batched product."""

    def __init__(self, models: Sequence[nn.Module], device: torch.device) -> None:
        self._models = [list(m) if isinstance(m, nn.Sequential) else [m] for m in models]
        self._templates = models
        self.parameters: list[Tensor] = []
        for layers in zip(*self._models, strict=True):
            if isinstance(layers[0], nn.Linear):
                weight = torch.stack([layer.weight.detach().T for layer in layers]).contiguous()
                bias = torch.stack([layer.bias.detach()[None] for layer in layers])
                self.parameters += [weight.to(device).requires_grad_(), bias.to(device).requires_grad_()]

    def logits(self, x: Tensor) -> Tensor:
        left = iter(self.parameters)
        for layer in self._models[0]:
            if isinstance(layer, nn.Linear):
                weight, bias = next(left), next(left)
                x = torch.baddbmm(bias, x, weight)
            else:
                x = x.flatten(2) if isinstance(layer, nn.Flatten) else torch.relu(x)
        return x

    def copies(self) -> list[nn.Module]:
        models = [copy.deepcopy(m) for m in self._templates]
        with torch.no_grad():
            for k, model in enumerate(models):
                left = iter(self.parameters)
                for layer in model.modules():
                    if isinstance(layer, nn.Linear):
                        layer.weight.copy_(next(left)[k].T)
                        layer.bias.copy_(next(left)[k, 0])
        return models


class _Each:
    """Any networks, one after another."""

    def __init__(self, models: Sequence[nn.Module], device: torch.device) -> None:
        self._models = [copy.deepcopy(m).to(device).train() for m in models]
        self.parameters: list[Tensor] = [p for m in self._models for p in m.parameters() if p.requires_grad]

    def logits(self, x: Tensor) -> Tensor:
        return torch.stack([model(batch) for model, batch in zip(self._models, x, strict=True)])

    def copies(self) -> list[nn.Module]:
        return [copy.deepcopy(m) for m in self._models]


def _stackable(models: Sequence[nn.Module]) -> bool:
    shapes = {
        tuple((type(layer), getattr(layer, "weight", torch.empty(0)).shape) for layer in m.modules()) for m in models
    }
    layers = [layer for m in models if isinstance(m, nn.Sequential) for layer in m]
    every = all(isinstance(m, nn.Sequential) for m in models) and all(type(layer) in _DENSE for layer in layers)
    trainable = all(p.requires_grad for m in models for p in m.parameters())
    biased = all(layer.bias is not None for layer in layers if isinstance(layer, nn.Linear))
    return every and trainable and biased and len(shapes) == 1


def train_fixed_steps(
    models: Sequence[nn.Module],
    x: Tensor,
    y: Tensor,
    *,
    orders: Tensor,
    recipe: Recipe,
    at_steps: Sequence[int] = (),
    start: int = 0,
    stop: int | None = None,
    augment: Callable[[Tensor], Tensor] | None = None,
    observe: Observe | None = None,
) -> dict[int, list[nn.Module]]:
    """Train m networks by cross-entropy, each on batches of its own. The models that were given do not change.

    Costs what m separate runs cost in arithmetic; perceptrons (Flatten, Linear, ReLU in a Sequential) share the
    overhead of each step. Memory: three times the weights of all networks, and m batches.

    Args:
        models: m networks of one shape.
        x: (n, ...) inputs, shared.
        y: (n,) or (m, n) labels.
        orders: (m, stop - start, batch) positions in x, see `batch_order`.
        recipe: Steps, rate, momentum and decay.
        at_steps: Numbers of updates after which copies are kept; 0 is before the first.
        start: Number of updates that the models have behind them; momentum starts at zero.
        stop: Number of updates after which to stop early; the schedule stays that of the whole run.
        augment: Changes inputs of shape (m, batch, ...) before each step.
        observe: Hears step, positions (m, batch) and logits (m, batch, classes) before each update.

    Returns:
        Number of updates to copies of the networks: those of `at_steps`, and always the last.

    Raises:
        BadInput: No models, orders of another shape, or steps outside the run.
        Diverged: The loss left the finite numbers.

    Example:
        >>> from overparam.models.mlp import mlp
        >>> draw = torch.Generator().manual_seed(0)
        >>> x = torch.randn(64, 5, generator=draw); y = (x[:, 0] > 0).long()
        >>> nets = [mlp(5, [16], 2, generator=draw) for _ in range(3)]
        >>> recipe = Recipe(steps=60, batch_size=16)
        >>> orders = torch.stack(
        ...     [batch_order(torch.arange(64), steps=60, batch_size=16, generator=draw) for _ in nets])
        >>> trained = train_fixed_steps(nets, x, y, orders=orders, recipe=recipe)[60]
        >>> min(float((net(x).argmax(1) == y).float().mean()) for net in trained) > 0.9
        True
    """
    end = recipe.steps if stop is None else stop
    _check(models, orders, recipe, at_steps, start, end)
    networks: _Networks = (_Dense if _stackable(models) else _Each)(models, x.device)
    optimiser = torch.optim.SGD(
        networks.parameters,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    m, flat = len(models), x.flatten(1)
    targets = y.expand(m, -1) if y.dim() == 1 else y
    kept: dict[int, list[nn.Module]] = {start: networks.copies()} if start in at_steps else {}
    for step in range(start, end):
        rows = orders[:, step - start].to(x.device)
        inputs = flat.index_select(0, rows.flatten()).view(m, recipe.batch_size, *x.shape[1:])
        logits = networks.logits(augment(inputs) if augment else inputs)
        if observe is not None:
            observe(step, rows, logits.detach())
        wanted = targets.gather(1, rows)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="sum") / recipe.batch_size
        if not math.isfinite(float(loss.detach())):
            raise Diverged(
                f"the loss is {float(loss.detach())} at step {step}; lower learning_rate={recipe.learning_rate}"
            )
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate(step)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if step + 1 in at_steps and step + 1 < end:
            kept[step + 1] = networks.copies()
    return kept | {end: networks.copies()}


def _check(
    models: Sequence[nn.Module], orders: Tensor, recipe: Recipe, at_steps: Sequence[int], start: int, end: int
) -> None:
    if not models:
        raise BadInput("models is empty; pass at least one network")
    if not 0 <= start <= end <= recipe.steps:
        raise BadInput(f"start={start}, stop={end}: pass 0 <= start <= stop <= steps={recipe.steps}")
    wanted = (len(models), end - start, recipe.batch_size)
    if tuple(orders.shape) != wanted:
        raise BadInput(f"orders has shape {tuple(orders.shape)}; pass (models, steps, batch) = {wanted}")
    outside = [s for s in at_steps if not start <= s <= end]
    if outside:
        raise BadInput(f"at_steps={outside[0]} is outside {start} to {end}; pass steps of the run")


@torch.no_grad()
def logits_of(model: nn.Module, x: Tensor, *, chunk: int = 512) -> Tensor:
    """Evaluate a network in evaluation mode, whatever mode it is in; the mode is left as it was.

    Args:
        model: Network.
        x: (n, ...) inputs.
        chunk: Inputs at a time.

    Returns:
        (n, classes).
    """
    mode = model.training
    model.eval()
    try:
        return torch.cat([model(part) for part in torch.split(x, chunk)])
    finally:
        model.train(mode)
