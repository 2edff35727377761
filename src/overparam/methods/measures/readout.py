"""What a network knows of each example without having seen its label: a linear read-out, each example left out.

The features are the inputs of the last linear layer. A ridge regression from them to the labels is fitted to all
examples but one, for each example in turn; the closed form of leaving one out makes that one decomposition in all:
f_i = (Z diag(1/(s + ridge)) Z'Y - h Y)_i / (1 - h_i), for features in their principal axes Z, with squared singular
values s and leverages h_i = sum_j z_ij^2 / (s_j + ridge).

Source: Allen, The Relationship Between Variable Selection and Data Augmentation, 1974 (leave-one-out residuals);
Northcutt et al., arXiv 1911.00068, for the use of out-of-sample probabilities to find wrong labels.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from overparam.errors import BadInput
from overparam.methods.measures.objective import Batches, batches

Array = NDArray[np.float64]
RIDGES = tuple(10.0**e for e in range(-6, 3))


@torch.no_grad()
def penultimate(
    model: nn.Module, data: Batches, *, chunk: int = 512, deadline: float | None = None
) -> tuple[Tensor, Tensor]:
    """Return the inputs of the last linear layer, and the outputs of the model.

    Inputs that are sequences are averaged over their positions. A model without linear layer gives its outputs twice.

    Args:
        model: Network in evaluation mode; it is not changed.
        data: (x, y) or batches of them.
        chunk: Examples at a time.
        deadline: Moment of `time.monotonic()` after which no further batch is begun; at least one is.

    Returns:
        Features (n, d) and outputs (n, ...), on the CPU; of fewer examples where the deadline came.

    Example:
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> features, outputs = penultimate(model, (torch.zeros(5, 3), torch.zeros(5)))
        >>> tuple(features.shape), tuple(outputs.shape)
        ((5, 4), (5, 2))
    """
    heard: list[Tensor] = []
    linear = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    handles = [layer.register_forward_hook(lambda _m, inputs, _o: heard.append(inputs[0])) for layer in linear]
    rows, outputs = [], []
    try:
        for x, _ in batches(data, chunk=chunk):
            heard.clear()
            out = model(x)
            last = heard[-1] if heard else out  # the layer that was used last
            rows.append((last.flatten(1, -2).mean(1) if last.dim() > 2 else last).float().cpu())
            outputs.append(out.cpu())
            if deadline is not None and time.monotonic() >= deadline:
                break
    finally:
        for handle in handles:
            handle.remove()
    return torch.cat(rows), torch.cat(outputs)


def leave_one_out(features: ArrayLike, labels: ArrayLike, classes: int, *, ridges: Sequence[float] = RIDGES) -> Array:
    """Return the probabilities of each example's classes by a linear read-out that was fitted to all the others.

    The ridge, in units of the mean squared feature times n, is the one with the smallest squared error left out; the
    scale that turns scores into probabilities is the one with the largest likelihood left out. Costs O(n d^2).

    Args:
        features: (n, d); constant ones are dropped, the others standardised.
        labels: (n,) whole numbers, 0 to classes - 1.
        classes: At least 2.
        ridges: To choose from.

    Returns:
        (n, classes), rows sum to 1.

    Raises:
        BadInput: Features that are not finite, labels out of range or of another length, fewer than 2 classes, or
            fewer than 3 examples.

    Example:
        >>> x = np.repeat(np.eye(2), 10, axis=0) + 0.1 * np.random.default_rng(0).normal(size=(20, 2))
        >>> y = np.repeat([0, 1], 10)
        >>> y[0] = 1  # a wrong label
        >>> int(leave_one_out(x, y, 2)[np.arange(20), y].argmin())
        0
    """
    x, y = np.asarray(features, dtype=np.float64), np.asarray(labels)
    if classes < 2:
        raise BadInput(f"classes={classes}: a label can only be wrong among at least 2 classes")
    if x.ndim != 2 or len(x) != len(y) or len(x) < 3:
        raise BadInput(f"features has shape {x.shape}, labels {y.shape}; pass (n, d) and (n,) with n >= 3")
    if not np.isfinite(x).all():
        raise BadInput("features hold NaN or infinity; look at the model's activations")
    if len(y) and not (y.min() >= 0 and y.max() < classes):
        raise BadInput(f"labels go from {y.min()} to {y.max()}; pass 0 to {classes - 1}")
    spread = x.std(0)
    z = (x - x.mean(0))[:, spread > 1e-9] / spread[spread > 1e-9]
    z = np.column_stack([z, np.ones(len(z))])
    target = np.eye(classes)[y.astype(np.int64)]
    scores = _scores(z, target, ridges)
    return _probabilities(scores, y.astype(np.int64))


def _scores(z: Array, target: Array, ridges: Sequence[float]) -> Array:
    values, vectors = np.linalg.eigh(z.T @ z)
    axes, values = z @ vectors, np.maximum(values, 0.0)
    square, projected = axes**2, axes.T @ target
    best, least = target, np.inf
    for ridge in ridges:
        shrunk = 1.0 / (values + ridge * len(z))
        leverage = np.minimum(square @ shrunk, 1 - 1e-9)[:, None]
        left_out = (axes @ (shrunk[:, None] * projected) - leverage * target) / (1 - leverage)
        error = float(((left_out - target) ** 2).mean())
        if error < least:
            best, least = left_out, error
    return np.asarray(best)


def _probabilities(scores: Array, y: NDArray[np.int64]) -> Array:
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax, softmax

    own = (np.arange(len(y)), y)
    cost = lambda log_scale: -float(log_softmax(np.exp(log_scale) * scores, axis=1)[own].mean())  # noqa: E731
    found = minimize_scalar(cost, bounds=(-3.0, 5.0), method="bounded")
    return np.asarray(softmax(np.exp(found.x) * scores, axis=1))
