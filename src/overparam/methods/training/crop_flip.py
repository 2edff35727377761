"""Random crops and mirror images, drawn from an explicit generator."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from overparam.errors import BadInput


def crop_and_flip(images: Tensor, *, padding: int = 4, generator: torch.Generator) -> Tensor:
    """Pad by reflection, cut out the old size at a random place, mirror every other image at random.

    Args:
        images: (..., channels, height, width).
        padding: Pixels on each side, below height and width.
        generator: On the CPU.

    Returns:
        New tensor of the same shape.

    Raises:
        BadInput: A padding that is negative or not below height and width.
    """
    height, width = images.shape[-2:]
    if not 0 <= padding < min(height, width):
        raise BadInput(f"padding={padding} is outside 0 to {min(height, width) - 1}; pass less than the image's size")
    flat = images.flatten(0, -4)
    n, device = len(flat), images.device
    padded = functional.pad(flat, (padding,) * 4, mode="reflect")
    top, left = (torch.randint(0, 2 * padding + 1, (n, 1), generator=generator).to(device) for _ in range(2))
    columns = torch.arange(width, device=device).expand(n, -1)
    mirrored = torch.rand(n, 1, generator=generator).to(device) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns) + left
    rows = torch.arange(height, device=device) + top
    cut = padded[torch.arange(n, device=device)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return cut.permute(0, 3, 1, 2).reshape(images.shape)
