"""Search by meaning: vectors of papers and claims, compared with that of the query.

The embedder is latent semantic analysis: stems weighted by TF-IDF, reduced by a truncated SVD that was fitted on the
ledger's own papers. It needs no download, and the same papers give the same model. scikit-learn fits it; a query is
embedded with NumPy alone, so that a server need not import more. The setting `OVERPARAM_EMBEDDER` names the folder of
a sentence-transformers model to be used instead; nothing is ever downloaded.

A paper scores by the better of its own vector and those of its claims.
"""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from overparam.errors import MissingExtra, Unavailable
from overparam.feed.search.words import ANALYSIS, stems
from overparam.ledger import Ledger
from overparam.ledger.schema import embedding, search_model
from overparam.settings import embedder_folder

DIMENSIONS: Final = 384
MOST_STEMS: Final = 20_000
LEAST: Final = 0.25  # cosine under which two texts are not about the same thing
NOTHING: Final = "no paper has been embedded yet; the next fetch does it"
LATENT: Final = f"latent-{ANALYSIS}"
Vectors = npt.NDArray[np.float32]


class Embedder(Protocol):
    """Turns folded texts into vectors of length 1, or 0 where it knows none of the words."""

    @property
    def id(self) -> str: ...  # noqa: D102

    def embed(self, texts: Sequence[str]) -> Vectors: ...  # noqa: D102


def _unit(vectors: npt.NDArray[Any]) -> Vectors:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0), dtype=np.float32)


@dataclass(frozen=True)
class Latent:
    """Latent semantic analysis, in NumPy.

    Attributes:
        vocabulary: Stem to column.
        weights: Inverse document frequency of each stem, `(v,)`.
        components: Leading right singular vectors, `(v, d)`.
        id: Name in the ledger.
    """

    vocabulary: dict[str, int]
    weights: Vectors
    components: Vectors
    id: str

    @classmethod
    def read(cls, body: bytes, name: str) -> Latent:
        """Read a model.

        Args:
            body: As `fit` makes it.
            name: Its id.

        Returns:
            The model.
        """
        with np.load(io.BytesIO(body), allow_pickle=False) as kept:
            names = json.loads(kept["vocabulary"].tobytes())
            vocabulary = {name: column for column, name in enumerate(names)}
            return cls(vocabulary, kept["weights"], kept["components"], name)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed folded texts.

        Args:
            texts: As `words.fold` returns them.

        Returns:
            `(n, d)`, rows of length 1.
        """
        rows = np.zeros((len(texts), self.components.shape[1]), dtype=np.float32)
        for row, text in enumerate(texts):
            counts = Counter(self.vocabulary[s] for s in stems(text) if s in self.vocabulary)
            if counts:
                columns = np.fromiter(counts, dtype=np.int64)
                weight = (1 + np.log(np.fromiter(counts.values(), dtype=np.float32))) * self.weights[columns]
                rows[row] = (weight / np.linalg.norm(weight)) @ self.components[columns]
        return _unit(rows)


def fingerprint(body: bytes) -> str:
    """Name a fitted model by its content.

    Args:
        body: Its bytes.

    Returns:
        A short name.
    """
    return f"{LATENT}-{hashlib.sha256(body).hexdigest()[:16]}"


def fit(texts: Sequence[str]) -> bytes:
    """Fit latent semantic analysis; imports scikit-learn. About ten seconds for 10,000 papers.

    Args:
        texts: Folded.

    Returns:
        The model as npz without pickle; empty if the texts have too few words in common to fit one.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from threadpoolctl import threadpool_limits

    words = TfidfVectorizer(
        analyzer=stems, min_df=2 if len(texts) > 100 else 1, max_features=MOST_STEMS, sublinear_tf=True
    )
    try:
        weighted = words.fit_transform(texts)
    except ValueError:  # not one word
        return b""
    size = min(DIMENSIONS, weighted.shape[0] - 1, weighted.shape[1] - 1)
    if size < 1:
        return b""
    with threadpool_limits(1):  # sums in one order: the same texts give the same bytes
        components = TruncatedSVD(size, random_state=0).fit(weighted).components_
    names = json.dumps(words.get_feature_names_out().tolist()).encode()
    file = io.BytesIO()
    np.savez(
        file,
        vocabulary=np.frombuffer(names, dtype=np.uint8),
        weights=words.idf_.astype(np.float32),
        components=np.ascontiguousarray(components.T, dtype=np.float32),
    )
    return file.getvalue()


