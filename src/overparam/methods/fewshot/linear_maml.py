"""First-order MAML of linear networks with one hidden layer, finite or infinite, without adapted weights.

Let a task have support X (s, d) and the start be W (h, d), V (k, h), bias b (h,). Whatever the number of inner steps,
its adapted weights stay in the span of r = s + k + 1 vectors of length h, the rows of P = [X W'; V; b']:

    W_j = W + P' C_j' X,    V_j = D_j P,    b_j = P' c_j,    C (s, r), D (k, r), c (r,).

Hidden rows are M_j P with M_j = [I 0 0] + X X' C_j + beta c_j', and outputs alpha M_j (P P') D_j'. So the inner loop
runs on the r x r Gram matrix P P' and the s x s one of the support, whatever the width and the input are; the width
appears in three matrix products a batch of tasks: hidden rows, P P' and the outer gradient. Follows from
arXiv 2011.14522, equations of the linear limit; the Gram form is ours and exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from overparam.errors import BadInput
from overparam.methods.fewshot.adaptation import Inner, clipping, residuals
from overparam.methods.fewshot.episodes import Tasks
from overparam.methods.scaling.infinite_width import FiniteLinear


@dataclass(frozen=True)
class _Adapted:
    """Coordinates of t adapted networks, and what is needed to look at their queries."""

    basis: Tensor  # P, (t, r, h)
    gram: Tensor  # P P', (t, r, r)
    last: Tensor  # D, (t, k, r)
    query: Tensor  # inputs, (t, q, d)
    hidden: Tensor  # of the start, (t, q, h)
    moved: Tensor  # coordinates of what adaptation adds to hidden, (t, q, r)


class LinearStart:
    """A linear network of one hidden layer as the start of `FOMAML`, which wraps `FiniteLinear` in it.

    A step costs O(t (s + q) d h) for t tasks: as much as three passes through the network.

    Args:
        net: Finite or infinite; its parameters are the start.
    """

    def __init__(self, net: FiniteLinear) -> None:
        self._net = net

    @torch.no_grad()
    def adapted_logits(self, tasks: Tasks, inner: Inner) -> Tensor:
        """Adapt to each task and look at its query; see `Start`."""
        return self._logits(self._adapt(tasks, inner))

    @torch.no_grad()
    def outer_step(self, tasks: Tasks, inner: Inner, lr: float, clip: float) -> float:
        """Move the start against the summed query gradient; see `Start`."""
        net = self._net
        at = self._adapt(tasks, inner)
        slope, losses = residuals(self._logits(at), tasks.query_labels)
        slope = net.alpha * slope
        into_basis = slope.mT @ at.moved  # (t, k, r)
        towards = (slope @ at.last) @ at.basis  # gradient by the hidden rows, (t, q, h)
        last = slope.flatten(0, 1).T @ at.hidden.flatten(0, 1)
        last += into_basis.transpose(0, 1).flatten(1) @ at.basis.flatten(0, 1)
        rows = towards.flatten(0, 1)
        gradients = [(net.input_weight, rows.T @ at.query.flatten(0, 1)), (net.output_weight, last)]
        if net.bias is not None:
            gradients.append((net.bias, net.bias_mult * rows.sum(0)))
        scale = clipping(sum(float(g.flatten() @ g.flatten()) for _, g in gradients), clip)
        for parameter, gradient in gradients:
            parameter.add_(gradient, alpha=-lr * scale)
        return float(losses.mean())

    def _logits(self, at: _Adapted) -> Tensor:
        coordinates = at.hidden @ at.basis.mT + at.moved @ at.gram
        return self._net.alpha * (coordinates @ at.last.mT)

    def _adapt(self, tasks: Tasks, inner: Inner) -> _Adapted:
        net, (t, s), k = self._net, tasks.support_rows.shape, tasks.ways
        if k != len(net.output_weight):
            raise BadInput(f"tasks have {k} classes and the network {len(net.output_weight)} outputs; make them agree")
        inputs = torch.cat([tasks.support, tasks.query], 1).flatten(2)
        hidden = inputs @ net.input_weight.T
        shape = (t, 1, net.input_weight.shape[0])
        bias, beta = (hidden.new_zeros(shape[2]), 0.0) if net.bias is None else (net.bias, net.bias_mult)
        basis = torch.cat([hidden[:, :s], net.output_weight.expand(t, -1, -1), bias.expand(shape)], 1)
        gram = basis @ basis.mT
        r, x = s + k + 1, inputs[:, :s]
        overlap = inputs @ x.mT  # (t, s + q, s)
        start = torch.eye(r, dtype=hidden.dtype, device=hidden.device).expand(t, r, r)
        first, last, at_bias = hidden.new_zeros(t, s, r), start[:, s : s + k], start[:, -1:]
        for _ in range(inner.steps):
            moved = start[:, :s] + overlap[:, :s] @ first + beta * at_bias
            slope, _ = residuals(net.alpha * (moved @ gram @ last.mT), tasks.support_labels)
            slope = inner.lr * net.alpha * slope
            towards = slope @ last
            first, last = first - towards, last - slope.mT @ moved
            at_bias = at_bias - beta * towards.sum(1, keepdim=True)
        moved = overlap[:, s:] @ first + beta * at_bias
        return _Adapted(basis, gram, last, inputs[:, s:], hidden[:, s:], moved)
