"""Margins of a classifier: by how much the logit of the right class exceeds the largest other one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from overparam.errors import BadInput
from overparam.methods.measures.norms import plain_copy, precise
from overparam.methods.measures.objective import Batches, batches, check_model


@dataclass(frozen=True)
class Margins:
    """What a network says about each label.

    Attributes:
        values: (n,) margins in double precision, in the order of the data.
        gamma: The margin that a part q of the examples does not exceed; not above 0 where so many are wrong.
        accuracy: Share of examples with a positive margin.
        cross_entropy: Mean, in nats.
        entropy: Mean entropy of the predicted distribution, in nats.
    """

    values: Tensor
    gamma: float
    accuracy: float
    cross_entropy: float
    entropy: float


def margins(model: nn.Module, data: Batches, *, q: float = 0.1) -> Margins:
    """Take the margin z_y - max z_other of each example, in one pass.

    `gamma` is the k-th smallest margin with k = max(1, floor(q n)): the smallest one for fewer than 1 / q examples. It
    may be negative, and measures that divide by it are then undefined: the absolute value would make a network with
    errors look like one with a margin.

    Source: arXiv 1912.02178, section 4, for the tenth percentile.

    Args:
        model: Network with logits (..., classes), in evaluation mode where that matters; left as it is.
        data: (x, y) or batches of them, labels whole numbers 0 to classes - 1. With logits for each token every label
            counts as an example.
        q: Part of the examples, in (0, 1).

    Returns:
        Margins and what came with them.

    Raises:
        BadInput: `q` outside (0, 1); a model that cannot be measured; data that are empty or raise; logits of one
            class, not finite or of another shape; labels that are no classes.

    Example:
        >>> model = nn.Identity()
        >>> model.register_parameter("unused", nn.Parameter(torch.zeros(1)))
        >>> margins(model, (torch.tensor([[3.0, 1.0], [0.0, 5.0]]), torch.tensor([0, 1]))).values.tolist()
        [2.0, 5.0]
    """
    if not 0 < q < 1:
        raise BadInput(f"q={q} is no part of the examples; pass a number between 0 and 1")
    check_model(model)
    parts = []
    with undisturbed(model) as copy, torch.no_grad():
        device = device_of(copy)
        for x, y in batches(data):
            logits, labels = classified(copy(x.to(device)), y.to(device))
            if not bool(torch.isfinite(logits).all()):
                raise BadInput("model gives logits that are NaN or infinite; measure it before it diverges")
            parts.append(_of_batch(precise(logits), labels))
    values, losses, entropies = (torch.cat(part) for part in zip(*parts, strict=True))
    smallest = max(1, math.floor(q * len(values) + 1e-9))
    return Margins(
        values=values,
        gamma=float(values.kthvalue(smallest).values),
        accuracy=float((values > 0).double().mean()),
        cross_entropy=float(losses.mean()),
        entropy=float(entropies.mean()),
    )


def _of_batch(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    labels = labels.to(logits.device)
    right = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -math.inf)
    log_probabilities = logits.log_softmax(1)
    entropy = -(log_probabilities.exp() * log_probabilities).sum(1)
    return right[:, 0] - others.amax(1), -log_probabilities.gather(1, labels[:, None])[:, 0], entropy


def classified(logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Bring logits and labels of a classifier into the form (n, classes) and (n,).

    Args:
        logits: (..., classes).
        y: (...), whole numbers.

    Returns:
        Logits and labels.

    Raises:
        BadInput: Logits that are no tensor or do not fit the labels, a single class, or labels that are no classes.

    Example:
        >>> [tuple(t.shape) for t in classified(torch.zeros(2, 3, 7), torch.zeros(2, 3, dtype=torch.long))]
        [(6, 7), (6,)]
    """
    if not isinstance(logits, Tensor) or logits.dim() < 2 or logits.shape[:-1] != y.shape:
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise BadInput(f"model gives {found} for labels {tuple(y.shape)}; it must give logits (n, classes) for (n,)")
    classes = logits.shape[-1]
    if classes < 2:
        raise BadInput("model has logits of 1 class; a margin needs two, so give each class its logit")
    if y.is_floating_point() or y.is_complex():
        raise BadInput(f"labels are {y.dtype}; pass whole numbers 0 to {classes - 1}")
    if y.numel() and not (int(y.min()) >= 0 and int(y.max()) < classes):
        raise BadInput(
            f"labels run from {int(y.min())} to {int(y.max())}; pass 0 to {classes - 1}, the model's classes"
        )
    return logits.flatten(0, -2), y.flatten().long()


def device_of(model: nn.Module) -> torch.device:
    """Say where a network's first weight lies.

    Args:
        model: Network.

    Returns:
        The device; the processor for a network without weights.
    """
    return next(model.parameters(), torch.empty(0)).device


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[nn.Module]:
    """Lend a copy in evaluation mode, so that no weight, mode, buffer or global random state of the caller changes.

    Args:
        model: Network.

    Yields:
        The copy.
    """
    device = device_of(model)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield plain_copy(model)
