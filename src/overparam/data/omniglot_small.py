"""Omniglot's two small background sets: 242 characters of eight alphabets, each drawn by 20 people.

Source: Lake, Salakhutdinov and Tenenbaum, Human-level concept learning through probabilistic program induction,
Science 2015; MIT licence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overparam.data.store import Source, locate
from overparam.errors import BadInput

SIDE, DRAWERS = 105, 20
_CHUNK = 256  # images unpacked at a time
SOURCES = (
    Source(
        "omniglot-small",
        "omniglot_small.npz",
        ("6c5974c86644af69bb10b300e1ce22ab5793d5fe42d20dbed3de80fd155115cd",),
        "https://github.com/brendenlake/omniglot/tree/master/python",
        fetch=False,
    ),
)


@dataclass(frozen=True)
class Characters:
    """Drawn characters.

    Attributes:
        images: (characters, 20, size, size), float32, ink 1 and paper 0.
        alphabets: (characters,), name of the alphabet of each.
    """

    images: NDArray[np.float32]
    alphabets: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.alphabets)


def load_omniglot_small(
    *, subset: int = 1, size: int = 28, without: Sequence[str] = (), only: Sequence[str] = ()
) -> Characters:
    """Read one of the two sets. Greek and Latin are in both: leave them out of one to keep the sets apart.

    Args:
        subset: 1 (Balinese, Early_Aramaic, Greek, Korean, Latin) or 2 (Greek, Japanese_(katakana), Latin, Sanskrit,
            Tagalog).
        size: Side of the images in pixels, 105 as published; smaller ones by a triangular filter as wide as the
            reduction, which is what imaging libraries call bilinear.
        without: Alphabets to leave out.
        only: Alphabets to keep; all if empty.

    Returns:
        Characters in the published order, drawers 1 to 20 in each.

    Raises:
        BadInput: Another subset, an unknown alphabet or a size outside 1 to 105.
    """
    if subset not in (1, 2) or not 1 <= size <= SIDE:
        raise BadInput(f"subset={subset}, size={size}: give subset 1 or 2 and a size between 1 and {SIDE}")
    with np.load(locate(SOURCES[0])) as file:
        packed, index, names = file["images_packed"], file["alphabet"], file["alphabet_names"]
        keep = file["subset"] == subset
        order = np.lexsort((file["drawer"], file["character"], index))
    known = sorted(str(name) for name in names[np.unique(index[keep])])
    for name in (*without, *only):
        if name not in known:
            raise BadInput(f"alphabet {name!r} is not in subset {subset}; it has {', '.join(known)}")
    wanted = [i for i, name in enumerate(names) if name not in without and (not only or name in only)]
    rows = order[(keep & np.isin(index, wanted))[order]]
    images = np.concatenate([_shrunk(packed[rows[i : i + _CHUNK]], size) for i in range(0, len(rows), _CHUNK)])
    alphabets = tuple(str(names[i]) for i in index[rows[::DRAWERS]])
    return Characters(images.reshape(-1, DRAWERS, size, size), alphabets)


load = load_omniglot_small


def _shrunk(packed: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    bits = np.unpackbits(packed, axis=1)[:, : SIDE * SIDE].reshape(-1, SIDE, SIDE).astype(np.float32)
    if size == SIDE:
        return bits
    weights = _triangles(size)
    return np.asarray(weights @ bits @ weights.T, dtype=np.float32)


def _triangles(size: int) -> NDArray[np.float32]:
    reduction = SIDE / size
    centres = (np.arange(size) + 0.5) * reduction
    distance = np.abs(np.arange(SIDE) + 0.5 - centres[:, None]) / reduction
    weights = np.maximum(0.0, 1.0 - distance)
    return np.asarray(weights / weights.sum(1, keepdims=True), dtype=np.float32)
