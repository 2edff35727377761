"""Wrong labels made on purpose."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from overparam.errors import BadInput


def permute_labels(labels: NDArray[np.int64], fraction: float, *, seed: int) -> NDArray[np.int64]:
    """Shuffle the labels of a random part of the examples among themselves.

    The class counts stay as they are. With c balanced classes about one in c of the chosen examples gets a label of
    its own class back, so fewer labels are wrong than `fraction` says; compare with the input to know which.

    Source: arXiv 2107.07075, the experiments with randomised labels.

    Args:
        labels: (n,).
        fraction: Part of the examples that takes part, 0 to 1.
        seed: Chooses examples and permutation.

    Returns:
        (n,), a new array.

    Raises:
        BadInput: A fraction outside 0 to 1.

    Example:
        >>> y = np.arange(1000) % 10
        >>> int((permute_labels(y, 0.2, seed=0) != y).sum())
        175
    """
    if not 0.0 <= fraction <= 1.0:
        raise BadInput(f"fraction={fraction} is outside 0 to 1; pass the part of the labels to shuffle")
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(labels), size=round(fraction * len(labels)), replace=False)
    noisy = labels.copy()
    noisy[chosen] = labels[rng.permutation(chosen)]
    return noisy
