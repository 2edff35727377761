"""Coherence: how far the gradients of single examples agree, in one pass and without forming them.

For gradients g_1 .. g_m let alpha = ||mean g||^2 / mean ||g||^2, between 0 and 1. Orthogonal gradients give 1/m, so
m-coherence = m alpha counts how many of the m examples a step on one of them helps on average, itself included.

Source: Chatterjee and Zielinski, arXiv 2203.10036, section 2, and arXiv 2008.01217. Departures:

1. `alpha_unbiased` corrects for the size of the sample; the paper compares at equal m.
2. A value per layer is the ratio for that layer's coordinates; layers are pooled as a ratio of sums.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from overparam.errors import BadInput
from overparam.methods.measures.gradient_sums import Method, Pass, choose_pass, owners, single_gradients
from overparam.methods.measures.objective import Batches, Loss, batches, check_model


@dataclass(frozen=True)
class Coherence:
    """Agreement of the gradients of m examples.

    Attributes:
        m: Number of examples.
        alpha: ||mean g||^2 / mean ||g||^2, 0 to 1; NaN where all gradients are zero.
        mean_sq_norm: Mean of ||g||^2. Where it has gone to almost nothing, alpha says little.
        per_layer: Name of the layer to the same for its weights; empty unless asked for.
    """

    m: int
    alpha: float
    mean_sq_norm: float
    per_layer: Mapping[str, Coherence] = field(default_factory=dict)

    @property
    def m_coherence(self) -> float:
        """Examples that a step on one of them helps on average, 0 to m; 1 where gradients are orthogonal."""
        return self.m * self.alpha

    @property
    def alpha_unbiased(self) -> float:
        """Estimate of the population's alpha, (m-coherence - 1) / (m - 1); may be negative. NaN for m = 1."""
        return (self.m_coherence - 1) / (self.m - 1) if self.m > 1 else math.nan


def coherence(
    model: nn.Module,
    loss_fn: Loss,
    data: Batches,
    *,
    per_layer: bool = False,
    method: Method = "auto",
    chunk: int = 512,
) -> Coherence:
    """Measure how far the gradients of all examples agree, in one pass over the data.

    Keeps the sum of gradients and the sum of squared norms, in float64: memory is that of one backward pass and
    twice the weights. With `hooks` the norms come from the inputs of the layers and the gradients of their outputs,
    in the same backward pass that gives the sum.

    Source: arXiv 2203.10036, section 2; norms as in `grand`.

    Args:
        model: Network in evaluation mode. Frozen weights are left out, tied ones counted once.
        loss_fn: Such as `torch.nn.functional.cross_entropy`; see `objective.losses`.
        data: (x, y) or batches of them, without augmentation. Results do not depend on the batches.
        per_layer: Whether to give the value of each layer, too.
        method: `hooks` for Linear, Conv2d and BatchNorm layers that are used once; `vmap` for any model that
            `torch.func` takes, with memory chunk x weights; `loop` for all others, a backward pass an example;
            `auto` takes hooks where they apply and else vmap.
        chunk: Examples at a time where whole tensors are given.

    Returns:
        Coherence.

    Raises:
        BadInput: No examples, a loss without a value for each of them, weights that are not finite, a layer in
            training mode, an unknown method, or hooks for a model they do not cover.

    Example:
        >>> model = nn.Linear(2, 1, bias=False)
        >>> _ = nn.init.zeros_(model.weight)
        >>> x, y = torch.eye(2), torch.ones(2, 1)  # two orthogonal gradients
        >>> round(coherence(model, nn.MSELoss(), (x, y)).m_coherence, 6)
        1.0
    """
    check_model(model)
    held = owners(model)
    step: Pass | None = None
    sums: list[Tensor] = []
    squares = torch.zeros(len(held), dtype=torch.float64)
    m = 0
    for x, y in batches(data, chunk=chunk):
        step = step or choose_pass(model, [layer for _, layer in held], method, x)
        totals, norms = step(model, [layer for _, layer in held], loss_fn, x, y)
        sums = [s + t.double() for s, t in zip(sums, totals, strict=True)] if sums else [t.double() for t in totals]
        squares += torch.stack([n.double().sum() for n in norms]).cpu()
        m += len(x)
    of_sums = torch.stack([s.square().sum() for s in sums]).cpu()
    layers = {name: _result(m, float(a), float(b)) for (name, _), a, b in zip(held, of_sums, squares, strict=True)}
    found = _result(m, float(of_sums.sum()), float(squares.sum()))
    if found.mean_sq_norm == 0.0:
        warnings.warn("all gradients are zero: their coherence is not defined", stacklevel=2)
    return Coherence(found.m, found.alpha, found.mean_sq_norm, layers) if per_layer else found


