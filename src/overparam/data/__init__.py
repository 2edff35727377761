"""Readers of real data sets, one a file. NumPy and pandas only."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Any

from overparam.errors import NotFound

_NOT_READERS = {"images", "noise", "store", "text", "xor_clusters"}


def names() -> list[str]:
    """List the data sets that have a reader.

    Returns:
        Names with dashes, sorted.
    """
    return sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(__path__) if m.name not in _NOT_READERS)


def _reader(name: str) -> ModuleType:
    if name not in names():
        raise NotFound(f"data set {name!r} is unknown; there are {', '.join(names())}")
    return importlib.import_module(f"overparam.data.{name.replace('-', '_')}")


def load(name: str, **arguments: Any) -> Any:
    """Read a data set by name.

    Args:
        name: Such as `mnist`.
        arguments: Passed to its reader, such as `split="test"`.

    Returns:
        What the reader returns; `Images` for images.
    """
    return _reader(name).load(**arguments)


def available(name: str) -> bool:
    """Tell whether a data set can be read without fetching anything.

    Args:
        name: Such as `mnist`.

    Returns:
        True if all its files are at hand.
    """
    from overparam.data.store import at_hand

    return all(at_hand(s) for s in _reader(name).SOURCES)


def checksum(name: str) -> str:
    """Return the fingerprint of a data set.

    Args:
        name: Such as `mnist`.

    Returns:
        Hexadecimal sha256 over its files; of the library's version for data that a library ships.
    """
    reader = _reader(name)
    if hasattr(reader, "checksum"):
        return str(reader.checksum())
    from overparam.data.store import fingerprint

    return fingerprint(reader.SOURCES)
