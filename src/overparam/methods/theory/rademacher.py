"""Bounds on the size of trained weights, and the Rademacher complexity that follows from each.

From Advani and Saxe, High-dimensional dynamics of generalization error in neural networks (arXiv 1710.03667). A bound
that counts weights grows with the width for ever. One that knows of the frozen subspace and of the gap above it, the
smallest non-zero eigenvalue, peaks where samples and weights are as many and falls on both sides.

Departure: the form of the paper's bound is reconstructed from its description.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from overparam.errors import BadInput
from overparam.methods.theory.gradient_flow import as_features, spectrum_report
from overparam.methods.theory.marchenko_pastur import edges

RISE = 0.40726438  # largest value of (1 - exp(-x))^2 / x


def rademacher_complexity(norm: float, features: Any) -> float:
    """Bound the empirical Rademacher complexity of {h -> wh: |w| <= norm}: norm sqrt(sum of |h|^2) / P.

    Args:
        norm: Largest length of the weights, not negative.
        features: (P, N).

    Returns:
        The bound.

    Raises:
        BadInput: A negative norm, or features that are no finite matrix.

    Source: Bartlett and Mendelson, 2002; arXiv 1710.03667, section on Rademacher complexity.

    Example:
        >>> rademacher_complexity(2.0, [[1.0, 0.0], [0.0, 1.0]]) == 2**0.5
        True
    """
    if not norm >= 0:
        raise BadInput(f"norm={norm} is no length; pass 0 or more")
    h = as_features(features)
    return float(norm * math.sqrt(float((h**2).sum())) / len(h))


def counted_norm(weights: int, *, largest: float = 1.0) -> float:
    """Bound the length of weights by their number: sqrt(N) times the largest size of one.

    Args:
        weights: Number N.
        largest: Size that no weight exceeds.

    Returns:
        The bound that ignores how weights are learned.

    Raises:
        BadInput: No weights, or a size that is not positive.

    Example:
        >>> counted_norm(400)
        20.0
    """
    if weights < 1 or not largest > 0:
        raise BadInput(f"weights={weights}, largest={largest}: pass at least one weight and a positive size")
    return largest * math.sqrt(weights)


def learned_norm(features: Any, targets: Any, *, time: float = math.inf, initial: float = 0.0) -> float:
    """Bound the length of weights after gradient flow from the spectrum and the targets.

    Flow moves the weights by no more than |residual| (1 - exp(-lt)) / sqrt(l) in the direction of an eigenvalue l, and
    not at all in the frozen subspace: |w(t)| <= |w(0)| + |residual| sqrt(min(1 / smallest non-zero l, 0.407 t)).

    Args:
        features: (P, N) array or tensor H.
        targets: (P,) array or tensor: the targets, less what the initial weights predict.
        time: Of training; infinite for the end.
        initial: Length of the initial weights.

    Returns:
        The bound.

    Raises:
        BadInput: Shapes that do not fit, or a negative time or length.

    Source: arXiv 1710.03667, section on Rademacher complexity (reconstructed).

    Example:
        >>> learned_norm([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [0.0, 3.0])
        3.0
    """
    report = spectrum_report(features)
    y = np.asarray(targets.detach().cpu().numpy() if hasattr(targets, "detach") else targets, dtype=np.float64)
    if y.shape != (report.samples,) or not np.isfinite(y).all():
        raise BadInput(f"targets have shape {y.shape}; pass {report.samples} finite numbers")
    if not time >= 0 or not initial >= 0:
        raise BadInput(f"time={time}, initial={initial}: pass 0 or more")
    return initial + float(np.linalg.norm(y)) * math.sqrt(min(1 / report.smallest_nonzero, RISE * time))


def mean_square_bound(alpha: float, snr: float, inr: float = 0.0, *, signal_var: float = 1.0) -> float:
    """Bound the mean square of a weight at any time in the linear model of `linear_dynamics`.

    (1 - alpha)_+ s_0^2 + min(alpha, 1) [max(s_0^2, s_w^2) + s_e^2 / (sqrt(alpha) - 1)^2].

    Args:
        alpha: Samples a weight, P/N.
        snr: Variance of the teacher's weights over that of the noise.
        inr: Variance of the initial weights over that of the noise.
        signal_var: Variance of the teacher's weights.

    Returns:
        The bound, infinite at alpha = 1; without the gap it would be infinite for every alpha below 1.

    Raises:
        BadInput: alpha, snr or signal_var not positive, or inr negative.

    Source: arXiv 1710.03667, section on Rademacher complexity (reconstructed).

    Example:
        >>> mean_square_bound(0.25, snr=5.0)  # 0.25 (1 + 0.2 / 0.25)
        0.45
    """
    gap = edges(alpha)[0]
    if not 0 < snr < math.inf or not 0 <= inr < math.inf or not 0 < signal_var < math.inf:
        raise BadInput(f"snr={snr}, inr={inr}, signal_var={signal_var}: pass snr, signal_var above 0 and inr from 0 on")
    noise = signal_var / snr
    learned = max(inr * noise, signal_var) + (noise / gap if gap > 0 else math.inf)
    return max(0.0, 1 - alpha) * inr * noise + min(alpha, 1.0) * learned
