"""Why networks grok XOR clusters: a linear classifier after one step, features of the clusters later.

From Xu, Wang, Frei, Vardi and Hu, arXiv 2310.02541. The closed form of the first step is derived here: with a tiny
start the derivative of the loss is 1/2, half of the units are active at a point whatever its label, and half of them
have a positive output weight, so the network is

    f_1(x) = (lr/(8n)) sum over i of y_i <x_i, x>

up to an even part that falls as 1/sqrt(m). A training point has its own term y_i |x_i|^2 of size p, which fits any
label; the class means cancel, since opposite clusters share a label, so nothing about XOR is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput
from overparam.models.two_layer import TwoLayerReLU

Array = NDArray[np.float64]


def step_one_linear(x: NDArray[Any], y: ArrayLike, test_x: NDArray[Any], *, lr: float) -> Array:
    """Predict what the network is after its first step: f_1(x) = (lr/(8n)) sum over i of y_i <x_i, x>.

    Args:
        x: (n, p), training points.
        y: (n,), labels -1 and 1.
        test_x: (k, p).
        lr: Step size on the mean loss.

    Returns:
        (k,), in O((n + k) p).

    Raises:
        BadInput: Shapes that do not fit.

    Source: derived here; arXiv 2310.02541 proves that the network is close to a linear classifier.

    Example:
        >>> step_one_linear(np.eye(2), [1, -1], np.array([[3.0, 1.0]]), lr=8.0).tolist()
        [1.0]
    """
    labels = np.asarray(y, dtype=np.float64)
    if x.ndim != 2 or test_x.ndim != 2 or x.shape[1] != test_x.shape[1] or labels.shape != (len(x),) or not len(x):
        raise BadInput(
            f"x {x.shape}, y {labels.shape}, test_x {test_x.shape}: give (n, p), (n,) and (k, p) with n >= 1"
        )
    return np.asarray(lr / (8 * len(x)) * (test_x @ (labels @ x)), dtype=np.float64)


@dataclass(frozen=True)
class Alignment:
    """How units point along the two means.

    Attributes:
        cosines: (m, 2), with mu_1 and mu_2, signed.
        positive: (m,), units with a positive output weight, which vote for the label 1 of ±mu_1.
        matched: Median size of the cosine with the mean that a unit votes for.
        crossed: The same with the other mean.
    """

    cosines: Array
    positive: NDArray[np.bool_]
    matched: float
    crossed: float


def alignment(cosines: ArrayLike, second: ArrayLike) -> Alignment:
    """Sort cosines by what the units vote for.

    Args:
        cosines: (m, 2), with mu_1 and mu_2, such as the last of `History.cosines`.
        second: (m,), output weights.

    Returns:
        The alignment.

    Raises:
        BadInput: Shapes that do not fit.

    Example:
        >>> found = alignment([[0.9, 0.1], [-0.2, -0.8]], [1.0, -1.0])
        >>> round(found.matched, 3), round(found.crossed, 3)
        (0.85, 0.15)
    """
    c, a = np.asarray(cosines, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if c.ndim != 2 or c.shape != (len(a), 2) or not len(a):
        raise BadInput(f"cosines {c.shape}, second {a.shape}: give (m, 2) and (m,) with m >= 1")
    positive, size = a > 0, np.abs(c)
    own, other = np.where(positive, size[:, 0], size[:, 1]), np.where(positive, size[:, 1], size[:, 0])
    return Alignment(c, positive, float(np.median(own)), float(np.median(other)))


def feature_alignment(network: TwoLayerReLU, means: ArrayLike, *, start: ArrayLike | None = None) -> Alignment:
    """Measure how the units of a network point along the means.

    Args:
        network: After training.
        means: (2, p), mu_1 of the label 1 and mu_2 of the label -1.
        start: (m, p), first layer before training; its change is then measured, else the weights themselves.

    Returns:
        The alignment.

    Raises:
        BadInput: Shapes that do not fit, or a mean of zero.

    Source: arXiv 2310.02541, abstract: the network gradually learns features.
    """
    weight = network.weight.detach().cpu().double().numpy()
    mu = np.asarray(means, dtype=np.float64)
    moved = weight if start is None else weight - np.asarray(start, dtype=np.float64)
    if mu.shape != (2, weight.shape[1]) or not mu.any(axis=1).all():
        raise BadInput(f"means have shape {mu.shape}; give (2, {weight.shape[1]}), none of them zero")
    length = np.linalg.norm(moved, axis=1)[:, None] * np.linalg.norm(mu, axis=1)
    cosines = np.divide(moved @ mu.T, length, out=np.zeros_like(length), where=length > 0)
    return alignment(cosines, network.second.detach().cpu().double().numpy())
