"""Data of the experiments: Gaussian modes, and images with the eigenstructure of their ReLU kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overparam.data import load
from overparam.lab import artefact
from overparam.methods.theory.conv_kernels import GROUPS, conv_ntk
from overparam.methods.theory.eigenstructure import eigenstructure
from overparam.methods.theory.kernels import arccos_nngp, fc_ntk
from overparam.methods.theory.random_feature_ridge import relu_features
from overparam.methods.theory.ridge_path import RidgePath, feature_ridge_path, kernel_ridge_path

Array = NDArray[np.float64]
FIRST_CLASS = (0, 1, 7, 8, 9)  # of two; the other five are the second
IMAGES, WEIGHTS, SAMPLES, NOISE, ORDERS = range(1, 6)  # roles that share no random numbers


@dataclass(frozen=True)
class PowerLaw:
    """A task whose modes are Gaussian: eigenvalues i^-alpha and squared coefficients i^-beta, each with sum one.

    Attributes:
        eigvals: (M,).
        coeffs: (M,), positive.
    """

    eigvals: Array
    coeffs: Array

    @classmethod
    def of(cls, alpha: float, beta: float, modes: int) -> PowerLaw:
        """Build the task."""
        index = np.arange(1, modes + 1, dtype=np.float64)
        lam, v2 = index**-alpha, index**-beta
        return cls(lam / lam.sum(), np.sqrt(v2 / v2.sum()))


def gaussian_path(task: PowerLaw, n: int, k: int, ridges: Array, noise: float, seed: int) -> RidgePath:
    """Draw samples and features of Gaussian modes and regress; the test error is exact.

    Args:
        task: Eigenvalues and coefficients.
        n: Samples.
        k: Features; 0 for the kernel itself.
        ridges: (r,), positive.
        noise: Variance of the label noise.
        seed: Of samples, noise and features.

    Returns:
        Train and population test error by ridge.
    """
    modes, root = len(task.eigvals), np.sqrt(task.eigvals)
    rng = np.random.default_rng([SAMPLES, seed])
    phi = rng.standard_normal((n, modes))
    labels = phi @ task.coeffs + np.sqrt(noise) * rng.standard_normal(n)
    weights = np.eye(modes) if k == 0 else np.random.default_rng([WEIGHTS, seed]).standard_normal((k, modes))
    scale = 1.0 if k == 0 else np.sqrt(k)
    left, sizes, right = np.linalg.svd((phi * root) @ weights.T / scale, full_matrices=False)
    inside = left.T @ labels
    shrink = sizes / (sizes**2 + ridges[:, None])
    learned = (shrink * inside) @ right @ weights * root / scale  # (r, modes)
    beyond = float(labels @ labels - inside @ inside)
    train = (((1 - shrink * sizes) * inside) ** 2).sum(1) + max(0.0, beyond)
    test = ((task.coeffs - learned) ** 2).sum(1) + noise
    return RidgePath(ridges, train[:, None] / n, test[:, None])


@artefact(reads=("data",))
def pool_of(data: str, pool: int) -> dict[str, NDArray[Any]]:
    """Take images at random, centre them, scale each to |x|^2 = 2 d, and decompose their ReLU kernel.

    Args:
        data: Name of the data set.
        pool: Number of images, or all if there are fewer.

    Returns:
        `x` (n, d) as float32, `labels` (n,), and of the kernel of ReLU features with two-class labels of +-1
        `eigvals` and `coeffs2`.
    """
    x, labels, _ = read_images(data, pool)
    points = x.reshape(len(x), -1)
    eigvals, coeffs = eigenstructure(arccos_nngp(points, points), two_classes(labels))
    return {"x": points.astype(np.float32), "labels": labels, "eigvals": eigvals, "coeffs2": (coeffs**2).sum(1)}


def read_images(data: str, pool: int) -> tuple[Array, NDArray[np.int64], int]:
    """Read images, less their mean and with |x|^2 = 2 d, so that the ReLU kernel is 1 on the diagonal.

    Args:
        data: Name of the data set.
        pool: Number of images, or all if there are fewer; those of digits are drawn from both splits.

    Returns:
        (n, c, h, w) images, labels, number of classes.
    """
    train = load(data, split="train")
    images, labels = train.images, train.labels
    if data == "digits":
        test = load(data, split="test")
        images, labels = np.concatenate([images, test.images]), np.concatenate([labels, test.labels])
    chosen = np.random.default_rng([IMAGES]).permutation(len(labels))[:pool]
    x = images[chosen].astype(np.float64)
    x -= x.mean(0)
    x *= np.sqrt(2 * x[0].size / (x**2).sum((1, 2, 3), keepdims=True))
    return x, labels[chosen].astype(np.int64), len(train.classes)


def two_classes(labels: NDArray[Any]) -> Array:
    """Split ten classes five to five, as the paper does for CIFAR-10: +1 and -1."""
    return np.where(np.isin(labels, FIRST_CLASS), 1.0, -1.0)


def one_hot(labels: NDArray[np.int64], classes: int) -> Array:
    """Indicator of the class less its mean, with rows of length one."""
    return np.asarray((np.eye(classes)[labels] - 1 / classes) / np.sqrt(1 - 1 / classes))


def image_path(pool: dict[str, NDArray[Any]], n: int, k: int, ridges: Array, tests: int, seed: int) -> RidgePath:
    """Regress two-class labels of a few images of a pool on ReLU features, and test on others.

    Args:
        pool: From `pool_of`.
        n: Training images.
        k: Features; 0 for the kernel itself.
        ridges: (r,).
        tests: Test images, none of which is trained on.
        seed: Of the images and the features.

    Returns:
        Errors by ridge.
    """
    order = np.random.default_rng([SAMPLES, seed]).permutation(len(pool["x"]))
    train, test = order[:n], order[n : n + tests]
    y = two_classes(pool["labels"])
    x, others = pool["x"][train], pool["x"][test]
    if k == 0:
        return kernel_ridge_path(arccos_nngp(x, x), y[train], arccos_nngp(others, x), y[test], ridges)
    weights = np.random.default_rng([WEIGHTS, seed]).standard_normal((k, x.shape[1]), dtype=np.float32)
    return feature_ridge_path(relu_features(x, weights), y[train], relu_features(others, weights), y[test], ridges)


def tangent_kernel(images: Array, kernel: str) -> Array:
    """Neural tangent kernel of some images.

    Args:
        images: (n, c, h, w).
        kernel: `fc` and a number of hidden layers, or a Myrtle network.

    Returns:
        (n, n).
    """
    if kernel in GROUPS:
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        pad = -images.shape[2] % 32  # the paper's architecture pools 32 pixels down to one
        wide = np.pad(images, ((0, 0), (0, 0), (pad // 2, pad - pad // 2), (pad // 2, pad - pad // 2)))
        return conv_ntk(wide, arch=kernel, device=device)  # type: ignore[arg-type]
    points = images.reshape(len(images), -1)
    return fc_ntk(points, points, int(kernel.removeprefix("fc")))
