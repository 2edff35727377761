"""The neural tangent kernel of a network on a few examples, and how fast it turns during training."""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev

from overparam.errors import BadInput
from overparam.methods.measures.grand import check_scoring, columns, listening, obstacle


def tangent_kernel(model: nn.Module, x: Tensor, *, method: Literal["auto", "layers", "jacobian"] = "auto") -> Tensor:
    """Return the Gram matrix of the gradients of all logits at all examples.

    `layers` adds up one term a layer and never forms the Jacobian of a linear layer: for input a and output gradient
    d the term is (a a' + 1) * (d d'). Memory (n classes)^2, and n x classes x weights of the largest convolution.
    `jacobian` needs n x classes x weights.

    Source: Jacot et al., arXiv 1806.07572, section 4; use in arXiv 2107.07075, section 5.

    Args:
        model: Network in evaluation mode, with logits (n, classes).
        x: (n, ...) inputs; 50 are enough.
        method: `layers` for Linear, Conv2d and BatchNorm layers that are used once; `jacobian` for any model; `auto`
            takes layers where they apply.

    Returns:
        (n classes, n classes), rows ordered by example, then by class.

    Raises:
        BadInput: No trainable weights, a layer in training mode, an unknown method, or `layers` for a model that they
            do not cover.

    Example:
        >>> model, x = nn.Linear(3, 2), torch.eye(3)
        >>> tangent_kernel(model, x)[0].tolist()
        [2.0, 0.0, 1.0, 0.0, 1.0, 0.0]
    """
    if method not in ("auto", "layers", "jacobian"):
        raise BadInput(f"method={method!r} is unknown; give 'auto', 'layers' or 'jacobian'")
    check_scoring(model)
    chosen = [m for m in model.modules() if any(p.requires_grad for p in m.parameters(recurse=False))]
    if not chosen:
        raise BadInput("model has no trainable weights; let requires_grad be True for those that count")
    reason = obstacle(model, chosen, x[:1])
    if method == "layers" and reason:
        raise BadInput(f"method='layers' does not cover {reason}; pass method='jacobian'")
    return _jacobian(model, x) if method == "jacobian" or reason else _by_layers(model, chosen, x)


def kernel_velocity(before: nn.Module, after: nn.Module, x: Tensor) -> float:
    """Return one minus the cosine between the tangent kernels of two networks on the same examples.

    Source: Fort et al., arXiv 2010.15110, section 3; use in arXiv 2107.07075, section 5.

    Args:
        before: Network at one time, in evaluation mode.
        after: The same network later.
        x: (n, ...) inputs.

    Returns:
        0 (the kernel has only been scaled) to 1.

    Raises:
        BadInput: A kernel is zero, so that its direction is not defined; or see `tangent_kernel`.

    Example:
        >>> model = nn.Linear(3, 2)
        >>> abs(kernel_velocity(model, model, torch.eye(3))) < 1e-6
        True
    """
    first, second = tangent_kernel(before, x).double(), tangent_kernel(after, x).double()
    return turn(first, second)


def turn(first: Tensor, second: Tensor) -> float:
    """Return one minus the cosine between two matrices.

    Args:
        first: Matrix.
        second: Matrix of the same shape.

    Returns:
        0 to 2.

    Raises:
        BadInput: One of them is zero.
    """
    size = float(first.norm() * second.norm())
    if size == 0.0:
        raise BadInput("a tangent kernel is zero: its direction is not defined; pass other examples or networks")
    return 1.0 - float((first * second).sum()) / size


def _jacobian(model: nn.Module, x: Tensor) -> Tensor:
    named = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    rows = jacrev(lambda weights: functional_call(model, weights, (x,)))(named)
    flat = torch.cat([j.flatten(2).flatten(0, 1) for j in rows.values()], 1)
    return flat @ flat.T


def _by_layers(model: nn.Module, chosen: list[nn.Module], x: Tensor) -> Tensor:
    with listening(chosen) as heard, torch.enable_grad():
        logits = model(x)
        n, classes = logits.shape
        probes = [heard.probes[k] for k in range(len(chosen))]
        passes = [torch.autograd.grad(logits[:, c].sum(), probes, retain_graph=c + 1 < classes) for c in range(classes)]
    with torch.no_grad():
        kernel = x.new_zeros(n * classes, n * classes)
        for k, layer in enumerate(chosen):
            kernel += _term(layer, heard.inputs[k], torch.stack([row[k] for row in passes], 1))
    return kernel


def _term(layer: nn.Module, a: Tensor, d: Tensor) -> Tensor:
    """One layer's part, from its inputs (n, ...) and the gradients (n, classes, ...) of the logits in its outputs."""
    classes = d.shape[1]
    if isinstance(layer, nn.Linear) and d.dim() == 3:
        inner = a @ a.T + (layer.bias is not None)
        outer = d.flatten(0, 1)
        return (outer @ outer.T) * inner.repeat_interleave(classes, 0).repeat_interleave(classes, 1)
    features = [f.flatten(0, 1).flatten(1) for f in _gradients(layer, a, d)]
    flat = torch.cat(features, 1)
    return flat @ flat.T


def _gradients(layer: nn.Module, a: Tensor, d: Tensor) -> list[Tensor]:
    """The gradients themselves, each (n, classes, ...)."""
    if isinstance(layer, nn.Linear):
        flat, inputs = d.flatten(2, -2), a.flatten(1, -2)
        products = [torch.einsum("ncto,nti->ncoi", flat, inputs)]
        return [*products, flat.sum(2)] if layer.bias is not None else products
    if isinstance(layer, nn.Conv2d):
        patches = columns(layer, a)
        flat = d.flatten(3)
        parts = zip(flat.chunk(layer.groups, 2), patches.chunk(layer.groups, 1), strict=True)
        products = [torch.einsum("ncot,nit->ncoi", outer, inner) for outer, inner in parts]
        return [*products, flat.sum(3)] if layer.bias is not None else products
    norm = cast(nn.BatchNorm2d, layer)
    shape = (1, -1) + (1,) * (a.dim() - 2)
    mean, var = cast(Tensor, norm.running_mean).view(shape), cast(Tensor, norm.running_var).view(shape)
    scaled = (a - mean) * (var + norm.eps).rsqrt()
    return [(t if t.dim() == 3 else t.flatten(3).sum(3)) for t in (d * scaled[:, None], d)]
