"""Merges what the sources say: one article a paper, however many sources list it, and nothing lost on the way.

A record finds its article by the first of: the source's own name for it, slug or arXiv identifier, DOI, and last the
title together with the first author or the day of publication. Where that leaves doubt (a title alone, or
identifiers that lead to different articles) the record waits in `merge_conflict` for a person.

Where sources disagree about the same version, the more authoritative one is believed (`AUTHORITY`); a newer version
always wins, and the older text stays in `article_version`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from ulid import ULID

from overparam.feed import trending
from overparam.feed.identity import arxiv_id, name_key, title_key
from overparam.feed.record import Record, tidied
from overparam.feed.shelf import Held, Shelf
from overparam.ledger import Ledger
from overparam.ledger.clock import now as present
from overparam.ledger.schema import (
    article_source,
    article_topic,
    article_version,
    listing,
    merge_conflict,
    metric,
)

__all__ = ["Absorbed", "absorb", "arxiv_id", "title_key"]

AUTHORITY = {"arxiv": 3, "huggingface": 2, "file": 1, "overparam": 0}
BATCH = 500
LOCK = 5_872_362  # PostgreSQL advisory lock: any fixed number of ours, not that of the migrations


@dataclass(frozen=True)
class Absorbed:
    """What became of some records.

    Attributes:
        added: New articles.
        updated: Articles of which something changed.
        unchanged: Records that said nothing new.
        conflicts: Records that wait for a person.
        ids: Articles added or updated.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    conflicts: int = 0
    ids: tuple[str, ...] = ()

    def __add__(self, other: Absorbed) -> Absorbed:
        return Absorbed(
            self.added + other.added,
            self.updated + other.updated,
            self.unchanged + other.unchanged,
            self.conflicts + other.conflicts,
            tuple(dict.fromkeys(self.ids + other.ids)),
        )


def absorb(
    ledger: Ledger, records: Iterable[Record], *, db: sa.Connection | None = None, now: str | None = None
) -> Absorbed:
    """Merge records into the articles. Doing it twice changes nothing the second time.

    Args:
        ledger: The ledger.
        records: What a source says.
        db: An open transaction to work in; by default one of its own, all or nothing.
        now: The time.

    Returns:
        What became of them.
    """
    now = now or present()
    result = Absorbed()
    with contextlib.nullcontext(db) if db is not None else ledger.writing() as connection:
        if connection.dialect.name == "postgresql":  # two processes must not add one paper twice
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:n)"), {"n": LOCK})
        for batch in _batches(records):
            result += _absorb_batch(ledger, connection, batch, now)
    return result


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    iterator = iter(records)
    while batch := [tidied(record) for record in itertools.islice(iterator, BATCH)]:
        yield batch


def _absorb_batch(ledger: Ledger, db: sa.Connection, batch: list[Record], now: str) -> Absorbed:
    shelf = Shelf(ledger, db, batch)
    added: dict[str, None] = {}
    updated: dict[str, None] = {}
    unchanged = conflicts = 0
    for record in batch:
        found = _find(shelf, record)
        if isinstance(found, _Doubt):
            _queue(shelf, record, found, now)
            conflicts += 1
        elif found is None:
            added[_add(shelf, record, now).row["id"]] = None
        elif _update(shelf, found, record, now):
            updated[found.row["id"]] = None
        else:
            unchanged += 1
    shelf.flush(now)
    updated = {key: None for key in updated if key not in added}
    return Absorbed(len(added), len(updated), unchanged, conflicts, (*added, *updated))


@dataclass(frozen=True)
class _Doubt:
    reason: str
    candidates: tuple[Held, ...]


def _find(shelf: Shelf, record: Record) -> Held | _Doubt | None:
    known = shelf.hashes.get((record.source, record.external_id))
    by_name = [shelf.named("id", known[0])] if known else []
    by_name += [shelf.named(kind, getattr(record, kind)) for kind in ("slug", "arxiv", "doi")]
    named = {held.row["id"]: held for held in by_name if held}
    if len(named) > 1:
        return _Doubt("its identifiers lead to different papers", tuple(named.values()))
    for held in named.values():
        for kind in ("arxiv", "slug"):
            ours, theirs = held.row[kind], getattr(record, kind)
            if ours and theirs and ours != theirs:
                return _Doubt(f"{kind} {theirs}, where the paper that it names has {ours}", (held,))
        return held
    same = [held for held in shelf.titled(title_key(record.title)) if not _apart(held, record)]
    sure = [held for held in same if _agrees(held, record)]
    if len(sure) == 1:
        return sure[0]
    if same:
        why = "several papers have its title" if sure else "only the title is the same, neither first author nor day"
        return _Doubt(why, tuple(sure or same))
    return None


