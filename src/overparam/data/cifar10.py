"""CIFAR-10: 50,000 training and 10,000 test photographs, 32 x 32 pixels, ten classes, in the original order.

Two copies are read: the parquet layout of the Hugging Face hub with JPEG images (pixels close to the original, not
equal), and the original binary archive. The decoded JPEGs are kept in the cache.

Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009. No licence stated.
"""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from overparam.data.images import Images, Split, check_split
from overparam.data.store import Source, at_hand, locate
from overparam.settings import cache_folder

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_ARCHIVE = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
_PARQUET = tuple(
    Source("cifar10", f"{split}.parquet", (total,), _ARCHIVE, fetch=False)
    for split, total in (
        ("train", "314badd52b062288f31f45b8e4959ef0e6c3c5d014e459682d27d2e2a47d2837"),
        ("test", "c6c5587b2abe408f9146f787c9d7c68126272431d5d30b28d15372ca6a5fd23a"),
    )
)
_BINARY = Source(
    "cifar10",
    "cifar-10-binary.tar.gz",
    ("c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",),
    _ARCHIVE,
)
_RECORD = 1 + 3 * 32 * 32


def __getattr__(name: str) -> tuple[Source, ...]:
    """Choose the copy that is at hand whenever `SOURCES` is asked for."""
    if name == "SOURCES":
        return _PARQUET if all(at_hand(s) for s in _PARQUET) else (_BINARY,)
    raise AttributeError(name)


def load_cifar10(*, split: Split = "train") -> Images:
    """Read one split.

    Args:
        split: `train` or `test`.

    Returns:
        Images of shape (n, 3, 32, 32), red, green and blue 0 to 255.
    """
    check_split(split)
    if all(at_hand(s) for s in _PARQUET):
        images, labels = _from_parquet(_PARQUET[0 if split == "train" else 1])
    else:
        images, labels = _from_archive(locate(_BINARY), split)
    return Images(images, labels, CLASSES)


load = load_cifar10


def _from_archive(path: Path, split: Split) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    wanted = [f"data_batch_{i}.bin" for i in range(1, 6)] if split == "train" else ["test_batch.bin"]
    with tarfile.open(path) as archive:
        members = {Path(m.name).name: m for m in archive.getmembers()}
        files = [archive.extractfile(members[name]) for name in wanted]
        rows = np.concatenate([np.frombuffer(f.read(), np.uint8).reshape(-1, _RECORD) for f in files if f])
    return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0].astype(np.int64)


def _from_parquet(source: Source) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    import pyarrow.parquet as parquet

    path = locate(source)
    labels = parquet.read_table(path, columns=["label"])["label"].to_numpy().astype(np.int64)
    kept = cache_folder() / "decoded" / f"cifar10-{source.sha256[0][:16]}.npy"
    if not kept.exists():
        _decode(path, kept)
    return np.load(kept, mmap_mode="r"), labels


def _decode(path: Path, kept: Path) -> None:
    import pyarrow.parquet as parquet
    from PIL import Image

    column = parquet.read_table(path, columns=["img"])["img"].combine_chunks().field("bytes")
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(b.as_py())).convert("RGB")) for b in column])
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as file:
        np.save(file, np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(kept)
