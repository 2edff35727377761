"""Examples of a data set as tensors, in a seeded random order, with what is needed to show them to people."""

from __future__ import annotations

import inspect
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, default_collate

from overparam.errors import BadInput

LABELS = ("labels", "label", "y", "target", "targets")
TEXTS = ("text", "sentence", "question", "content", "title")
BYTES = 2**31  # of examples held at once
CHUNK = 256


@dataclass(frozen=True)
class Examples:
    """Examples that were read.

    Attributes:
        x: (n, ...) inputs. Several integer inputs, such as ids and mask, are stacked as (n, k, ...).
        y: (n, ...) labels.
        positions: (n,) where each stands in the data set.
        total: Examples in the data set, or read so far where it has no length.
        names: Keyword arguments of the model that make up x; empty where x is passed by position.
        texts: Position to a text that came with the example.
    """

    x: Tensor
    y: Tensor
    positions: Tensor
    total: int
    names: tuple[str, ...]
    texts: Mapping[int, str]


class Adapted(nn.Module):
    """A model that takes one tensor and gives one: unpacks stacked inputs, picks the logits of a structured output.

    Args:
        model: Network.
        names: Keyword arguments that the input is made of; none to pass it by position.
    """

    def __init__(self, model: nn.Module, names: Sequence[str] = ()) -> None:
        super().__init__()
        self.inner, self.names = model, tuple(names)

    def forward(self, x: Tensor) -> Tensor:
        """Run the model.

        Args:
            x: (n, ...).

        Returns:
            (n, ...) outputs.

        Raises:
            BadInput: The model gives no tensor.
        """
        if not self.names:
            out = self.inner(x)
        elif len(self.names) == 1:
            out = self.inner(**{self.names[0]: x})
        else:
            out = self.inner(**{name: x[:, k] for k, name in enumerate(self.names)})
        if not isinstance(out, Tensor):
            named = out.get("logits") if isinstance(out, Mapping) else getattr(out, "logits", None)
            out = named if named is not None else out[0] if isinstance(out, tuple | list) else out
        if not isinstance(out, Tensor):
            raise BadInput(f"model gives a {type(out).__name__}; it must give a tensor, or an object with `logits`")
        return out


def read(data: Any, model: nn.Module, *, limit: int, seed: int, deadline: float) -> Examples:
    """Read up to `limit` examples, drawn at random where the data set has a length.

    Args:
        data: See `Subject`.
        model: Its signature tells which keys of a mapping are inputs.
        limit: Examples at most; fewer where they would take more than 2 GiB.
        seed: Of the order.
        deadline: Moment of `time.monotonic()` at which reading stops; at least 256 examples are read.

    Returns:
        Examples.

    Raises:
        BadInput: No examples, items of unknown form, or an item that cannot be read, with its position.
    """
    collect: Callable[[list[Any]], Any] = _collate
    if isinstance(data, DataLoader) and hasattr(data.dataset, "__len__") and hasattr(data.dataset, "__getitem__"):
        collect = _collate if data.collate_fn is default_collate else data.collate_fn
        data = data.dataset
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], Tensor):
        return _of_tensors(*data, limit=limit, seed=seed)
    if hasattr(data, "__len__") and hasattr(data, "__getitem__"):
        chunks, total = _by_item(data, collect, limit, seed), len(data)
    else:
        chunks, total = _in_order(data, limit), 0
    xs, ys, at, texts, size = [], [], [], dict[int, str](), 0
    names: tuple[str, ...] = ()
    for places, batch, words in chunks:
        x, y, names = _pair(batch, model)
        if len(x) != len(y):
            raise BadInput(f"a batch has {len(x)} inputs and {len(y)} labels; make them agree")
        xs.append(x)
        ys.append(y)
        at += places
        texts |= words
        size += x.numel() * x.element_size()
        if time.monotonic() > deadline or size > BYTES or len(at) >= limit:
            break
    if not at:
        raise BadInput("data holds no examples; pass the data that the model was trained on")
    return Examples(
        torch.cat(xs)[:limit], torch.cat(ys)[:limit], torch.tensor(at)[:limit], total or len(at), names, texts
    )


