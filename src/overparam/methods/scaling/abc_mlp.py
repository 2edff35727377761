"""Perceptrons of the abc family, and how far their features move in a few steps of SGD.

From Yang and Hu, arXiv 2011.14522. `ABCMLP` is an ordinary module. `feature_movement` takes the same steps without
forming a trained matrix: full-batch updates of a hidden matrix have the rank of the batch, so that a step needs one
product with the initial Gaussian matrix and one with its transpose, which all parametrisations share.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from overparam.errors import BadInput
from overparam.methods.scaling.abc import ABC, Regime
from overparam.methods.scaling.infinite_width import ACTIVATIONS, Activation
from overparam.stats import slope

Array = NDArray[np.float64]
GROWTH = 1 / 8  # a slope beyond it counts: half of the quarter by which clear cases differ
FLOOR = 1e-300  # of what is logged
_FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "relu": lambda h: np.maximum(h, 0.0),
    "identity": lambda h: h,
}
_DERIVATIVES: dict[str, Callable[[Array], Array]] = {  # from the output
    "tanh": lambda out: np.asarray(1 - out**2),
    "relu": lambda out: np.asarray(out > 0, dtype=np.float64),
    "identity": np.ones_like,
}


def gaussians(d_in: int, width: int, d_out: int, depth: int, seed: int) -> list[Array]:
    """Draw the standard normal matrices behind the weights; all parametrisations of a seed share them.

    Args:
        d_in: Inputs.
        width: n.
        d_out: Outputs.
        depth: Hidden layers.
        seed: Of the draws.

    Returns:
        Matrices of shape (out, in), first to last layer.
    """
    rng = np.random.default_rng(seed)
    sizes = [d_in, *[width] * depth, d_out]
    return [rng.standard_normal((after, before)) for before, after in itertools.pairwise(sizes)]


class ABCMLP(nn.Module):
    """Perceptron without biases in a given parametrisation: W^l = n^(-a_l) w^l, w^l ~ N(0, n^(-2 b_l)).

    Args:
        d_in: Inputs.
        width: n, of every hidden layer.
        d_out: Outputs.
        abc: Parametrisation; it says how many layers there are.
        act: `tanh`, `relu` or `identity`.
        seed: Draws w.
        dtype: Of the weights.

    Raises:
        BadInput: A dimension below 1 or an unknown activation.

    Source: arXiv 2011.14522, definition of the abc-parametrisation.

    Example:
        >>> net = ABCMLP(4, 64, 1, ABC.mup(2), seed=0)
        >>> tuple(net(torch.ones(5, 4)).shape), len(net.features(torch.ones(5, 4)))
        ((5, 1), 2)
        >>> ABCMLP(4, 64, 1, ABC.mean_field(), seed=0).sgd(0.1).param_groups[0]["lr"]
        6.4
    """

    def __init__(
        self,
        d_in: int,
        width: int,
        d_out: int,
        abc: ABC,
        act: Activation = "tanh",
        *,
        seed: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if min(d_in, width, d_out) < 1:
            raise BadInput(f"d_in={d_in}, width={width}, d_out={d_out}: all have to be at least 1")
        if act not in ACTIVATIONS:
            raise BadInput(f"act={act!r} is unknown; give {', '.join(ACTIVATIONS)}")
        super().__init__()
        self.abc, self.width, self.act = abc, width, act
        normal = gaussians(d_in, width, d_out, abc.depth, seed)
        self.weights = nn.ParameterList(
            torch.from_numpy(z * float(width) ** -b).to(dtype) for z, b in zip(normal, abc.b, strict=True)
        )

    def features(self, x: Tensor) -> list[Tensor]:
        """Compute the pre-activations h^1 to h^L.

        Args:
            x: (m, d_in).

        Returns:
            L tensors of shape (m, n).
        """
        found: list[Tensor] = []
        for weight, a in zip(self.weights[:-1], self.abc.a[:-1], strict=True):
            below = ACTIVATIONS[self.act](found[-1]) if found else x
            found.append(below @ weight.T * float(self.width) ** -a)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs.

        Args:
            x: (m, d_in).

        Returns:
            (m, d_out).
        """
        last = ACTIVATIONS[self.act](self.features(x)[-1])
        out: Tensor = last @ self.weights[-1].T * float(self.width) ** -self.abc.a[-1]
        return out

    def sgd(self, eta: float) -> torch.optim.SGD:
        """Make the optimiser of the parametrisation.

        Args:
            eta: Learning rate before its scaling with width.

        Returns:
            SGD with rate eta n^(-c).
        """
        return torch.optim.SGD(self.parameters(), lr=eta * float(self.width) ** -self.abc.c)


@dataclass(frozen=True)
class Movement:
    """How far p parametrisations moved; root mean squares over coordinates and inputs.

    Attributes:
        features: (p, L) changes of the pre-activations h^1 to h^L.
        outputs: (p,) change of the output.
        start: (p,) initial output, in mean over the signs of its weights: the root of the sum of squared terms.
        residual: (p,) initial output minus target; changes are proportional to it.
        size: (p, L) pre-activations at the end.
        kernel: (p,) change of the tangent kernel of the batch over its initial size, both in the Frobenius norm. The
            kernel counts every layer with its learning rate, so that kernel descent keeps it.
    """

    features: Array
    outputs: Array
    start: Array
    residual: Array
    size: Array
    kernel: Array


