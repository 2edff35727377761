"""CIFAR-10N: labels that people gave to the 50,000 training images of CIFAR-10, right or wrong.

Source: Wei et al., Learning with Noisy Labels Revisited, ICLR 2022; CC BY-NC 4.0 (non-commercial).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from overparam.data.store import Source, locate
from overparam.errors import BadInput

Kind = Literal["clean", "aggre", "worst", "random1", "random2", "random3"]
KINDS = ("clean", "aggre", "worst", "random1", "random2", "random3")
_ORIGINAL = "https://github.com/UCSC-REAL/cifar-10-100n/raw/main/data/CIFAR-10_human.pt"
_PARQUET = Source(
    "cifar10n",
    "cifar10n.parquet",
    ("f0a928d76c43a2fe2e05bba033de61ed5f883dfc9873884ffa334c3db7d13e22",),
    _ORIGINAL,
    fetch=False,
)
SOURCES = (_PARQUET,)


def load_cifar10n(*, kind: Kind = "aggre") -> NDArray[np.int64]:
    """Read one set of labels, in the order of CIFAR-10's training images.

    Shares of wrong labels: aggre 9.01 %, random1 17.23 %, random2 18.12 %, random3 17.64 %, worst 40.21 %.

    Args:
        kind: Which annotation; `clean` are CIFAR-10's own labels.

    Returns:
        (50000,), 0 to 9.

    Raises:
        BadInput: An unknown kind.
    """
    if kind not in KINDS:
        raise BadInput(f"kind={kind!r} is unknown; give one of {', '.join(KINDS)}")
    import pyarrow.parquet as parquet

    return np.asarray(parquet.read_table(locate(_PARQUET), columns=[kind])[kind].to_numpy(), dtype=np.int64)


load = load_cifar10n
