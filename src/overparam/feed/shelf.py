"""The articles that a batch of records may concern, held in memory: read at once, changed, written at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from overparam.feed import trending
from overparam.feed.identity import title_key
from overparam.feed.record import Record
from overparam.ledger import Ledger
from overparam.ledger.schema import (
    article,
    article_source,
    article_topic,
    article_version,
    listing,
    merge_conflict,
    metric,
)

COLUMNS = [c for c in article.c if c.name not in {"votes", "trend_key"}]  # those two belong to others
COUNTS = {"votes_elsewhere", "comments", "discussion_url", "listed_on"}  # when these move, the text is not updated


@dataclass
class Held:
    """An article with all that hangs on it.

    Attributes:
        row: Columns as they shall be.
        before: Columns as they were; None for a new article.
        sources: Which sources know it.
        topics: Its topics.
        versions: Numbers of the versions kept.
        listings: Rank and submitter by source and day.
        metrics: Newest votes and comments by source.
        retagged: Whether topics came in.
    """

    row: dict[str, Any]
    before: dict[str, Any] | None
    sources: set[str] = field(default_factory=set)
    topics: set[str] = field(default_factory=set)
    versions: set[int] = field(default_factory=set)
    listings: dict[tuple[str, str], tuple[int, str | None]] = field(default_factory=dict)
    metrics: dict[str, tuple[int, int]] = field(default_factory=dict)
    retagged: bool = False


class Shelf:
    """What a batch needs to know, and what it is going to write.

    Args:
        ledger: The ledger.
        db: An open transaction.
        records: The batch.
    """

    def __init__(self, ledger: Ledger, db: sa.Connection, records: Sequence[Record]) -> None:
        self._ledger, self._db = ledger, db
        self._pending: dict[sa.Table, dict[tuple[Any, ...], dict[str, Any]]] = {}
        self._events: dict[str, list[tuple[float, str]]] = {}
        self._held: dict[str, Held] = {}
        self._names: dict[tuple[str, str], Held] = {}
        self._titles: dict[str, dict[str, Held]] = {}
        self.hashes: dict[tuple[str, str], tuple[str, str]] = {}  # (source, external id) to article and content hash
        self.conflicts: set[tuple[str, str]] = set()
        self._load(records)

    def named(self, kind: str, name: str | None) -> Held | None:
        """Find the article that an identifier names.

        Args:
            kind: `id`, `arxiv`, `doi` or `slug`.
            name: The identifier.

        Returns:
            The article, or None.
        """
        return self._names.get((kind, name)) if name else None

    def titled(self, key: str) -> list[Held]:
        """Find the articles with a title.

        Args:
            key: Reduced title.

        Returns:
            Articles, oldest first.
        """
        found = sorted(self._titles.get(key, {}).items()) if key else []
        return [held for _, held in found if held.row["title_key"] == key]

    def put(self, held: Held) -> None:
        """Make a new or changed article known to the records that follow.

        Args:
            held: The article.
        """
        self._held[held.row["id"]] = held
        self._titles.setdefault(held.row["title_key"], {})[held.row["id"]] = held
        for kind in ("id", "arxiv", "doi", "slug"):
            if held.row[kind]:
                self._names[kind, held.row[kind]] = held

    def write(self, table: sa.Table, **row: Any) -> None:
        """Insert or replace a row when the batch ends.

        Args:
            table: Its table.
            row: Its columns.
        """
        key = tuple(row[c.name] for c in table.primary_key)
        self._pending.setdefault(table, {})[key] = row

    def settle(self, pair: tuple[str, str]) -> None:
        """Drop a conflict: the record has found its article after all.

        Args:
            pair: Source and external id.
        """
        self.conflicts.discard(pair)
        mine = (merge_conflict.c.source == pair[0], merge_conflict.c.external_id == pair[1])
        self._db.execute(sa.delete(merge_conflict).where(*mine))

    def event(self, article_id: str, weight: float, at: str) -> None:
        """Count an event for trending when the batch ends.

        Args:
            article_id: The article.
            weight: Of the event.
            at: When it happened.
        """
        if weight > 0:
            self._events.setdefault(article_id, []).append((weight, at))

    def flush(self, now: str) -> None:
        """Write everything.

        Args:
            now: The time.
        """
        added = {"added_at": now, "updated_at": now}
        fresh = [held.row for held in self._held.values() if held.before is None]
        if fresh:  # nobody else counts events for these yet, so their trend comes along
            trends = (trending.combine(self._events.pop(row["id"], [])) for row in fresh)
            new = [{**row, **added, "trend_key": trend} for row, trend in zip(fresh, trends, strict=True)]
            self._db.execute(sa.insert(article), new)
        for held in self._held.values():
            before = held.row if held.before is None else held.before
            changed = {name: value for name, value in held.row.items() if value != before[name]}
            if held.before is not None and (changed.keys() - COUNTS or held.retagged):
                changed["updated_at"] = now
            if changed:
                self._db.execute(sa.update(article).where(article.c.id == held.row["id"]).values(changed))
        for table, rows in self._pending.items():
            insert = self._ledger.insert(table)
            keys = [c.name for c in table.primary_key]
            others = {c.name: insert.excluded[c.name] for c in table.c if c.name not in keys}
            if others:
                insert = insert.on_conflict_do_update(index_elements=keys, set_=others)
            else:
                insert = insert.on_conflict_do_nothing()
            self._db.execute(insert, list(rows.values()))
        for article_id, events in self._events.items():
            for weight, at in events:
                trending.add(self._db, article_id, weight, at)

    def _load(self, records: Sequence[Record]) -> None:
        pairs = {(record.source, record.external_id) for record in records}
        names = [external_id for _, external_id in pairs]
        for row in self._in(article_source, article_source.c.external_id, names, raw=False):
            if (row.source, row.external_id) in pairs:
                self.hashes[row.source, row.external_id] = row.article_id, row.content_hash
        for row in self._in(merge_conflict, merge_conflict.c.external_id, names, raw=False):
            self.conflicts.add((row.source, row.external_id))
        wanted: list[tuple[sa.Column[Any], Iterable[str | None]]] = [
            (article.c.id, (article_id for article_id, _ in self.hashes.values())),
            (article.c.arxiv, (record.arxiv for record in records)),
            (article.c.doi, (record.doi for record in records)),
            (article.c.slug, (record.slug for record in records)),
            (article.c.title_key, (title_key(record.title) for record in records)),
        ]
        for column, values in wanted:
            for row in self._in(article, column, values):
                if row.id not in self._held:
                    columns = {c.name: getattr(row, c.name) for c in COLUMNS}
                    self.put(Held(columns, dict(columns)))
        self._load_details()

    def _load_details(self) -> None:
        for row in self._of(article_source, raw=False):
            self._held[row.article_id].sources.add(row.source)
        for row in self._of(article_topic):
            self._held[row.article_id].topics.add(row.topic)
        for row in self._of(article_version):
            self._held[row.article_id].versions.add(row.version)
        for row in self._of(listing):
            self._held[row.article_id].listings[row.source, row.day] = row.rank, row.submitted_by
        for row in sorted(self._of(metric), key=lambda row: row.at):
            self._held[row.article_id].metrics[row.source] = row.votes, row.comments

    def _of(self, table: sa.Table, *, raw: bool = True) -> Iterator[sa.Row[Any]]:
        return self._in(table, table.c.article_id, list(self._held), raw=raw)

    def _in(
        self, table: sa.Table, column: sa.Column[Any], values: Iterable[str | None], *, raw: bool = True
    ) -> Iterator[sa.Row[Any]]:
        found = sorted({value for value in values if value})
        columns = [c for c in table.c if raw or c.name != "raw_json"]
        if found:
            yield from self._db.execute(sa.select(*columns).where(column.in_(found)))