class Folder:
    """A sentence-transformers model in a folder.

    Args:
        path: The folder.

    Raises:
        MissingExtra: The library is not installed.
        Unavailable: The folder holds no model.
    """

    def __init__(self, path: Path) -> None:
        try:
            from sentence_transformers import SentenceTransformer  # type: ignore[import-not-found, unused-ignore]
        except ImportError as error:
            raise MissingExtra(
                "OVERPARAM_EMBEDDER needs sentence-transformers; pip install sentence-transformers, or unset it"
            ) from error
        self.id = folder_id(path)
        try:
            self._model = SentenceTransformer(str(path), device="cpu", local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise Unavailable(
                f"OVERPARAM_EMBEDDER={path} cannot be read as a sentence-transformers model: {error}"
            ) from error

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed texts.

        Args:
            texts: Any.

        Returns:
            `(n, d)`, rows of length 1.
        """
        return _unit(np.asarray(self._model.encode(list(texts), show_progress_bar=False), dtype=np.float32))


def folder_id(path: Path) -> str:
    """Name a model in a folder by the names and sizes of its files.

    Args:
        path: The folder.

    Returns:
        A short name.

    Raises:
        Unavailable: There is no such folder, or no model in it.
    """
    if not (path / "config.json").is_file():
        raise Unavailable(f"OVERPARAM_EMBEDDER={path} is no folder with a model; point it at one, or unset it")
    files = sorted((str(f.relative_to(path)), f.stat().st_size) for f in path.rglob("*") if f.is_file())
    return f"folder-{hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]}"


class State(NamedTuple):
    """Which vectors serve: other values, other vectors."""

    model: str
    ready_at: str
    revision: int


@dataclass(frozen=True)
class Meanings:
    """All vectors of one model, in memory.

    Attributes:
        embedder: The model.
        state: Of the ledger when they were read.
        vectors: `(n, d)`.
        owners: Article and claim of each row; the claim is empty for the article itself.
        articles: Ids of the articles.
        starts: For each article its number, by row, `(n,)`.
    """

    embedder: Embedder
    state: State
    vectors: Vectors
    owners: list[tuple[str, str]]
    articles: list[str]
    starts: npt.NDArray[np.int64]

    def near(self, query: str) -> tuple[list[tuple[str, float]], dict[tuple[str, str], float]]:
        """Compare a query with everything.

        Args:
            query: Folded.

        Returns:
            Articles that are near enough with their cosine, nearest first, ties by id; and the cosine of every claim.
        """
        cosine = self.vectors @ self.embedder.embed([query])[0]
        best = np.full(len(self.articles), -1.0, dtype=np.float32)
        np.maximum.at(best, self.starts, cosine)
        chosen = np.flatnonzero(best >= LEAST)
        order = chosen[np.lexsort((chosen, -best[chosen]))]
        claims = {owner: float(c) for owner, c in zip(self.owners, cosine, strict=True) if owner[1]}
        return [(self.articles[i], float(best[i])) for i in order], claims


_LOADED: dict[str, Meanings] = {}
_LOADING = threading.Lock()


def serving(db: sa.Connection) -> State | None:
    """Find the newest model that has a vector for every document.

    Args:
        db: A connection.

    Returns:
        Its id, when it became ready and the revision of its vectors, or None.
    """
    columns = (search_model.c.id, search_model.c.ready_at, search_model.c.revision)
    ready = sa.select(*columns).where(search_model.c.ready_at.is_not(None))
    row = db.execute(ready.order_by(search_model.c.ready_at.desc(), search_model.c.id).limit(1)).first()
    return State(*row) if row else None


def open_model(db: sa.Connection, name: str) -> Embedder:
    """Open a model of the ledger.

    Args:
        db: A connection.
        name: Its id.

    Returns:
        The embedder.

    Raises:
        Unavailable: It lies in a folder that is not set here.
    """
    if name.startswith("latent-"):
        body = db.execute(sa.select(search_model.c.body).where(search_model.c.id == name)).scalar_one()
        return Latent.read(body, name)
    folder = embedder_folder()
    if folder is None or folder_id(folder) != name:
        raise Unavailable("papers were embedded by another model; set OVERPARAM_EMBEDDER to its folder here too")
    return Folder(folder)


def meanings(ledger: Ledger) -> Meanings:
    """Return the vectors of the ledger, from memory while nothing has changed.

    Args:
        ledger: Where they lie.

    Returns:
        All vectors.

    Raises:
        Unavailable: There are none yet, or their model cannot be opened.
    """
    address = ledger.engine.url.render_as_string()
    with ledger.reading() as db:
        state = serving(db)
        if state is None:
            raise Unavailable(NOTHING)
        with _LOADING:
            kept = _LOADED.get(address)
            if not kept or kept.state != state:
                known = kept.embedder if kept and kept.state.model == state.model else open_model(db, state.model)
                kept = _LOADED[address] = _load(db, known, state)
    return kept


def _load(db: sa.Connection, embedder: Embedder, state: State) -> Meanings:
    columns = (embedding.c.article_id, embedding.c.part, embedding.c.vector)
    rows = db.execute(
        sa.select(*columns).where(embedding.c.model == state.model).order_by(embedding.c.article_id, embedding.c.part)
    ).all()
    if not rows:
        raise Unavailable(NOTHING)
    vectors = np.frombuffer(b"".join(row.vector for row in rows), dtype=np.float32)
    owners = [(row.article_id, row.part) for row in rows]
    number: dict[str, int] = {}
    starts = np.array([number.setdefault(name, len(number)) for name, _ in owners], dtype=np.int64)
    return Meanings(embedder, state, vectors.reshape(len(rows), -1), owners, list(number), starts)