def _of_tensors(x: Tensor, y: Tensor, *, limit: int, seed: int) -> Examples:
    if len(x) != len(y):
        raise BadInput(f"data holds {len(x)} inputs and {len(y)} labels; pass one label an input")
    if not len(x):
        raise BadInput("data holds no examples; pass the data that the model was trained on")
    each = max(1, x[0].numel() * x.element_size())
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[: min(limit, max(1, BYTES // each))]
    rows = order.to(x.device)
    return Examples(x[rows].cpu(), y[order.to(y.device)].cpu(), order, len(x), (), {})


Chunk = tuple[list[int], Any, dict[int, str]]


def _by_item(data: Any, collect: Callable[[list[Any]], Any], limit: int, seed: int) -> Iterator[Chunk]:
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))[:limit].tolist()
    for first in range(0, len(order), CHUNK):
        places = order[first : first + CHUNK]
        items: list[Any] = []
        texts: dict[int, str] = {}
        for i in places:
            try:
                item = data[i]
            except Exception as error:
                raise BadInput(
                    f"data[{i}] raised {type(error).__name__}: {error}; mend or leave out that example"
                ) from error
            if isinstance(item, Mapping):
                words = next((item[k] for k in TEXTS if isinstance(item.get(k), str)), "")
                texts |= {i: words} if words else {}
            items.append(item)
        try:
            yield places, collect(items), texts
        except (TypeError, RuntimeError, KeyError, ValueError) as error:
            raise BadInput(
                f"data[{places[0]}] and its neighbours make no batch ({str(error).splitlines()[0]}); items must be "
                "tensors or arrays of one shape: give the data set a transform, or pass a DataLoader with its "
                "collate_fn"
            ) from error


def _in_order(data: Any, limit: int) -> Iterator[Chunk]:
    if not isinstance(data, Iterable):
        raise BadInput(f"data is a {type(data).__name__}; pass a data set, a DataLoader or tensors (x, y)")
    seen, source = 0, iter(data)
    while seen < limit:
        try:
            batch = next(source)
        except StopIteration:
            return
        except Exception as error:
            raise BadInput(f"data raised {type(error).__name__} after {seen} examples: {error}") from error
        length = len(next(iter(batch.values())) if isinstance(batch, Mapping) else batch[0])
        yield list(range(seen, seen + length)), batch, {}
        seen += length


def _collate(items: list[Any]) -> Any:
    """Default collation, where lists of numbers, as Hugging Face gives them, are arrays, and texts are left out."""
    if isinstance(items[0], Mapping):
        keep = [k for k, v in items[0].items() if isinstance(v, Tensor | np.ndarray | int | float | list | tuple)]
        return default_collate([{k: torch.as_tensor(item[k]) for k in keep} for item in items])
    return default_collate(items)


def _pair(batch: Any, model: nn.Module) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    if isinstance(batch, tuple | list) and len(batch) == 2 and all(isinstance(t, Tensor) for t in batch):
        return batch[0], batch[1], ()
    if not isinstance(batch, Mapping):
        found = [type(t).__name__ for t in batch] if isinstance(batch, tuple | list) else type(batch).__name__
        raise BadInput(f"data gives {found}; its items must be (x, y), or mappings with a key `label`")
    label = next((k for k in LABELS if k in batch), None)
    taken = inspect.signature(model.forward).parameters
    free = any(p.kind is p.VAR_KEYWORD for p in taken.values())
    inputs = {k: v for k, v in batch.items() if k != label and isinstance(v, Tensor) and (free or k in taken)}
    if label is None or not inputs:
        raise BadInput(
            f"data gives mappings with {', '.join(map(str, batch))}; there must be one of {', '.join(LABELS)}, and "
            f"inputs that the model takes ({', '.join(taken)})"
        )
    if len(inputs) == 1:
        name, x = next(iter(inputs.items()))
        return x, batch[label], (name,)
    shapes = {tuple(v.shape) for v in inputs.values()}
    if len(shapes) > 1 or any(v.is_floating_point() for v in inputs.values()):
        raise BadInput(
            f"the inputs {', '.join(inputs)} differ in shape or kind; wrap the model so that it takes one tensor"
        )
    return torch.stack(list(inputs.values()), 1), batch[label], tuple(inputs)


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Put back the global random states of Python, NumPy and torch afterwards, whatever happens inside.

    Yields:
        Nothing.
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 the caller's state is what we keep
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
