"""The heat equation on the unit square with a diffusion that changes in time, as a sequence of linear systems.

Crank-Nicolson with n = (nx - 1)² inner points, dx = 1 / nx and the five-point Laplacian Lap / dx²:

    (I - s Lap) u_new = (I + s Lap) u + dt f,      s = dt kappa / (2 dx²), kappa and f at the middle of the step.

Divided by s this is the matrix A + c I of a fixed grid with shift c = 1 / s, so a tuner sees one matrix with a moving
shift. Sines diagonalise it, so exact steps cost O(n log n).

    kappa(t) = max(0.1 sin(2 pi t), -10 sin(2 pi t)),
    f(t, x)  = 32 bump(x; centre (1/2 + cos(16 pi t) / 4, 1/2 + sin(16 pi t) / 4), radius 1/8),
    u(0, x)  = bump(x; centre (1/2, 1/2), radius 1/4).

Source: arXiv 2310.02246, section 4, two-dimensional heat equation; official code mkhodak/learning-to-relax.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import dstn, idstn

from overparam.errors import BadInput

Array = NDArray[np.float64]
DIFFUSION = (0.0, 10.0)  # range of kappa


@dataclass(frozen=True)
class HeatSteps:
    """Consecutive steps as systems (Lap5 + c_t I) u = b_t.

    Attributes:
        diffusion: (T,) kappa at the start of each step: what a tuner sees.
        shifts: (T,) c_t = 1 / s_t.
        rhs: (T, n) b_t, divided by s_t.
        starts: (T, n) the temperature before each step: where an iterative solver starts.
        last: (n,) the temperature after the last step.
    """

    diffusion: Array
    shifts: Array
    rhs: Array
    starts: Array
    last: Array


def diffusion(t: ArrayLike) -> Array:
    """Return kappa(t) = max(0.1 sin 2 pi t, -10 sin 2 pi t).

    Args:
        t: Times.

    Returns:
        The same shape, in [0, 10].

    Example:
        >>> diffusion([0.25, 0.75]).round(3).tolist()
        [0.1, 10.0]
    """
    wave = np.sin(2.0 * np.pi * np.asarray(t, dtype=np.float64))
    return np.maximum(0.1 * wave, -10.0 * wave)


def bump(x: Array, y: Array, centre: tuple[float, float], radius: float) -> Array:
    """Return exp(1 - 1 / (1 - q)) with q = squared distance / radius², 0 from q = 1 on.

    Args:
        x: First coordinates.
        y: Second coordinates, of the same shape.
        centre: Of the bump, where it is 1.
        radius: Positive.

    Returns:
        The same shape.
    """
    q = ((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / radius**2
    inside = q < 1.0
    return np.where(inside, np.exp(1.0 - 1.0 / np.where(inside, 1.0 - q, 1.0)), 0.0)


def heat_steps(nx: int, steps: int, dt: float, *, block: int = 250) -> Iterator[HeatSteps]:
    """Run the simulation by exact steps and hand out its systems.

    Args:
        nx: Cells a side, at least 2.
        steps: Number of steps.
        dt: Length of a step.
        block: Steps handed out at a time; a block holds 2 block n numbers.

    Yields:
        Blocks of consecutive steps.

    Raises:
        BadInput: An argument out of range.

    Example:
        >>> blocks = list(heat_steps(10, 6, 0.01, block=4))
        >>> [b.rhs.shape for b in blocks], bool(blocks[0].last.max() < 1)
        ([(4, 81), (2, 81)], True)
    """
    if nx < 2 or steps < 1 or dt <= 0.0 or block < 1:
        raise BadInput(f"nx={nx}, steps={steps}, dt={dt}, block={block}; pass nx>=2 and positive numbers")
    line = np.arange(1, nx) / nx
    x, y = np.meshgrid(line, line, indexing="ij")
    quarter = 2.0 - 2.0 * np.cos(np.pi * line)
    spectrum = quarter[:, None] + quarter  # of the five-point Laplacian, 4 on its diagonal
    u = bump(x, y, (0.5, 0.5), 0.25)
    for first in range(0, steps, block):
        times = dt * np.arange(first, min(first + block, steps))
        s = 0.5 * dt * nx**2 * diffusion(times + 0.5 * dt)
        rhs, starts = np.empty((len(times), u.size)), np.empty((len(times), u.size))
        for i, (t, weight) in enumerate(zip(times + 0.5 * dt, s, strict=True)):
            angle = 16.0 * np.pi * t
            force = 32.0 * bump(x, y, (0.5 + np.cos(angle) / 4.0, 0.5 + np.sin(angle) / 4.0), 0.125)
            right = dstn(u, type=1) * (1.0 - weight * spectrum) + dt * dstn(force, type=1)
            starts[i] = u.ravel()
            rhs[i] = idstn(right, type=1).ravel() / weight
            u = idstn(right / (1.0 + weight * spectrum), type=1)
        yield HeatSteps(diffusion(times), 1.0 / s, rhs, starts, u.ravel().copy())
