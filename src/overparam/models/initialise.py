"""Initial weights from an explicit generator; the global one is neither read nor moved."""

from __future__ import annotations

import math

import torch
from torch import nn


@torch.no_grad()
def initialise_(model: nn.Module, generator: torch.Generator) -> nn.Module:
    """Draw new weights in place: normal with variance 2/fan-in, 1/fan-in in the last layer, biases zero.

    Source: He et al., arXiv 1502.01852, section 2.2.

    Args:
        model: Made of linear and convolutional layers and batch normalisation; may lie on the meta device.
        generator: On the CPU, so that the weights do not depend on the device.

    Returns:
        The same model, on the CPU if it lay on the meta device.
    """
    if any(p.is_meta for p in model.parameters()):
        model.to_empty(device="cpu")
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    for layer in layers:
        gain = 1.0 if layer is layers[-1] else 2.0
        deviation = math.sqrt(gain / layer.weight[0].numel())
        fresh = torch.randn(layer.weight.shape, generator=generator) * deviation
        layer.weight.copy_(fresh)
        if layer.bias is not None:
            layer.bias.zero_()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()  # ones, zeros and fresh running statistics: nothing random
    return model
