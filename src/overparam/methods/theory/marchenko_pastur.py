"""The spectrum of random inputs: Marchenko and Pastur's law as a quadrature.

From Advani and Saxe, High-dimensional dynamics of generalization error in neural networks (arXiv 1710.03667), where
inputs X have shape (N, P), entries of variance 1/N, and XX' has N eigenvalues at alpha = P/N samples a weight.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput

Array = NDArray[np.float64]
NODES, MOST = 400, 2**20
DIGITS = 42.0  # natural log of the precision aimed at, and of a double pole: 1/l of a density in 1/l


class Spectrum(NamedTuple):
    """A distribution of eigenvalues: points with weights, and the mass at exactly zero.

    Attributes:
        eigenvalues: (k,), positive.
        weights: (k,), each a share of all eigenvalues; they and `null_mass` add up to 1.
        null_mass: Share of directions without data.
    """

    eigenvalues: Array
    weights: Array
    null_mass: float


def edges(alpha: float) -> tuple[float, float]:
    """Return the smallest and the largest non-zero eigenvalue, (sqrt(alpha) ± 1)^2.

    Args:
        alpha: Samples a weight, P/N.

    Returns:
        Lower and upper edge of the bulk.

    Raises:
        BadInput: alpha not positive and finite.

    Source: arXiv 1710.03667, section on the eigenvalue distribution.

    Example:
        >>> edges(4.0)
        (1.0, 9.0)
    """
    root = math.sqrt(_checked(alpha))
    return (root - 1) ** 2, (root + 1) ** 2


def marchenko_pastur(alpha: float, *, nodes: int | None = None, time: float = math.inf) -> Spectrum:
    """Return the law of Marchenko and Pastur as nodes and weights.

    The density sqrt((l+ - l)(l - l-)) / (2 pi l) on [l-, l+] becomes smooth and periodic in the angle of
    l = alpha + 1 - 2 sqrt(alpha) cos(theta), so that the midpoint rule converges exponentially: its error falls as
    exp(-n |log alpha|) for functions such as 1/l, and as exp(-n^2 / 2t) for those of exp(-l t).

    Args:
        alpha: Samples a weight, P/N.
        nodes: Number of nodes n; by default as many as the above needs for 1e-12, 400 to 1,048,576;
            with an infinite time that is not enough for an alpha closer to 1 than 4e-5, other than 1 itself.
        time: Largest t at which exp(-l t) will be integrated; only for the default of `nodes`.

    Returns:
        The spectrum; `null_mass` is 1 - alpha below 1, else 0.

    Raises:
        BadInput: alpha not positive and finite, or fewer than two nodes.

    Source: arXiv 1710.03667, section on the eigenvalue distribution; Marchenko and Pastur, 1967.

    Example:
        >>> spectrum = marchenko_pastur(0.5)
        >>> round(float(spectrum.weights.sum()), 12), round(float(spectrum.weights @ spectrum.eigenvalues), 12)
        (0.5, 0.5)
    """
    _checked(alpha)
    if nodes is None:
        enough = min(8 * math.sqrt(time), DIGITS / max(abs(math.log(alpha)), DIGITS / MOST))
        nodes = min(max(NODES, math.ceil(enough)), MOST)
    if nodes < 2:
        raise BadInput(f"nodes={nodes} is too few; pass at least 2, or None to have them chosen")
    angle = (np.arange(nodes) + 0.5) * (math.pi / nodes)
    half = 2 * math.sqrt(alpha)
    # alpha + 1 - half cos(theta), without the cancellation at small angles
    eigenvalues = edges(alpha)[0] + 2 * half * np.sin(angle / 2) ** 2
    weights = (half * np.sin(angle)) ** 2 / (2 * nodes * eigenvalues)
    return Spectrum(eigenvalues, weights, max(0.0, 1.0 - alpha))


def empirical_spectrum(eigenvalues: ArrayLike, *, tolerance: float = 1e-12) -> Spectrum:
    """Return the spectrum of a matrix at hand, to be used in place of the law.

    Args:
        eigenvalues: (n,), all eigenvalues of XX', zeros included; rounding below zero counts as zero.
        tolerance: Share of the largest below which an eigenvalue counts as zero.

    Returns:
        Each eigenvalue with weight 1/n.

    Raises:
        BadInput: Nothing positive, or values that are not finite.

    Example:
        >>> empirical_spectrum([0.0, 1.0, 2.0, 1.0]).null_mass
        0.25
    """
    values = np.asarray(eigenvalues, dtype=np.float64).ravel()
    if not values.size or not np.isfinite(values).all() or values.max() <= 0:
        raise BadInput(f"eigenvalues has {values.size} numbers, none positive or not all finite; pass those of XX'")
    kept = values[values > tolerance * values.max()]
    return Spectrum(kept, np.full(len(kept), 1 / len(values)), 1 - len(kept) / len(values))


def _checked(alpha: float) -> float:
    if not 0 < alpha < math.inf:
        raise BadInput(f"alpha={alpha} is no ratio of samples to weights; pass a positive finite P/N")
    return float(alpha)
