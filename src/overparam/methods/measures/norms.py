"""Norms of a network's weights: spectral norms of layers and convolutions, the path norm, folded batch normalisation.

The weight matrices of a network are those of its `nn.Linear` and `nn.Conv2d` layers, a kernel (out, in, kh, kw) read as
the matrix (out, in kh kw). Embeddings, recurrent layers, transposed convolutions and bare parameters are ignored.

Source: the norms that arXiv 1912.02178, appendix C, compares; arXiv 1805.10408 for the exact norm of a convolution.
Departures:

1. Reading a kernel as a matrix is a convention: it is no norm of the convolution. `conv_spectral_norm` has the others.
2. In a residual network the product over layers is a convention, too: it leaves out the skip connections.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrize

from overparam.errors import BadInput

Layer = nn.Linear | nn.Conv2d
DENSE_SIDE = 1024  # up to here the Gram matrix is decomposed, beyond it subspace iteration is faster
CHUNK = 2**24  # numbers in one stack of Fourier transforms


def weight_matrices(model: nn.Module) -> dict[str, Tensor]:
    """Name the weights of linear layers and convolutions, each as a matrix.

    Args:
        model: Network.

    Returns:
        Parameter name to (out, in), detached, in the order of the layers; weights that two layers share appear once.

    Example:
        >>> {name: tuple(w.shape) for name, w in weight_matrices(nn.Sequential(nn.Conv2d(2, 4, 3))).items()}
        {'0.weight': (4, 18)}
    """
    return {name: layer.weight.detach().flatten(1) for name, layer in _layers(model)}


def _layers(model: nn.Module) -> Iterator[tuple[str, Layer]]:
    seen: set[int] = set()
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d) and isinstance(layer.weight, nn.Parameter):
            if id(layer.weight) not in seen:
                yield f"{name}.weight" if name else "weight", layer
            seen.add(id(layer.weight))


def precise(values: Tensor) -> Tensor:
    """Copy to double precision, on the processor where the device has none.

    Args:
        values: Any shape.

    Returns:
        The same numbers, detached.
    """
    values = values.detach()
    return values.cpu().double() if values.device.type == "mps" else values.double()


def spectral_norm(matrix: Tensor) -> float:
    """Largest singular value of a matrix.

    From the Gram matrix of the shorter side in double precision; by subspace iteration to 1e-6 where both sides are
    longer than 1,024. Cost: rows x columns x the shorter side, or 16 x rows x columns an iteration.

    Args:
        matrix: (out, in).

    Returns:
        The norm.

    Raises:
        BadInput: No matrix, or an empty one.

    Example:
        >>> round(spectral_norm(torch.diag(torch.tensor([3.0, -4.0]))), 12)
        4.0
    """
    if matrix.dim() != 2 or not matrix.numel():
        raise BadInput(f"matrix has shape {tuple(matrix.shape)}; pass a matrix (out, in) with entries")
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    if len(wide) <= DENSE_SIDE:
        wide = precise(wide)
        return float(torch.linalg.eigvalsh(wide @ wide.T)[-1].clamp_min(0).sqrt())
    wide = wide.detach().float()
    start = torch.randn(len(wide), 8, generator=torch.Generator().manual_seed(0)).to(wide.device)
    basis, found = torch.linalg.qr(start)[0], 0.0
    for _ in range(500):
        image = wide @ (wide.T @ basis)
        before, found = found, float(torch.linalg.eigvalsh(precise(basis.T @ image))[-1])
        if abs(found - before) <= 1e-7 * found:
            break
        basis = torch.linalg.qr(image)[0]
    return math.sqrt(max(found, 0.0))


def conv_spectral_norm(
    weight: Tensor, size: Sequence[int], *, method: Literal["fft", "reshape", "power"] = "fft"
) -> float:
    """Spectral norm of a convolution with stride 1 on images of a given size.

    `fft` is exact for circular padding: the largest singular value over the Fourier transforms of the kernel. `power`
    iterates on the convolution with zero padding of half the kernel. `reshape` is the norm of the matrix
    (out, in kh kw), a convention that depends on no size. `fft` forms height x width matrices (out, in).

    Source: arXiv 1805.10408, theorem 6, for `fft`.

    Args:
        weight: (out, in, kh, kw).
        size: Height and width of the input.
        method: See above.

    Returns:
        The norm.

    Raises:
        BadInput: A weight of another shape, a size below the kernel's, or an unknown method.

    Example:
        >>> round(conv_spectral_norm(torch.ones(1, 1, 3, 3), (8, 8)), 12)  # the constant image is multiplied by 9
        9.0
    """
    if weight.dim() != 4 or not weight.numel():
        raise BadInput(f"weight has shape {tuple(weight.shape)}; pass the kernel of a convolution (out, in, kh, kw)")
    height, width = (int(v) for v in size)
    if height < weight.shape[2] or width < weight.shape[3]:
        raise BadInput(f"size={height, width} is below the kernel {tuple(weight.shape[2:])}; pass the input's size")
    if method == "reshape":
        return spectral_norm(weight.flatten(1))
    if method == "power":
        return _by_power(precise(weight), height, width)
    if method != "fft":
        raise BadInput(f"method={method!r} is unknown; give 'fft', 'reshape' or 'power'")
    transforms = torch.fft.rfft2(precise(weight), s=(height, width)).flatten(2).permute(2, 0, 1)
    parts = torch.split(transforms, max(1, CHUNK // weight[..., 0, 0].numel()))
    return max(float(torch.linalg.svdvals(part).max()) for part in parts)


def _by_power(weight: Tensor, height: int, width: int) -> float:
    padding = (weight.shape[2] // 2, weight.shape[3] // 2)
    draw = torch.Generator().manual_seed(0)
    image = torch.randn(1, weight.shape[1], height, width, generator=draw, dtype=weight.dtype).to(weight.device)
    image, found = image / image.norm(), 0.0
    for _ in range(3_000):
        back = functional.conv_transpose2d(functional.conv2d(image, weight, padding=padding), weight, padding=padding)
        before, found = found, float(back.norm())
        if found == 0.0 or abs(found - before) <= 1e-10 * found:
            break
        image = back / found
    return math.sqrt(found)


def path_norm(model: nn.Module, input_shape: Sequence[int]) -> float:
    """Sum over all paths from input to output of the product of squared weights.

    Every weight and bias is squared and the sum of the outputs on an input of ones is returned, in double precision.
    This is the path norm of a network of linear layers, convolutions, ReLU and pooling; batch normalisation is folded
    first. For other networks (attention, normalisation by the example) it is a number without that meaning.

    Source: arXiv 1912.02178, appendix C; arXiv 1503.00036.

    Args:
        model: Network on real inputs.
        input_shape: Of one input, without the batch.

    Returns:
        The path norm, in squared units of the outputs; infinite where it overflows.

    Raises:
        BadInput: A shape that is not positive, or a network that does not take inputs of that shape.

    Example:
        >>> with torch.no_grad():
        ...     model = nn.Sequential(nn.Linear(2, 1, bias=False))
        ...     _ = model[0].weight.copy_(torch.tensor([[3.0, -4.0]]))
        >>> path_norm(model, (2,))
        25.0
    """
    shape = tuple(int(v) for v in input_shape)
    if any(v < 1 for v in shape):
        raise BadInput(f"input_shape={shape} is not positive; pass the shape of one input, such as (3, 32, 32)")
    first = next(model.parameters(), torch.empty(0))
    device = torch.device("cpu") if first.device.type == "mps" else first.device
    ones = torch.ones(1, *shape, dtype=torch.float64, device=device)
    try:
        squared = fold_batchnorm(plain_copy(model).to(device).double(), ones)
        with torch.no_grad():
            for parameter in squared.parameters():
                parameter.square_()
            total = float(squared(ones).sum())
    except (RuntimeError, IndexError, TypeError) as error:
        raise BadInput(
            f"model refuses an input of shape {(1, *shape)}: {error}; pass input_shape of one input"
        ) from error
    return total if total == total else float("inf")


def plain_copy(model: nn.Module) -> nn.Module:
    """Copy a network into evaluation mode, with parametrised weights (`torch.nn.utils.parametrize`) made plain.

    Args:
        model: Network; stays as it is.

    Returns:
        The copy.
    """
    plain = copy.deepcopy(model).eval()
    for layer in list(plain.modules()):
        if parametrize.is_parametrized(layer):
            _unparametrise(layer)
    return plain


def _unparametrise(layer: nn.Module) -> None:
    """Keep the present values as parameters; torch's own removal would take the property from the caller's layer, too.

    A parametrised layer and its copy share one class, made for that layer, whose base is the class it had before.
    """
    lists = cast(nn.ModuleDict, layer.parametrizations)
    values = {n: (getattr(layer, n).detach(), any(p.requires_grad for p in lists[n].parameters())) for n in lists}
    layer.__class__ = type(layer).__bases__[0]
    del layer._modules["parametrizations"]
    for name, (value, trainable) in values.items():
        layer.register_parameter(name, nn.Parameter(value, requires_grad=trainable))


def fold_batchnorm(model: nn.Module, x: Tensor | None = None) -> nn.Module:
    """Copy a network with each batch normalisation multiplied into the layer before it.

    W becomes scale W and the bias scale (b - mean) + shift, with scale = weight / sqrt(variance + eps); a bias is added
    where there was none. With an input `x` the layer before is found by following it, and the result is compared:
    where the outputs would change, nothing is folded. Without `x` only neighbours inside a `Sequential` are folded.
    A normalisation that follows no linear layer or convolution directly stays.

    Args:
        model: Network; stays as it is.
        x: (n, ...) inputs.

    Returns:
        A copy in evaluation mode.

    Example:
        >>> model, x = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).eval(), torch.randn(5, 3)
        >>> folded = fold_batchnorm(model)
        >>> type(folded[1]).__name__, torch.allclose(folded(x), model(x), atol=1e-6)
        ('Identity', True)
    """
    folded = copy.deepcopy(model).eval()
    if not any(isinstance(m, _BatchNorm) for m in folded.modules()):
        return folded
    for layer, norm in _neighbours(folded) if x is None else _followed(folded, x):
        _fold(layer, norm)
        for parent in folded.modules():
            for name, child in parent.named_children():
                if child is norm:
                    setattr(parent, name, nn.Identity())
    if x is None:
        return folded
    with torch.no_grad():
        before, after = copy.deepcopy(model).eval()(x), folded(x)
    same = torch.allclose(before, after, rtol=1e-3, atol=1e-4 * float(before.abs().max()))
    return folded if same else copy.deepcopy(model).eval()


def _fits(layer: nn.Module, norm: nn.Module) -> bool:
    kinds = ((nn.Linear, nn.BatchNorm1d), (nn.Conv2d, nn.BatchNorm2d))
    matched = any(isinstance(layer, a) and isinstance(norm, b) for a, b in kinds)
    return matched and cast(_BatchNorm, norm).running_mean is not None


def _neighbours(model: nn.Module) -> list[tuple[Layer, _BatchNorm]]:
    chains = [list(m) for m in model.modules() if isinstance(m, nn.Sequential)]
    pairs = [(a, b) for chain in chains for a, b in itertools.pairwise(chain) if _fits(a, b)]
    return [(cast(Layer, a), cast(_BatchNorm, b)) for a, b in pairs]


def _followed(model: nn.Module, x: Tensor) -> list[tuple[Layer, _BatchNorm]]:
    """Pair each layer with the normalisation that takes its output as it is."""
    made: list[tuple[nn.Module, Tensor, int]] = []
    pairs: list[tuple[nn.Module, nn.Module]] = []
    calls: dict[int, int] = {}

    def after(layer: nn.Module, _: object, output: Tensor) -> None:
        calls[id(layer)] = calls.get(id(layer), 0) + 1
        made.append((layer, output, output._version))

    def before(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        calls[id(norm)] = calls.get(id(norm), 0) + 1
        pairs.extend((a, norm) for a, out, version in made if out is inputs[0] and inputs[0]._version == version)

    handles = [m.register_forward_hook(after) for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    handles += [m.register_forward_pre_hook(before) for m in model.modules() if isinstance(m, _BatchNorm)]
    try:
        with torch.no_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    once = [(a, b) for a, b in pairs if calls[id(a)] == calls[id(b)] == 1 and _fits(a, b)]
    return [(cast(Layer, a), cast(_BatchNorm, b)) for a, b in once if sum(a is c for c, _ in once) == 1]


def _fold(layer: Layer, norm: _BatchNorm) -> None:
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    scale = (variance + norm.eps).rsqrt() * (1.0 if norm.weight is None else norm.weight.detach())
    bias = torch.zeros_like(mean) if layer.bias is None else layer.bias.detach()
    shift = 0.0 if norm.bias is None else norm.bias.detach()
    trainable = layer.weight.requires_grad
    weight = layer.weight.detach() * scale.view(-1, *[1] * (layer.weight.dim() - 1))
    layer.weight = nn.Parameter(weight, requires_grad=trainable)
    layer.bias = nn.Parameter((bias - mean) * scale + shift, requires_grad=trainable)
