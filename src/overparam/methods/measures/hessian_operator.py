"""Curvature of a network's loss as a linear operator: products with a vector, without forming the matrix.

The loss is L(w) = (1/n) sum_i l(z_i, y_i) with outputs z_i = f_w(x_i) and J_i = dz_i/dw. Four matrices are offered:

- `hessian`: H, the second derivatives of L;
- `ggn`: G = (1/n) sum_i J_i' A_i J_i with A_i = d²l/dz_i², the generalised Gauss-Newton matrix;
- `residual`: R = H - G, which holds the curvature of the network itself, weighted by dl/dz;
- `fisher`: (1/n) sum_i g_i g_i' with the gradients g_i of single losses, not centred: the empirical Fisher matrix.

Source: arXiv 1706.04454, section on the decomposition of the Hessian; Pearlmutter, Fast exact multiplication by the
Hessian, 1994. Departure 1: the paper writes G with the loss as a function of one score of the correct class; here it
is a function of all outputs, which gives the same H.

A network with ReLU has second derivatives almost everywhere; where it has none, the product takes the slope to be 0.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from overparam.errors import BadInput
from overparam.methods.measures.objective import Batches, Loss, batches, check_model, losses

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

Kind = Literal["hessian", "ggn", "residual", "fisher"]
RETAINED_BYTES = 2**30  # of activations that may stay in memory between products
CHUNK = 1024
COLUMNS = 64
DENSE = 20_000


class HessianOperator:
    """Curvature matrix (P, P) of the mean loss over all data, by products with vectors.

    Weights and buffers are copied when the operator is made, so later training does not change it, and neither the
    model nor its gradients change. Weights that need no gradient are left out, tied weights count once. The order is
    that of `model.parameters()`, each weight flattened.

    Whole tensors (x, y): where the activations fit into 1 GiB, the first backward pass is done once and kept, and a
    product costs one backward pass, O(n P). Otherwise, and for any loader, each product goes through the data again
    and costs a forward and two backward passes; a loader must then give the same examples each time.

    Attributes:
        shape: (P, P).
        dtype: Type of the weights.
        device: Device of the weights, where products are computed; batches are moved there.
        retained: Whether the first backward pass is kept.

    Example:
        The Hessian of a linear regression is 2 X'X / n:

        >>> x, model = torch.randn(20, 3).double(), nn.Linear(3, 1, bias=False).double()
        >>> operator = HessianOperator(model, nn.MSELoss(), (x, torch.zeros(20, 1).double()))
        >>> torch.allclose(operator.to_dense(), 2 * x.T @ x / 20)
        True
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: Loss,
        data: Batches,
        *,
        params: Iterable[nn.Parameter] | None = None,
        kind: Kind = "hessian",
        chunk: int | None = None,
    ) -> None:
        """Copy the weights and look at the first examples.

        Args:
            model: Network in evaluation mode.
            loss_fn: Any loss that `objective.losses` takes. The mean over examples is meant, whatever its reduction.
            data: Whole tensors (x, y), or an iterable of such batches that can be gone through again and again. Each
                example weighs the same, whatever the sizes of the batches.
            params: Weights to differentiate; all that need a gradient if None.
            kind: Which matrix.
            chunk: Examples in one backward pass; 1,024 if None. Batches that come ready stay as they are.

        Raises:
            BadInput: No data, an iterator that can be used once, a model that is not in evaluation mode or holds NaN,
                weights of another model, an unknown kind, or a loss that does not give one finite number an example.
        """
        check_model(model)
        if kind not in get_args(Kind):
            raise BadInput(f"kind={kind!r} is unknown; choose {', '.join(get_args(Kind))}")
        if chunk is not None and chunk < 1:
            raise BadInput(f"chunk={chunk} holds no examples; pass chunk>=1")
        if isinstance(data, Iterator):
            raise BadInput("data can be gone through only once; pass tensors (x, y), a list or a DataLoader")
        self._model, self._loss, self._data, self._kind, self._chunk = model, loss_fn, data, kind, chunk or CHUNK
        chosen = _chosen(model, params)
        self._state = {name: t.detach().clone() for name, t in (*model.named_parameters(), *model.named_buffers())}
        self._weights = [self._state[name].requires_grad_() for name in chosen]
        self._shapes = [tuple(w.shape) for w in self._weights]
        self._sizes = [w.numel() for w in self._weights]
        self.shape = (sum(self._sizes), sum(self._sizes))
        self.dtype, self.device = self._weights[0].dtype, self._weights[0].device
        self._vmaps, self._kept, self._examples = True, list[_Piece](), 0
        whole = isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], Tensor)
        self._bytes = self._probe()
        self.retained = whole and self._bytes * len(data[0]) <= RETAINED_BYTES  # type: ignore[index]
        if self.retained:
            self._kept = list(self._pieces())

    def matvec(self, v: Tensor) -> Tensor:
        """Multiply a vector.

        Args:
            v: (P,), any floating type and device.

        Returns:
            (P,), of the type and on the device of `v`.

        Raises:
            BadInput: A vector of another length.
        """
        v = torch.as_tensor(v)
        if v.shape != self.shape[:1]:
            raise BadInput(f"v has shape {tuple(v.shape)}; pass ({self.shape[0]},), one number a weight")
        return self._product(v[None])[0]

    def matmat(self, V: Tensor) -> Tensor:
        """Multiply several vectors at once, by batched backward passes where all layers have them.

        Args:
            V: (P, m), any floating type and device.

        Returns:
            (P, m), of the type and on the device of `V`.

        Raises:
            BadInput: A matrix of another shape.
        """
        V = torch.as_tensor(V)
        if V.dim() != 2 or len(V) != self.shape[0]:
            raise BadInput(f"V has shape {tuple(V.shape)}; pass ({self.shape[0]}, m), one vector a column")
        if V.shape[1] == 0:
            return V.clone()
        return torch.cat([self._product(rows) for rows in torch.split(V.mT, COLUMNS)]).mT

    def to_dense(self, force: bool = False) -> Tensor:
        """Form the matrix from P products.

        Args:
            force: Allow more than 20,000 weights, that is 1.6 GB in single precision.

        Returns:
            (P, P), exactly symmetric.

        Raises:
            BadInput: Too many weights, or products that do not belong to one symmetric matrix because the model or
                the data change between them.
        """
        size = self.shape[0]
        if size > DENSE and not force:
            raise BadInput(f"{size} weights make a matrix of {size**2:,} numbers; pass force=True, or use lanczos")
        dense = torch.empty(size, size, dtype=self.dtype, device=self.device)
        for start in range(0, size, COLUMNS):
            rows = torch.arange(start, min(start + COLUMNS, size), device=self.device)
            unit = torch.zeros(len(rows), size, dtype=self.dtype, device=self.device)
            unit[torch.arange(len(rows)), rows] = 1
            dense[rows] = self._product(unit)
        scale, odd = float(dense.abs().max()), float((dense - dense.mT).abs().max())
        if odd > math.sqrt(torch.finfo(self.dtype).eps) * scale:
            raise BadInput(
                f"the matrix is not symmetric (by {odd:.2g} of {scale:.2g}); model or data change between products: "
                "pass a model without randomness and data without shuffling of dropped batches"
            )
        return (dense + dense.mT) / 2

    def to_scipy(self) -> LinearOperator:
        """Wrap as an operator of SciPy, in double precision, for `scipy.sparse.linalg.eigsh` and its like.

        Returns:
            LinearOperator of shape (P, P).
        """
        from scipy.sparse.linalg import LinearOperator

        def product(v: np.ndarray) -> np.ndarray:
            given = torch.from_numpy(np.asarray(v, dtype=np.float64).reshape(self.shape[0], -1))
            return self.matmat(given).numpy().reshape(v.shape)

        return LinearOperator(self.shape, matvec=product, rmatvec=product, matmat=product, dtype=np.float64)

    def _product(self, rows: Tensor) -> Tensor:
        """Multiply each row (m, P); sums over pieces in double precision where the device has it."""
        given = rows.detach().to(self.device, self.dtype)
        exact = self.dtype if self.device.type == "mps" else torch.float64
        total, examples = torch.zeros(given.shape, dtype=exact, device=self.device), 0
        for piece in self._kept or self._pieces():
            total += torch.cat([self._apply(piece, part) for part in torch.split(given, self._columns(piece.examples))])
            examples += piece.examples
        return (total / examples).to(rows.device, rows.dtype)

    def _columns(self, examples: int) -> int:
        return max(1, min(COLUMNS, RETAINED_BYTES // max(1, self._bytes * examples)))

    def _apply(self, piece: _Piece, rows: Tensor) -> Tensor:
        if len(rows) > 1 and self._vmaps:
            try:
                return self._join(piece(self._parts(rows), True), len(rows))
            except torch.OutOfMemoryError:
                raise
            except RuntimeError:  # a layer without a batching rule
                self._vmaps = False
        return torch.cat([self._join(piece(self._parts(row), False), 1) for row in rows])

    def _parts(self, rows: Tensor) -> list[Tensor]:
        lead = rows.shape[:-1]
        return [t.reshape(*lead, *s) for t, s in zip(torch.split(rows, self._sizes, -1), self._shapes, strict=True)]

    def _join(self, parts: Sequence[Tensor], rows: int) -> Tensor:
        return torch.cat([t.reshape(rows, -1) for t in parts], 1)

    def _pieces(self) -> Iterator[_Piece]:
        check_model(self._model)
        for x, y in batches(self._data, chunk=self._chunk):
            yield self._piece(x, y)

    @torch.enable_grad()
    def _piece(self, x: Tensor, y: Tensor) -> _Piece:
        x, y = x.to(self.device), y.to(self.device)
        with contextlib.ExitStack() as stack:
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))  # the fused kernels have no second derivative
            if any(isinstance(layer, nn.RNNBase) for layer in self._model.modules()):
                stack.enter_context(torch.backends.cudnn.flags(enabled=False))  # nor has this one
            z = functional_call(self._model, self._state, (x,))
        if not isinstance(z, Tensor):
            raise BadInput(f"model gives a {type(z).__name__}; wrap it so that it gives one tensor of outputs")
        if not z.requires_grad:
            raise BadInput("the outputs do not depend on the weights to differentiate; pass params that they use")
        make = {"hessian": _hessian, "residual": _residual, "ggn": _gauss_newton, "fisher": _fisher}[self._kind]
        return make(self._weights, self._loss, z, y)

    def _probe(self) -> int:
        """Check the first examples, and return the bytes that one example keeps alive."""
        x, y = next(iter(batches(self._data, chunk=2)))
        own = {w.untyped_storage().data_ptr() for w in self._state.values()}
        seen: dict[int, int] = {}

        def note(t: Tensor) -> Tensor:
            storage = t.untyped_storage()
            if storage.data_ptr() not in own:
                seen[storage.data_ptr()] = storage.nbytes()
            return t

        with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
            piece = self._piece(x[:2], y[:2])
        if not math.isfinite(piece.loss):
            raise BadInput(f"the loss is {piece.loss} on the first examples; pass finite data and outputs")
        return sum(seen.values()) // piece.examples