def feature_movement(
    family: Sequence[ABC],
    width: int,
    x: Array,
    y: Array,
    *,
    eta: float = 0.1,
    steps: int = 3,
    act: Activation = "tanh",
    seed: int = 0,
) -> Movement:
    """Take full-batch steps of SGD on the loss 1/2 mean (f - y)^2 in several parametrisations of one depth at once.

    The networks are those of `ABCMLP` with one output and the same seed. Cost: 2 (steps + 1) products of the
    (n, n) Gaussian matrix of each inner layer with (n, p m); memory O(n^2 + p m n steps).

    Args:
        family: p parametrisations with the same number of layers.
        width: n.
        x: (m, d_in) inputs.
        y: (m,) targets.
        eta: Learning rate before its scaling with width.
        steps: Number of steps.
        act: `tanh`, `relu` or `identity`.
        seed: Draws the weights.

    Returns:
        The movement; infinite or NaN where a network left the finite numbers.

    Raises:
        BadInput: No parametrisation, depths that differ, mismatched inputs and targets, or counts below 1.

    Example:
        >>> moved = feature_movement([ABC.mup(2), ABC.mup(2).shift(0.5)], 256, np.eye(4), np.ones(4))
        >>> bool((moved.features[0] == moved.features[1]).all())  # a gauge is not seen in the function
        True
    """
    if not family or len({p.depth for p in family}) > 1:
        raise BadInput(f"family has depths {[p.depth for p in family]}; give at least one, all of the same depth")
    if x.ndim != 2 or y.shape != (len(x),) or min(width, steps, len(x)) < 1:
        raise BadInput(
            f"x has shape {x.shape}, y {y.shape}, width={width}, steps={steps}; give (m, d), (m,) and 1 or more"
        )
    if act not in _FUNCTIONS:
        raise BadInput(f"act={act!r} is unknown; give {', '.join(_FUNCTIONS)}")
    nets = _Nets(family, width, np.ascontiguousarray(x.T), eta, act, seed)
    with np.errstate(over="ignore", invalid="ignore"):  # growth without bound is a result here
        first, out, backward = nets.run()
        start, signless, kernel = out, nets.signless(), nets.kernel(backward)
        features = first
        for _ in range(steps):
            nets.update((out - y) / len(y), backward)
            features, out, backward = nets.run()
        change = nets.kernel(backward) - kernel
        return Movement(
            features=np.stack([_rms(b - a) for a, b in zip(first, features, strict=True)], -1),
            outputs=np.sqrt(((out - start) ** 2).mean(-1)),
            start=np.sqrt(signless.mean(-1)),
            residual=np.sqrt(((start - y) ** 2).mean(-1)),
            size=np.stack([_rms(h) for h in features], -1),
            kernel=np.sqrt((change**2).sum((1, 2)) / (kernel**2).sum((1, 2))),
        )


def _rms(h: Array) -> Array:
    """(n, p, m) to (p,)."""
    return np.asarray(np.sqrt((h**2).mean((0, 2))))


