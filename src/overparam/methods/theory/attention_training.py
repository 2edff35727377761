"""Training of one attention layer with a fixed head by its closed-form gradient, all seeds in one program.

The layer: s = softmax(X W z), f = v' X' s for a linear head, or a fixed perceptron of X' s; the loss is
mean log(1 + exp(-Y f)). Only W, or K and Q with W = K Q', is trained. From Ataee Tarzanagh, Li, Thrampoulidis and
Oymak, arXiv 2308.16898. The machines that describe its limits are in `attention_svm` and `multi_token_svm`.

Departures: 1. for W, the gradient of the largest probability is taken as minus the sum of the others, which is the
same number, but does not vanish once that probability rounds to one; and the step is divided by the norm of the
gradient alone (official code: norm + 2.2e-16), so that the descent goes on after that. 2. For (K, Q) the official
ridge of 2.2e-16 and the official division are kept, since the ridge takes part in what happens then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput, Diverged

Array = NDArray[np.float64]
Head = Array | tuple[Array, Array]
Optimiser = Literal["normalised", "gd", "adam"]
Start = Literal["linear", "zero"]
EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class AttentionRun:
    """What training did.

    Attributes:
        weights: (r, d, d), W at the end; K Q' if factored.
        softmax: (r, n, T) probabilities at the end.
        steps: (k,), the recorded steps; the first is 0.
        path: (k, r, d, d), W at these steps.
        loss: (k, r), the loss at these steps.
    """

    weights: Array
    softmax: Array
    steps: NDArray[np.int64]
    path: Array
    loss: Array

    @property
    def selected(self) -> NDArray[np.int64]:
        """(r, n), the token with the largest probability."""
        return np.asarray(self.softmax.argmax(-1))


def token_scores(X: ArrayLike, Y: ArrayLike, v: ArrayLike) -> Array:
    """What each token is worth under a linear head: gamma = Y v' x.

    Args:
        X: (..., n, T, d) tokens.
        Y: (..., n) labels of -1 and 1.
        v: (..., d) head.

    Returns:
        (..., n, T).

    Source: arXiv 2308.16898, definition of token scores.
    """
    x, y, head = (np.asarray(a, dtype=np.float64) for a in (X, Y, v))
    return np.asarray(np.einsum("...ntd,...d->...nt", x, head) * y[..., None])


def attention_gradient(
    X: Array, Y: Array, z: Array, head: Head, W: Array, *, saturated: bool = True
) -> tuple[Array, Array, Array]:
    """Gradient of the loss with respect to W, for many layers at once.

    With gamma = Y h'(o)' x and m = s' gamma the score of token t has the slope -sigmoid(-Y f) s_t (gamma_t - m) / n.

    Args:
        X: (r, n, T, d) tokens.
        Y: (r, n) labels.
        z: (r, n, q) queries.
        head: (r, d) for v, or (r, h, d) and (r, h) for out' relu(hidden o).
        W: (r, d, q).
        saturated: Whether the slope of the largest probability is minus the sum of the others.

    Returns:
        Gradient (r, d, q), probabilities (r, n, T), loss (r,).

    Source: arXiv 2308.16898, gradient of the linear-head loss.
    """
    scores = np.einsum("rntd,rnd->rnt", X, z @ W.transpose(0, 2, 1))
    share = np.exp(scores - scores.max(-1, keepdims=True))
    share /= share.sum(-1, keepdims=True)
    seen = np.einsum("rnt,rntd->rnd", share, X)
    if isinstance(head, tuple):
        hidden, out = head
        before = seen @ hidden.transpose(0, 2, 1)
        output = (np.maximum(before, 0) * out[:, None]).sum(-1)
        direction = ((before > 0) * out[:, None]) @ hidden
        gamma = np.einsum("rntd,rnd->rnt", X, direction) * Y[..., None]
    else:
        output = np.einsum("rnd,rd->rn", seen, head)
        gamma = token_scores(X, Y, head)
    margin = Y * output
    pull = 1 / (1 + np.exp(np.minimum(margin, 700))) / Y.shape[1]
    mean = (share * gamma).sum(-1, keepdims=True)
    slope = -pull[..., None] * share * (gamma - mean)
    if saturated:
        top = share.argmax(-1)[..., None]
        np.put_along_axis(slope, top, 0.0, -1)
        np.put_along_axis(slope, top, -slope.sum(-1, keepdims=True), -1)
    weighted = np.einsum("rnt,rntd->rnd", slope, X)
    return weighted.transpose(0, 2, 1) @ z, share, np.logaddexp(0, -margin).mean(-1)


def train_attention_batched(
    X: ArrayLike,
    Y: ArrayLike,
    z: ArrayLike,
    head: Head,
    *,
    factored: bool = False,
    steps: int = 2000,
    lr: float = 0.1,
    optimiser: Optimiser = "normalised",
    init: Start = "linear",
    seeds: Sequence[int] | None = None,
    records: int = 21,
) -> AttentionRun:
    """Train the attention weights of many layers, one a seed, each on its own data.

    Normalised descent: W <- W - lr G / ||G||_F; K and Q each by the norm of its own gradient.

    Args:
        X: (r, n, T, d) tokens.
        Y: (r, n) labels, -1 or 1.
        z: (r, n, d) queries.
        head: Fixed: (r, d), or (r, h, d) and (r, h) of a perceptron with one hidden layer of ReLU.
        factored: Whether K and Q are trained in place of W.
        steps: Number of steps.
        lr: Length of a step, or the usual rate under `gd` and `adam`.
        optimiser: `normalised`, `gd` or `adam`.
        init: `linear`: uniform in ±1/√d, as `nn.Linear` starts; `zero`: W = 0, or Q = 0 and K normal of scale 0.1.
        seeds: (r,) seeds of the weights; 0 to r - 1 by default.
        records: How many steps are recorded, evenly spaced.

    Returns:
        The trained layers. A step costs O(r n (T d + d²)).

    Raises:
        BadInput: Shapes that do not fit, labels other than -1 and 1, values that are not finite, steps, lr or records
            out of range, or an unknown optimiser or init.
        Diverged: The weights are no longer finite; names the step.

    Source: arXiv 2308.16898 and its official code.

    Example:
        >>> X, z = [[[[1.0, 0.0], [0.0, 1.0]]]], [[[1.0, 0.0]]]
        >>> run = train_attention_batched(X, [[1.0]], z, np.array([[1.0, 0.0]]), steps=100, init="zero")
        >>> run.selected.tolist(), np.round(run.weights / run.weights.max(), 6).tolist()
        ([[0]], [[[1.0, 0.0], [-1.0, 0.0]]])
    """
    tokens, labels, queries = check_batch(X, Y, z, head)
    if queries.shape[-1] != tokens.shape[-1]:
        raise BadInput(f"z has width {queries.shape[-1]} and X {tokens.shape[-1]}; make them agree")
    if steps < 1 or not lr > 0 or records < 2:
        raise BadInput(f"steps={steps}, lr={lr}, records={records}: give steps >= 1, lr > 0 and records >= 2")
    if optimiser not in ("normalised", "gd", "adam") or init not in ("linear", "zero"):
        raise BadInput(f"optimiser={optimiser!r}, init={init!r}: give normalised, gd or adam, and linear or zero")
    seeds = range(len(tokens)) if seeds is None else seeds
    if len(seeds) != len(tokens):
        raise BadInput(f"seeds has {len(seeds)} entries for {len(tokens)} data sets; give one each")
    parts = _initial(tokens.shape[-1], factored, init, seeds)
    rule = _Rule(optimiser, lr, 0.0 if not factored else EPS)
    at = np.unique(np.linspace(0, steps, records).round().astype(np.int64))
    path: list[Array] = []
    losses: list[Array] = []
    for step in range(steps + 1):
        with np.errstate(over="ignore", invalid="ignore"):
            W = parts[0] @ parts[1].transpose(0, 2, 1) if factored else parts[0]
        if not np.isfinite(W).all():
            raise Diverged(f"training left the finite numbers at step {step}; lr={lr} is too large, try 0.1")
        gradient, share, loss = attention_gradient(tokens, labels, queries, head, W, saturated=not factored)
        if step == at[len(path)]:
            path.append(W.copy())
            losses.append(loss)
        if step == steps:
            break
        if factored:
            slopes = [gradient @ parts[1], gradient.transpose(0, 2, 1) @ parts[0]]
            slopes = [slope + 2 * EPS * part for slope, part in zip(slopes, parts, strict=True)]
        else:
            slopes = [gradient]
        parts = rule.step(parts, slopes)
    return AttentionRun(W, share, at, np.stack(path), np.stack(losses))


class _Rule:
    """Normalised descent, descent, or Adam with the usual constants."""

    def __init__(self, name: Optimiser, lr: float, eps: float) -> None:
        self.name, self.lr, self.eps = name, lr, eps
        self.moments: list[tuple[Array, Array]] = []
        self.taken = 0

    def step(self, parts: list[Array], slopes: list[Array]) -> list[Array]:
        if self.name == "gd":
            return [p - self.lr * g for p, g in zip(parts, slopes, strict=True)]
        if self.name == "normalised":
            return [p - self.lr * normalised(g, self.eps) for p, g in zip(parts, slopes, strict=True)]
        if not self.moments:
            self.moments = [(np.zeros_like(g), np.zeros_like(g)) for g in slopes]
        self.taken += 1
        self.moments = [
            (0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g) for (m, v), g in zip(self.moments, slopes, strict=True)
        ]
        first, second = 1 - 0.9**self.taken, 1 - 0.999**self.taken
        return [
            p - self.lr * (m / first) / (np.sqrt(v / second) + 1e-8)
            for p, (m, v) in zip(parts, self.moments, strict=True)
        ]


def normalised(gradient: Array, eps: float = 0.0) -> Array:
    """Divide each matrix by its Frobenius norm, without underflow: G / (||G||_F + eps), zeros stay zeros.

    Args:
        gradient: (r, d, q).
        eps: Added to the norm.

    Returns:
        (r, d, q).
    """
    top = np.abs(gradient).max((1, 2), keepdims=True)
    scaled = np.divide(gradient, top, out=np.zeros_like(gradient), where=top > 0)
    length = np.sqrt((scaled * scaled).sum((1, 2), keepdims=True))
    whole = length + np.divide(eps, top, out=np.ones_like(top), where=top > 0)
    return np.asarray(scaled / np.where(length > 0, whole, 1.0))


def check_batch(X: ArrayLike, Y: ArrayLike, z: ArrayLike, head: Head) -> tuple[Array, Array, Array]:
    """Check the data of many layers.

    Args:
        X: (r, n, T, d).
        Y: (r, n).
        z: (r, n, q).
        head: (r, d), or (r, h, d) and (r, h).

    Returns:
        Tokens, labels and queries as float64.

    Raises:
        BadInput: Shapes that do not fit, T < 2, values that are not finite, or labels other than -1 and 1.
    """
    tokens, labels, queries = (np.asarray(a, dtype=np.float64) for a in (X, Y, z))
    if tokens.ndim != 4 or tokens.shape[2] < 2 or not tokens.size:
        raise BadInput(f"X has shape {tokens.shape}, expected (r, n, T, d) with T >= 2: a choice needs two tokens")
    r, n, _, d = tokens.shape
    if labels.shape != (r, n) or not np.isin(labels, (-1, 1)).all():
        raise BadInput(f"Y has shape {labels.shape}, expected ({r}, {n}) of -1 and 1")
    if queries.ndim != 3 or queries.shape[:2] != (r, n):
        raise BadInput(f"z has shape {queries.shape}, expected ({r}, {n}, d)")
    pieces = head if isinstance(head, tuple) else (head,)
    wanted = [(r, pieces[0].shape[1], d), (r, pieces[0].shape[1])] if isinstance(head, tuple) else [(r, d)]
    if [p.shape for p in pieces] != wanted:
        raise BadInput(f"head has shapes {[p.shape for p in pieces]}, expected {wanted}")
    for name, values in (("X", tokens), ("z", queries), *(("head", p) for p in pieces)):
        if not np.isfinite(values).all():
            raise BadInput(f"{name} holds {int((~np.isfinite(values)).sum())} values that are not finite")
    return tokens, labels, queries


def _initial(d: int, factored: bool, init: Start, seeds: Sequence[int]) -> list[Array]:
    parts = [np.empty((len(seeds), d, d)) for _ in range(1 + factored)]
    for i, seed in enumerate(seeds):
        rng = np.random.default_rng([seed, d])
        for k, part in enumerate(parts):
            if init == "linear":
                part[i] = rng.uniform(-(d**-0.5), d**-0.5, (d, d))
            else:
                part[i] = 0.1 * rng.normal(size=(d, d)) if factored and k == 0 else 0.0
    return parts