def _chosen(model: nn.Module, params: Iterable[nn.Parameter] | None) -> list[str]:
    named = dict(model.named_parameters())  # tied weights come once
    if params is None:
        chosen = [name for name, p in named.items() if p.requires_grad]
    else:
        if isinstance(params, Tensor):
            raise BadInput("params is one tensor; pass a list of the model's parameters")
        wanted = {id(p) for p in params}
        chosen = [name for name, p in named.items() if id(p) in wanted]
        if len(chosen) < len(wanted) or not chosen:
            raise BadInput(f"params holds {len(wanted)} weights, {len(chosen)} of this model; pass model.parameters()")
    return chosen


class _Piece(Protocol):
    """The graph of some examples: a sum of their curvatures, as a function of weights' directions."""

    examples: int
    loss: float

    def __call__(self, parts: Sequence[Tensor], batched: bool) -> Sequence[Tensor]: ...


def _backward(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], given: Sequence[Tensor], batched: bool
) -> Sequence[Tensor]:
    """Vector-Jacobian product that keeps the graph; zeros where nothing depends on an input."""
    pairs = [(o, g) for o, g in zip(outputs, given, strict=True) if o.requires_grad]
    if not pairs:
        lead = given[0].shape[:1] if batched else ()
        return [i.new_zeros(*lead, *i.shape) for i in inputs]
    ready, sides = zip(*pairs, strict=True)
    return torch.autograd.grad(
        ready, inputs, sides, retain_graph=True, is_grads_batched=batched, materialize_grads=True
    )


