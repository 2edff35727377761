"""Labelled images as arrays, and the idx format in which MNIST and its kin are published."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from overparam.data.store import Source, locate
from overparam.errors import BadInput

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Images:
    """Labelled images.

    Attributes:
        images: (n, channels, height, width), uint8.
        labels: (n,), int64.
        classes: Name of each label.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)


def check_split(split: str) -> None:
    """Refuse an unknown split.

    Args:
        split: As given.

    Raises:
        BadInput: It is neither train nor test.
    """
    if split not in ("train", "test"):
        raise BadInput(f"split={split!r} is unknown; give 'train' or 'test'")


def read_idx(source: Source) -> NDArray[np.uint8]:
    """Read a compressed idx file of bytes.

    Args:
        source: Which.

    Returns:
        Array with the shape that its header gives.
    """
    with gzip.open(locate(source)) as file:
        head = file.read(4)
        shape = np.frombuffer(file.read(4 * head[3]), ">i4")
        return np.frombuffer(file.read(), np.uint8).reshape(shape)


def load_idx(sources: Sequence[Source], classes: tuple[str, ...], split: Split) -> Images:
    """Read one split of a set of grey images in idx format.

    Args:
        sources: Training images, training labels, test images, test labels.
        classes: Name of each label.
        split: `train` or `test`.

    Returns:
        Images of shape (n, 1, h, w) in the published order.
    """
    check_split(split)
    images, labels = sources[:2] if split == "train" else sources[2:]
    return Images(read_idx(images)[:, None], read_idx(labels).astype(np.int64), classes)
