"""Maximal updates (muP) for any PyTorch model: learning rates tuned on a narrow model carry over to a wide one.

From Yang and Hu, arXiv 2011.14522, in the relative form of Yang et al., arXiv 2203.03466, table 8, as the package
`mup` has it. A dimension that grows with width counts as wide, its multiplier is its size over that of the base
model. Parameters with two wide dimensions are matrix-like, with one vector-like: input weights, biases, gains, readout.

    readout          input divided by its multiplier m; initial weights and bias times sqrt(m)
    biases           initial values times the root of the fan-in multiplier of their layer
    SGD              lr times m for vector-like, times fan-out over fan-in multiplier for matrix-like
    Adam, AdamW      lr over the fan-in multiplier for matrix-like
    weight decay     times the inverse of the factor of the lr

A model at the base width is left exactly as it is. Initial weights are taken to scale as 1/sqrt(fan-in), as PyTorch's
own do; a fixed standard deviation does not. A readout that shares its weight with an embedding is taken to start as
embeddings do, at a scale of its own, and is not rescaled. Attention has to divide its logits by d, not by sqrt(d), for
d the size of a head that grows with the width: this is code of the model and cannot be changed from outside.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from overparam.errors import BadInput

Optimiser = Literal["sgd", "adam", "adamw"]
RECORD = "mup_multipliers"
WEIGHTED = (nn.Linear, nn.modules.conv._ConvNd)


class MuReadout(nn.Linear):
    """Linear layer from a wide dimension to a fixed one: y = W x / m + bias.

    `mup_` turns an ordinary `nn.Linear` readout into one that has the same parameters, so that models need not be
    rewritten. Use it by name to scale the output.

    Args:
        in_features: Wide.
        out_features: Fixed.
        bias: Whether there is one.
        output_mult: Factor of the output, to be tuned on the base model.
        kwargs: As for `nn.Linear`.
    """

    width_mult = 1.0  # set by `mup_`
    output_mult = 1.0

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, output_mult: float = 1.0, **kwargs: Any
    ) -> None:
        super().__init__(in_features, out_features, bias, **kwargs)
        self.output_mult = output_mult

    def forward(self, input: Tensor) -> Tensor:
        """Apply the layer.

        Args:
            input: (..., in_features).

        Returns:
            (..., out_features).
        """
        return super().forward(input * (self.output_mult / self.width_mult))


@dataclass(frozen=True)
class Multipliers:
    """Width multipliers of one parameter.

    Attributes:
        wide: For each dimension its size over that of the base model, or None where it does not grow.
    """

    wide: tuple[float | None, ...]

    @property
    def count(self) -> int:
        """Number of wide dimensions."""
        return sum(m is not None for m in self.wide)

    @property
    def fan_in(self) -> float:
        """Multiplier of the last wide dimension; 1 without any."""
        return next((m for m in reversed(self.wide) if m is not None), 1.0)

    def lr_factor(self, optimizer: Optimiser) -> float:
        """Return the factor of the learning rate.

        Args:
            optimizer: `sgd`, `adam` or `adamw`.

        Returns:
            The factor.
        """
        if self.count == 2:
            fan_out = next(m for m in self.wide if m is not None)
            return fan_out / self.fan_in if optimizer == "sgd" else 1 / self.fan_in
        return self.fan_in if optimizer == "sgd" else 1.0


def mup_(
    model: nn.Module,
    base_width: int | None = None,
    *,
    make: Callable[[int], nn.Module] | None = None,
    base: nn.Module | None = None,
    delta: nn.Module | None = None,
) -> nn.Module:
    """Rescale a freshly initialised model in place for maximal updates, and record its width multipliers.

    Say what is wide in one of two ways: `base_width` with the function `make` that builds the model at a width, or a
    `base` model, with `delta` as a second one of another width where `model` may have the width of the base.

    Args:
        model: As its constructor initialised it.
        base_width: Width at which hyper-parameters were tuned.
        make: Builds the model; called at base_width and twice that. The state of torch's generator is put back.
        base: Model of the base width.
        delta: Model that differs from the base in every wide dimension; `model` if None.

    Returns:
        The same model. Plain `nn.Linear` readouts are now `MuReadout`s with the same parameters.

    Raises:
        BadInput: Neither or both ways, a width below 1, a second call for the same model, other architectures, more
            than two wide dimensions, or a readout that is no `nn.Linear`,
            or weights that a parametrisation computes.

    Source: arXiv 2203.03466, table 8; `mup.set_base_shapes`.

    Example:
        >>> make = lambda n: nn.Sequential(nn.Linear(8, n), nn.Tanh(), nn.Linear(n, n), nn.Tanh(), nn.Linear(n, 3))
        >>> model = mup_(make(512), base_width=64, make=make)
        >>> type(model[4]).__name__, model[4].width_mult
        ('MuReadout', 8.0)
        >>> sorted({group["lr"] for group in mup_param_groups(model, lr=0.1)})
        [0.1, 0.8]
    """
    if getattr(model, RECORD, None) is not None:
        raise BadInput("model was rescaled by mup_ before; a second time would square the factors, so build it anew")
    narrow, other = _reference(model, base_width, make, base, delta)
    turned = {id(m.weight) for m in model.modules() if isinstance(m, nn.modules.conv._ConvTransposeNd)}
    found, by_id = {}, {}
    for name, parameter in model.named_parameters():
        found[name] = _multipliers(name, tuple(parameter.shape), narrow, other, turned=id(parameter) in turned)
        by_id[id(parameter)] = found[name]
    _mark_readouts(model, by_id)
    _rescale(model, by_id)
    setattr(model, RECORD, found)
    return model


def mup_param_groups(
    model: nn.Module, lr: float, optimizer: Optimiser = "sgd", weight_decay: float = 0.0
) -> list[dict[str, Any]]:
    """Sort parameters into groups by their learning rate, for any optimiser of the family.

    Args:
        model: After `mup_`; wrapped by `DataParallel` or `torch.compile` is fine.
        lr: Learning rate of the base model.
        optimizer: `sgd` with or without momentum; `adam` or `adamw`, also for others that normalise each coordinate.
        weight_decay: Of the base model; lr times weight decay stays what it is.

    Returns:
        Groups with `params`, `lr` and `weight_decay`. Frozen parameters are left out.

    Raises:
        BadInput: A model without multipliers or with parameters that came later, an unknown optimiser, or a rate that
            is not positive.

    Source: arXiv 2203.03466, table 8; `mup.MuSGD`, `mup.MuAdam`.
    """
    if optimizer not in ("sgd", "adam", "adamw"):
        raise BadInput(f"optimizer={optimizer!r} is unknown; give sgd, adam or adamw")
    if not 0 < lr < math.inf or not 0 <= weight_decay < math.inf:
        raise BadInput(f"lr={lr}, weight_decay={weight_decay}: give a positive rate and a decay of 0 or more")
    inner = getattr(model, "_orig_mod", model)
    inner = inner.module if isinstance(inner, nn.DataParallel | nn.parallel.DistributedDataParallel) else inner
    found: Mapping[str, Multipliers] | None = getattr(inner, RECORD, None)
    if found is None:
        raise BadInput("model has no width multipliers; call mup_(model, base_width=..., make=...) first")
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in inner.named_parameters():
        if name not in found:
            raise BadInput(
                f"parameter {name!r} was added after mup_; add it before, in the function that builds the model"
            )
        if parameter.requires_grad:
            groups.setdefault(found[name].lr_factor(optimizer), []).append(parameter)
    return [
        {"params": params, "lr": lr * factor, "weight_decay": weight_decay / factor}
        for factor, params in groups.items()
    ]


Shapes = Mapping[str, tuple[int, ...]]


def _reference(
    model: nn.Module,
    base_width: int | None,
    make: Callable[[int], nn.Module] | None,
    base: nn.Module | None,
    delta: nn.Module | None,
) -> tuple[Shapes, Shapes]:
    if (base is None) == (base_width is None) or (base_width is None) != (make is None):
        raise BadInput("give either base_width with make, or base (and delta)")
    if make is not None and base_width is not None:
        if base_width < 1:
            raise BadInput(f"base_width={base_width} is below 1; give the width at which the model was tuned")
        with torch.random.fork_rng(devices=[]):
            base, delta = make(base_width), make(2 * base_width)
    assert base is not None
    return _shapes(base), _shapes(model if delta is None else delta)


def _shapes(model: nn.Module) -> Shapes:
    return {name: tuple(p.shape) for name, p in model.named_parameters()}


def _multipliers(name: str, shape: tuple[int, ...], base: Shapes, delta: Shapes, *, turned: bool) -> Multipliers:
    if not len(shape) == len(base.get(name, ())) == len(delta.get(name, ())):
        raise BadInput(f"parameter {name!r} has another form in the base model, or none; build both by one function")
    wide: list[float | None] = []
    for size, narrow, other in zip(shape, base[name], delta[name], strict=True):
        if narrow == other != size:
            raise BadInput(f"parameter {name!r}: {shape} against {base[name]} differ where width changes nothing")
        wide.append(None if narrow == other else size / narrow)
    found = Multipliers(tuple([wide[1], wide[0], *wide[2:]] if turned else wide))
    if found.count > 2:
        raise BadInput(f"parameter {name!r} has {found.count} wide dimensions; muP is defined for at most two")
    return found


def _mark_readouts(model: nn.Module, found: Mapping[int, Multipliers]) -> None:
    """Make the layers from a wide dimension to a fixed one `MuReadout`s, or none of them if one cannot be."""
    readouts = []
    for name, layer in model.named_modules():
        if isinstance(layer, WEIGHTED):
            if id(layer.weight) not in found:
                raise BadInput(f"the weight of {name or 'model'!r} is computed from other parameters; call mup_ before")
            out, into = found[id(layer.weight)].wide[:2]
            if out is None and into is not None:
                if type(layer) is not nn.Linear and not isinstance(layer, MuReadout):
                    kind = type(layer).__name__
                    raise BadInput(f"readout {name or 'model'!r} is a {kind}; use nn.Linear or MuReadout there")
                readouts.append(layer)
    for layer in readouts:
        if type(layer) is nn.Linear:
            layer.__class__ = MuReadout  # as torch.nn.utils.parametrize does: other references to the layer stay valid


@torch.no_grad()
def _rescale(model: nn.Module, found: Mapping[int, Multipliers]) -> None:
    uses = Counter(id(p) for _, p in model.named_parameters(remove_duplicate=False))
    for layer in model.modules():
        if isinstance(layer, WEIGHTED):
            into = found[id(layer.weight)].wide[1] or 1.0
            if layer.bias is not None:
                layer.bias.mul_(math.sqrt(into))
            if isinstance(layer, MuReadout):
                layer.width_mult = into
                if uses[id(layer.weight)] == 1:
                    layer.weight.mul_(math.sqrt(into))
