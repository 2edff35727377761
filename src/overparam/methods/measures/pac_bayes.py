"""How much noise on the weights a classifier stands: the scale that PAC-Bayes bounds and sharpness need.

Source: arXiv 1912.02178, appendix C (sigma and sigma' of its sharpness measures). Departures:

1. The noise lies on the weight matrices that are trainable (see `weight_matrices`), the same coordinates that enter the
   bound. The code of arXiv 2010.11924 also perturbs biases and normalisation layers, which its bound does not count.
2. The same standard normal draws serve every halving, so that the drop depends on the scale alone; there, each halving
   draws anew.
3. That code passes a variance where a standard deviation is asked for (sigma^2 in place of sigma).
   `compat="nitarshan"` does as it does in points 1 to 3.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from overparam.errors import BadInput
from overparam.methods.measures.margins import classified, device_of, undisturbed
from overparam.methods.measures.norms import weight_matrices
from overparam.methods.measures.objective import Batches, batches, check_model

MAGNITUDE = 1e-3  # epsilon of the magnitude-aware bounds
STORED = 2**26  # numbers of noise that are kept at once
ROWS = 2048  # examples times draws that go through the network at once
FIRST = 32  # examples in the first piece of a trial
Compat = Literal["nitarshan"] | None
State = Literal["found", "depth", "edge", "deadline"]


@dataclass(frozen=True)
class Scale:
    """Result of a bisection for a scale of noise.

    Attributes:
        value: The scale. With `deadline` the lower end of the bracket, which may be 0; with `edge` the upper bound, at
            which accuracy has not fallen enough.
        low: Lower end of the bracket: accuracy falls less than asked for.
        high: Upper end.
        drop: Fall in accuracy at the scale that was tried last, or the bound of it that settled the decision; None if
            none was tried.
        halvings: How many scales were tried.
        state: `found` within the tolerance; `depth` when the halvings are used up; `edge`; `deadline`.
    """

    value: float
    low: float
    high: float
    drop: float | None
    halvings: int
    state: State

    def __float__(self) -> float:
        return self.value


def pacbayes_sigma(
    model: nn.Module,
    data: Batches,
    *,
    target_drop: float = 0.1,
    magnitude: bool = False,
    draws: int = 10,
    depth: int = 15,
    tolerance: float = 0.01,
    high: float = 2.0,
    seed: int = 0,
    deadline: float | None = None,
    compat: Compat = None,
) -> Scale:
    """Find the standard deviation of Gaussian noise on the weights that costs a given part of the accuracy.

    Bisection on [0, high] for the sigma at which the accuracy, averaged over the draws, falls by `target_drop` within
    `tolerance`. The noise is N(0, sigma^2), or N(0, sigma^2 w^2 + 1e-6) for each weight w with `magnitude`. All draws
    go through the examples together, in random order, and a halving ends as soon as its direction is certain whatever
    the examples left would say, or settled by five standard errors. A scale is only accepted on all examples. Cost: at
    most depth x draws x a pass over the data; memory: draws x weights, and the activations of 2,048 inputs.

    Source: arXiv 1912.02178, appendix C.

    Args:
        model: Classifier in evaluation mode where that matters; left as it is.
        data: (x, y) or batches of them; kept in memory for the search.
        target_drop: Fall in accuracy, in (0, 1).
        magnitude: Whether the noise grows with the weight.
        draws: Samples of noise.
        depth: Halvings at most.
        tolerance: How near to `target_drop` is near enough.
        high: Upper end of the first bracket.
        seed: Of the noise.
        deadline: Moment of `time.monotonic()` at which the search stops.
        compat: `nitarshan` for the choices of that code, see above.

    Returns:
        The scale and how it was found.

    Raises:
        BadInput: Arguments out of range, a model without weight matrices or that cannot be measured, or bad data.

    Example:
        >>> torch.manual_seed(0); model, x = nn.Linear(2, 2), torch.randn(400, 2)  # doctest: +ELLIPSIS
        <...>
        >>> found = pacbayes_sigma(model, (x, model(x).argmax(1)))
        >>> abs(found.drop - 0.1) < 0.01, found.state
        (True, 'found')
    """
    check_search(target_drop, draws, depth, tolerance, high, compat)
    check_model(model)
    with undisturbed(model) as copy:
        weights = perturbed(copy, everything=compat is not None)
        kept = kept_batches(copy, data)
        trial = _Trial(copy, kept, weights, draws, seed, deadline, magnitude, compat)
        return bisect_scale(trial.drop, target_drop, depth, tolerance, high, deadline)


def perturbed(model: nn.Module, *, everything: bool) -> dict[str, Tensor]:
    """Name the weights that noise is put on.

    Args:
        model: Network.
        everything: All trainable parameters, not only those of weight matrices.

    Returns:
        Parameter name to weight in its own shape.

    Raises:
        BadInput: There are none.
    """
    matrices = weight_matrices(model)
    named = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad and p.is_floating_point()}
    named = named if everything else {n: p for n, p in named.items() if n in matrices}
    if not named:
        raise BadInput("model has no trainable nn.Linear or nn.Conv2d weight; noise is put on those")
    return named


def kept_batches(model: nn.Module, data: Batches) -> list[tuple[Tensor, Tensor]]:
    """Read the data once, onto the model's device.

    Args:
        model: Network.
        data: (x, y) or batches of them.

    Returns:
        The batches.
    """
    device = device_of(model)
    return [(x.to(device), y.to(device)) for x, y in batches(data)]


def check_search(target: float, number: int, depth: int, tolerance: float, high: float, compat: Compat = None) -> None:
    """Refuse arguments of a search that are out of range.

    Args:
        target: Fall in accuracy.
        number: Draws, or steps.
        depth: Halvings.
        tolerance: How near is near enough.
        high: Upper end of the bracket.
        compat: Choices of other code.

    Raises:
        BadInput: One of them is.
    """
    if not 0 < target < 1 or not 0 < tolerance < target:
        raise BadInput(f"target_drop={target}, tolerance={tolerance}; pass 0 < tolerance < target_drop < 1")
    if number < 1 or depth < 1 or not high > 0:
        raise BadInput(f"draws or steps={number}, depth={depth}, high={high}; all must be positive")
    if compat not in (None, "nitarshan"):
        raise BadInput(f"compat={compat!r} is unknown; give None or 'nitarshan'")


Drop = Callable[[float, float, float], tuple[float, bool] | None]


def bisect_scale(
    drop_at: Drop, target: float, depth: int, tolerance: float, high: float, deadline: float | None
) -> Scale:
    """Halve the bracket until the fall in accuracy is the one asked for.

    Args:
        drop_at: Takes a scale and the falls below and above which its direction is settled. Gives the fall, and whether
            all examples were seen or it is a bound that settles the direction; None at the deadline.
        target: Fall asked for.
        depth: Halvings at most.
        tolerance: How near is near enough.
        high: Upper end of the first bracket.
        deadline: Moment of `time.monotonic()`, or None.

    Returns:
        The scale.
    """
    low, top, tried, drop = 0.0, high, high, None
    for halving in range(depth):
        tried = (low + high) / 2
        found = None if late(deadline) else drop_at(tried, target - tolerance, target + tolerance)
        if found is None:
            return Scale(low, low, high, drop, halving, "deadline")
        drop, whole = found
        if whole and abs(drop - target) < tolerance:
            return Scale(tried, low, high, drop, halving + 1, "found")
        low, high = (low, tried) if drop > target else (tried, high)
    at_edge = high == top
    return Scale(top if at_edge else tried, low, high, drop, depth, "edge" if at_edge else "depth")


def late(deadline: float | None) -> bool:
    """Say whether a moment of `time.monotonic()` has passed.

    Args:
        deadline: The moment, or None for never.

    Returns:
        Whether it has.
    """
    return deadline is not None and time.monotonic() >= deadline


class _Trial:
    """Accuracy under noise of a given scale."""

    def __init__(
        self,
        model: nn.Module,
        kept: list[tuple[Tensor, Tensor]],
        weights: dict[str, Tensor],
        draws: int,
        seed: int,
        deadline: float | None,
        magnitude: bool,
        compat: Compat,
    ) -> None:
        self.model, self.weights = model, weights
        self.kept, self.shuffled = _shuffled(kept, seed)
        self.draws, self.seed, self.deadline = draws, seed, deadline
        self.magnitude, self.compat = magnitude, compat
        self.size = sum(y.numel() for _, y in kept)
        self.numbers = sum(w.numel() for w in weights.values())
        self.at_once = max(1, min(draws, STORED // max(1, self.numbers)))
        self._stored: dict[str, Tensor] | None = None
        self._tried = 0
        with torch.no_grad():
            right = sum(count_right(*classified(model(x), y)) for x, y in kept)  # in batches as they came
        self.accuracy = float(right) / self.size

    @torch.no_grad()
    def drop(self, sigma: float, enough: float, too_much: float) -> tuple[float, bool] | None:
        """Fall in mean accuracy, and whether all examples were seen; None at the deadline."""
        self._tried += 1
        total, right, squares, seen = self.draws * self.size, 0, 0.0, 0
        for noise, number in self._noise():
            weights = {name: self._moved(w, noise[name], sigma) for name, w in self.weights.items()}
            for x, y in self._pieces(number):
                if late(self.deadline):
                    return None
                logits = each_draw(self.model, weights, x, number)
                hits = _hits(*classified(logits.flatten(0, 1), y.expand(number, *y.shape).flatten(0, 1)))
                shares = hits.view(number, -1).sum(0)
                right, squares = right + int(shares.sum()), squares + float(shares.square().sum())
                seen += number * y.numel()
                if seen == total:
                    break
                low, high = self._bounds(right, squares, seen, total)
                if low > too_much:
                    return low, False
                if high < enough and not self.compat:
                    return high, False
        fall = self.accuracy - right / total
        return (abs(fall) if self.compat else fall), True

    def _bounds(self, right: int, squares: float, seen: int, total: int) -> tuple[float, float]:
        """Between what values the fall lies: for certain, or within five standard errors of the examples seen."""
        low, high = self.accuracy - (right + total - seen) / total, self.accuracy - right / total
        if self.shuffled and self.at_once == self.draws:
            # examples in random order are a sample without replacement; an example's share of right answers over the
            # draws varies at least as if draws were independent, and a few seen alike do not make it certain
            examples = seen / self.draws
            p = (right / self.draws + 2) / (examples + 4)
            variance = squares / self.draws**2 / examples - (right / seen) ** 2
            variance = max(variance, p * (1 - p) / self.draws, p * (1 - p) * 8 / examples)
            error = 5 * math.sqrt(variance / examples * (1 - seen / total))
            fall = self.accuracy - right / seen
            return max(low, fall - error), min(high, fall + error)
        return low, high

    def _pieces(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Go through the examples in pieces, the first ones small: far from the target they say enough."""
        most = max(1, ROWS // number)
        for x, y in self.kept:
            start, size = 0, min(FIRST, most)
            while start < len(y):
                yield x[start : start + size], y[start : start + size]
                start, size = start + size, min(2 * size, most)

    def _moved(self, w: Tensor, noise: Tensor, sigma: float) -> Tensor:
        if not self.magnitude:
            return torch.add(w, noise, alpha=sigma**2 if self.compat else sigma)
        variance = sigma**2 * w.square() + MAGNITUDE**2
        return torch.addcmul(w, noise, variance if self.compat else variance.sqrt())

    def _noise(self) -> Iterator[tuple[dict[str, Tensor], int]]:
        """Give the standard normal draws in stacks; they are kept where all fit, and drawn again where not."""
        if self._stored is not None and not self.compat:
            yield self._stored, self.draws
            return
        generator = torch.Generator().manual_seed(self.seed + (self._tried << 32 if self.compat else 0))
        for start in range(0, self.draws, self.at_once):
            number = min(self.at_once, self.draws - start)
            flat = torch.randn(number, self.numbers, generator=generator)
            noise, offset = {}, 0
            for name, w in self.weights.items():
                part = flat[:, offset : offset + w.numel()].view(number, *w.shape)
                noise[name], offset = part.to(w.device, w.dtype), offset + w.numel()
            if number == self.draws:
                self._stored = noise
            yield noise, number


def _shuffled(kept: list[tuple[Tensor, Tensor]], seed: int) -> tuple[list[tuple[Tensor, Tensor]], bool]:
    """Put all examples into one batch in random order; batches whose inputs differ in shape stay as they are."""
    if len({(x.shape[1:], y.shape[1:], x.dtype) for x, y in kept}) > 1:
        return kept, False
    x, y = (torch.cat(parts) for parts in zip(*kept, strict=True))
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed)).to(y.device)
    return [(x[order], y[order])], True


