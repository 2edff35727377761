"""Brings the index up to date: folded documents, the model of meaning, the vectors of papers and claims.

It runs after each fetch, after seeding and every night. Only what changed is done again, in short transactions, so it
may be killed anywhere and two of them may run at once. A new model is fitted when there is none or when the number of
papers has grown by a fifth; the old one serves until the new one has a vector for every document.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from overparam.feed.search.words import fold
from overparam.lab.model import Claim
from overparam.lab.registry import papers
from overparam.ledger import Ledger
from overparam.ledger.clock import now
from overparam.ledger.schema import article, embedding, search_model
from overparam.ledger.schema import search_document as document
from overparam.settings import embedder_folder

if TYPE_CHECKING:
    from overparam.feed.search.semantic import Embedder

Rows = Sequence[sa.Row[*tuple[Any, ...]]]
CHUNK: Final = 500
GROWTH: Final = 1.2
LONGEST_TEXT: Final = 50_000  # characters of a field; tsvector ends at a megabyte
TITLE_WEIGHT: Final = 2  # times that the title counts among the words to be embedded


def claims_of(slug: str | None) -> tuple[Claim, ...]:
    """List the claims of one of our papers.

    Args:
        slug: Its name, or None.

    Returns:
        Its claims; none for papers of others, or of a pack that is not installed here.
    """
    entry = papers().get(slug) if slug else None
    return entry.claims if entry else ()


def claim_text(claim: Claim) -> str:
    """Write what is searched of a claim.

    Args:
        claim: The claim.

    Returns:
        Statement and note, folded.
    """
    return fold(f"{claim.statement} {claim.note}")


def update(ledger: Ledger) -> int:
    """Index what has changed since last time.

    Args:
        ledger: Where articles and index lie.

    Returns:
        How many documents were written.
    """
    written = update_words(ledger)
    _embed(ledger)
    return written


def update_words(ledger: Ledger) -> int:
    """Index the words of what has changed, and leave the meaning, which may need a model to be fitted, for later.

    Args:
        ledger: Where articles and index lie.

    Returns:
        How many documents were written.
    """
    return sum(_write(ledger, rows) for rows in _articles(ledger))


def _articles(ledger: Ledger) -> Iterator[Rows]:
    """Read, some at a time, articles that may have changed; ours always, since their claims live in the code."""
    columns = (
        *(article.c.id, article.c.slug, article.c.title, article.c.abstract, article.c.authors_json),
        *(article.c.updated_at, document.c.seen, document.c.fingerprint),
    )
    changed = sa.or_(
        document.c.article_id.is_(None), document.c.seen != article.c.updated_at, article.c.slug.is_not(None)
    )
    joined = article.outerjoin(document, document.c.article_id == article.c.id)
    select = sa.select(*columns).select_from(joined).where(changed).order_by(article.c.id).limit(CHUNK)
    last = ""
    while True:
        with ledger.reading() as db:
            rows = db.execute(select.where(article.c.id > last)).all()
        yield rows
        if len(rows) < CHUNK:
            return
        last = rows[-1].id


def _write(ledger: Ledger, rows: Rows) -> int:
    """Write the documents of these articles where their text is new."""
    written = 0
    with ledger.writing() as db:
        for row in rows:
            fields = {
                "title": fold(row.title[:LONGEST_TEXT]),
                "authors": " ".join(fold(name) for name in json.loads(row.authors_json))[:LONGEST_TEXT],
                "abstract": fold(row.abstract[:LONGEST_TEXT]),
                "claims": " ".join(claim_text(claim) for claim in claims_of(row.slug))[:LONGEST_TEXT],
            }
            text = hashlib.sha256(json.dumps(fields).encode()).hexdigest()
            if (row.seen, row.fingerprint) == (row.updated_at, text):
                continue
            changed = {"seen": row.updated_at, "fingerprint": text} | (fields if text != row.fingerprint else {})
            insert = ledger.insert(document).values(article_id=row.id, **changed | fields)
            db.execute(insert.on_conflict_do_update(index_elements=["article_id"], set_=changed))
            written += text != row.fingerprint
    return written


def _texts(row: sa.Row[*tuple[Any, ...]]) -> dict[str, str]:
    """List what is embedded of a document: title and abstract under an empty name, each claim under its id."""
    whole = " ".join([*[row.title] * TITLE_WEIGHT, row.abstract])
    return {"": whole} | {claim.id: claim_text(claim) for claim in claims_of(row.slug)}


def _documents() -> sa.Select[Any]:
    columns = (article.c.slug, document.c.article_id, document.c.fingerprint)
    joined = document.join(article, article.c.id == document.c.article_id)
    select = sa.select(*columns, document.c.title, document.c.abstract, document.c.claims).select_from(joined)
    return select.order_by(document.c.article_id)


def _embed(ledger: Ledger) -> None:
    """Embed what has no vector of the model to be used, then let that model serve."""
    from overparam.feed.search import semantic

    model = _model(ledger)
    if model is None:
        return
    current = sa.and_(
        embedding.c.article_id == document.c.article_id,
        embedding.c.model == model.id,
        embedding.c.part == "",
        embedding.c.fingerprint == document.c.fingerprint,
    )
    missing = _documents().where(~sa.exists().where(current)).limit(CHUNK)
    changed = False
    while True:
        with ledger.reading() as db:
            rows = db.execute(missing).all()
        if not rows:
            break
        if not _write_vectors(ledger, model, rows):
            return
        changed = True
    with ledger.writing() as db:
        served = semantic.serving(db)
        if changed or served is None or served.model != model.id:
            values = {"ready_at": now(), "revision": search_model.c.revision + 1}
            ours = search_model.c.id == model.id
            if db.execute(sa.update(search_model).where(ours).values(**values)).rowcount:
                db.execute(sa.delete(search_model).where(~ours))  # and their vectors


def _write_vectors(ledger: Ledger, model: Embedder, rows: Rows) -> bool:
    """Embed documents and their claims; False when another process has put a newer model in place meanwhile."""
    parts = [(row, name, text) for row in rows for name, text in _texts(row).items()]
    vectors = model.embed([text for _, _, text in parts])
    ids = [row.article_id for row in rows]
    values = [
        {
            "model": model.id,
            "article_id": row.article_id,
            "part": name,
            "fingerprint": row.fingerprint,
            "vector": vector.astype("<f4").tobytes(),
        }
        for (row, name, _), vector in zip(parts, vectors, strict=True)
    ]
    with ledger.writing() as db:
        if not db.scalar(sa.select(sa.func.count()).where(search_model.c.id == model.id)):
            return False
        db.execute(sa.delete(embedding).where(embedding.c.model == model.id, embedding.c.article_id.in_(ids)))
        still = set(db.scalars(sa.select(article.c.id).where(article.c.id.in_(ids))))
        if kept := [row for row in values if row["article_id"] in still]:
            db.execute(ledger.insert(embedding).on_conflict_do_nothing(), kept)
    return True


def _model(ledger: Ledger) -> Embedder | None:
    """Choose the model that vectors should be of: that in the folder, the newest here, or one fitted now."""
    from overparam.feed.search import semantic

    folder = embedder_folder()
    with ledger.reading() as db:
        size = db.execute(sa.select(sa.func.count()).select_from(document)).scalar_one()
        latent = sa.select(search_model.c.id, search_model.c.documents).where(
            search_model.c.id.like(f"{semantic.LATENT}-%")
        )
        newest = db.execute(latent.order_by(search_model.c.made_at.desc()).limit(1)).first()
        if folder is None and newest and size <= GROWTH * newest.documents:
            return semantic.open_model(db, newest.id)
    if folder is not None:
        model: Embedder = semantic.Folder(folder)
        body = b""
    else:
        with ledger.reading() as db:
            body = semantic.fit([text for row in db.execute(_documents()) for text in _texts(row).values()])
        if not body:
            return None
        model = semantic.Latent.read(body, semantic.fingerprint(body))
    with ledger.writing() as db:
        row = {"id": model.id, "made_at": now(), "documents": size, "revision": 0, "body": body}
        db.execute(ledger.insert(search_model).values(**row).on_conflict_do_nothing())
    return model
