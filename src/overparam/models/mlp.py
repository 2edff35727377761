"""Multilayer perceptron."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from overparam.models.initialise import initialise_


def mlp(inputs: int, widths: Sequence[int], outputs: int, *, generator: torch.Generator) -> nn.Sequential:
    """Build a perceptron with ReLU between its layers; inputs of any shape are flattened.

    Args:
        inputs: Numbers in one input.
        widths: Widths of the hidden layers; none makes a linear model.
        outputs: Number of logits.
        generator: Draws the weights.

    Returns:
        Network from (n, ...) to (n, outputs).

    Example:
        >>> network = mlp(784, [128], 10, generator=torch.Generator().manual_seed(0))
        >>> tuple(network(torch.zeros(2, 1, 28, 28)).shape)
        (2, 10)
    """
    layers: list[nn.Module] = [nn.Flatten()]
    with torch.device("meta"):
        before = inputs
        for width in widths:
            layers += [nn.Linear(before, width), nn.ReLU()]
            before = width
        layers.append(nn.Linear(before, outputs))
    model = nn.Sequential(*layers)
    initialise_(model, generator)
    return model
