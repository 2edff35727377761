"""Sum and squared norms of the gradients of single examples, by layer: what agreement of gradients is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from overparam.errors import BadInput
from overparam.methods.measures.grand import columns, in_cache, listening, obstacle, squared_norms
from overparam.methods.measures.objective import Loss, losses

Method = Literal["auto", "hooks", "vmap", "loop"]
Pass = Callable[[nn.Module, Sequence[nn.Module], Loss, Tensor, Tensor], tuple[list[Tensor], list[Tensor]]]


def owners(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """List the layers with trainable weights of their own.

    Args:
        model: Network.

    Returns:
        Name and layer, in the order of the model.
    """
    every = model.named_modules()
    return [(name or "model", m) for name, m in every if any(p.requires_grad for p in m.parameters(recurse=False))]


def _weights(layers: Sequence[nn.Module]) -> Iterator[tuple[int, Tensor]]:
    """Trainable weights with the position of the first layer that holds them: tied ones come once."""
    seen: set[int] = set()
    for k, layer in enumerate(layers):
        for p in layer.parameters(recurse=False):
            if p.requires_grad and id(p) not in seen:
                seen.add(id(p))
                yield k, p


def choose_pass(model: nn.Module, layers: Sequence[nn.Module], method: Method, x: Tensor) -> Pass:
    """Choose how the gradients of a batch are summed and measured.

    Args:
        model: Network in evaluation mode.
        layers: Those with trainable weights.
        method: See `coherence`.
        x: (b, ...) inputs; one is tried.

    Returns:
        A function of model, layers, loss, inputs and labels. It gives, for each layer, the sum of the gradients, flat,
        and the squared norm of that of each example.

    Raises:
        BadInput: An unknown method, or hooks for a model that they do not cover.
    """
    ways: dict[str, Pass] = {"hooks": _by_hooks, "vmap": _by_vmap, "loop": _by_loop}
    if method != "auto" and method not in ways:
        raise BadInput(f"method={method!r} is unknown; give 'auto', {', '.join(map(repr, ways))}")
    reason = obstacle(model, layers, x[:1]) if method in ("auto", "hooks") else ""
    if method == "hooks" and reason:
        raise BadInput(f"method='hooks' does not cover {reason}; pass method='vmap'")
    return ways[("vmap" if reason else "hooks") if method == "auto" else method]


def _by_layer(layers: Sequence[nn.Module], sums: Sequence[Tensor]) -> list[Tensor]:
    """Collect flat sums of gradients by layer."""
    parts: list[list[Tensor]] = [[] for _ in layers]
    for (k, _), total in zip(_weights(layers), sums, strict=True):
        parts[k].append(total.flatten())
    return [torch.cat(p) if p else torch.zeros(0, device=sums[0].device) for p in parts]


def _by_hooks(
    model: nn.Module, layers: Sequence[nn.Module], loss_fn: Loss, x: Tensor, y: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    with listening(layers) as heard, torch.enable_grad():
        loss = losses(loss_fn, model(x), y).sum()  # a mean would divide each gradient by the batch size
        # where all gradients of a convolution are formed anyway, their sum need not be asked for
        formed = {k for k, layer in enumerate(layers) if _is_small(layer, heard.probes[k])}
        weights = [(k, p) for k, p in _weights(layers) if k not in formed]
        wanted = [*(p for _, p in weights), *(heard.probes[k] for k in range(len(layers)))]
        found = torch.autograd.grad(loss, wanted)
    deltas = found[len(weights) :]
    sums: list[list[Tensor]] = [[] for _ in layers]
    for (k, _), total in zip(weights, found, strict=False):
        sums[k].append(total.flatten())
    norms = []
    with torch.no_grad():
        for k, (layer, d) in enumerate(zip(layers, deltas, strict=True)):
            if isinstance(layer, nn.Conv2d) and k in formed:
                sums[k], squares = _formed(layer, heard.inputs[k], d)
                norms.append(squares)
            else:
                norms.append(squared_norms(layer, heard.inputs[k], d))
    return [torch.cat(parts) for parts in sums], norms


def _formed(layer: nn.Conv2d, a: Tensor, d: Tensor) -> tuple[list[Tensor], Tensor]:
    """Sum and squared norms of the gradients of a convolution, formed for a few examples at a time."""
    rows, squares = in_cache(layer, d), []
    sums = [torch.zeros_like(p).flatten() for p in layer.parameters(recurse=False)]
    for inputs, outer in zip(torch.split(a, rows), torch.split(d.flatten(2), rows), strict=True):
        grads = outer @ columns(layer, inputs).mT
        parts = [grads.flatten(1), outer.sum(2)][: len(sums)]
        for total, part in zip(sums, parts, strict=True):
            total += part.sum(0)
        squares.append(torch.stack([part.square().sum(1) for part in parts]).sum(0))
    return sums, torch.cat(squares)


def _is_small(layer: nn.Module, d: Tensor) -> bool:
    """Whether the gradient of a convolution has fewer numbers than the Gram matrix of its positions."""
    if not isinstance(layer, nn.Conv2d) or layer.groups > 1:
        return False
    return layer.weight.numel() <= d[0, 0].numel() ** 2


def single_gradients(model: nn.Module, loss_fn: Loss, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Form the gradient of each example.

    Args:
        model: Network in evaluation mode.
        loss_fn: See `objective.losses`.
        x: (b, ...) inputs.
        y: (b, ...) labels.

    Returns:
        Name of each trainable weight to (b, *shape).
    """
    named = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}

    def loss(weights: dict[str, Tensor], one: Tensor, label: Tensor) -> Tensor:
        return losses(loss_fn, functional_call(model, weights, (one[None],)), label[None])[0]

    return vmap(grad(loss), in_dims=(None, 0, 0))(named, x, y)  # type: ignore[no-any-return]


def _by_vmap(
    model: nn.Module, layers: Sequence[nn.Module], loss_fn: Loss, x: Tensor, y: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    names = {id(p): name for name, p in model.named_parameters()}
    grads = single_gradients(model, loss_fn, x, y)
    mine = [(k, grads[names[id(p)]]) for k, p in _weights(layers)]
    norms = [torch.zeros(len(x), device=x.device) for _ in layers]
    for k, g in mine:
        norms[k] = norms[k] + g.flatten(1).square().sum(1)
    return _by_layer(layers, [g.sum(0) for _, g in mine]), norms


def _by_loop(
    model: nn.Module, layers: Sequence[nn.Module], loss_fn: Loss, x: Tensor, y: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    weights = list(_weights(layers))
    sums = [torch.zeros_like(p) for _, p in weights]
    norms = [torch.zeros(len(x), device=x.device) for _ in layers]
    for i in range(len(x)):
        loss = losses(loss_fn, model(x[i : i + 1]), y[i : i + 1])[0]
        for j, g in enumerate(torch.autograd.grad(loss, [p for _, p in weights], materialize_grads=True)):
            sums[j] += g
            norms[weights[j][0]][i] += g.square().sum()
    return _by_layer(layers, sums), norms
