"""Full-batch gradient descent on a two-layer ReLU network in dual form, so that no step depends on the dimension.

The weights never leave their start by more than combinations of the training points: W_t = W_0 + X'C_t with C_t of
shape (n, m). With G = XX' the pre-activations are H_t = H_0 + G C_t, and a step of size lr on the mean logistic loss is

    C <- C + (lr/n) (g y) 1[H > 0] a,    g_i = 1/(1 + exp(y_i f(x_i))),    f(x_i) = sum over j of a_j relu(H_ij).

A step costs O(n^2 m) in place of O(n p m). From Xu, Wang, Frei, Vardi and Hu, arXiv 2310.02541, whose network this is;
the dual form is ours.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from overparam.errors import BadInput, Diverged
from overparam.models.two_layer import TwoLayerReLU

Array = NDArray[np.float64]
Gates = Literal["moving", "frozen"]
COLUMNS = 8192  # of the points that are worked on at a time
STARTS = 1  # role of the random numbers here: data drawn from the same seed must not meet them


@dataclass(frozen=True)
class History:
    """What descent did, for s seeds at t logged steps.

    Attributes:
        steps: (t,), logged steps.
        labels: (s, n), -1 and 1.
        train_outputs: (s, t, n), f at the training points.
        test_outputs: (s, t, k), f at the test points.
        mirrored_outputs: (s, t, k), f at minus the test points.
        cosines: (s, t, m, d), between w_j - w_j(0) and each direction; zero at step 0. None without directions.
        second: (s, m), the output weights a.
    """

    steps: NDArray[np.int64]
    labels: Array
    train_outputs: Array
    test_outputs: Array
    mirrored_outputs: Array
    cosines: Array | None
    second: Array

    @property
    def train_correct(self) -> NDArray[np.bool_]:
        """(s, t, n), whether y f(x) > 0; an output of zero is wrong."""
        return np.asarray(self.labels[:, None] * self.train_outputs > 0)

    @property
    def train_acc(self) -> Array:
        """(s, t), part of the training labels that is fitted."""
        return np.asarray(self.train_correct.mean(2), dtype=np.float64)

    @property
    def loss(self) -> Array:
        """(s, t), mean of log(1 + exp(-y f(x)))."""
        return np.asarray(np.logaddexp(0, -self.labels[:, None] * self.train_outputs).mean(2), dtype=np.float64)

    @property
    def odd_fraction(self) -> Array:
        """(s, t), sum of f_odd^2 over that of f_odd^2 + f_even^2 on the test points: 1 for linear f, 0 for XOR."""
        odd = ((self.test_outputs - self.mirrored_outputs) ** 2).sum(2)
        even = ((self.test_outputs + self.mirrored_outputs) ** 2).sum(2)
        total = odd + even
        return np.asarray(np.divide(odd, total, out=np.full_like(odd, np.nan), where=total > 0), dtype=np.float64)

    def accuracy(self, labels: ArrayLike) -> Array:
        """Accuracy on the test points.

        Args:
            labels: (k,) or (s, k), -1 and 1. With flipped labels the best value is 1 minus their share.

        Returns:
            (s, t); an output of zero is wrong.

        Raises:
            BadInput: A shape that does not fit.
        """
        y = np.asarray(labels, dtype=np.float64)
        shape = self.test_outputs.shape
        if y.shape not in ((shape[2],), (shape[0], shape[2])):
            raise BadInput(f"labels of shape {y.shape} for test outputs of {shape[0]} seeds and {shape[2]} points")
        wanted = np.broadcast_to(y, (shape[0], shape[2]))[:, None]
        return np.asarray((wanted * self.test_outputs > 0).mean(2), dtype=np.float64)


@dataclass(frozen=True)
class _Start:
    """Everything that descent needs to know about points and start: (s, ...), the points only by inner products."""

    gram: Array  # (s or 1, n, n)
    cross: Array  # (s or 1, k, n)
    train: Array  # (s, n, m) pre-activations
    test: Array  # (s, k, m)
    second: Array  # (s, m)
    along: Array | None  # (s or 1, d, n), training points on unit directions


def dual_gd(
    x: NDArray[Any],
    y: ArrayLike,
    test_x: NDArray[Any],
    *,
    m: int,
    lr: float,
    init_scale: float,
    steps: int,
    seeds: Sequence[int] = (0,),
    log_steps: Sequence[int] | None = None,
    gates: Gates = "moving",
    directions: NDArray[Any] | None = None,
) -> History:
    """Train networks from random starts, all seeds in one program.

    The start w_j ~ N(0, init_scale^2 I) enters only through H_0. It is drawn column block by column block with the
    points, or, for more units than points, from its law N(0, init_scale^2 K) with K the Gram matrix of training and
    test points (Cholesky), which is then cheaper.

    Args:
        x: (n, p), one data set for all seeds, or (s, n, p), one a seed. May be a memory map: only blocks are touched.
        y: (n,) or (s, n), labels -1 and 1.
        test_x: (k, p) or (s, k, p).
        m: Hidden units.
        lr: Step size on the mean loss.
        init_scale: Standard deviation of the first layer, positive. The paper's omega.
        steps: Number of steps; none is taken after the last log.
        seeds: One start each.
        log_steps: Increasing, from 0 to `steps`; by default 0 and about 20 geometrically spaced ones. A log costs
            O(k n m).
        gates: `moving` is gradient descent; `frozen` keeps 1[H_0 > 0], the linearised network of the neural tangent
            kernel.
        directions: (d, p), vectors whose cosines with the units are recorded.

    Returns:
        The history. Memory O(s n m + s t (n + k)), plus one block of columns of the points.

    Raises:
        BadInput: Shapes that do not fit, labels other than -1 and 1, or a number out of range.
        Diverged: An output is no longer finite; names the step.

    Source: arXiv 2310.02541, section on the setting; dual form derived here.

    Example:
        >>> from overparam.data.xor_clusters import XORClusters
        >>> train, test = XORClusters(p=40_000, mu_norm=28.3).rotated(200, 200, rng=0)
        >>> log = dual_gd(train.x, train.y, test.x, m=100, lr=5e-3, init_scale=1e-9, steps=100, log_steps=[1, 100])
        >>> log.train_acc[0].tolist(), log.accuracy(test.y_clean)[0].round(1).tolist()
        ([1.0, 1.0], [0.5, 0.9])
    """
    x, test_x = np.asanyarray(x), np.asanyarray(test_x)
    labels = _checked(x, np.asarray(y, dtype=np.float64), test_x, len(seeds))
    if m < 1 or not init_scale > 0:
        raise BadInput(f"m={m}, init_scale={init_scale}: give m >= 1 and init_scale > 0; zero units would never move")
    streams = [np.random.default_rng([seed, STARTS]) for seed in seeds]
    second = np.stack([(2.0 * rng.integers(0, 2, m) - 1) / np.sqrt(m) for rng in streams])
    total, width = x.shape[-2] + test_x.shape[-2], x.shape[-1]
    if x.ndim == 3:
        parts = [_by_blocks(a, b, m, init_scale, [rng]) for a, b, rng in zip(x, test_x, streams, strict=True)]
        gram, cross, train, test = (np.concatenate(p) for p in zip(*parts, strict=True))
    elif m > total and width > total:
        gram, cross, train, test = _by_law(x, test_x, m, init_scale, streams)
    else:
        gram, cross, train, test = _by_blocks(x, test_x, m, init_scale, streams)
    start = _Start(gram, cross, train, test, second, _along(x, directions))
    return _descend(start, labels, lr, steps, log_steps, gates)


def dual_gd_from(
    network: TwoLayerReLU,
    x: NDArray[Any],
    y: ArrayLike,
    test_x: NDArray[Any],
    *,
    lr: float,
    steps: int,
    log_steps: Sequence[int] | None = None,
    gates: Gates = "moving",
    directions: NDArray[Any] | None = None,
) -> History:
    """Train one network from the weights that it has; it is left as it is.

    Args:
        network: Its second layer is taken as fixed.
        x: (n, p).
        y: (n,), labels -1 and 1.
        test_x: (k, p).
        lr: Step size on the mean loss.
        steps: Number of steps.
        log_steps: As in `dual_gd`.
        gates: As in `dual_gd`.
        directions: As in `dual_gd`.

    Returns:
        The history, with one seed.

    Raises:
        BadInput: Shapes that do not fit, labels other than -1 and 1, or a number out of range.
        Diverged: An output is no longer finite; names the step.
    """
    x, test_x = np.asanyarray(x), np.asanyarray(test_x)
    weight, second = (w.detach().cpu().numpy() for w in (network.weight, network.second))
    if x.ndim != 2 or x.shape[-1] != weight.shape[1]:
        raise BadInput(f"x has shape {x.shape}, the network takes (n, {weight.shape[1]})")
    labels = _checked(x, np.asarray(y, dtype=np.float64), test_x, 1)
    gram, cross, train, test = _products(x, test_x, lambda block: [weight[:, block].T])
    start = _Start(gram[None], cross[None], train, test, second[None].astype(np.float64), _along(x, directions))
    return _descend(start, labels, lr, steps, log_steps, gates)


def _checked(x: NDArray[Any], y: Array, test_x: NDArray[Any], seeds: int) -> Array:
    shapes = f"x {x.shape}, y {y.shape}, test_x {test_x.shape}"
    if seeds < 1:
        raise BadInput("seeds is empty; give at least one")
    if x.ndim not in (2, 3) or test_x.ndim != x.ndim or x.shape[-1] != test_x.shape[-1] or 0 in x.shape + test_x.shape:
        raise BadInput(f"{shapes}: give (n, p) and (k, p) with n, k, p >= 1, or (s, n, p) and (s, k, p)")
    if x.ndim == 3 and not len(x) == len(test_x) == seeds:
        raise BadInput(f"{shapes} for {seeds} seeds: give one data set a seed, or a single (n, p)")
    if y.shape not in (x.shape[:-1], (seeds, x.shape[-2])):
        raise BadInput(f"{shapes}: give one label a point")
    if not (np.abs(y) == 1).all():
        raise BadInput("y has values other than -1 and 1; map the two classes to them")
    return np.array(np.broadcast_to(y, (seeds, x.shape[-2])))


def _products(x: NDArray[Any], test_x: NDArray[Any], weights: Any) -> tuple[Array, Array, Array, Array]:
    """Gram matrices, and products with weights that are asked for block by block; sums over blocks in float64."""
    n, k, p = len(x), len(test_x), x.shape[1]
    gram, cross = np.zeros((n, n)), np.zeros((k, n))
    train, test = np.zeros((1, n, 1)), np.zeros((1, k, 1))
    kind = np.result_type(x.dtype, np.float32)  # whole numbers of one byte would overflow
    for first in range(0, p, COLUMNS):
        block = slice(first, min(p, first + COLUMNS))
        a, b = np.asarray(x[:, block], dtype=kind), np.asarray(test_x[:, block], dtype=kind)
        gram += a @ a.T
        cross += b @ a.T
        w = weights(block)
        train = train + np.stack([a @ v for v in w])
        test = test + np.stack([b @ v for v in w])
    return gram, cross, train, test


def _by_blocks(
    x: NDArray[Any], test_x: NDArray[Any], m: int, scale: float, streams: Sequence[np.random.Generator]
) -> tuple[Array, Array, Array, Array]:
    kind: Any = np.float32 if x.dtype == np.float32 else np.float64

    def weights(block: slice) -> list[NDArray[Any]]:
        return [rng.standard_normal((block.stop - block.start, m), dtype=kind) for rng in streams]

    gram, cross, train, test = _products(x, test_x, weights)
    return gram[None], cross[None], scale * train, scale * test


def _by_law(
    x: NDArray[Any], test_x: NDArray[Any], m: int, scale: float, streams: Sequence[np.random.Generator]
) -> tuple[Array, Array, Array, Array]:
    n, total = len(x), len(x) + len(test_x)
    whole = np.zeros((total, total))
    for first in range(0, x.shape[1], COLUMNS):
        block = np.concatenate([x[:, first : first + COLUMNS], test_x[:, first : first + COLUMNS]])
        block = block.astype(np.result_type(block.dtype, np.float32), copy=False)
        whole += block @ block.T
    try:
        root = np.linalg.cholesky(whole)
    except np.linalg.LinAlgError:  # points that depend on one another
        return _by_blocks(x, test_x, m, scale, streams)
    both = np.asarray(scale * (root @ np.stack([rng.standard_normal((total, m)) for rng in streams])))
    return whole[None, :n, :n], whole[None, n:, :n], both[:, :n], both[:, n:]


def _along(x: NDArray[Any], directions: NDArray[Any] | None) -> Array | None:
    if directions is None:
        return None
    d = np.asarray(directions, dtype=np.float64)
    if d.ndim != 2 or d.shape[1] != x.shape[-1] or not (np.abs(d).sum(1) > 0).all():
        raise BadInput(f"directions have shape {d.shape}; give (d, {x.shape[-1]}), none of them zero")
    unit = (d / np.linalg.norm(d, axis=1, keepdims=True)).astype(np.result_type(x.dtype, np.float32))
    found = np.asarray(x.reshape(-1, x.shape[-1]) @ unit.T, dtype=np.float64)
    return found.reshape(-1, x.shape[-2], len(d)).transpose(0, 2, 1)


def _descend(start: _Start, y: Array, lr: float, steps: int, log_steps: Sequence[int] | None, gates: Gates) -> History:
    logged = _log(steps, log_steps)
    if not 0 < lr < np.inf or gates not in ("moving", "frozen"):
        raise BadInput(f"lr={lr}, gates={gates!r}: give lr > 0 and gates moving or frozen")
    h, a, n = start.train, start.second[:, :, None], y.shape[1]
    c = np.zeros_like(h)
    fixed = start.train > 0 if gates == "frozen" else None
    train, test, mirrored, cosines = [], [], [], []
    for step in range(logged[-1] + 1):
        active = h > 0 if fixed is None else fixed
        f = ((h * active) @ a)[:, :, 0]
        if not np.isfinite(f).all():
            raise Diverged(f"an output is not finite at step {step}; lr={lr:g} is too large, try {lr / 10:g}")
        if step in logged:
            now = start.test + start.cross @ c
            ahead, behind = (now > 0, now < 0) if fixed is None else (start.test > 0, start.test < 0)
            train.append(f)
            test.append(((now * ahead) @ a)[:, :, 0])
            mirrored.append(((-now * behind) @ a)[:, :, 0])
            if start.along is not None:
                cosines.append(_cosines(start.along @ c, (c * (h - start.train)).sum(1)))
        pull = lr / n * y * expit(-y * f)
        change = pull[:, :, None] * active * start.second[:, None]
        c = c + change
        with np.errstate(over="ignore", invalid="ignore"):  # divergence is reported above
            h = h + start.gram @ change
    return History(
        steps=np.array(logged, dtype=np.int64),
        labels=y,
        train_outputs=np.stack(train, 1),
        test_outputs=np.stack(test, 1),
        mirrored_outputs=np.stack(mirrored, 1),
        cosines=np.stack(cosines, 1) if cosines else None,
        second=start.second,
    )


def _cosines(along: Array, squared: Array) -> Array:
    """(s, m, d) from products (s, d, m) with unit directions and squared lengths (s, m)."""
    length = np.sqrt(np.maximum(squared, 0))[:, None]
    return np.divide(along, length, out=np.zeros_like(along), where=length > 0).transpose(0, 2, 1)


def _log(steps: int, log_steps: Sequence[int] | None) -> list[int]:
    if steps < 1:
        raise BadInput(f"steps={steps}: take at least one")
    if log_steps is None:
        return sorted({0, *np.geomspace(1, steps, 20).round().astype(int).tolist()})
    logged = [int(step) for step in log_steps]
    rising = all(b > a for a, b in itertools.pairwise(logged))
    if not logged or not rising or logged[0] < 0 or logged[-1] > steps:
        raise BadInput(f"log_steps={logged[:5]}…: give increasing steps from 0 to steps={steps}")
    return logged
