"""A bank of perceptrons: t networks trained on t subsets of the same data, as one batched tensor program.

Estimating memorisation takes hundreds of small trainings (arXiv 2008.03703). One at a time, most of the time goes into
the overhead of each step. Here the weights of all networks are stacked, examples lie along the last axis so that every
operation runs over long rows, and the gradients are written out. Training is full-batch Adam (arXiv 1412.6980) on the
mean cross-entropy, so a network depends on its subset and its seed only, never on the other networks.

Departure: the paper trains convolutional networks by SGD on mini-batches; this is the small counterpart for tables of
features. Pass any other training to `estimate_memorization` as a function.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from overparam.errors import BadInput, Diverged
from overparam.methods.measures.memorization import check_labelled
from overparam.models.mlp import mlp

Mask = NDArray[np.bool_]
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
CHUNK_BYTES = 2**22  # of activations: more leaves the cache, fewer networks leave the overhead of a step uncovered


@dataclass(frozen=True)
class MLPBank:
    """Recipe for perceptrons that are trained side by side; pass it to `estimate_memorization` as the learner.

    Costs t x size x weights x steps multiplications times six; memory 4 MiB of activations and the weights of all
    networks.

    Attributes:
        widths: Widths of the hidden layers.
        steps: Updates, each on the whole subset.
        learning_rate: Of Adam.

    Example:
        >>> from overparam.methods.measures.memorization import estimate_memorization
        >>> X = np.random.default_rng(0).normal(size=(60, 2)); y = (X[:, 0] > 0).astype(int)
        >>> y[0] = 1 - y[0]
        >>> found = estimate_memorization(MLPBank(widths=(128,), steps=300), X, y, n_subsets=40)
        >>> int(found.mem.argmax()) == 0 and bool(found.mem[0] > 0.5)  # only by heart
        True
    """

    widths: tuple[int, ...] = (64,)
    steps: int = 150
    learning_rate: float = 0.01

    def __post_init__(self) -> None:
        if self.steps < 1 or not all(width >= 1 for width in self.widths) or not self.learning_rate > 0:
            raise BadInput(
                f"widths={self.widths}, steps={self.steps}, learning_rate={self.learning_rate}: pass positive numbers"
            )

    def __call__(self, X: Any, y: Any, seed: int) -> TrainedBank:
        """Train a single network on all of (X, y); what it returns has `predict`."""
        return self.train(X, y, np.ones((1, len(X)), dtype=bool), [seed])

    def predict_subsets(
        self, X: Any, y: Any, masks: Mask, points: Sequence[Any], seeds: Sequence[int]
    ) -> list[NDArray[Any]]:
        """Train one network a row of `masks` and predict; see `SubsetLearner`."""
        bank = self.train(X, y, masks, seeds)
        return [bank.predictions(p) for p in points]

    def train(
        self, X: Any, y: Any, masks: Mask, seeds: Sequence[int], *, start: TrainedBank | None = None
    ) -> TrainedBank:
        """Train t networks, each on the examples that its mask chooses.

        Args:
            X: (n, ...) array or tensor, finite; flattened, taken in single precision on the device of a tensor.
            y: (n,) class labels; every network has an output for each class in them.
            masks: (t, n) true where a network sees an example; sizes may differ.
            seeds: t seeds of the initial weights, those of `overparam.models.mlp.mlp`.
            start: Networks to go on from instead; weights that are exactly zero there stay zero, so that pruned
                networks stay sparse.

        Returns:
            The trained networks.

        Raises:
            BadInput: Labels that do not fit, NaN, masks or `start` of another shape, an empty subset, or another number
                of seeds.
            Diverged: Weights left the finite numbers.
        """
        X, y = check_labelled(X, y, classes=1)
        masks = np.asarray(masks, dtype=bool)
        if masks.ndim != 2 or masks.shape[1] != len(X) or len(masks) != len(seeds) or not len(seeds):
            raise BadInput(f"masks has shape {masks.shape} for {len(X)} examples and {len(seeds)} seeds; make them fit")
        if not masks.any(1).all():
            raise BadInput(f"masks[{int((~masks.any(1)).argmax())}] chooses no examples; pass subsets with some")
        inputs = _with_ones(_rows(X))
        classes, labels = np.unique(y.cpu().numpy() if isinstance(y, Tensor) else y, return_inverse=True)
        targets = nn.functional.one_hot(torch.as_tensor(labels.reshape(-1)), len(classes)).to(inputs)
        shapes = (inputs.shape[1] - 1, *self.widths, len(classes))
        expected = [(len(seeds), after, before + 1) for before, after in pairwise(shapes)]
        if start is not None and [tuple(layer.shape) for layer in start.layers] != expected:
            raise BadInput(f"start has layers {[tuple(v.shape) for v in start.layers]}; pass {expected}")
        width = inputs.shape[1] + 2 * sum(shapes[1:])
        chunk = max(1, CHUNK_BYTES // (4 * int(masks.sum(1).max()) * width))
        parts = [
            self._train(
                _initial(shapes, seeds[span]) if start is None else [layer[span] for layer in start.layers],
                inputs,
                targets,
                masks[span],
                sparse=start is not None,
            )
            for span in _spans(len(seeds), chunk)
        ]
        layers = [torch.cat(blocks) for blocks in zip(*parts, strict=True)]
        if not all(bool(torch.isfinite(layer).all()) for layer in layers):
            raise Diverged(f"weights left the finite numbers; lower learning_rate={self.learning_rate}")
        return TrainedBank(layers, classes)

    def _train(
        self, initial: list[Tensor], inputs: Tensor, targets: Tensor, masks: Mask, *, sparse: bool
    ) -> list[Tensor]:
        """Train some networks from their initial layers (c, outputs, inputs + 1)."""
        rows, share = _gathered(masks, inputs.device)
        x = inputs[rows].mT.contiguous()  # (c, inputs + 1, size): examples along the last axis
        wanted = (targets[rows] * share[..., None]).mT.contiguous()
        flat = torch.cat([layer.flatten() for layer in initial]).to(inputs.device)
        layers = _views(flat, initial)
        kept = torch.cat([_kept(layer).flatten() for layer in layers]) if sparse else flat
        gradient_of = _Gradient(layers, x, wanted, share[:, None])
        first, second, scale = torch.zeros_like(flat), torch.zeros_like(flat), torch.empty_like(flat)
        for step in range(1, self.steps + 1):  # torch.optim.Adam would cost more time than the products
            gradient = gradient_of()
            if sparse:
                gradient.mul_(kept)  # Adam leaves a weight alone whose gradient was always zero
            first.lerp_(gradient, 1 - BETA_1)
            second.mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
            torch.sqrt(second, out=scale).div_(math.sqrt(1 - BETA_2**step)).add_(EPSILON)
            flat.addcdiv_(first, scale, value=-self.learning_rate / (1 - BETA_1**step))
        return layers


@dataclass(frozen=True)
class TrainedBank:
    """Trained networks with stacked weights.

    Attributes:
        layers: (t, outputs, inputs + 1) for each layer; the last column holds the biases.
        classes: Labels in the order of the outputs.
    """

    layers: list[Tensor]
    classes: NDArray[Any]

    def __len__(self) -> int:
        return len(self.layers[0])

    def logits(self, points: Any) -> Tensor:
        """Return the logits of every network.

        Args:
            points: (k, ...) inputs.

        Returns:
            (t, k, classes).
        """
        return torch.cat([part.mT for part in self._logits(points)])

    def predictions(self, points: Any) -> NDArray[Any]:
        """Return the labels that every network gives.

        Args:
            points: (k, ...) inputs.

        Returns:
            (t, k) labels.
        """
        chosen = torch.cat([part.argmax(1) for part in self._logits(points)])
        labels: NDArray[Any] = self.classes[chosen.cpu().numpy()]
        return labels

    def predict(self, points: Any) -> NDArray[Any]:
        """Return the labels that the first network gives: the seat of a scikit-learn classifier.

        Args:
            points: (k, ...) inputs.

        Returns:
            (k,) labels.
        """
        labels: NDArray[Any] = self.predictions(points)[0]
        return labels

    def member(self, k: int) -> TrainedBank:
        """Return a bank of one network, whose `predict` is that of row k.

        Args:
            k: Its row.

        Returns:
            A view of the weights.
        """
        return TrainedBank([layer[k : k + 1] for layer in self.layers], self.classes)

    def network(self, k: int) -> nn.Sequential:
        """Return one network as a module with weights of its own.

        Args:
            k: Its row.

        Returns:
            From (n, ...) to (n, classes), in evaluation mode.
        """
        shapes = [self.layers[0].shape[2] - 1, *(layer.shape[1] for layer in self.layers)]
        model = mlp(shapes[0], shapes[1:-1], shapes[-1], generator=torch.Generator().manual_seed(0))
        dense = [layer for layer in model if isinstance(layer, nn.Linear)]
        with torch.no_grad():
            for layer, stacked in zip(dense, self.layers, strict=True):
                layer.weight.copy_(stacked[k, :, :-1])
                layer.bias.copy_(stacked[k, :, -1])
        return model.to(self.layers[0].device).eval()

    def _logits(self, points: Any) -> Iterator[Tensor]:
        """Logits (c, classes, k) of some networks at a time."""
        x = _with_ones(_rows(points)).to(self.layers[0].device).mT
        if x.shape[0] != self.layers[0].shape[2]:
            raise BadInput(f"points have {x.shape[0] - 1} features; the networks take {self.layers[0].shape[2] - 1}")
        chunk = max(1, CHUNK_BYTES // (4 * max(1, x.shape[1]) * sum(layer.shape[1] for layer in self.layers)))
        for span in _spans(len(self), chunk):
            hidden = x.expand(len(self.layers[0][span]), -1, -1)
            for layer in self.layers[:-1]:
                after = torch.baddbmm(layer[span, :, -1:], layer[span, :, :-1], hidden[:, :-1]).clamp_(min=0)
                hidden = torch.cat([after, torch.ones_like(after[:, :1])], 1)
            yield self.layers[-1][span] @ hidden


class _Gradient:
    """Gradient of the weighted cross-entropy of c networks: one pass forward, one back, no memory taken in a step.

    Fresh memory for activations would cost more than the products: its pages are new to the cache every time.
    """

    def __init__(self, layers: list[Tensor], x: Tensor, wanted: Tensor, share: Tensor) -> None:
        flat = torch.empty(sum(layer.numel() for layer in layers), device=x.device)
        self._layers, self._flat, self._slopes = layers, flat, _views(flat, layers)
        self._x, self._turned = x, x.mT.contiguous()  # the product with rows of examples is faster
        self._wanted, self._share = wanted, share
        self._outputs = [x.new_empty(len(x), layer.shape[1], x.shape[2]) for layer in layers]
        self._back = [torch.empty_like(hidden) for hidden in self._outputs[:-1]]

    def __call__(self) -> Tensor:
        """Return the gradient (weights,) at the present weights; the next call overwrites it."""
        for k, (layer, output) in enumerate(zip(self._layers, self._outputs, strict=True)):
            if k == 0:  # the last input is one, so that the last column holds the biases
                torch.bmm(layer, self._x, out=output)
            else:
                torch.bmm(layer[:, :, :-1], self._outputs[k - 1].relu_(), out=output).add_(layer[:, :, -1:])
        delta = self._outputs[-1]
        delta.sub_(delta.amax(1, keepdim=True)).exp_()
        delta.mul_(self._share / delta.sum(1, keepdim=True)).sub_(self._wanted)
        for k in range(len(self._layers) - 1, 0, -1):
            hidden, slope = self._outputs[k - 1], self._slopes[k]
            slope[:, :, :-1] = delta @ hidden.mT
            torch.sum(delta, 2, out=slope[:, :, -1])
            delta = torch.bmm(self._layers[k][:, :, :-1].mT, delta, out=self._back[k - 1])
            torch.ops.aten.threshold_backward.grad_input(delta, hidden, 0, grad_input=delta)
        torch.bmm(delta, self._turned, out=self._slopes[0])
        return self._flat


def _views(flat: Tensor, like: list[Tensor]) -> list[Tensor]:
    """Cut a flat tensor into blocks of the shapes of others; each is contiguous, as fast batched products need."""
    blocks = torch.split(flat, [layer.numel() for layer in like])
    return [block.view_as(layer) for block, layer in zip(blocks, like, strict=True)]


def _kept(layer: Tensor) -> Tensor:
    """One where a weight is not zero, and for all biases."""
    kept = (layer != 0).to(layer)
    kept[:, :, -1] = 1.0
    return kept


def _initial(shapes: tuple[int, ...], seeds: Sequence[int]) -> list[Tensor]:
    """Layers (c, outputs, inputs + 1) as `mlp` draws them."""
    rows: list[list[Tensor]] = []
    for seed in seeds:
        model = mlp(shapes[0], shapes[1:-1], shapes[-1], generator=torch.Generator().manual_seed(seed))
        dense = [layer for layer in model if isinstance(layer, nn.Linear)]
        rows.append([torch.cat([layer.weight.detach(), layer.bias.detach()[:, None]], 1) for layer in dense])
    return [torch.stack(blocks) for blocks in zip(*rows, strict=True)]


def _gathered(masks: Mask, device: torch.device) -> tuple[Tensor, Tensor]:
    """Positions (c, size) of the chosen examples and their weights in the mean; short rows are filled with weight 0."""
    sizes = masks.sum(1)
    rows = np.argsort(~masks, axis=1, kind="stable")[:, : sizes.max()]
    share = np.where(np.arange(sizes.max()) < sizes[:, None], 1 / sizes[:, None], 0.0)
    return torch.as_tensor(rows, device=device), torch.as_tensor(share, dtype=torch.float32, device=device)


def _rows(points: Any) -> Tensor:
    given = points.detach() if isinstance(points, Tensor) else torch.as_tensor(np.asarray(points))
    return given.float().reshape(len(given), -1)


def _with_ones(rows: Tensor) -> Tensor:
    return torch.cat([rows, rows.new_ones(len(rows), 1)], 1)


def _spans(total: int, size: int) -> Iterator[slice]:
    for start in range(0, total, size):
        yield slice(start, start + size)
