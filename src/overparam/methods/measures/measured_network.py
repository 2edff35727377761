"""What the generalisation measures of one trained network share, each computed once and only if asked for."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from overparam.errors import BadInput
from overparam.methods.measures.grand import grand
from overparam.methods.measures.margins import Margins, classified, margins, undisturbed
from overparam.methods.measures.norms import (
    fold_batchnorm,
    path_norm,
    plain_copy,
    precise,
    spectral_norm,
    weight_matrices,
)
from overparam.methods.measures.objective import Batches, check_model
from overparam.methods.measures.pac_bayes import Compat, Scale, kept_batches, pacbayes_sigma
from overparam.methods.measures.worst_case import worst_case_scale

GRADIENTS = 2**26  # numbers of per-example gradients at once


@dataclass
class MeasuredNetwork:
    """A network with its training data.

    Attributes:
        model: A copy, batch normalisation folded where it can be.
        initial: The same with the weights before training, or None.
        kept: Training data in batches, on the device of the model.
        seed: Of the noise.
        history: Of training.
        compat: Choices of other code.
    """

    model: nn.Module
    initial: nn.Module | None
    kept: list[tuple[Tensor, Tensor]]
    seed: int
    history: Mapping[str, Any]
    compat: Compat

    def lacks(self, need: str) -> str:
        """Say why a need is not met.

        Args:
            need: See `list_measures`.

        Returns:
            The reason with what to do, or an empty text.
        """
        if need == "init" and self.initial is None:
            return "init_state is None; pass the model's state_dict() from before training"
        if need == "weights" and not self.vector.numel():
            return "the model has no trainable nn.Linear or nn.Conv2d weight; leave it out"
        if need == "real inputs" and not self.kept[0][0].is_floating_point():
            return "the inputs are whole numbers; leave it out"
        entry = need.removesuffix(" history")
        if entry != need and self.history.get(entry) is None:
            return f"history has no {entry!r}; record it in training and pass history={{{entry!r}: ...}}"
        return ""

    @property
    def size(self) -> int:
        """Number of training labels, m."""
        return sum(y.numel() for _, y in self.kept)

    @property
    def input_side(self) -> int:
        """Last dimension of an input."""
        x = self.kept[0][0]
        return int(x.shape[-1]) if x.dim() > 1 else 1

    @cached_property
    def matrices(self) -> dict[str, Tensor]:
        """Weight matrices in double precision."""
        return {name: precise(w) for name, w in weight_matrices(self.model).items()}

    @cached_property
    def distances(self) -> dict[str, Tensor]:
        """Weight matrices less their initial values."""
        assert self.initial is not None  # measures that need it are not computed without
        start = weight_matrices(self.initial)
        return {name: w - precise(start[name]) for name, w in self.matrices.items()}

    def _vector(self, matrices: Mapping[str, Tensor]) -> Tensor:
        trainable = {name for name, p in self.model.named_parameters() if p.requires_grad}
        parts = [w.flatten() for name, w in matrices.items() if name in trainable]
        return torch.cat(parts) if parts else torch.empty(0)

    @cached_property
    def vector(self) -> Tensor:
        """All trainable entries of the weight matrices."""
        return self._vector(self.matrices)

    @cached_property
    def distance_vector(self) -> Tensor:
        """The same less their initial values."""
        return self._vector(self.distances)

    @cached_property
    def spec(self) -> list[float]:
        """Squared spectral norm of each layer."""
        return [spectral_norm(w) ** 2 for w in self.matrices.values()]

    @cached_property
    def spec_distance(self) -> list[float]:
        """Squared spectral norm of each layer's distance from its start."""
        return [spectral_norm(w) ** 2 for w in self.distances.values()]

    @cached_property
    def fro(self) -> list[float]:
        """Squared Frobenius norm of each layer."""
        return [float(w.square().sum()) for w in self.matrices.values()]

    @cached_property
    def fro_distance(self) -> list[float]:
        """Squared Frobenius norm of each layer's distance from its start."""
        return [float(w.square().sum()) for w in self.distances.values()]

    @cached_property
    def margins(self) -> Margins:
        """Training margins."""
        return margins(self.model, self.kept)

    @property
    def gamma(self) -> float:
        """Tenth percentile of the margins; its absolute value in the other code."""
        return abs(self.margins.gamma) if self.compat else self.margins.gamma

    @cached_property
    def path(self) -> float:
        """Path norm."""
        return path_norm(self.model, self.kept[0][0].shape[1:])

    @cached_property
    def sigma(self) -> Scale:
        """Standard deviation of noise that costs a tenth of accuracy."""
        return pacbayes_sigma(self.model, self.kept, seed=self.seed, compat=self.compat)

    @cached_property
    def sigma_mag(self) -> Scale:
        """The same, noise in proportion to the weight."""
        return pacbayes_sigma(self.model, self.kept, seed=self.seed, magnitude=True, compat=self.compat)

    @cached_property
    def alpha(self) -> Scale:
        """Relative change of the weights that costs a tenth of accuracy in the worst case."""
        return worst_case_scale(self.model, self.kept)

    @cached_property
    def gradient_noise(self) -> float:
        """Mean squared distance of an example's gradient from the mean gradient, over the trainable weights."""
        squares, total, examples = 0.0, None, 0
        weights = [p for p in self.model.parameters() if p.requires_grad]
        chunk = max(1, min(512, GRADIENTS // sum(p.numel() for p in weights)))
        for x, y in self.kept:
            squares += float(_squared_gradients(self.model, x, y, chunk).double().sum())
            with torch.enable_grad():
                loss = functional.cross_entropy(*classified(self.model(x), y), reduction="none")
                slopes = torch.autograd.grad(loss.view(len(x), -1).mean(1).sum(), weights, allow_unused=True)
            pairs = zip(slopes, weights, strict=True)
            flat = torch.cat([precise(torch.zeros_like(w) if g is None else g).flatten() for g, w in pairs])
            total = flat if total is None else total + flat
            examples += len(x)
        assert total is not None  # kept has examples
        return max(0.0, squares / examples - float((total / examples).square().sum()))

    def first_step(self, level: float) -> float:
        """First step at which the recorded cross-entropy is at most a level; infinite if never.

        Args:
            level: In nats.

        Returns:
            The step.
        """
        return float(next((i for i, v in enumerate(self.history["cross_entropy"]) if float(v) <= level), math.inf))


def _squared_gradients(model: nn.Module, x: Tensor, y: Tensor, chunk: int) -> Tensor:
    """Squared norm of each example's gradient; one example after another where vmap or hooks do not go through."""
    if y.dim() == 1:
        try:
            return grand(model, x, y, chunk=chunk).square()
        except (RuntimeError, NotImplementedError):
            pass
    weights = [p for p in model.parameters() if p.requires_grad]
    found = []
    for one, label in zip(x, y, strict=True):
        with torch.enable_grad():
            loss = functional.cross_entropy(*classified(model(one[None]), label[None]))
            slopes = torch.autograd.grad(loss, weights, allow_unused=True)
        found.append(sum(float(g.square().sum()) for g in slopes if g is not None))
    return torch.tensor(found)


@contextmanager
def open_network(
    model: nn.Module,
    init_state: Mapping[str, Tensor] | None,
    data: Batches,
    *,
    seed: int,
    history: Mapping[str, Any],
    compat: Compat,
) -> Iterator[MeasuredNetwork]:
    """Check a network and its data, and lend what the measures read.

    Args:
        model: Classifier; left as it is.
        init_state: Its state before training, or None.
        data: (x, y) or batches of them.
        seed: Of the noise.
        history: Of training.
        compat: Choices of other code.

    Yields:
        The network with its data.

    Raises:
        BadInput: A model or data that cannot be measured, or an `init_state` that does not fit the model.
    """
    check_model(model)
    with undisturbed(model) as plain:
        kept = kept_batches(plain, data)
        probe = kept[0][0][:2]
        with torch.no_grad():
            classified(plain(probe), kept[0][1][:2])
        folded = fold_batchnorm(plain, probe)
        initial = None if init_state is None else _initial(model, init_state, probe)
        yield MeasuredNetwork(folded, initial, kept, seed, history, compat)


def _initial(model: nn.Module, state: Mapping[str, Tensor], probe: Tensor) -> nn.Module:
    own = model.state_dict()
    differing = sorted(set(own) ^ set(state))
    differing += [n for n, v in own.items() if n in state and isinstance(v, Tensor) and v.shape != state[n].shape]
    if differing:
        raise BadInput(f"init_state and model differ in {differing[0]!r}; pass the state_dict() of this model")
    bad = [n for n, v in state.items() if isinstance(v, Tensor) and not bool(torch.isfinite(v).all())]
    if bad:
        raise BadInput(f"init_state[{bad[0]!r}] holds NaN or infinity; pass the state from before training")
    start = copy.deepcopy(model)
    start.load_state_dict(state)
    return fold_batchnorm(plain_copy(start), probe)