class _Second:
    """Second derivatives of a scalar: the gradient is formed once."""

    def __init__(self, weights: Sequence[Tensor], scalar: Tensor, loss: Tensor) -> None:
        self._weights, self.examples, self.loss = weights, len(loss), float(loss.detach().mean())
        self._gradient = torch.autograd.grad(scalar, weights, create_graph=True, materialize_grads=True)

    def __call__(self, parts: Sequence[Tensor], batched: bool) -> Sequence[Tensor]:
        return _backward(self._gradient, self._weights, parts, batched)


class _Outer:
    """J' A J of some outputs, with `inner` for A. J v is the derivative of J'u, which is linear in a dummy u."""

    def __init__(
        self,
        weights: Sequence[Tensor],
        outputs: Tensor,
        loss: Tensor,
        inner: Callable[[Sequence[Tensor], bool], Sequence[Tensor]],
    ) -> None:
        self._weights, self._outputs, self._inner = weights, outputs, inner
        self.examples, self.loss = len(loss), float(loss.detach().mean())
        self._dummy = torch.zeros_like(outputs, requires_grad=True)
        self._transposed = torch.autograd.grad(outputs, weights, self._dummy, create_graph=True, materialize_grads=True)

    def __call__(self, parts: Sequence[Tensor], batched: bool) -> Sequence[Tensor]:
        forward = _backward(self._transposed, [self._dummy], parts, batched)
        return _backward([self._outputs], self._weights, self._inner(forward, batched), batched)


def _hessian(weights: Sequence[Tensor], loss_fn: Loss, z: Tensor, y: Tensor) -> _Piece:
    loss = losses(loss_fn, z, y)
    return _Second(weights, loss.sum(), loss)


def _residual(weights: Sequence[Tensor], loss_fn: Loss, z: Tensor, y: Tensor) -> _Piece:
    leaf = z.detach().requires_grad_()
    loss = losses(loss_fn, leaf, y)
    (slope,) = torch.autograd.grad(loss.sum(), leaf)
    return _Second(weights, (slope * z).sum(), loss)  # the loss made linear in the outputs


def _gauss_newton(weights: Sequence[Tensor], loss_fn: Loss, z: Tensor, y: Tensor) -> _Piece:
    leaf = z.detach().requires_grad_()
    loss = losses(loss_fn, leaf, y)
    (slope,) = torch.autograd.grad(loss.sum(), leaf, create_graph=True)
    return _Outer(weights, z, loss, lambda given, batched: _backward([slope], [leaf], given, batched))


def _fisher(weights: Sequence[Tensor], loss_fn: Loss, z: Tensor, y: Tensor) -> _Piece:
    loss = losses(loss_fn, z, y)
    return _Outer(weights, loss, loss, lambda given, batched: given)
