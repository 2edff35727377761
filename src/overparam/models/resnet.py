"""ResNet-18 for small images: 3 x 3 first convolution, no pooling before the blocks.

Source: He et al., arXiv 1512.03385, section 4.2 for the treatment of small images; block widths of their ResNet-18.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from overparam.models.initialise import initialise_


def _convolution(before: int, after: int, *, size: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, size, stride=stride, padding=size // 2, bias=False), nn.BatchNorm2d(after)
    )


class Block(nn.Module):
    """Two convolutions around which the input is added."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(before, after, size=3, stride=stride)
        self.second = _convolution(after, after, size=3, stride=1)
        same = stride == 1 and before == after
        self.shortcut = nn.Identity() if same else _convolution(before, after, size=1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block.

        Args:
            x: (n, before, h, w).

        Returns:
            (n, after, h / stride, w / stride).
        """
        inner = self.second(torch.relu(self.first(x)))
        return torch.relu(cast(Tensor, inner + self.shortcut(x)))


def resnet18(channels: int, outputs: int, *, width: int = 64, generator: torch.Generator) -> nn.Sequential:
    """Build ResNet-18 for images of about 32 x 32 pixels; 11.2 million weights at the default width.

    Args:
        channels: Of the images.
        outputs: Number of logits.
        width: Channels of the first stage; doubled by each of the three others.
        generator: Draws the weights.

    Returns:
        Network from (n, channels, h, w) to (n, outputs), in training mode.

    Example:
        >>> network = resnet18(3, 10, width=4, generator=torch.Generator().manual_seed(0)).eval()
        >>> tuple(network(torch.zeros(2, 3, 32, 32)).shape)
        (2, 10)
    """
    layers: list[nn.Module] = []
    with torch.device("meta"):
        layers += [_convolution(channels, width, size=3, stride=1), nn.ReLU()]
        before = width
        for stage in range(4):
            after = width * 2**stage
            layers += [Block(before, after, 1 if stage == 0 else 2), Block(after, after, 1)]
            before = after
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, outputs)]
    model = nn.Sequential(*layers)
    initialise_(model, generator)
    return model