def _apart(held: Held, record: Record) -> bool:
    """Two arXiv identifiers (or, without them, two DOIs) make two papers, whatever their titles."""
    for kind in ("arxiv", "doi"):
        ours, theirs = held.row[kind], getattr(record, kind)
        if ours and theirs:
            return bool(ours != theirs)
    return False


def _agrees(held: Held, record: Record) -> bool:
    first, second = (name_key(names[0]) if names else "" for names in (_names(held.row), record.authors))
    return (first == second != "") or held.row["published_on"] == record.published_on


def _queue(shelf: Shelf, record: Record, doubt: _Doubt, now: str) -> None:
    if (record.source, record.external_id) not in shelf.conflicts:
        shelf.conflicts.add((record.source, record.external_id))
        shelf.write(
            merge_conflict,
            id=str(ULID()),
            source=record.source,
            external_id=record.external_id,
            raw_json=json.dumps(dict(record.raw)),
            candidates_json=json.dumps([held.row["id"] for held in doubt.candidates]),
            reason=doubt.reason,
            at=now,
            resolved_at=None,
        )


def _add(shelf: Shelf, record: Record, now: str) -> Held:
    row: dict[str, Any] = {
        "id": str(ULID()),
        "slug": record.slug,
        "arxiv": record.arxiv,
        "doi": record.doi,
        "title": record.title,
        "title_key": title_key(record.title),
        "abstract": record.abstract,
        "authors_json": json.dumps(record.authors, ensure_ascii=False),
        "author_count": record.author_count,
        "published_on": record.published_on,
        "listed_on": record.listed_on or record.published_on,
        "version": record.version,
        "withdrawn": record.withdrawn,
        "code_url": record.code_url,
        "discussion_url": record.discussion_url,
        "comments": 0,
        "votes_elsewhere": 0,
    }
    held = Held({**row, "key": row["slug"] or row["arxiv"] or row["id"]}, None)
    _attach(shelf, held, record, now)
    return held


def _update(shelf: Shelf, held: Held, record: Record, now: str) -> bool:
    known = shelf.hashes.get((record.source, record.external_id))
    place = held.listings.get((record.source, record.listed_on or ""))
    listed = record.listed_on is None or place == (record.rank or 0, record.submitted_by)
    if known and known[1] == record.content_hash and listed:
        return False
    row = held.row
    start = dict(row)
    newer = record.version > row["version"]
    highest = max((AUTHORITY.get(source, 0) for source in held.sources), default=0)
    believed = AUTHORITY.get(record.source, 0) >= highest
    if (newer or (believed and record.version == row["version"])) and record.title:
        row.update(title=record.title, title_key=title_key(record.title), version=record.version)
        row["abstract"] = record.abstract or row["abstract"]
    row["abstract"] = row["abstract"] or record.abstract
    _update_authors(row, record, newer=newer, believed=believed)
    row["published_on"] = record.published_on if believed else row["published_on"]
    row["withdrawn"] = record.withdrawn or (row["withdrawn"] and not newer)
    for kind in ("slug", "arxiv", "doi"):
        row[kind] = row[kind] or getattr(record, kind)
    row["key"] = row["slug"] or row["arxiv"] or row["id"]
    ours = row["slug"] and record.source != "overparam"  # we know our code best
    row["code_url"] = (row["code_url"] or record.code_url) if ours else (record.code_url or row["code_url"])
    corrected = row["version"] == start["version"] and any(row[n] != start[n] for n in ("title", "abstract"))
    return _attach(shelf, held, record, now, corrected=corrected) or row != start


