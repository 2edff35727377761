"""The generalised Gauss-Newton matrix, exactly: its spectrum from the smaller side, and H = G + R term by term.

G = (1/n) sum_i J_i' A_i J_i with the Jacobian J_i (K, P) of the outputs of one example and A_i (K, K) the second
derivatives of its loss. With A_i = B_i'B_i and the rows V = B_i J_i / sqrt(n), stacked to (n K, P), G = V'V has the
same non-zero eigenvalues as the Gram matrix V V' (n K, n K). Hence rank G <= n K, and n (K - 1) for the softmax
cross-entropy, whose A = diag(p) - p p' has a null vector: with P above that, G is singular, and H nearly so once the
residual R = H - G is small.

Source: arXiv 1706.04454, decomposition of the Hessian; rank bound from the same section.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap

from overparam.errors import BadInput
from overparam.methods.measures.hessian_operator import HessianOperator
from overparam.methods.measures.objective import Loss, batches, check_model, losses

LARGEST = 20_000


class Decomposition(NamedTuple):
    """H = G + R, each (P, P).

    Attributes:
        hessian: H, by second derivatives of the loss.
        gauss_newton: G, by the Jacobians of single examples.
        residual: R, by second derivatives of the outputs, weighted by dl/dz.
    """

    hessian: Tensor
    gauss_newton: Tensor
    residual: Tensor


def ggn_spectrum(model: nn.Module, loss_fn: Loss, x: Tensor, y: Tensor, *, chunk: int = 64) -> Tensor:
    """Return the eigenvalues of G that are not zero by its size, from the smaller of V'V and V V'.

    Time O(n K P min(n K, P)); memory min(n K, P)² numbers in double precision, and n K P of the type of the weights
    where n K is the smaller.

    Args:
        model: Network in evaluation mode, with outputs (n, K) or of further dimensions.
        loss_fn: Any loss that `objective.losses` takes, convex in the outputs.
        x: (n, ...) inputs.
        y: (n, ...) labels.
        chunk: Examples whose Jacobians are formed at a time.

    Returns:
        (min(n K, P),) in double precision, descending. The other eigenvalues of G are zero.

    Raises:
        BadInput: No examples, a model that is not in evaluation mode or holds NaN, a loss that is not convex in the
            outputs, or more than 20,000 on the smaller side.

    Example:
        For a linear regression G = 2 X'X / n:

        >>> x, model = torch.randn(5, 30).double(), nn.Linear(30, 1, bias=False).double()
        >>> found = ggn_spectrum(model, nn.MSELoss(), x, torch.zeros(5, 1).double())
        >>> torch.allclose(found, torch.linalg.eigvalsh(2 * x @ x.T / 5).flip(0))
        True
    """
    check_model(model)
    device = next(model.parameters()).device
    size, rows = sum(p.numel() for p in model.parameters() if p.requires_grad), 0
    one = next(iter(batches((x, y), chunk=1)))[0]
    outputs = model(one.to(device)).detach().numel()
    smaller = min(len(x) * outputs, size)
    if smaller > LARGEST:
        raise BadInput(f"{len(x)} x {outputs} outputs and {size} weights: the smaller is above {LARGEST}; use lanczos")
    if size <= len(x) * outputs:
        gram = torch.zeros(size, size, dtype=torch.float64, device=device)
        for part in _factor(model, loss_fn, x, y, chunk):
            gram += part.double().mT @ part.double()
    else:
        factor = torch.cat(list(_factor(model, loss_fn, x, y, chunk)))
        gram = torch.empty(len(factor), len(factor), dtype=torch.float64, device=device)
        for part in torch.split(factor, 512):
            wide = part.double()
            for column, other in enumerate(torch.split(factor, 512)):
                block = wide @ other.double().mT
                gram[rows : rows + len(part), 512 * column : 512 * column + len(other)] = block
            rows += len(part)
    values: Tensor = torch.linalg.eigvalsh(gram / len(x))
    return values.flip(0).clamp_min(0)


def decompose(model: nn.Module, loss_fn: Loss, x: Tensor, y: Tensor) -> Decomposition:
    """Form H, G and R, each by its own definition, so that H = G + R can be checked.

    Args:
        model: Network in evaluation mode with P weights, P at most 20,000.
        loss_fn: Any loss that `objective.losses` takes, convex in the outputs.
        x: (n, ...) inputs.
        y: (n, ...) labels.

    Returns:
        H, G and R, of the type of the weights.

    Raises:
        BadInput: As for `HessianOperator` and `ggn_spectrum`.

    Example:
        >>> x, model = torch.randn(5, 3).double(), nn.Linear(3, 4).double()
        >>> h, g, r = decompose(model, nn.CrossEntropyLoss(), x, torch.arange(5) % 4)
        >>> torch.allclose(h, g), float(r.abs().max())  # the outputs are linear in the weights
        (True, 0.0)
    """
    hessian, residual = (
        HessianOperator(model, loss_fn, (x, y), kind=kind).to_dense() for kind in ("hessian", "residual")
    )
    gauss_newton = torch.zeros(hessian.shape, dtype=torch.float64, device=hessian.device)
    for part in _factor(model, loss_fn, x, y, 64):
        gauss_newton += part.double().mT @ part.double()
    return Decomposition(hessian, (gauss_newton / len(x)).to(hessian.dtype), residual)


def _factor(model: nn.Module, loss_fn: Loss, x: Tensor, y: Tensor, chunk: int) -> Iterator[Tensor]:
    """Rows B_i J_i of some examples at a time, (b K, P)."""
    weights = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}

    def rows(one: Tensor, factor: Tensor) -> Tensor:
        def outputs(w: dict[str, Tensor]) -> Tensor:
            z: Tensor = functional_call(model, w, (one[None],))
            return z[0].flatten()

        (parts,) = vmap(vjp(outputs, weights)[1])(factor)
        return torch.cat([g.flatten(1) for g in parts.values()], 1)

    device = next(iter(weights.values())).device
    for some, labels in batches((x, y), chunk=chunk):
        xs, ys = some.to(device), labels.to(device)
        with torch.no_grad():
            z = model(xs)
        yield vmap(rows)(xs, _root(loss_fn, z, ys)).flatten(0, 1).detach()


@torch.enable_grad()
def _root(loss_fn: Loss, z: Tensor, y: Tensor) -> Tensor:
    """B with B'B the second derivatives of each example's loss, (b, K, K); in double precision, as p - p² cancels."""
    place = torch.device("cpu") if z.device.type == "mps" else z.device
    leaf = z.detach().to(place, torch.float64).requires_grad_()
    goal = y.to(place, torch.float64) if y.is_floating_point() else y.to(place)
    (slope,) = torch.autograd.grad(losses(loss_fn, leaf, goal).sum(), leaf, create_graph=True)
    flat = slope.flatten(1)
    if not slope.requires_grad:  # linear in the outputs
        return z.new_zeros(*flat.shape, flat.shape[1])
    columns = [
        torch.autograd.grad(flat[:, k].sum(), leaf, retain_graph=True)[0].flatten(1) for k in range(flat.shape[1])
    ]
    values, vectors = torch.linalg.eigh(torch.stack(columns, 1))
    if bool((values < -1e-8 * values.abs().max()).any()):
        raise BadInput("loss_fn is not convex in the outputs; use HessianOperator(kind='ggn') with lanczos")
    root: Tensor = values.clamp_min(0).sqrt()[:, :, None] * vectors.mT
    return root.to(z.device, z.dtype)