class _Nets:
    """p networks of one width that share their Gaussian matrices; arrays are laid out as (n, p, m)."""

    def __init__(self, family: Sequence[ABC], width: int, x: Array, eta: float, act: str, seed: int) -> None:
        n = float(width)
        self.multiplier: Array = np.array([[n**-a for a in p.a] for p in family]).T[:, None, :, None]  # (L+1, 1, p, 1)
        self.deviation: Array = np.array([[n**-b for b in p.b] for p in family]).T[:, None, :, None]
        self.rate: Array = eta * np.array([n**-p.c for p in family])[None, :, None]
        self.depth = family[0].depth
        self.function, self.derivative = _FUNCTIONS[act], _DERIVATIVES[act]
        self.normal = gaussians(len(x), width, 1, self.depth, seed)
        self.x = np.repeat(x[:, None, :], len(family), 1)  # (d_in, p, m)
        self.readout = self.deviation[-1] * self.normal[-1].T[:, :, None]  # w, (n, p, 1): trained as it is
        self.history: list[list[tuple[Array, Array]]] = [[] for _ in range(self.depth)]
        self.inputs: list[Array] = []

    def run(self) -> tuple[list[Array], Array, list[Array]]:
        """Pre-activations, outputs (p, m), and gradients of the outputs by the pre-activations."""
        below, self.inputs, features = self.x, [], []
        for layer in range(self.depth):
            self.inputs.append(below)
            features.append(self._apply(layer, below))
            below = self.function(features[-1])
        self.inputs.append(below)
        readout = self.multiplier[-1] * self.readout
        out = (readout * below).sum(0)
        backward, above = [], readout
        for layer in reversed(range(self.depth)):
            backward.append(above * self.derivative(self.inputs[layer + 1]))
            above = self._apply(layer, backward[-1], transposed=True) if layer else above
        return features, out, backward[::-1]

    def _apply(self, layer: int, v: Array, *, transposed: bool = False) -> Array:
        """Product with W = n^-a (n^-b Z + the sum of all updates), or with its transpose."""
        z = self.normal[layer].T if transposed else self.normal[layer]
        found: Array = self.deviation[layer] * (z @ v.reshape(len(v), -1)).reshape(-1, *v.shape[1:])
        for left, right in self.history[layer]:
            outer, inner = (right, left) if transposed else (left, right)
            found = found + _spread(outer, _gram(inner, v))
        return np.asarray(self.multiplier[layer] * found)

    def update(self, slopes: Array, backward: list[Array]) -> None:
        """Step down the loss whose gradient by the outputs is `slopes`, (p, m)."""
        for layer in range(self.depth):
            left = -self.rate * self.multiplier[layer] * backward[layer] * slopes
            self.history[layer].append((left, self.inputs[layer]))
        self.readout = self.readout - self.rate * self.multiplier[-1] * (self.inputs[-1] * slopes).sum(
            -1, keepdims=True
        )

    def signless(self) -> Array:
        """Squared outputs (p, m) in mean over the signs of the readout weights."""
        return np.asarray(((self.multiplier[-1] * self.readout * self.inputs[-1]) ** 2).sum(0))

    def kernel(self, backward: list[Array]) -> Array:
        """Tangent kernel of the batch, (p, m, m), each layer with its learning rate."""
        total = self._rated(-1, _gram(self.inputs[-1], self.inputs[-1]))
        for layer, up in enumerate(backward):
            total = total + self._rated(layer, _gram(up, up) * _gram(self.inputs[layer], self.inputs[layer]))
        return total

    def _rated(self, layer: int, gram: Array) -> Array:
        return np.asarray((self.rate * self.multiplier[layer] ** 2).reshape(-1, 1, 1) * gram)


def _gram(left: Array, right: Array) -> Array:
    """(n, p, k) and (n, p, m) to (p, k, m)."""
    return np.asarray(left.transpose(1, 2, 0) @ right.transpose(1, 0, 2))


def _spread(left: Array, gram: Array) -> Array:
    """(n, p, k) and (p, k, m) to (n, p, m)."""
    return np.asarray((left.transpose(1, 0, 2) @ gram).transpose(1, 0, 2))


@dataclass(frozen=True)
class Slopes:
    """Slopes of log root mean squares on log width, the changes relative to the initial residual.

    Attributes:
        start: Of the initial output.
        size: Of the largest hidden layer at the end.
        outputs: Of the change of the output.
        features: Of the change of the hidden layer that moved most.
    """

    start: float
    size: float
    outputs: float
    features: float

    def regime(self) -> Regime:
        """Name the regime: the same four as `ABC.regime`, without a look at the exponents.

        Unstable if anything grows faster than n^(1/8); else trivial if the change of the outputs falls faster than
        n^(-1/8); else a feature regime if that of the features falls no faster, else a kernel regime.

        Returns:
            The name.
        """
        if not all(v <= GROWTH for v in (self.start, self.size, self.outputs, self.features)):  # NaN counts as growth
            return "unstable"
        if self.outputs < -GROWTH:
            return "trivial"
        return "feature" if self.features > -GROWTH else "kernel"


def movement_slopes(
    family: Sequence[ABC], widths: Sequence[int], x: Array, y: Array, *, seeds: Sequence[int], **options: Any
) -> list[Slopes]:
    """Fit slopes against width, in geometric mean over seeds.

    Terms that fall a little faster than the leading one blur the slopes, more so at small widths: exponents that
    differ by 1/4 differ by a factor of 1.4 only where the width grows fourfold.

    Args:
        family: Parametrisations of one depth.
        widths: Two at least.
        x: (m, d_in).
        y: (m,).
        seeds: Of the weights.
        options: `eta`, `steps` and `act` of `feature_movement`.

    Returns:
        One set of slopes each; NaN where a network left the finite numbers.

    Raises:
        BadInput: Fewer than two widths, or no seeds.
    """
    if len(set(widths)) < 2 or not seeds:
        raise BadInput(f"widths={list(widths)}, seeds={list(seeds)}: a slope needs two different widths and a seed")
    logs = np.stack([
        np.mean([_logs(feature_movement(family, n, x, y, seed=s, **options)) for s in seeds], 0) for n in widths
    ])  # (widths, 4, p)
    fine = np.isfinite(logs).all(0)
    return [
        Slopes(*(slope(np.log(widths), logs[:, k, p]).estimate if fine[k, p] else np.nan for k in range(4)))
        for p in range(len(family))
    ]


def _logs(moved: Movement) -> Array:
    """(4, p), in the order of `Slopes`."""
    values = (
        moved.start,
        moved.size.max(-1),
        moved.outputs / moved.residual,
        moved.features.max(-1) / moved.residual,
    )
    return np.asarray(np.log(np.maximum(np.stack(values), FLOOR)))