def subset_coherence(
    model: nn.Module, loss_fn: Loss, data: tuple[Tensor, Tensor], groups: Tensor, *, chunk: int = 512
) -> dict[int, Coherence]:
    """Measure the coherence inside each group of examples, such as the easy and the hard ones.

    Values depend on the size of a group: compare `alpha_unbiased`, or groups of equal size.

    Source: arXiv 2203.10036, the section on easy and hard examples.

    Args:
        model: Network in evaluation mode.
        loss_fn: See `coherence`.
        data: (x, y).
        groups: (n,) whole numbers.
        chunk: Examples at a time.

    Returns:
        Group to coherence, in increasing order.

    Raises:
        BadInput: Groups of another length; or see `coherence`.
    """
    x, y = data
    if len(groups) != len(x):
        raise BadInput(f"groups has {len(groups)} entries for {len(x)} examples; pass one an example")
    return {
        g: coherence(model, loss_fn, (x[groups == g], y[groups == g]), chunk=chunk)
        for g in map(int, np.unique(groups.cpu().numpy()))
    }


class CoherenceRecorder:
    """Measures coherence every so many steps of a training loop, in evaluation mode, and leaves the model as it was.

    Args:
        model: Network that is being trained.
        loss_fn: See `coherence`.
        data: (x, y), or batches that can be gone through again.
        every: Steps between measurements; the first is taken at step 0.

    Example:
        >>> model, x, y = nn.Linear(2, 1), torch.randn(4, 2), torch.randn(4, 1)
        >>> recorder = CoherenceRecorder(model, nn.MSELoss(), (x, y), every=2)
        >>> for _ in range(5):
        ...     recorder.step()
        >>> [step for step, _ in recorder.history]
        [0, 2, 4]
    """

    def __init__(self, model: nn.Module, loss_fn: Loss, data: Batches, *, every: int = 1) -> None:
        if every < 1:
            raise BadInput(f"every={every} is no number of steps; pass every>=1")
        self.history: list[tuple[int, Coherence]] = []
        self._measure = functools.partial(coherence, model, loss_fn, data)
        self._model, self._every, self._steps = model, every, 0

    def step(self) -> None:
        """Count a step; call it before each update."""
        if self._steps % self._every == 0:
            modes = [(module, module.training) for module in self._model.modules()]
            self._model.eval()
            try:
                self.history.append((self._steps, self._measure()))
            finally:
                for module, mode in modes:
                    module.training = mode
        self._steps += 1


def per_example_grads(model: nn.Module, loss_fn: Loss, x: Tensor, y: Tensor, *, chunk: int | None = None) -> Tensor:
    """Form the gradient of the loss of each example. Memory m x weights: for small models, or a few examples.

    Args:
        model: Network in evaluation mode.
        loss_fn: See `coherence`.
        x: (m, ...) inputs.
        y: (m, ...) labels.
        chunk: Examples at a time; all at once if None.

    Returns:
        (m, P) with the trainable weights in the order of `model.parameters()`.

    Raises:
        BadInput: See `coherence`.

    Example:
        >>> model = nn.Linear(2, 1, bias=False)
        >>> _ = nn.init.zeros_(model.weight)
        >>> per_example_grads(model, nn.MSELoss(), torch.eye(2), torch.ones(2, 1)).tolist()
        [[-2.0, 0.0], [0.0, -2.0]]
    """
    check_model(model)
    parts = [single_gradients(model, loss_fn, xs, ys) for xs, ys in batches((x, y), chunk=chunk or max(1, len(x)))]
    return torch.cat([torch.cat([g.flatten(1) for g in part.values()], 1) for part in parts])


