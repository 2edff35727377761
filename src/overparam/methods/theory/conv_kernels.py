"""Neural tangent kernels of infinitely wide convolutional ReLU networks of the Myrtle family.

Each network is 3 x 3 convolutions (zero-padded, weights N(0, 1/fan-in), no biases) with ReLU in three groups, a 2 x 2
average pool after the first and the second, an average over all pixels, and one dense layer. Pooling mixes pixels, so
the covariance of every pixel of one image with every pixel of the other is carried along.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from overparam.errors import BadInput

Arch = Literal["myrtle5", "myrtle7", "myrtle10"]
GROUPS: dict[str, tuple[int, int, int]] = {"myrtle5": (2, 1, 1), "myrtle7": (2, 2, 2), "myrtle10": (3, 3, 3)}
ON_CPU, ELSEWHERE = 2**16, 2**27  # pixel pairs held at a time


@torch.no_grad()
def conv_ntk(
    X: ArrayLike,
    Z: ArrayLike | None = None,
    arch: Arch = "myrtle5",
    *,
    batch: int | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float64,
) -> NDArray[np.float64]:
    """Neural tangent kernel of a Myrtle network of infinite width, all layers trained.

    A convolution maps K(p, q) to the mean of K(p + e, q + e) over the nine offsets e, and Theta to that mean plus the
    new K; a ReLU maps K to sqrt(K(p, p) K(q, q)) kappa1 and Theta to Theta kappa0, with the moments of `relu_moments`.

    Args:
        X: (n, c, h, w) images; h and w are multiples of 4.
        Z: (m, c, h, w) images; X itself if left out, and then only half of the pairs are computed.
        arch: Number of layers; 5, 7 or 10.
        batch: Images a side of a block; by default as many as fit the cache of a core, or 8 GB elsewhere. Memory is
            about 6 batch^2 (h w)^2 numbers.
        device: Where to compute.
        dtype: float32 is twice as fast and good to about 1e-5.

    Returns:
        (n, m) kernel. Cost O(n m (h w)^2) for each layer at full size.

    Raises:
        BadInput: An unknown arch, images that are not finite or whose shapes do not fit, or a batch below 1.

    Source: arXiv 2311.14646, kernels of the experiments on images; Myrtle kernels: Shankar et al., arXiv 2003.02237.

    Example:
        >>> image = np.zeros((1, 1, 4, 4))
        >>> image[0, 0, 1, 2] = 1.0
        >>> bool(conv_ntk(image)[0, 0] > 0)
        True
    """
    if arch not in GROUPS:
        raise BadInput(f"arch={arch!r} is unknown; choose {', '.join(GROUPS)}")
    if batch is not None and batch < 1:
        raise BadInput(f"batch={batch} holds no image; pass batch>=1")
    x = _images("X", X, device, dtype)
    z = x if Z is None else _images("Z", Z, device, dtype)
    if x.shape[1:] != z.shape[1:]:
        raise BadInput(f"X holds images {tuple(x.shape[1:])} and Z {tuple(z.shape[1:])}; give one shape")
    if batch is None:
        batch = max(1, math.isqrt((ON_CPU if x.device.type == "cpu" else ELSEWHERE) // x[0, 0].numel() ** 2))
    left = list(_deviations(x, arch, batch))
    right = left if Z is None else list(_deviations(z, arch, batch))
    out = np.empty((len(x), len(z)))
    for i, one in enumerate(left):
        for j, two in enumerate(right):
            rows, columns = slice(i * batch, i * batch + batch), slice(j * batch, j * batch + batch)
            if Z is None and j < i:
                out[rows, columns] = out[columns, rows].T
                continue
            out[rows, columns] = _block(x[rows], z[columns], one, two, arch).cpu().numpy()
    return out


def _images(name: str, given: ArrayLike, device: torch.device | str, dtype: torch.dtype) -> Tensor:
    images = torch.as_tensor(np.asarray(given)).to(device=device, dtype=dtype)
    if images.ndim != 4 or not images.numel() or images.shape[2] % 4 or images.shape[3] % 4:
        raise BadInput(f"{name} has shape {tuple(images.shape)}; give (n, c, h, w) with h and w multiples of 4")
    if not bool(torch.isfinite(images).all()):
        raise BadInput(f"{name} has numbers that are not finite; leave those images out")
    return images


def _deviations(images: Tensor, arch: str, batch: int) -> Iterator[list[Tensor]]:
    """Yield, for each batch, the standard deviation of every pixel before each ReLU."""
    for start in range(0, len(images), batch):
        part = images[start : start + batch]
        cov = torch.einsum("icab,icde->iabde", part, part) / part.shape[1]
        found: list[Tensor] = []
        for group, layers in enumerate(GROUPS[arch]):
            for _ in range(layers):
                cov = _convolve(cov)
                own = torch.einsum("iabab->iab", cov).sqrt()
                found.append(own)
                cov, _ = _relu(cov, own, own)
            cov = _pool(cov) if group < 2 else cov
        yield found


def _block(x: Tensor, z: Tensor, left: Sequence[Tensor], right: Sequence[Tensor], arch: str) -> Tensor:
    pairs = (len(x), len(z))
    cov = (torch.einsum("icab,jcde->ijabde", x, z) / x.shape[1]).flatten(0, 1)
    tangent = torch.zeros_like(cov)
    layer = 0
    for group, layers in enumerate(GROUPS[arch]):
        for _ in range(layers):
            cov = _convolve(cov)
            tangent = _convolve(tangent).add_(cov) if layer else cov
            one = left[layer].repeat_interleave(pairs[1], 0)
            two = right[layer].repeat(pairs[0], 1, 1)
            cov, slope = _relu(cov, one, two)
            tangent = slope.mul_(tangent)
            layer += 1
        if group < 2:
            cov, tangent = _pool(cov), _pool(tangent)
    return (cov + tangent).mean((1, 2, 3, 4)).reshape(pairs)


def _convolve(cov: Tensor) -> Tensor:
    """Average over the nine common offsets of both pixels: over rows, then over columns."""
    for a, b in ((1, 3), (2, 4)):
        size = cov.shape[a]
        out = cov.clone()
        near, far = (cov.narrow(a, s, size - 1).narrow(b, s, size - 1) for s in (0, 1))
        out.narrow(a, 1, size - 1).narrow(b, 1, size - 1).add_(near)
        out.narrow(a, 0, size - 1).narrow(b, 0, size - 1).add_(far)
        cov = out
    return cov.div_(9)


def _relu(cov: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Covariance behind the ReLU, and kappa0 of the correlations before it."""
    scale = left[:, :, :, None, None] * right[:, None, None]
    cosine = (cov / scale.clamp_min(torch.finfo(cov.dtype).tiny)).clamp_(-1, 1)  # cov is 0 where the scale is
    slope = torch.arccos(cosine).neg_().add_(math.pi).div_(2 * math.pi)
    behind = torch.addcmul(slope.new_tensor(1 / (4 * math.pi**2)), cosine, cosine, value=-1 / (4 * math.pi**2))
    behind = behind.clamp_(min=0).sqrt_().addcmul_(slope, cosine).mul_(scale)
    return behind, slope


def _pool(cov: Tensor) -> Tensor:
    b, h, w, _, _ = cov.shape
    return cov.reshape(b, h // 2, 2, w // 2, 2, h // 2, 2, w // 2, 2).mean((2, 4, 6, 8))
