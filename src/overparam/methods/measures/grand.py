"""Norm of the gradient of each example's loss, without forming the gradients where a closed form exists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from overparam.errors import BadInput

Method = Literal["auto", "hooks", "vmap"]
CACHED = 2**20  # numbers that fit into the cache of a core; several times faster than going through memory


def check_scoring(model: nn.Module) -> None:
    """Refuse a model whose output for one example depends on chance or on the other examples.

    Args:
        model: Network.

    Raises:
        BadInput: Batch normalisation or dropout in training mode, or batch normalisation without running statistics.
    """
    for name, layer in model.named_modules():
        random = isinstance(layer, _DropoutNd) and layer.training
        if random or (isinstance(layer, _BatchNorm) and (layer.training or layer.running_mean is None)):
            raise BadInput(
                f"{name or 'model'} is a {type(layer).__name__} that uses the batch or chance; call model.eval() first"
            )


def grand(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    layers: Literal["all", "last"] = "all",
    method: Method = "auto",
    chunk: int = 512,
) -> Tensor:
    """Return ||gradient of the cross-entropy of each example|| over the trainable weights.

    `hooks` takes one forward and one backward pass for a chunk. For a linear layer with input a and output gradient
    d the squared norm is |d|^2 (|a|^2 + 1). For a convolution it is |d a'|^2 over unfolded inputs a, or the sum of
    (a'a) * (d'd), whichever matrix is smaller. `vmap` forms every gradient: memory chunk x weights.

    Source: arXiv 2107.07075, definition 2.1; Goodfellow, arXiv 1510.01799, for the linear layer.

    Args:
        model: Network in evaluation mode, with logits (n, classes).
        x: (n, ...) inputs, without augmentation.
        y: (n,) labels.
        layers: All weights, or those of the last layer that has any.
        method: `hooks` for Linear, Conv2d and BatchNorm layers that are used once; `vmap` for any model; `auto`
            takes hooks where they apply.
        chunk: Examples at a time.

    Returns:
        (n,), not negative.

    Raises:
        BadInput: Labels out of range, no trainable weights, a layer in training mode, an unknown argument, or
            `hooks` for a model they do not cover.

    Example:
        >>> from overparam.methods.measures.example_scores import el2n
        >>> model, x, y = nn.Linear(3, 4), torch.randn(5, 3), torch.tensor([0, 1, 2, 3, 0])
        >>> expected = el2n(model, (x, y)) * (x.square().sum(1) + 1).sqrt()
        >>> torch.allclose(grand(model, x, y), expected, atol=1e-6)
        True
    """
    if layers not in ("all", "last") or method not in ("auto", "hooks", "vmap"):
        raise BadInput(f"layers={layers!r}, method={method!r}: give 'all' or 'last', and 'auto', 'hooks' or 'vmap'")
    check_scoring(model)
    chosen = [m for m in model.modules() if any(p.requires_grad for p in m.parameters(recurse=False))]
    if not chosen:
        raise BadInput("model has no trainable weights; let requires_grad be True for those to score")
    chosen = chosen[-1:] if layers == "last" else chosen
    reason = obstacle(model, chosen, x[:1])
    if method == "hooks" and reason:
        raise BadInput(f"method='hooks' does not cover {reason}; pass method='vmap'")
    squares = _by_hooks if method == "hooks" or (method == "auto" and not reason) else _by_vmap
    parts = zip(torch.split(x, chunk), torch.split(y, chunk), strict=True)
    norms = [squares(model, chosen, xs, ys).clamp_min(0).sqrt() for xs, ys in parts]
    return torch.cat(norms) if norms else x.new_zeros(0)


def obstacle(model: nn.Module, chosen: Sequence[nn.Module], x: Tensor) -> str:
    """Name what the closed forms do not cover.

    Args:
        model: Network in evaluation mode.
        chosen: Its layers whose weights count.
        x: (1, ...) an input.

    Returns:
        What it is, or an empty text.
    """
    for layer in chosen:
        plain = isinstance(layer, nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d) or (
            isinstance(layer, nn.Conv2d) and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
        )
        if not plain:
            return f"{type(layer).__name__}"
        if any(not p.requires_grad for p in layer.parameters(recurse=False)):
            return f"a {type(layer).__name__} of which a part is frozen"
    shared = [id(p) for layer in chosen for p in layer.parameters(recurse=False)]
    if len(set(shared)) < len(shared):
        return "weights that two layers share"
    with listening(chosen) as heard, torch.no_grad():
        model(x)
    once = sorted(heard.order) == sorted(range(len(chosen)))
    return "" if once else "a layer that is used more or less than once"


@dataclass
class Heard:
    """What a forward pass showed, by position of the layer.

    Attributes:
        inputs: Input of each layer.
        probes: Zeros that were added to its output; their gradient is that of the output.
        order: Positions in the order of use.
    """

    inputs: dict[int, Tensor] = field(default_factory=dict)
    probes: dict[int, Tensor] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)


@contextmanager
def listening(chosen: Sequence[nn.Module]) -> Iterator[Heard]:
    """Note the input of each layer, and add a zero to its output whose gradient is that of the output.

    Args:
        chosen: Layers.

    Yields:
        What the passes inside show.
    """
    heard = Heard()

    def hook(k: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        def note(_layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            probe = torch.zeros_like(output, requires_grad=torch.is_grad_enabled())
            heard.order.append(k)
            heard.inputs[k], heard.probes[k] = inputs[0].detach(), probe
            return output + probe

        return note

    handles = [layer.register_forward_hook(hook(k)) for k, layer in enumerate(chosen)]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


def _by_hooks(model: nn.Module, chosen: Sequence[nn.Module], x: Tensor, y: Tensor) -> Tensor:
    with listening(chosen) as heard, torch.enable_grad():
        logits = model(x)
        check_labels(y, logits.shape[-1])
        loss = functional.cross_entropy(logits, y, reduction="sum")  # a mean would divide by the batch size
        deltas = torch.autograd.grad(loss, [heard.probes[k] for k in range(len(chosen))])
    with torch.no_grad():
        total = torch.zeros(len(x), dtype=loss.dtype, device=x.device)
        for k, layer in enumerate(chosen):
            total += squared_norms(layer, heard.inputs[k], deltas[k])
    return total


def check_labels(y: Tensor, classes: int) -> None:
    """Refuse labels that the logits have no column for.

    Args:
        y: (n,) labels.
        classes: Number of logits.

    Raises:
        BadInput: A label outside 0 to classes - 1.
    """
    if y.numel() and not (int(y.min()) >= 0 and int(y.max()) < classes):
        raise BadInput(f"y holds labels {int(y.min())} to {int(y.max())}; pass 0 to {classes - 1}, the model's classes")


def squared_norms(layer: nn.Module, a: Tensor, d: Tensor) -> Tensor:
    """Return the squared norm of one layer's gradient for each example.

    Args:
        layer: Linear, Conv2d or batch normalisation, see `obstacle`.
        a: (n, ...) its input.
        d: (n, ...) gradient of the summed loss in its output.

    Returns:
        (n,).
    """
    if isinstance(layer, nn.Linear):
        biased = layer.bias is not None
        if d.dim() == 2:
            return d.square().sum(1) * (a.square().sum(1) + biased)
        return outer_norms(a.flatten(1, -2).mT, d.flatten(1, -2).mT, biased)
    if isinstance(layer, nn.Conv2d):
        rows = in_cache(layer, d)
        return torch.cat([
            _of_convolution(layer, b, e) for b, e in zip(torch.split(a, rows), torch.split(d, rows), strict=True)
        ])
    norm = cast(nn.BatchNorm2d, layer)
    shape = (1, -1) + (1,) * (a.dim() - 2)
    mean, var = cast(Tensor, norm.running_mean).view(shape), cast(Tensor, norm.running_var).view(shape)
    summed = [(t[..., None].flatten(2)).sum(2) for t in (d * (a - mean) * (var + norm.eps).rsqrt(), d)]
    return torch.stack([t.square().sum(1) for t in summed]).sum(0)


def in_cache(layer: nn.Conv2d, d: Tensor) -> int:
    """Return for how many examples patches and gradients of a convolution stay within a processor's cache.

    Args:
        layer: Convolution.
        d: (n, channels, height, width), of the size of its output.

    Returns:
        At least 1.
    """
    each = layer.weight.numel() + layer.weight[0].numel() * d[0, 0].numel()
    return max(1, CACHED // each)


def _of_convolution(layer: nn.Conv2d, a: Tensor, d: Tensor) -> Tensor:
    patches = columns(layer, a)
    groups, biased = layer.groups, layer.bias is not None
    parts = zip(patches.chunk(groups, 1), d.flatten(2).chunk(groups, 1), strict=True)
    return torch.stack([outer_norms(inner, outer, biased) for inner, outer in parts]).sum(0)


def columns(layer: nn.Conv2d, a: Tensor) -> Tensor:
    """Cut the input of a convolution into the patches that it looks at.

    Args:
        layer: Convolution with zero padding of a given size.
        a: (n, channels, height, width).

    Returns:
        (n, channels x kernel, positions).
    """
    pad, size = cast(tuple[int, int], layer.padding), cast(tuple[int, int], layer.kernel_size)
    padded = functional.pad(a, (pad[1], pad[1], pad[0], pad[0]))
    n, c, h, w = padded.stride()
    step, gap = layer.stride, layer.dilation
    places = [
        (padded.shape[2 + k] - gap[k] * (size[k] - 1) - 1) // step[k] + 1 for k in range(2)
    ]  # strided views are copied faster than functional.unfold works
    strides = (n, c, h * gap[0], w * gap[1], h * step[0], w * step[1])
    return padded.as_strided((*padded.shape[:2], *size, *places), strides).flatten(4).flatten(1, 3)


def outer_norms(a: Tensor, d: Tensor, biased: bool) -> Tensor:
    """Return |d a'|^2 for each example, by whichever matrix is smaller; with the bias's |sum of d|^2.

    Args:
        a: (n, inputs, positions).
        d: (n, outputs, positions).
        biased: Whether the layer has a bias.

    Returns:
        (n,).
    """
    positions = a.shape[2]
    if positions == 1:
        return (d.square().sum(1) * (a.square().sum(1) + biased))[:, 0]
    if positions**2 < a.shape[1] * d.shape[1]:
        total = ((a.mT @ a) * (d.mT @ d)).sum((1, 2))
    else:
        total = (d @ a.mT).square().sum((1, 2))
    return total + d.sum(2).square().sum(1) if biased else total


def _by_vmap(model: nn.Module, chosen: Sequence[nn.Module], x: Tensor, y: Tensor) -> Tensor:
    wanted = {id(p) for layer in chosen for p in layer.parameters(recurse=False) if p.requires_grad}
    named = {name: p.detach() for name, p in model.named_parameters() if id(p) in wanted}
    with torch.no_grad():
        check_labels(y, model(x[:1]).shape[-1])

    def loss(weights: dict[str, Tensor], one: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(model, weights, (one[None],))
        return functional.cross_entropy(logits, label[None])

    gradients = vmap(grad(loss), in_dims=(None, 0, 0))(named, x, y)
    return torch.stack([g.flatten(1).square().sum(1) for g in gradients.values()]).sum(0)
