"""First-order MAML in the kernel limit: the start is a function in the span of the kernel at the points seen so far.

Where a network behaves as a fixed kernel K, an inner step of a task subtracts lr K(., support) residuals from its
function, and an outer step subtracts lr K(., query) residuals from the shared one. From Yang and Hu, arXiv 2011.14522.

Departure: the authors grow arrays with the points visited. Here the training points are fixed in advance, so that
the shared function is a table of its values and coefficients on all of them; the numbers are the same.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from overparam.errors import BadInput
from overparam.methods.fewshot.adaptation import Inner, clipping, residuals
from overparam.methods.fewshot.episodes import Tasks
from overparam.methods.scaling.kernel_limit import KernelLimit

_BLOCK = 1024  # rows of the kernel computed at a time, in float64


def gram(kernel: KernelLimit, points: Tensor, others: Tensor | None = None) -> Tensor:
    """Kernel of all pairs of points, block by block, moments in float64.

    Args:
        kernel: Which.
        points: (n, ...).
        others: (m, ...); the points themselves if None, then using the symmetry.

    Returns:
        (n, m), of the type of the points.
    """
    x = points.flatten(1)
    z = x if others is None else others.flatten(1)
    found = torch.empty(len(x), len(z), dtype=x.dtype)
    for i in range(0, len(x), _BLOCK):
        first = i if others is None else 0
        rows = _between(kernel, x[i : i + _BLOCK], z[first:])
        found[i : i + _BLOCK, first:] = rows
        if others is None:
            found[i:, i : i + _BLOCK] = rows.T
    return found


class KernelStart:
    """A function in the reproducing space of a kernel as the start of `FOMAML`. It starts at zero. On the CPU only.

    Args:
        kernel: Which.
        points: (n, ...), all training points: `points` of the sampler that trains it.
        ways: Outputs.
        values: `gram(kernel, points)` if it is at hand.
        elsewhere: Points to evaluate on and `gram(kernel, those, points)`, if at hand.

    Source: arXiv 2011.14522, section on MAML, kernel baselines.
    """

    def __init__(
        self,
        kernel: KernelLimit,
        points: Tensor,
        ways: int,
        *,
        values: Tensor | None = None,
        elsewhere: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        self._kernel, self._points = kernel, points
        self._gram = gram(kernel, points) if values is None else values
        self._dual = torch.zeros(len(points), ways, dtype=points.dtype)
        self._table = torch.zeros_like(self._dual)  # the function at the points
        self._elsewhere = elsewhere

    def adapted_logits(self, tasks: Tasks, inner: Inner) -> Tensor:
        """Adapt to each task and look at its query; see `Start`."""
        table = self._at(tasks.points)
        inputs = torch.cat([tasks.support, tasks.query], 1).flatten(2)
        s = tasks.support_rows.shape[1]
        values = _between(self._kernel, inputs, inputs[:, :s])  # (t, s + q, s)
        logits = torch.cat([table[tasks.support_rows], table[tasks.query_rows]], 1)
        for _ in range(inner.steps):
            slope, _ = residuals(logits[:, :s], tasks.support_labels)
            logits = logits - inner.lr * (values @ slope)
        return logits[:, s:]

    def outer_step(self, tasks: Tasks, inner: Inner, lr: float, clip: float) -> float:
        """Move the start against the summed query gradient; see `Start`.

        Args:
            tasks: A batch from the training points.
            inner: How each task adapts.
            lr: Outer learning rate.
            clip: Largest norm of the summed gradient in the space of the kernel.

        Returns:
            Mean query loss of the adapted functions.

        Raises:
            BadInput: The tasks are of other points.
        """
        if not _same(tasks.points, self._points):
            raise BadInput("tasks of points that this start was not made for; pass the sampler's `points` to it")
        slope, losses = residuals(self.adapted_logits(tasks, inner), tasks.query_labels)
        rows, slope = tasks.query_rows.flatten(), slope.flatten(0, 1)
        across = self._gram.index_select(0, rows)  # far faster than indexing
        norm = float((slope * (across[:, rows] @ slope)).sum())
        step = lr * clipping(norm, clip) * slope
        self._dual.index_add_(0, rows, step, alpha=-1)
        self._table -= (step.T @ across).T
        return float(losses.mean())

    def _at(self, points: Tensor) -> Tensor:
        """Values of the shared function at some points."""
        if _same(points, self._points):
            return self._table
        if self._elsewhere is None or not _same(points, self._elsewhere[0]):
            self._elsewhere = points, gram(self._kernel, points, self._points)
        return self._elsewhere[1] @ self._dual


def _same(a: Tensor, b: Tensor) -> bool:
    return a.data_ptr() == b.data_ptr() and a.shape == b.shape


def _between(kernel: KernelLimit, x: Tensor, z: Tensor) -> Tensor:
    """Kernel of (..., n, d) and (..., m, d); inner products in the type of the points, moments in float64."""
    squares = (v.square().sum(-1).double().numpy() for v in (x, z))
    x_squares, z_squares = (next(squares)[..., :, None], next(squares)[..., None, :])
    products = np.asarray((x @ z.mT).double().numpy())
    return torch.from_numpy(kernel.of_products(products, x_squares, z_squares)).to(x.dtype)
