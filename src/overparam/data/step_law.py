"""Step Law's measurements: about 2,600 language-model pretraining runs over learning rate and batch size.

Source: Li et al., arXiv 2503.04715, repository step-law/steplaw, as published. No licence stated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from overparam.data.store import Source, locate

if TYPE_CHECKING:
    import pandas as pd

_URL = "https://raw.githubusercontent.com/step-law/steplaw/main/data"
FITS = "1004_fitted_lr_bs_scaling_model_parameters.csv"
_SUMS = {
    "dense_lr_bs_loss.csv": "9e46181076c04d450294d75dfe6f72adc416e231e154a07b337e378f9410002c",
    "moe_lr_bs_loss.csv": "653d585244a7b227423007e8b796bc16d76f6d24eb87b1919b8f048a91897b92",
    FITS: "2252afbba5530e6ba6167e8101bd2b9082a018a58cb5922cc8672891a7f4336c",
}
SOURCES = tuple(Source("step-law", name, (total,), f"{_URL}/{name}") for name, total in _SUMS.items())


def load_dense() -> pd.DataFrame:
    """Read the 1,911 dense runs.

    Returns:
        Columns h, ffnh, numh, numl, lr, bs (sequences of 2,048 tokens), ti (steps), loss, `smooth loss`,
        D (tokens), N (parameters without vocabulary), as float64; exp_name as text.
    """
    return _numeric(SOURCES[0])


def load_moe() -> pd.DataFrame:
    """Read the 708 mixture-of-experts runs.

    Returns:
        The columns of `load_dense`, and Na (active parameters) and others.
    """
    return _numeric(SOURCES[1])


def load_bootstrap() -> pd.DataFrame:
    """Read the 1,000 published bootstrap fits, in natural logs.

    Returns:
        Columns lr_intercept, lr_coefN, lr_coefD, bs_intercept, bs_coefD.
    """
    return _numeric(SOURCES[2])


def load(*, table: str = "dense") -> pd.DataFrame:
    """Read a table by name.

    Args:
        table: dense, moe or bootstrap.

    Returns:
        The table.
    """
    return {"dense": load_dense, "moe": load_moe, "bootstrap": load_bootstrap}[table]()


def _numeric(source: Source) -> pd.DataFrame:
    """Read a file with every number as float64: products of the integer columns do not fit into 64 bits."""
    import pandas as pd

    table = pd.read_csv(locate(source))
    numbers = table.select_dtypes("number").columns
    return table.astype(dict.fromkeys(numbers, "float64"))
