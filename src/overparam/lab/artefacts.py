"""Artefacts: costly intermediates that trials share, computed once and cached under the same key rules."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import hashlib
import inspect
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overparam.errors import BadInput

if TYPE_CHECKING:
    import numpy as np

Arrays = dict[str, "np.ndarray"]
_made: contextvars.ContextVar[list[dict[str, Any]] | None] = contextvars.ContextVar("made", default=None)


_since: contextvars.ContextVar[float] = contextvars.ContextVar("since", default=0.0)


@contextlib.contextmanager
def recording(since: float = 0.0) -> Iterator[list[dict[str, Any]]]:
    """Note the artefacts that are computed inside.

    Args:
        since: Artefacts made before this moment (seconds since the epoch) are computed again.

    Yields:
        A list that fills with key, name, sha256 and bytes of each.
    """
    made: list[dict[str, Any]] = []
    tokens = _made.set(made), _since.set(since)
    try:
        yield made
    finally:
        _made.reset(tokens[0])
        _since.reset(tokens[1])


def artefact(*, reads: Sequence[str] = ()) -> Callable[[Callable[..., Arrays]], Callable[..., Arrays]]:
    """Cache a function that returns named arrays.

    The first caller computes, all others wait and read. Arrays are stored as npz without pickle, written under a
    temporary name, synced and renamed, so a file that exists is complete. A damaged file is computed again.

    Args:
        reads: Data sets, or arguments that name one; their checksums are part of the key.

    Returns:
        A decorator. The wrapped function takes the same arguments; they must be int, float, str or bool.
    """

    def wrap(function: Callable[..., Arrays]) -> Callable[..., Arrays]:
        @functools.wraps(function)
        def cached(*args: Any, **kwargs: Any) -> Arrays:
            bound = inspect.signature(function).bind(*args, **kwargs)
            bound.apply_defaults()
            path = _path(function, bound.arguments, reads)
            found = _read(path)
            if found is not None:
                return found
            from filelock import FileLock

            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{path}.lock"):
                found = _read(path)
                return found if found is not None else _write(path, function.__name__, function(*args, **kwargs))

        return cached

    return wrap


def _path(function: Callable[..., Any], arguments: Mapping[str, Any], reads: Sequence[str]) -> Path:
    from overparam.lab.planner import checksums, environment_class, fingerprint
    from overparam.settings import cache_folder

    for name, value in arguments.items():
        if not isinstance(value, int | float | str | bool):
            raise BadInput(
                f"artefact {function.__name__}: {name} is {type(value).__name__}; pass int, float, str or bool"
            )
    data = tuple(sorted({str(arguments.get(name, name)) for name in reads}))
    identity = [
        function.__module__,
        function.__name__,
        dict(arguments),
        checksums(data),
        fingerprint(function, data),
    ]
    key = hashlib.sha256(json.dumps([*identity, environment_class()], sort_keys=True).encode()).hexdigest()
    return cache_folder() / "artefacts" / key[:2] / f"{key}.npz"


def _read(path: Path) -> Arrays | None:
    import zipfile

    import numpy as np

    try:
        if path.stat().st_mtime < _since.get():
            return None
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        return None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile):
        path.unlink(missing_ok=True)
        return None


def _write(path: Path, name: str, arrays: Arrays) -> Arrays:
    import numpy as np

    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
        try:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    Path(file.name).replace(path)
    made = _made.get()
    if made is not None:
        content = path.read_bytes()
        made.append({
            "key": path.stem,
            "name": name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
        })
    return {name: np.asarray(value) for name, value in arrays.items()}
