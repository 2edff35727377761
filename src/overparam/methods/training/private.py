"""DP-SGD: stochastic gradient descent that limits what any single example can do (arXiv 1607.00133, algorithm 1).

A step draws each example with the same chance q, clips the gradient of each to norm C over all parameters together,
adds normal noise of deviation s C to their sum, and divides by the expected batch q N. The size of the batch that came
out would tell who is in it; an empty batch is noise alone.

The clipped sum is formed without the gradient of any single example where all layers are linear or convolutional: one
forward and one backward pass give the input a_i and the output gradient d_i of each layer, whose product is the
gradient of example i. Its norm follows from a_i and d_i ("ghost clipping", arXiv 2110.05679), the clipped sum is one
product of the d_i scaled by their clipping factors with the a_i (arXiv 2210.00038). Other models take `vmap`, with
memory chunk x weights.

Departures:
1. Dropout in training mode is refused as well as batch normalisation: its randomness would come from the global state.
2. The factor is min(1, C / norm), without the constant that libraries add to the norm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from overparam.errors import BadInput, Diverged
from overparam.methods.measures.grand import check_scoring, columns, listening, obstacle, outer_norms
from overparam.methods.measures.objective import Loss, check_model, losses
from overparam.methods.training.privacy_accountant import epsilon

Method = Literal["auto", "ghost", "vmap"]


class DPSGD(torch.optim.SGD):
    """SGD on clipped and noised gradients: `backward(x, y)` in place of `loss.backward()`, then `step()`.

    Args:
        params: Parameters to train, all of them parts of `model`.
        model: Network; layers that use the batch or chance must be in evaluation mode.
        lr: Learning rate.
        clip: Largest norm C of one example's gradient, positive.
        noise: Noise multiplier s, not negative.
        sample_rate: Chance q of each example to be in a batch, in (0, 1].
        size: Number N of examples in the data set.
        generator: Draws batches and noise, on the CPU.
        loss_fn: Loss of outputs and labels, see `overparam.methods.measures.objective.losses`.
        momentum: Of the noised gradients.
        weight_decay: Added to the noised gradients as this times the weight.
        method: `ghost` for linear and convolutional layers, `vmap` for any model; `auto` takes ghost where it applies.
        chunk: Examples at a time.

    Attributes:
        released: Number of noised gradients so far: what `epsilon` counts.

    Raises:
        BadInput: A number out of range, a parameter that is not in the model, or a model without private gradients.

    Example:
        >>> draw = torch.Generator().manual_seed(0)
        >>> x = torch.randn(500, 2, generator=draw); y = (x[:, 0] > 0).long()
        >>> model = nn.Linear(2, 2)
        >>> optimiser = DPSGD(model.parameters(), model, lr=1.0, clip=1.0, noise=1.0, sample_rate=0.2, size=500,
        ...                   generator=draw)
        >>> for _ in range(60):
        ...     batch = optimiser.sample()
        ...     optimiser.backward(x[batch], y[batch])
        ...     optimiser.step()
        >>> bool((model(x).argmax(1) == y).float().mean() > 0.9), round(optimiser.epsilon(1e-4), 1)
        (True, 11.8)
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        model: nn.Module,
        *,
        lr: float,
        clip: float,
        noise: float,
        sample_rate: float,
        size: int,
        generator: torch.Generator,
        loss_fn: Loss = functional.cross_entropy,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        method: Method = "auto",
        chunk: int = 4096,
    ) -> None:
        if not (0.0 < clip < math.inf and 0.0 <= noise < math.inf and 0.0 < sample_rate <= 1.0 and size >= 1):
            raise BadInput(
                f"clip={clip}, noise={noise}, sample_rate={sample_rate}, size={size}: pass clip>0, noise>=0, a rate in "
                "(0, 1] and at least one example"
            )
        if method not in ("auto", "ghost", "vmap") or chunk < 1:
            raise BadInput(f"method={method!r}, chunk={chunk}: pass 'auto', 'ghost' or 'vmap' and chunk>=1")
        check_model(model)
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay)
        self._targets: list[nn.Parameter] = [p for group in self.param_groups for p in group["params"]]
        names = {id(p): name for name, p in model.named_parameters()}
        strange = [p for p in self._targets if id(p) not in names or not p.requires_grad]
        if strange:
            raise BadInput(
                f"a parameter of shape {tuple(strange[0].shape)} is not a trainable part of model; pass those"
            )
        self._names = [names[id(p)] for p in self._targets]
        wanted = {id(p) for p in self._targets}
        self._layers = [m for m in model.modules() if any(id(p) in wanted for p in m.parameters(recurse=False))]
        self._model, self._loss_fn, self._generator = model, loss_fn, generator
        self._clip, self._noise, self._rate, self._size = clip, noise, sample_rate, size
        self._method, self._chunk, self._ready = method, chunk, False
        self._clipped: Callable[[Tensor, Tensor], list[Tensor]] | None = None  # chosen at the first example
        self.released = 0

    def sample(self) -> Tensor:
        """Draw a batch: each example with chance `sample_rate`, independently.

        Returns:
            (b,) positions in increasing order; b varies and may be 0.
        """
        return (torch.rand(self._size, generator=self._generator) < self._rate).nonzero().flatten()

    @torch.no_grad()
    def backward(self, x: Tensor, y: Tensor) -> None:
        """Put the private gradient of a batch into `.grad`, in place of what is there.

        Args:
            x: (b, ...) inputs of a batch from `sample`; b may be 0.
            y: (b, ...) labels.

        Raises:
            BadInput: Lengths that differ, a layer that uses the batch or chance, or `ghost` for a model that it does
                not cover.
            Diverged: The gradient of an example is not finite.
        """
        if len(x) != len(y):
            raise BadInput(f"x holds {len(x)} inputs and y {len(y)} labels; make them agree")
        check_scoring(self._model)
        total = [torch.zeros_like(p) for p in self._targets]
        if len(x):
            if self._clipped is None:
                self._clipped = self._choose(x)
            for xs, ys in zip(torch.split(x, self._chunk), torch.split(y, self._chunk), strict=True):
                for kept, part in zip(total, self._clipped(xs, ys), strict=True):
                    kept += part
        expected = self._rate * self._size
        for p, kept, noise in zip(self._targets, total, self._drawn(), strict=True):
            p.grad = kept.add_(noise.to(kept), alpha=self._noise * self._clip).div_(expected)
        self._ready = True
        self.released += 1

    def step(self, closure: Any = None) -> Any:
        """Move the weights along the private gradient, once for each `backward`.

        Args:
            closure: Must be None: a closure would compute an ordinary gradient.

        Returns:
            None.

        Raises:
            BadInput: No `backward` since the last step, or a closure.
        """
        if closure is not None or not self._ready:
            raise BadInput("step() needs a private gradient and no closure; call backward(x, y) before each step")
        self._ready = False
        return super().step()

    def epsilon(self, delta: float) -> float:
        """Return the privacy spent so far.

        Args:
            delta: In (0, 1).

        Returns:
            Epsilon of all gradients released; infinite without noise.

        Raises:
            BadInput: delta out of range.
        """
        return epsilon(self._rate, self._noise, self.released, delta)

    def _drawn(self) -> Sequence[Tensor]:
        """Standard normal numbers in the shapes of the parameters, always from the CPU."""
        sizes = [p.numel() for p in self._targets]
        flat = torch.randn(sum(sizes), generator=self._generator)
        return [part.view(p.shape) for part, p in zip(torch.split(flat, sizes), self._targets, strict=True)]

    def _choose(self, x: Tensor) -> Callable[[Tensor, Tensor], list[Tensor]]:
        """Take ghost clipping where every layer has a closed form and all its weights are trained."""
        if self._method == "vmap":
            return self._by_vmap
        wanted = {id(p) for p in self._targets}
        reason = obstacle(self._model, self._layers, x[:1])
        for layer in self._layers:
            if not isinstance(layer, nn.Linear | nn.Conv2d):
                reason = reason or type(layer).__name__
            elif any(id(p) not in wanted for p in layer.parameters(recurse=False)):
                reason = reason or f"a {type(layer).__name__} of which a part is trained"
        if self._method == "ghost" and reason:
            raise BadInput(f"method='ghost' does not cover {reason}; pass method='vmap'")
        return self._by_vmap if reason else self._by_ghost

    def _factors(self, squares: Tensor) -> Tensor:
        """Clipping factors from squared norms."""
        if not bool(torch.isfinite(squares).all()):
            first = int((~torch.isfinite(squares)).nonzero()[0])
            raise Diverged(f"the gradient of example {first} of the batch is not finite; lower lr, or check the data")
        return (self._clip / squares.sqrt().clamp_min(torch.finfo(squares.dtype).tiny)).clamp_max(1.0)

    def _by_ghost(self, x: Tensor, y: Tensor) -> list[Tensor]:
        with listening(self._layers) as heard, torch.enable_grad():
            loss = losses(self._loss_fn, self._model(x), y).sum()
            deltas = torch.autograd.grad(loss, [heard.probes[k] for k in range(len(self._layers))])
        pieces = [_outer_parts(layer, heard.inputs[k], deltas[k]) for k, layer in enumerate(self._layers)]
        squares = torch.stack([
            outer_norms(a, d, layer.bias is not None)
            for layer, parts in zip(self._layers, pieces, strict=True)
            for a, d in parts
        ]).sum(0)
        factors = self._factors(squares)[:, None, None]
        found: dict[int, Tensor] = {}
        for layer, parts in zip(self._layers, pieces, strict=True):
            scaled = [(a, d * factors) for a, d in parts]
            weight, bias = cast(Tensor, layer.weight), cast(Tensor | None, layer.bias)
            found[id(weight)] = torch.cat([_product(a, d) for a, d in scaled]).view_as(weight)
            if bias is not None:
                found[id(bias)] = torch.cat([d.sum((0, 2)) for _, d in scaled])
        return [found[id(p)] for p in self._targets]

    def _by_vmap(self, x: Tensor, y: Tensor) -> list[Tensor]:
        weights = {name: p.detach() for name, p in zip(self._names, self._targets, strict=True)}

        def loss(trained: dict[str, Tensor], one: Tensor, label: Tensor) -> Tensor:
            return losses(self._loss_fn, functional_call(self._model, trained, (one[None],)), label[None]).sum()

        with torch.enable_grad():
            gradients = vmap(grad(loss), in_dims=(None, 0, 0))(weights, x, y)
        flat = [gradients[name].flatten(1) for name in self._names]
        factors = self._factors(torch.stack([g.square().sum(1) for g in flat]).sum(0))
        return [(factors @ g).view_as(p) for g, p in zip(flat, self._targets, strict=True)]


def _outer_parts(layer: nn.Module, a: Tensor, d: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Inputs (n, inputs, positions) and output gradients (n, outputs, positions), a pair for each group."""
    if isinstance(layer, nn.Conv2d):
        groups = layer.groups
        return list(zip(columns(layer, a).chunk(groups, 1), d.flatten(2).chunk(groups, 1), strict=True))
    if d.dim() == 2:
        return [(a[:, :, None], d[:, :, None])]
    return [(a.flatten(1, -2).mT, d.flatten(1, -2).mT)]


def _product(a: Tensor, d: Tensor) -> Tensor:
    """Sum of d a' over examples and positions: (outputs, inputs)."""
    if a.shape[2] == 1:
        return d[:, :, 0].mT @ a[:, :, 0]
    return d.transpose(0, 1).flatten(1) @ a.transpose(1, 2).flatten(0, 1)