def _update_authors(row: dict[str, Any], record: Record, *, newer: bool, believed: bool) -> None:
    names = _names(row)
    if record.authors and (newer or (believed and len(record.authors) >= len(names)) or not names):
        row["authors_json"] = json.dumps(record.authors, ensure_ascii=False)
        row["author_count"] = len(record.authors)
    elif not names and record.author_count and (believed or not row["author_count"]):
        row["author_count"] = record.author_count


def _names(row: dict[str, Any]) -> list[str]:
    return list(json.loads(row["authors_json"]))


def _attach(shelf: Shelf, held: Held, record: Record, now: str, *, corrected: bool = False) -> bool:
    """Write what hangs on the article; tell whether anything of it is new."""
    pair, article_id = (record.source, record.external_id), held.row["id"]
    held.sources.add(record.source)
    written = _attach_text(shelf, held, record, now, corrected=corrected)
    written = _attach_listing(shelf, held, record) or written
    written = _attach_metric(shelf, held, record, now) or written
    if shelf.hashes.get(pair) != (article_id, record.content_hash):
        shelf.hashes[pair] = article_id, record.content_hash
        shelf.write(
            article_source,
            source=record.source,
            external_id=record.external_id,
            article_id=article_id,
            raw_json=json.dumps(dict(record.raw)),
            content_hash=record.content_hash,
            fetched_at=now,
        )
        written = True
    if pair in shelf.conflicts:
        shelf.settle(pair)
    shelf.put(held)
    return written


def _attach_text(shelf: Shelf, held: Held, record: Record, now: str, *, corrected: bool) -> bool:
    row, article_id = held.row, held.row["id"]
    topics = sorted(set(record.topics) - held.topics)
    for topic in topics:
        shelf.write(article_topic, article_id=article_id, topic=topic)
    held.topics.update(topics)
    held.retagged = held.retagged or bool(topics)
    texts = {row["version"]: row} if corrected or row["version"] not in held.versions else {}
    if record.version not in held.versions:
        texts.setdefault(record.version, {"title": record.title, "abstract": record.abstract})
    for version, text in texts.items():
        at = record.version_at or now
        values = {"title": text["title"], "abstract": text["abstract"], "at": at}
        shelf.write(article_version, article_id=article_id, version=version, **values)
    held.versions.update(texts)
    return bool(topics or texts)


def _attach_listing(shelf: Shelf, held: Held, record: Record) -> bool:
    place = (record.source, record.listed_on or "")
    entry = (record.rank or 0, record.submitted_by)
    if not record.listed_on or held.listings.get(place) == entry:
        return False
    if place not in held.listings:
        shelf.event(held.row["id"], trending.WEIGHTS["listing"], f"{record.listed_on}T00:00:00.000000Z")
    held.listings[place] = entry
    held.row["listed_on"] = min(day for _, day in held.listings)
    shelf.write(
        listing,
        source=record.source,
        day=record.listed_on,
        article_id=held.row["id"],
        rank=entry[0],
        submitted_by=entry[1],
    )
    return True


def _attach_metric(shelf: Shelf, held: Held, record: Record, now: str) -> bool:
    if record.votes is None and record.comments is None:
        return False
    row, before = held.row, held.metrics.get(record.source)
    votes, comments = before or (0, 0)
    votes = votes if record.votes is None else record.votes
    comments = comments if record.comments is None else record.comments
    held.metrics[record.source] = votes, comments
    row["votes_elsewhere"] = sum(v for v, _ in held.metrics.values())
    row["comments"] = max(c for _, c in held.metrics.values())
    if record.discussion_url and (not row["discussion_url"] or comments == row["comments"]):
        row["discussion_url"] = record.discussion_url
    if (votes, comments) == before:
        return False
    # What was counted before we looked happened around the listing, not today: an old day must not trend when read.
    first = f"{record.listed_on or record.published_on}T00:00:00.000000Z"
    at = now if before else min(now, first)
    shelf.write(metric, article_id=row["id"], source=record.source, at=at, votes=votes, comments=comments)
    old_votes, old_comments = before or (0, 0)
    shelf.event(row["id"], (votes - old_votes) * trending.WEIGHTS["elsewhere"], at)
    shelf.event(row["id"], (comments - old_comments) * trending.WEIGHTS["comment"], at)
    return True