def each_draw(model: nn.Module, weights: dict[str, Tensor], x: Tensor, number: int) -> Tensor:
    """Run a network with several settings of its weights on the same inputs.

    Args:
        model: Network.
        weights: Parameter name to (number, ...).
        x: (b, ...).
        number: Settings.

    Returns:
        (number, b, ...) outputs; by vmap, or one after another where a layer does not go through it, and for
        convolutions on a processor, where grouped ones take twice the time.
    """
    if x.device.type == "cpu" and any(isinstance(layer, nn.Conv2d) for layer in model.modules()):
        return _one_by_one(model, weights, x, number)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="There is a performance drop")  # recurrent layers: still right
            outputs: Tensor = vmap(lambda own: functional_call(model, own, (x,)), randomness="same")(weights)
        return outputs
    except (RuntimeError, NotImplementedError, ValueError):  # data-dependent control flow, in-place, foreign kernels
        return _one_by_one(model, weights, x, number)


def _one_by_one(model: nn.Module, weights: dict[str, Tensor], x: Tensor, number: int) -> Tensor:
    own = ({name: w[k] for name, w in weights.items()} for k in range(number))
    return torch.stack([functional_call(model, one, (x,)) for one in own])


def count_right(logits: Tensor, y: Tensor) -> int:
    """Count right answers; logits that are not finite are wrong.

    Args:
        logits: (n, classes).
        y: (n,).

    Returns:
        0 to n.
    """
    return int(_hits(logits, y).sum())


def _hits(logits: Tensor, y: Tensor) -> Tensor:
    best = logits.max(1)
    return (best.indices == y) & torch.isfinite(best.values)
