"""Density of all eigenvalues of a symmetric operator, and its trace, from products with random vectors.

Stochastic Lanczos quadrature: m steps from a random unit vector give a tridiagonal T with eigenvalues theta_j and, in
the first row of its eigenvectors, tau_j. Then sum_j tau_j² f(theta_j) estimates tr f(A) / P, exactly so in expectation
for polynomials f up to degree 2m - 1. The density is that measure, averaged over vectors and smoothed by a Gaussian.

Source: Ubaru, Chen, Saad, Fast estimation of tr(f(A)) via stochastic Lanczos quadrature, 2017; Ghorbani et al.,
arXiv 1901.10159, for Hessians. Trace: Hutchinson, 1990; Meyer et al., arXiv 2010.09649 (Hutch++), algorithm 1.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from overparam.errors import BadInput
from overparam.methods.measures.lanczos import Operator, apply, basis_device, precision

POINTS = 512
BASIS_BYTES = 2**30  # of all bases of the vectors that are handled at once
NEAREST = 1e-8  # of the largest magnitude: smaller eigenvalues count as that on the logarithmic scale


@dataclass(frozen=True)
class SpectralDensity:
    """A density of eigenvalues, on the CPU in double precision.

    Attributes:
        grid: (g,) positions: eigenvalues, or log10 of their magnitude where `log` was asked for.
        density: (g,) share of all eigenvalues per unit of the grid; integrates to 1.
        nodes: (v, m) quadrature nodes of each random vector.
        weights: (v, m) their weights; each row sums to 1.
        sigma: Width of the smoothing, in units of the grid.
        n_matvec: Products with the operator.
        complete: Whether all steps of all vectors were made; False after the deadline.
    """

    grid: Tensor
    density: Tensor
    nodes: Tensor
    weights: Tensor
    sigma: float
    n_matvec: int
    complete: bool

    def share(self, low: float, high: float) -> float:
        """Estimate the share of eigenvalues in an interval, without smoothing.

        Args:
            low: Lower end, included.
            high: Upper end, included.

        Returns:
            0 to 1.
        """
        inside = (self.nodes >= low) & (self.nodes <= high)
        return float((self.weights * inside).sum(1).mean())


def spectral_density(
    op: Operator,
    *,
    n_vectors: int = 4,
    steps: int = 80,
    sigma: float | None = None,
    log: bool = False,
    seed: int = 0,
    deadline: float | None = None,
) -> SpectralDensity:
    """Estimate the density of the eigenvalues of an operator.

    The vectors advance together where the operator has `matmat`. Each basis is kept orthogonal, twice over. Memory
    n_vectors x steps x P numbers, in groups of vectors that stay below 1 GiB; n_vectors x steps products.

    Args:
        op: Symmetric, with `shape` (P, P) and `matvec`, and perhaps `matmat`.
        n_vectors: Random vectors; more lower the noise.
        steps: Lanczos steps; more show finer detail. At most P are made.
        sigma: Width of the Gaussian in units of the grid; if None a two-hundredth of the range, which is wide for the
            bulk at zero, or a tenth of a decade with `log`.
        log: Return the density of log10 |eigenvalue|, which shows the bulk. The sign is lost; magnitudes below
            1e-8 of the largest count as that.
        seed: Of the vectors, whose entries are +1 or -1.
        deadline: Moment of `time.monotonic()` after which no further step is begun; at least one is made.

    Returns:
        Grid, density, nodes and weights.

    Raises:
        BadInput: n_vectors, steps or sigma not positive, or an operator whose products are not finite.

    Example:
        >>> class Diagonal:
        ...     shape = (300, 300)
        ...     def matvec(self, v): return v * (torch.arange(300) < 30)
        >>> found = spectral_density(Diagonal())
        >>> round(found.share(0.5, 1.5), 6)  # a vector of signs is exact for a diagonal matrix
        0.1
    """
    if n_vectors < 1 or steps < 1 or (sigma is not None and not sigma > 0):
        raise BadInput(f"n_vectors={n_vectors}, steps={steps}, sigma={sigma}: all of them must be positive")
    size, dtype = _size(op), precision(op)
    steps = min(steps, size)
    draw = torch.Generator().manual_seed(seed)
    group = max(1, min(n_vectors, BASIS_BYTES // (steps * size * dtype.itemsize)))
    nodes, weights, products = list[Tensor](), list[Tensor](), 0
    complete = True
    for first in range(0, n_vectors, group):
        late = deadline is not None and time.monotonic() >= deadline
        if first and late:
            complete = False
            break
        signs = _signs(min(group, n_vectors - first), size, draw)
        theta, tau = _quadrature(op, signs, steps, dtype, deadline)
        complete &= theta.shape[1] == steps
        products += theta.numel()
        nodes += [torch.nn.functional.pad(row, (0, steps - len(row))) for row in theta]
        weights += [torch.nn.functional.pad(row, (0, steps - len(row))) for row in tau]  # a node without weight
    return _smooth(torch.stack(nodes), torch.stack(weights), sigma, log, products, complete)


@dataclass(frozen=True)
class Trace:
    """An estimated trace.

    Attributes:
        value: Estimate.
        error: Its standard error, from the spread over random vectors; 0 where the sketch holds the whole matrix.
        n_matvec: Products with the operator.
    """

    value: float
    error: float
    n_matvec: int


def trace(op: Operator, *, n: int = 48, method: Literal["hutch++", "hutchinson"] = "hutch++", seed: int = 0) -> Trace:
    """Estimate the trace of a symmetric operator from n products.

    `hutchinson` averages s'A s over vectors s of random signs. `hutch++` spends a third of the products on a sketch
    of the largest directions, takes their part of the trace exactly, and averages over the rest: its error falls as
    1/n, not as 1/sqrt(n), for matrices with quickly falling eigenvalues.

    Args:
        op: Symmetric, with `shape` and `matvec`, and perhaps `matmat`.
        n: Products, at least 3 for `hutch++`; what does not divide by three is left over.
        method: Which.
        seed: Of the vectors.

    Returns:
        Estimate with its standard error.

    Raises:
        BadInput: Too few products, an unknown method, or products that are not finite.

    Example:
        >>> class Diagonal:
        ...     shape = (50, 50)
        ...     def matvec(self, v): return v * torch.arange(50)
        >>> trace(Diagonal(), n=4, method="hutchinson").value  # signs are exact for a diagonal matrix
        1225.0
    """
    least = {"hutch++": 3, "hutchinson": 1}.get(method)
    if least is None or n < least:
        raise BadInput(f"method={method!r}, n={n}: choose hutch++ with n>=3 or hutchinson with n>=1")
    size, dtype, device = _size(op), precision(op), basis_device(op)
    draw = torch.Generator().manual_seed(seed)
    exact, used, q = 0.0, 0, torch.zeros(size, 0, dtype=dtype, device=device)
    if method == "hutch++":
        third = min(n // 3, size)
        q = torch.linalg.qr(_products(op, _signs(third, size, draw).to(dtype).to(device)).mT).Q
        exact = float((q * _products(op, q.mT).mT).double().sum()) if device.type != "mps" else float(
            (q * _products(op, q.mT).mT).sum()
        )  # fmt: skip
        used, n = 2 * third, n // 3
        if third == size:
            return Trace(exact, 0.0, used)
    vectors = _signs(n, size, draw).to(dtype).to(device)
    vectors = vectors - (vectors @ q) @ q.mT
    samples = (vectors * _products(op, vectors)).sum(1).cpu().double()
    error = float(samples.std() / math.sqrt(n)) if n > 1 else math.inf
    return Trace(exact + float(samples.mean()), error, used + n)


def _size(op: Operator) -> int:
    if len(op.shape) != 2 or op.shape[0] != op.shape[1] or op.shape[0] < 1:
        raise BadInput(f"op has shape {tuple(op.shape)}; pass a square one")
    return int(op.shape[0])


def _signs(count: int, size: int, draw: torch.Generator) -> Tensor:
    return torch.randint(0, 2, (count, size), generator=draw, dtype=torch.int8) * 2 - 1


def _products(op: Operator, rows: Tensor) -> Tensor:
    """Multiply each row (v, P), all at once where the operator can."""
    if len(rows) < 2 or not hasattr(op, "matmat"):
        return torch.stack([apply(op, row) for row in rows]) if len(rows) else rows
    product = torch.as_tensor(op.matmat(rows.mT)).detach().to(rows.device, rows.dtype).mT
    if not bool(torch.isfinite(product).all()):
        raise BadInput("op.matmat gives NaN or infinity; pass an operator of finite weights and data")
    return product


def _quadrature(
    op: Operator, signs: Tensor, steps: int, dtype: torch.dtype, deadline: float | None
) -> tuple[Tensor, Tensor]:
    """Lanczos from each row of signs side by side; nodes and weights (v, steps made)."""
    count, size = signs.shape
    q = signs.to(dtype).to(basis_device(op)) / math.sqrt(size)
    basis = torch.zeros(count, steps, size, dtype=dtype, device=q.device)
    tridiagonal = torch.zeros(count, steps, steps, dtype=torch.float64)
    scale = torch.zeros(count, dtype=torch.float64)
    for j in range(steps):
        basis[:, j] = q
        product = _products(op, q)
        alpha = (product * q).sum(1).cpu().double()
        tridiagonal[:, j, j] = alpha
        made = j + 1
        if made == steps or (deadline is not None and time.monotonic() >= deadline):
            break
        known = basis[:, :made]
        for _ in range(2):
            product = product - ((known @ product[..., None]).mT @ known)[:, 0]
        norm = torch.linalg.vector_norm(product, dim=1)
        beta = norm.cpu().double()
        scale = torch.maximum(scale, torch.maximum(alpha.abs(), beta))
        ended = beta <= 10 * torch.finfo(dtype).eps * scale  # then the rest of T is apart and has no weight
        beta[ended] = 0.0
        tridiagonal[:, j, j + 1] = tridiagonal[:, j + 1, j] = beta
        keep = torch.where(ended, 0.0, 1 / torch.where(ended, 1.0, beta)).to(dtype).to(q.device)
        q = product * keep[:, None]
    theta, vectors = torch.linalg.eigh(tridiagonal[:, :made, :made])
    return theta, vectors[:, 0].square()


def _smooth(
    nodes: Tensor, weights: Tensor, sigma: float | None, log: bool, products: int, complete: bool
) -> SpectralDensity:
    at = nodes
    seen = weights > 0
    if log:
        magnitude = nodes.abs()
        top = float(magnitude[seen].max()) or 1.0
        at = magnitude.clamp_min(NEAREST * top).log10()
    low, high = float(at[seen].min()), float(at[seen].max())
    width = sigma or (0.1 if log else (high - low) / 200 or max(abs(high), 1.0) / 200)
    grid = torch.linspace(low - 5 * width, high + 5 * width, max(POINTS, math.ceil((high - low + 10 * width) / width)))
    grid = grid.double()
    bell = torch.exp(-0.5 * ((grid[:, None, None] - at) / width).square()) / (width * math.sqrt(2 * math.pi))
    density = (bell * weights).sum(2).mean(1)
    return SpectralDensity(grid, density, nodes, weights, width, products, complete)
