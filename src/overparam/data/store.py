"""Where data lie: the folder `OVERPARAM_DATA`, else the cache, else the public source when online.

A file is read only when its checksum is one of those its reader knows. Nothing is ever written to `OVERPARAM_DATA`.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from overparam.errors import BadInput, Unavailable
from overparam.settings import cache_folder


@dataclass(frozen=True)
class Source:
    """One file of a data set.

    Attributes:
        folder: Name of the data set's folder.
        name: Name of the file.
        sha256: Accepted checksums; of the uncompressed content for `.gz`, so that every publisher's copy fits.
        url: Public address.
        fetch: Whether that address serves this very file; if not, a user has to put it there.
    """

    folder: str
    name: str
    sha256: tuple[str, ...]
    url: str
    fetch: bool = True


def locate(source: Source) -> Path:
    """Find a file, fetch it if need be, and check it.

    Args:
        source: Which.

    Returns:
        A path whose content has an accepted checksum.

    Raises:
        Unavailable: It is not at hand and cannot be fetched.
    """
    path = _find(source)
    if path is None:
        if not source.fetch:
            place = f"{source.folder}/{source.name} below OVERPARAM_DATA"
            raise Unavailable(f"{place} has to be put there by hand: {source.url} publishes it in another format")
        if os.environ.get("OVERPARAM_OFFLINE"):
            raise Unavailable(
                f"{source.folder}/{source.name} is not at hand and OVERPARAM_OFFLINE is set; {_hint(source)}"
            )
        path = _fetch(source)
    _check(source, path)
    return path


def at_hand(source: Source) -> bool:
    """Tell whether a file can be read without fetching it.

    Args:
        source: Which.

    Returns:
        True if it is there; its checksum is looked at when it is read.
    """
    return _find(source) is not None


def fingerprint(sources: Sequence[Source]) -> str:
    """Hash the content of some files.

    Args:
        sources: Files of a data set.

    Returns:
        Hexadecimal sha256.
    """
    sums = [_sum(path, *_stamp(path)) for path in map(locate, sources)]
    return hashlib.sha256("\n".join(sums).encode()).hexdigest()


def _find(source: Source) -> Path | None:
    given = os.environ.get("OVERPARAM_DATA")
    folders = ([Path(given)] if given else []) + [cache_folder() / "data"]
    return next((p for f in folders if (p := f / source.folder / source.name).is_file()), None)


def _hint(source: Source) -> str:
    return f"fetch {source.url} into a folder {source.folder}/ and set OVERPARAM_DATA to the folder above it"


def _fetch(source: Source) -> Path:
    import pooch

    folder = cache_folder() / "data" / source.folder
    try:
        pooch.get_logger().setLevel("WARNING")
        return Path(pooch.retrieve(source.url, known_hash=None, fname=source.name, path=folder, progressbar=_bar()))
    except Exception as error:  # requests, urllib and the disk each have their own
        raise Unavailable(
            f"{source.folder}/{source.name} cannot be fetched ({type(error).__name__}); {_hint(source)}"
        ) from error


def _bar() -> bool:
    import importlib.util
    import sys

    return sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None


def _check(source: Source, path: Path) -> None:
    try:
        found = _sum(path, *_stamp(path))
    except (EOFError, OSError, zlib.error) as error:
        raise BadInput(
            f"{path} is damaged or cut short ({error}); delete it and fetch it again from {source.url}"
        ) from error
    if found not in source.sha256:
        raise BadInput(
            f"{path} has sha256 {found[:12]}…, expected {' or '.join(s[:12] + '…' for s in source.sha256)}; "
            f"it is damaged, cut short or another version: delete it and fetch it again from {source.url}"
        )


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


@functools.lru_cache(maxsize=256)
def _sum(path: Path, _mtime: int, _size: int) -> str:
    if path.suffix == ".gz" and not path.name.endswith(".tar.gz"):
        with gzip.open(path) as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