def alpha(grads: Tensor) -> float:
    """Return ||mean g||^2 / mean ||g||^2 of gradients (m, P), in float64; NaN with a warning where all are zero.

    Example:
        >>> alpha(torch.eye(4)), alpha(torch.ones(3, 2)), alpha(torch.tensor([[1.0], [-1.0]]))
        (0.25, 1.0, 0.0)
    """
    return _of(grads).alpha


def m_coherence(grads: Tensor) -> float:
    """Return m alpha of gradients (m, P).

    Example:
        >>> m_coherence(torch.eye(4)), m_coherence(torch.ones(3, 2))
        (1.0, 3.0)
    """
    return _of(grads).m_coherence


def alpha_unbiased(grads: Tensor) -> float:
    """Return the estimate of the population's alpha from gradients (m, P), m >= 2.

    Over samples E||mean g||^2 = E||g||^2 (alpha (1 - 1/m) + 1/m), so (m-coherence - 1) / (m - 1) has numerator and
    denominator unbiased up to a common factor.

    Example:
        >>> alpha_unbiased(torch.eye(4))
        0.0
    """
    return _of(grads).alpha_unbiased


def microbatch_alpha(value: float, k: int) -> float:
    """Return the alpha of means of k independent gradients: k alpha / (1 + (k - 1) alpha).

    Source: arXiv 2008.01217; follows from E||mean of k||^2 = E||g||^2 (alpha (1 - 1/k) + 1/k).

    Args:
        value: Alpha of single gradients, 0 to 1.
        k: Gradients averaged, at least 1.

    Returns:
        Alpha of the averages, 0 to 1.

    Raises:
        BadInput: An alpha outside 0 to 1 or k below 1.

    Example:
        >>> microbatch_alpha(0.25, 3)
        0.5
    """
    _check_microbatch(value, k)
    return k * value / (1 + (k - 1) * value)


def alpha_from_microbatch(value: float, k: int) -> float:
    """Return the alpha of single gradients from that of means of k of them: a / (k - (k - 1) a).

    Lets one measure with the gradients of mini-batches only, on models whose single gradients are out of reach.

    Source: inverse of `microbatch_alpha`.

    Args:
        value: Alpha of means of k gradients, 0 to 1.
        k: Gradients averaged, at least 1.

    Returns:
        Alpha of single gradients, 0 to 1.

    Raises:
        BadInput: An alpha outside 0 to 1 or k below 1.

    Example:
        >>> alpha_from_microbatch(0.5, 3)
        0.25
    """
    _check_microbatch(value, k)
    return value / (k - (k - 1) * value)


def _check_microbatch(value: float, k: int) -> None:
    if not 0.0 <= value <= 1.0 or k < 1:
        raise BadInput(f"alpha={value}, k={k}: pass an alpha from 0 to 1 and k>=1")


def _of(grads: Tensor) -> Coherence:
    if grads.dim() != 2 or not len(grads):
        raise BadInput(f"grads has shape {tuple(grads.shape)}; pass (m, P) with m>=1")
    g = grads.double()
    found = _result(len(g), float(g.sum(0).square().sum()), float(g.square().sum()))
    if found.mean_sq_norm == 0.0:
        warnings.warn("all gradients are zero: their coherence is not defined", stacklevel=3)
    return found


def _result(m: int, of_sum: float, of_each: float) -> Coherence:
    return Coherence(m, of_sum / (m * of_each) if of_each > 0 else math.nan, of_each / m)
