"""Gradient descent on factors: X X' or F G', all seeds in one program, with the one-step rebalancing.

From Xiong, Ding and Du, arXiv 2310.01769.

Departures: 1. the rebalancing (their equation 5.1) is reconstructed from its stated effect, since its scale constant
is not given; `beta` is an argument here. 2. The paper rebalances inside a known neighbourhood of the optimum; here a
training-loss or stall rule decides when.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from overparam.errors import BadInput, Diverged
from overparam.methods.theory.matrix_sensing import MatrixSensing

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float64]
Method = Literal["gd", "scaled", "regularised"]
CHECK_EVERY = 50
FLOOR = 1e-29  # of the squared error, where rounding takes over


@dataclass(frozen=True)
class Rebalance:
    """One step that makes all singular values of F equal to beta and leaves F G' as it is.

    Attributes:
        beta: Scale, a small constant times the square root of the smallest singular value of the target.
        trigger: ("loss", tau): the training loss is at most tau times the first; ("stall", w): over the last w steps
            it fell by less than a tenth, and it has halved since the start: a small start stalls at first, too.

    Raises:
        BadInput: beta not positive, an unknown trigger, tau outside (0, 1) or w below 1.
    """

    beta: float
    trigger: tuple[Literal["loss", "stall"], float] = ("loss", 1e-2)

    def __post_init__(self) -> None:
        kind, value = self.trigger
        if not self.beta > 0:
            raise BadInput(f"beta={self.beta} is not positive; give about half the root of the smallest singular value")
        if not (0 < value < 1 if kind == "loss" else kind == "stall" and value >= 1):
            raise BadInput(f"trigger={self.trigger!r}: give ('loss', tau) with 0 < tau < 1, or ('stall', steps >= 1)")


@dataclass(frozen=True)
class Trajectory:
    """What descent did.

    Attributes:
        steps: (t,), the recorded steps.
        err2: (s, t), squared Frobenius distance to the target; NaN without a target.
        train_loss: (s, t).
        imbalance_eigs: (s, t, k), eigenvalues of F'F - G'G, ascending; zeros if symmetric.
        factors: F of shape (s, n1, k) and G of shape (s, n2, k); twice X if symmetric.
        rebalance_step: (s,), the step of the rebalancing, -1 for none.
    """

    steps: NDArray[np.int64]
    err2: Array
    train_loss: Array
    imbalance_eigs: Array
    factors: tuple[Array, Array]
    rebalance_step: NDArray[np.int64]


def factor_gd(
    problem: MatrixSensing,
    k: int,
    *,
    parametrization: Literal["symmetric", "asymmetric"] = "symmetric",
    lr: float,
    init_scale: float,
    imbalance: float = 3.0,
    steps: int,
    method: Method = "gd",
    damping: float = 1e-3,
    rebalance: Rebalance | None = None,
    target: Array | None = None,
    seeds: Sequence[int] = (0,),
    records: int = 400,
) -> Trajectory:
    """Descend from small random factors, all seeds at once.

    Symmetric, loss 1/4 ||A(XX') - y||^2: X <- X - lr sym(R) X with R = A*(A(XX') - y). Asymmetric, loss
    1/2 ||A(FG') - y||^2: F <- F - lr R G and G <- G - lr R'F, both from the old factors. Start: X and F have entries
    init_scale N(0, 1/n), G the same divided by `imbalance`; imbalance = 0 starts from G = F. Stops early once every
    seed has reached the floor of rounding.

    Args:
        problem: Measurements.
        k: Columns of the factors.
        parametrization: X X' or F G'.
        lr: Step size, below about 1 / largest singular value.
        init_scale: The paper's alpha.
        imbalance: Ratio of the scales of F and G; 0 for F = G.
        steps: Number of steps.
        method: `gd`; `scaled` multiplies gradients by (G'G + damping I)^-1; `regularised` adds 1/8 ||F'F - G'G||^2.
        damping: Of `scaled`.
        rebalance: The one-step modification, for asymmetric factors.
        target: (n1, n2), to record the distance to it; by default what `problem.observe` was given.
        seeds: One run each.
        records: About how many steps are recorded, half evenly and half geometrically spaced, so that memory does
            not grow with `steps`. The cost of a step is O(s n^2 k), with dense sensing O(s n^2 m) or O(s n^4).

    Returns:
        The trajectory.

    Raises:
        BadInput: k, lr, steps or init_scale out of range, symmetric with n1 != n2 or with a rebalancing.
        Diverged: A factor is no longer finite; names the step.

    Source: arXiv 2310.01769, sections 2 to 5.
    """
    symmetric = parametrization == "symmetric"
    _check(problem, k, lr, steps, init_scale, symmetric, rebalance, method)
    target = problem.target if target is None else target
    f, g = _start(problem.shape, k, init_scale, 1.0 if symmetric else imbalance, symmetric, seeds)
    grid = _grid(steps, records)
    err2, losses, eigenvalues = [], [], []
    when = np.full(len(seeds), -1, dtype=np.int64)
    history: list[Array] = []
    memory = 2 if rebalance is None or rebalance.trigger[0] == "loss" else int(rebalance.trigger[1]) + 2
    taken = 0
    for step in range(steps + 1):
        with np.errstate(over="ignore", invalid="ignore"):
            product = f @ g.transpose(0, 2, 1)
            residual, loss = problem.residual(product)
        if (step % CHECK_EVERY == 0 or step == grid[taken]) and not np.isfinite(loss).all():
            raise Diverged(f"descent left the finite numbers by step {step}; lr={lr} is too large, try {lr / 4:g}")
        if step == grid[taken]:
            distance = np.full(len(seeds), np.nan) if target is None else ((product - target) ** 2).sum((1, 2))
            err2.append(distance)
            losses.append(loss)
            eigenvalues.append(np.linalg.eigvalsh(_imbalance(f, g)) if not symmetric else np.zeros((len(seeds), k)))
            taken += 1
            if taken == len(grid) or np.all(distance < FLOOR):
                break
        if rebalance is not None and (when < 0).any():
            history.append(loss)
            if len(history) > memory:
                del history[1]  # the first loss stays: both triggers compare with it
            due = (when < 0) & _due(history, rebalance)
            if due.any():
                for s in np.flatnonzero(due):
                    rebalance_(f[s], g[s], rebalance.beta)
                when[due] = step
        with np.errstate(over="ignore", invalid="ignore"):  # divergence is reported above
            f, g = _step(f, g, residual, lr, method, damping, symmetric)
    return Trajectory(
        steps=grid[:taken],
        err2=np.stack(err2, 1),
        train_loss=np.stack(losses, 1),
        imbalance_eigs=np.stack(eigenvalues, 1),
        factors=(f, g),
        rebalance_step=when,
    )


def _check(
    problem: MatrixSensing,
    k: int,
    lr: float,
    steps: int,
    scale: float,
    symmetric: bool,
    rebalance: Rebalance | None,
    method: str,
) -> None:
    if k < 1 or steps < 1 or not lr > 0 or not scale > 0:
        raise BadInput(f"k={k}, steps={steps}, lr={lr}, init_scale={scale}: give k, steps >= 1 and lr, init_scale > 0")
    if symmetric and problem.shape[0] != problem.shape[1]:
        raise BadInput(f"symmetric factors of a matrix of shape {problem.shape}; use parametrization='asymmetric'")
    if symmetric and (rebalance is not None or method != "gd"):
        raise BadInput(f"symmetric factors have nothing to balance; drop rebalance and method={method!r}")
    if method not in ("gd", "scaled", "regularised"):
        raise BadInput(f"method={method!r} is unknown; give gd, scaled or regularised")


def _start(
    shape: tuple[int, int], k: int, scale: float, imbalance: float, symmetric: bool, seeds: Sequence[int]
) -> tuple[Array, Array]:
    f, g = np.empty((len(seeds), shape[0], k)), np.empty((len(seeds), shape[1], k))
    for i, seed in enumerate(seeds):
        rng = np.random.default_rng(seed)
        f[i] = scale * rng.normal(0.0, shape[0] ** -0.5, (shape[0], k))
        if symmetric or imbalance == 0:
            g[i] = f[i]
        else:
            g[i] = scale / imbalance * rng.normal(0.0, shape[1] ** -0.5, (shape[1], k))
    return f, g


def _grid(steps: int, records: int) -> NDArray[np.int64]:
    even = np.linspace(0, steps, max(2, records // 2))
    geometric = np.geomspace(1, steps, max(2, records // 2))
    return np.unique(np.concatenate([even, geometric]).round().astype(np.int64))


def _imbalance(f: Array, g: Array) -> Array:
    return f.transpose(0, 2, 1) @ f - g.transpose(0, 2, 1) @ g


def _due(history: list[Array], rebalance: Rebalance) -> NDArray[np.bool_]:
    kind, value = rebalance.trigger
    if kind == "loss":
        return history[-1] <= value * history[0]
    window = int(value)
    if len(history) <= window:
        return np.zeros(len(history[-1]), dtype=bool)
    return (history[-1] > 0.9 * history[-1 - window]) & (history[-1] < 0.5 * history[0])


def _step(
    f: Array, g: Array, residual: Array, lr: float, method: Method, damping: float, symmetric: bool
) -> tuple[Array, Array]:
    if symmetric:
        f = f - lr * ((residual + residual.transpose(0, 2, 1)) / 2 @ f)
        return f, f
    df: Array = residual @ g
    dg: Array = residual.transpose(0, 2, 1) @ f
    if method == "scaled":
        ridge = damping * np.eye(f.shape[2])
        left, right = g.transpose(0, 2, 1) @ g + ridge, f.transpose(0, 2, 1) @ f + ridge
        df = np.asarray(np.linalg.solve(left, df.transpose(0, 2, 1)).transpose(0, 2, 1), dtype=np.float64)
        dg = np.asarray(np.linalg.solve(right, dg.transpose(0, 2, 1)).transpose(0, 2, 1), dtype=np.float64)
    elif method == "regularised":
        pull = _imbalance(f, g) / 2
        df, dg = df + f @ pull, dg - g @ pull
    return f - lr * df, g - lr * dg


def rebalance_(f: Any, g: Any, beta: float, *, pseudo: bool = False) -> tuple[float, float]:
    """Rebalance a pair of factors in place: F <- beta U, G <- G B S / beta, where F = U S B'.

    The product F G' stays as it is and every singular value of F becomes beta, so that gradient descent then shrinks
    redundant directions of G by 1 - lr beta^2 a step, whatever the start was.

    Args:
        f: (n1, k), NumPy array or torch tensor, such as a LoRA factor.
        g: (n2, k), of the same kind.
        beta: Positive.
        pseudo: Whether directions in which F vanishes are dropped in place of an error.

    Returns:
        Condition numbers of F and of G before the step.

    Raises:
        BadInput: beta not positive, mismatched columns, or F without full column rank.

    Source: arXiv 2310.01769, equation 5.1 (reconstructed).
    """
    if not beta > 0:
        raise BadInput(f"beta={beta} is not positive; give about half the root of the smallest singular value")
    if f.shape[1] != g.shape[1] or f.shape[0] < f.shape[1]:
        raise BadInput(f"F has shape {tuple(f.shape)} and G {tuple(g.shape)}; give equal columns, at most n1 of them")
    a, b = _numpy(f), _numpy(g)
    u, s, bt = np.linalg.svd(a, full_matrices=False)
    tiny = s < s[0] * np.finfo(np.float64).eps * max(a.shape)
    if tiny.any() and not pseudo:
        raise BadInput(f"F has rank {int((~tiny).sum())} of {len(s)}; pass pseudo=True to drop the empty directions")
    conditions = float(s[0] / s[-1]) if s[-1] else np.inf, float(np.linalg.cond(b))
    _assign(f, beta * u * ~tiny)
    _assign(g, (b @ bt.T) * (s / beta))
    return conditions


def _numpy(x: Any) -> Array:
    plain = x.detach().cpu().numpy() if hasattr(x, "detach") else x
    return np.array(plain, dtype=np.float64)


def _assign(x: NDArray[np.float64] | torch.Tensor, values: Array) -> None:
    if isinstance(x, np.ndarray):
        x[...] = values
    else:
        import torch

        with torch.no_grad():
            x.copy_(torch.as_tensor(values))
