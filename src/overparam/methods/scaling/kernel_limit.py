"""Kernels that networks of one hidden layer become at infinite width where no features are learned.

From Yang and Hu, arXiv 2011.14522: in every stable parametrisation the limit either learns features or is descent with
one of these fixed kernels. Training only the last layer gives `gp`, training both gives `ntk`; without activation both
are multiples of `linear`. Weights are not divided by the fan-in, as in the paper's code: pre-activations of an input x
have the variance sigma_w^2 |x|^2 + sigma_b^2.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput
from overparam.methods.theory.kernels import relu_moments

Array = NDArray[np.float64]
Kind = Literal["gp", "ntk", "linear"]


class KernelLimit:
    """Kernel of an infinitely wide ReLU network, and regression with it.

    With p(x, z) = sigma_w^2 x'z + sigma_b^2 and the cosine c = p(x, z) / sqrt(p(x, x) p(z, z)):

        gp:      sigma_v^2 sqrt(p(x, x) p(z, z)) kappa1(c)
        ntk:     gp + sigma_v^2 kappa0(c) p(x, z)
        linear:  sigma_v^2 p(x, z), both layers of an identity network but for a factor of 1 or 2

    where kappa1 and kappa0 are the moments of `relu_moments`.

    Args:
        kind: `gp`, `ntk` or `linear`.
        sigma_w: Standard deviation of the input weights.
        sigma_b: Standard deviation of the hidden biases.
        sigma_v: Standard deviation of the output weights, times the root of the width.

    Raises:
        BadInput: An unknown kind, or a scale that is out of range.

    Source: arXiv 2011.14522, section on kernel limits; relu moments from Cho and Saul 2009.

    Example:
        >>> model = KernelLimit("ntk").fit([[1.0, 0.0], [0.0, 1.0]], [1.0, -1.0])
        >>> model.predict([[1.0, 0.0], [0.5, 0.5]]).round(12).tolist()
        [1.0, 0.0]
    """

    def __init__(self, kind: Kind = "ntk", sigma_w: float = 1.0, sigma_b: float = 0.0, *, sigma_v: float = 1.0) -> None:
        if kind not in ("gp", "ntk", "linear"):
            raise BadInput(f"kind={kind!r} is unknown; give 'gp', 'ntk' or 'linear'")
        if not (0 < sigma_w < math.inf and 0 <= sigma_b < math.inf and 0 < sigma_v < math.inf):
            raise BadInput(
                f"sigma_w={sigma_w}, sigma_b={sigma_b}, sigma_v={sigma_v}: give finite scales, above 0 for weights"
            )
        self.kind, self.sigma_w, self.sigma_b, self.sigma_v = kind, sigma_w, sigma_b, sigma_v

    def kernel(self, x: ArrayLike, z: ArrayLike) -> Array:
        """Evaluate the kernel.

        Args:
            x: (n, d).
            z: (m, d).

        Returns:
            (n, m). Memory 8 n m bytes times about five.

        Raises:
            BadInput: Points that are no finite matrices of as many columns.
        """
        a, b = _points("x", x), _points("z", z)
        if a.shape[1] != b.shape[1]:
            raise BadInput(f"x has {a.shape[1]} columns and z {b.shape[1]}; points need the same features")
        return self.of_products(a @ b.T, (a**2).sum(1)[:, None], (b**2).sum(1))

    def of_products(self, products: Array, x_squares: Array, z_squares: Array) -> Array:
        """Evaluate the kernel where inner products are at hand, as in batches of small tasks.

        Args:
            products: x'z, any shape.
            x_squares: |x|^2, broadcast against `products`.
            z_squares: |z|^2, likewise.

        Returns:
            Kernel of the shape of `products`.
        """
        p, px, pz = (self.sigma_w**2 * v + self.sigma_b**2 for v in (products, x_squares, z_squares))
        if self.kind == "linear":
            return np.asarray(self.sigma_v**2 * p)
        lengths = np.sqrt(px * pz)
        cosine = np.divide(p, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        kappa1, kappa0 = relu_moments(cosine)
        value = lengths * kappa1 if self.kind == "gp" else lengths * kappa1 + kappa0 * p
        return np.asarray(self.sigma_v**2 * value)

    def fit(self, x: ArrayLike, y: ArrayLike, *, ridge: float = 0.0) -> KernelLimit:
        """Solve (K + ridge I) alpha = y. Without ridge this is where descent on the squared error ends.

        Args:
            x: (n, d).
            y: (n,) or (n, k).
            ridge: Not negative.

        Returns:
            This object. Costs O(n^2 d + n^3) and 8 n^2 bytes.

        Raises:
            BadInput: Lengths differ, a negative ridge, or a singular system, as two equal points make it.
        """
        from scipy.linalg import LinAlgError, cho_factor, cho_solve

        points, targets = _points("x", x), np.asarray(y, dtype=np.float64)
        if len(targets) != len(points) or not ridge >= 0 or not np.isfinite(targets).all():
            raise BadInput(
                f"x has {len(points)} rows, y has shape {targets.shape}, ridge={ridge}: give one finite target a row "
                "and a ridge of at least 0"
            )
        gram = self.kernel(points, points)
        gram[np.diag_indices_from(gram)] += ridge
        try:
            self._dual = cho_solve(cho_factor(gram, lower=True, overwrite_a=True), targets)
        except LinAlgError as error:
            raise BadInput(f"the kernel of these points is singular with ridge={ridge}; pass a larger one") from error
        self._points = points
        return self

    def predict(self, x: ArrayLike) -> Array:
        """Evaluate the fitted function.

        Args:
            x: (m, d).

        Returns:
            (m,) or (m, k), as the targets were.

        Raises:
            BadInput: Nothing was fitted yet.
        """
        if not hasattr(self, "_dual"):
            raise BadInput("predict before fit; call fit(x, y) first")
        return np.asarray(self.kernel(x, self._points) @ self._dual)


def _points(name: str, given: ArrayLike) -> Array:
    points = np.asarray(given, dtype=np.float64)
    if points.ndim != 2 or not points.size or not np.isfinite(points).all():
        raise BadInput(f"{name} has shape {points.shape}; give finite points as (n, d)")
    return points
