"""Files that users hand to a command: arrays, sparse matrices and training logs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from overparam.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from scipy.sparse import csr_array

_ARRAYS = ".npy, .npz with one array, .csv, .tsv or .txt"


def array(path: Path, *, dimensions: int) -> np.ndarray[Any, Any]:
    """Read a numeric array.

    Args:
        path: A .npy file, a .npz file with one array, or numbers in .csv, .tsv or .txt; one line of names may lead.
        dimensions: How many dimensions are wanted; a single column or row of text counts as a vector.

    Returns:
        float64 array, all finite.

    Raises:
        BadInput: Not there, not numeric, of other dimensions, or not finite.
    """
    import numpy as np

    try:
        found = np.asarray(_numbers(path), dtype=np.float64)
    except FileNotFoundError:
        raise BadInput(f"{path} is not there; give {_ARRAYS}") from None
    except (ValueError, TypeError, OSError, EOFError) as error:
        raise BadInput(f"{path} cannot be read as numbers ({error}); give {_ARRAYS}") from None
    if dimensions == 1 and found.ndim == 2 and 1 in found.shape:
        found = found.ravel()
    if found.ndim != dimensions:
        raise BadInput(f"{path} has shape {found.shape}; {dimensions} dimensions are needed")
    if not found.size:
        raise BadInput(f"{path} is empty")
    if not np.isfinite(found).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(found))[0])
        raise BadInput(f"{path} has {found[where]} at {where}; all numbers have to be finite")
    return found


def _numbers(path: Path) -> Any:
    import numpy as np

    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as held:
            if len(held.files) != 1:
                raise ValueError(f"it holds {', '.join(held.files) or 'nothing'}, one array is needed")
            return held[held.files[0]]
    if path.suffix not in (".csv", ".tsv", ".txt"):
        raise ValueError(f"ending {path.suffix or 'missing'}")
    separator = {".csv": ",", ".tsv": "\t"}.get(path.suffix)
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        return np.empty(0)
    try:
        [float(word) for word in lines[0].split(separator)]
    except ValueError:
        lines = lines[1:]
    return np.loadtxt(lines, delimiter=separator, ndmin=2)


def sparse(path: Path) -> csr_array:
    """Read a square sparse matrix.

    Args:
        path: Matrix Market (.mtx, .mtx.gz) or a .npz file that `scipy.sparse.save_npz` wrote.

    Returns:
        CSR, float64, all finite.

    Raises:
        BadInput: Not there, of another format, not square, or not finite.
    """
    import numpy as np
    from scipy.io import mmread
    from scipy.sparse import csr_array, load_npz

    try:
        found = csr_array(load_npz(path) if path.suffix == ".npz" else mmread(path)).astype(np.float64)
    except FileNotFoundError:
        raise BadInput(f"{path} is not there; give a .mtx file or a .npz file of scipy.sparse") from None
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise BadInput(f"{path} cannot be read as a sparse matrix ({error})") from None
    if found.shape[0] != found.shape[1]:
        raise BadInput(f"{path} has shape {found.shape}; a square matrix is needed")
    if not np.isfinite(found.data).all():
        raise BadInput(f"{path} has entries that are not finite")
    return found


def table(path: Path, needed: tuple[str, ...]) -> dict[str, np.ndarray[Any, Any]]:
    """Read columns of a training log.

    Args:
        path: .csv or .tsv with a line of names, .json with a list of records, or .jsonl with one record a line.
        needed: Names of the wanted columns.

    Returns:
        Name to float64 column; lines in which a wanted value is missing are left out.

    Raises:
        BadInput: Not there, not readable, a column missing or not numeric, or no full line.
    """
    import numpy as np
    import pandas as pd

    try:
        if path.suffix in (".json", ".jsonl"):
            frame = pd.read_json(path, lines=path.suffix == ".jsonl")
        else:
            frame = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
    except FileNotFoundError:
        raise BadInput(f"{path} is not there; give a .csv, .tsv, .json or .jsonl file") from None
    except (ValueError, OSError) as error:
        raise BadInput(f"{path} cannot be read as a table ({error})") from None
    absent = [name for name in needed if name not in frame]
    if absent:
        raise BadInput(f"{path} has no column {absent[0]!r}; it has {', '.join(map(str, frame.columns))}")
    try:
        rows = frame[list(needed)].dropna().astype(np.float64)
    except (ValueError, TypeError) as error:
        raise BadInput(f"{path}: a column is not numeric ({error})") from None
    if rows.empty:
        raise BadInput(f"{path} has no line with all of {', '.join(needed)}")
    return {name: rows[name].to_numpy() for name in needed}
