"""Random streams that never meet: one for each role, seed and counter."""

from __future__ import annotations

import numpy as np
import torch


def draw(*words: int) -> torch.Generator:
    """Make a generator of its own for some whole numbers, such as a role, a seed and a counter.

    Args:
        words: Not negative.

    Returns:
        Generator on the CPU, independent of those for other words.

    Example:
        >>> torch.equal(torch.rand(3, generator=draw(1, 0)), torch.rand(3, generator=draw(1, 0)))
        True
    """
    return torch.Generator().manual_seed(int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> 1))
