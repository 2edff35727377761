"""The loss of a network over a data set, one value an example: what the measures of a trained network share."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import vmap

from overparam.errors import BadInput
from overparam.methods.measures.grand import check_scoring

Batches = tuple[Tensor, Tensor] | Iterable[tuple[Tensor, Tensor]]
Loss = Callable[..., Tensor]


def batches(data: Batches, *, chunk: int = 512) -> Iterator[tuple[Tensor, Tensor]]:
    """Go through inputs and labels in batches, whatever form they come in.

    Args:
        data: Whole tensors (x, y), or any iterable of such pairs, such as a `DataLoader`.
        chunk: Examples at a time where whole tensors are given; batches that come ready stay as they are.

    Yields:
        Inputs (b, ...) and labels (b, ...).

    Raises:
        BadInput: No examples; inputs and labels of different lengths; batches that are no pairs; or data that raise,
            with the number of the batch.

    Example:
        >>> [len(y) for _, y in batches((torch.zeros(5, 2), torch.zeros(5)), chunk=2)]
        [2, 2, 1]
    """
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], Tensor):
        x, y = data
        if len(x) != len(y):
            raise BadInput(f"data holds {len(x)} inputs and {len(y)} labels; pass one label an input")
        ready: Iterable[Any] = zip(torch.split(x, chunk), torch.split(y, chunk), strict=True) if len(x) else ()
    else:
        ready = cast(Iterable[Any], data)
    examples = 0
    for number, batch in enumerate(_guarded(ready)):
        if not (isinstance(batch, tuple | list) and len(batch) == 2 and all(isinstance(t, Tensor) for t in batch)):
            raise BadInput(f"batch {number} is a {type(batch).__name__}; data must give pairs of tensors (x, y)")
        if len(batch[0]) != len(batch[1]):
            raise BadInput(f"batch {number} holds {len(batch[0])} inputs and {len(batch[1])} labels; make them agree")
        examples += len(batch[0])
        if len(batch[0]):
            yield batch[0], batch[1]
    if not examples:
        raise BadInput("data holds no examples; pass (x, y), or batches of them that can be gone through again")


def _guarded(ready: Iterable[Any]) -> Iterator[Any]:
    """Say at which batch a data set raised."""
    source, number = iter(ready), 0
    while True:
        try:
            batch = next(source)
        except StopIteration:
            return
        except BadInput:
            raise
        except Exception as error:
            raise BadInput(f"data raised {type(error).__name__} at batch {number}: {error}; mend that batch") from error
        yield batch
        number += 1


def check_model(model: nn.Module) -> None:
    """Refuse a model on which no measure is defined.

    Args:
        model: Network.

    Raises:
        BadInput: A weight that is not finite, no trainable weights, or a layer that uses the batch or chance.
    """
    for name, weight in model.named_parameters():
        if weight.is_floating_point() and not bool(torch.isfinite(weight).all()):
            raise BadInput(f"{name} holds NaN or infinity; measure a model before it diverges")
    if not any(p.requires_grad for p in model.parameters()):
        raise BadInput("model has no trainable weights; let requires_grad be True for those to measure")
    check_scoring(model)


def losses(loss_fn: Loss, outputs: Tensor, y: Tensor) -> Tensor:
    """Return the loss of each example.

    `loss_fn` is called with `reduction="none"` where it takes the keyword, with its attribute `reduction` set to
    that where it has one, and otherwise on one example at a time. Trailing dimensions, such as those of a
    regression with several targets or of the tokens in a sequence, are averaged, as `reduction="mean"` would.

    Args:
        loss_fn: Takes outputs and labels, such as `torch.nn.functional.cross_entropy` or `torch.nn.MSELoss()`.
        outputs: (b, ...) of the network.
        y: (b, ...) labels.

    Returns:
        (b,).

    Raises:
        BadInput: It gives no value for each example: a loss of another shape, a class weight, or no loss at all.

    Example:
        >>> losses(nn.MSELoss(), torch.tensor([[1.0], [3.0]]), torch.zeros(2, 1)).tolist()
        [1.0, 9.0]
    """
    if getattr(loss_fn, "weight", None) is not None:
        raise BadInput("loss_fn weighs the classes, so its mean is no mean over examples; pass it without weight")
    if isinstance(loss_fn, nn.Module) and hasattr(loss_fn, "reduction"):
        each: Any = copy.copy(loss_fn)
        each.reduction = "none"
        values = each(outputs, y)
    elif _takes_reduction(loss_fn):
        values = loss_fn(outputs, y, reduction="none")
    else:
        values = vmap(lambda output, label: loss_fn(output[None], label[None]))(outputs, y)
        values = values[:, 0] if values.dim() == 2 and values.shape[1] == 1 else values
        if isinstance(values, Tensor) and values.dim() != 1:
            raise BadInput(f"loss_fn gives {tuple(values.shape[1:])} numbers for one example; it must give one")
    if not isinstance(values, Tensor) or values.dim() == 0 or len(values) != len(y):
        found = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise BadInput(f"loss_fn gives {found} for {len(y)} examples; it must give one value an example")
    return values.flatten(1).mean(1) if values.dim() > 1 else values


def _takes_reduction(loss_fn: Loss) -> bool:
    try:
        return "reduction" in inspect.signature(loss_fn).parameters
    except (TypeError, ValueError):
        return False
