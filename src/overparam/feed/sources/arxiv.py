"""arXiv: the query API (Atom) by identifiers and by category and day; for long spans the harvest of `harvest.py`.

Every document is first parsed with DTDs refused, which also finds a truncated one; only then is it read leniently.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import feedparser

from overparam.errors import BadInput, Unavailable
from overparam.feed.identity import arxiv_id, doi
from overparam.feed.record import Record, day, line
from overparam.feed.sources import harvest
from overparam.feed.sources.document import is_withdrawn, xml_of
from overparam.feed.sources.step import Get, Step, sweep
from overparam.feed.sources.transport import Network

CATEGORIES = ("cs.LG", "stat.ML")
CATEGORY = re.compile(r"[a-z]+(-[a-z]+)*(\.[A-Za-z-]{2,20})?")
PAGE = 100
OPENSEARCH = "{http://a9.com/-/spec/opensearch/1.1/}"
EMPTY_PAGES = 3  # the API sometimes answers with an empty page in the middle
SPAN = 14  # days; longer spans are harvested


@dataclass(frozen=True)
class Arxiv:
    """The source.

    Attributes:
        categories: Whose submissions are read.
        ids: Papers that are read in any case.
        api: Address of the query API.
        oai: Address of the harvest.
        network: What may be reached.
        interval: One request every three seconds is allowed, over all machines.
    """

    categories: tuple[str, ...] = CATEGORIES
    ids: tuple[str, ...] = ()
    api: str = "https://export.arxiv.org/api/query"
    oai: str = "https://oaipmh.arxiv.org/oai"
    network: Network = field(
        default_factory=lambda: Network(frozenset({"export.arxiv.org", "oaipmh.arxiv.org", "arxiv.org"}))
    )
    interval: float = 3.0
    name: str = "arxiv"

    def __post_init__(self) -> None:
        for category in self.categories:
            if not CATEGORY.fullmatch(category):
                raise BadInput(f"category={category!r} is none of arXiv; write it like cs.LG")

    def steps(self, get: Get, cursor: Mapping[str, Any], today: date, days: int) -> Iterator[Step]:
        """Read the named papers, then the submissions: day by day, or as a harvest if the span is long.

        Args:
            get: Fetches a document.
            cursor: Of the last step that was kept.
            today: The day in UTC.
            days: How many days.

        Yields:
            A step for each hundred papers, day, or page of the harvest.
        """
        for start in range(0, len(self.ids), PAGE):
            wanted = self.ids[start : start + PAGE]
            records, problems = self.by_ids(get, wanted)
            yield Step(f"{len(wanted)} papers with code here", records, cursor, problems)
        if days > SPAN:
            yield from harvest.steps(get, self.oai, self.categories, cursor, today, days)
            return
        for submitted, reached in sweep(cursor, today, days):
            records, problems = self.by_day(get, submitted)
            yield Step(submitted.isoformat(), records, reached, problems)

    def by_ids(self, get: Get, ids: Sequence[str]) -> tuple[list[Record], list[str]]:
        """Read papers by identifier.

        Args:
            get: Fetches a document.
            ids: At most a hundred.

        Returns:
            Records, and problems in words.
        """
        entries, _ = _entries(get(self.api, {"id_list": ",".join(ids), "max_results": str(len(ids))}))
        return _records(entries, None)

    def by_day(self, get: Get, submitted: date) -> tuple[list[Record], list[str]]:
        """Read the first versions that were submitted on a day, in that order.

        Args:
            get: Fetches a document.
            submitted: The day in UTC.

        Returns:
            Records, and problems in words.

        Raises:
            Unavailable: Pages stay empty although more papers are announced.
        """
        either = " OR ".join(f"cat:{category}" for category in self.categories)
        query = f"({either}) AND submittedDate:[{submitted:%Y%m%d}0000 TO {submitted:%Y%m%d}2359]"
        entries: list[Any] = []
        empty = 0
        while True:
            params = {
                "search_query": query,
                "start": str(len(entries)),
                "max_results": str(PAGE),
                "sortBy": "submittedDate",
                "sortOrder": "ascending",
            }
            page, total = _entries(get(self.api, params))
            entries += page
            if len(entries) >= total:
                return _records(entries, submitted.isoformat())
            empty = 0 if page else empty + 1
            if empty == EMPTY_PAGES:
                raise Unavailable(f"arxiv: {len(entries)} of {total} papers of {submitted}, then empty pages")


def _entries(body: bytes) -> tuple[list[Any], int]:
    total = xml_of(body).findtext(f"{OPENSEARCH}totalResults") or ""
    feed = feedparser.parse(io.BytesIO(body), response_headers={"content-type": "application/atom+xml; charset=utf-8"})
    for entry in feed.entries:
        if "/api/errors" in entry.get("id", ""):
            raise Unavailable(f"arxiv: {line(entry.get('summary', 'an error without words'), 200)}")
    return feed.entries, int(total) if total.strip().isdecimal() else 0


def _records(entries: Sequence[Any], listed_on: str | None) -> tuple[list[Record], list[str]]:
    records: dict[str, Record] = {}
    problems: list[str] = []
    for rank, entry in enumerate(entries, 1):
        try:
            record = record_of(entry, listed_on, rank)
            records.setdefault(record.external_id, record)
        except BadInput as error:
            problems.append(str(error))
    return list(records.values()), problems


def record_of(entry: Mapping[str, Any], listed_on: str | None, rank: int) -> Record:
    """Read one entry of an Atom document.

    Args:
        entry: As parsed.
        listed_on: Day of the listing, or None if it comes from none.
        rank: Place in the listing.

    Returns:
        The record.

    Raises:
        BadInput: It has no identifier, title or date.
    """
    entry = dict(entry)  # feedparser's own mapping gives one field for another
    found = arxiv_id(entry.get("id", ""))
    title, published = line(entry.get("title", ""), 1_000), day(entry.get("published"))
    if found is None or not title or published is None:
        raise BadInput(f"an entry without identifier, title or date: {entry.get('id', '')[:80]!r}")
    names = tuple(author["name"] for author in entry.get("authors", ()) if author.get("name"))
    abstract, comment = entry.get("summary", ""), entry.get("arxiv_comment", "")
    return Record(
        source="arxiv",
        external_id=found[0],
        title=title,
        abstract=abstract,
        published_on=published,
        authors=names,
        author_count=len(names),
        arxiv=found[0],
        doi=doi(entry.get("arxiv_doi")),
        version=found[1] or 1,
        version_at=entry.get("updated"),
        withdrawn=is_withdrawn(comment, abstract),
        topics=tuple(tag["term"] for tag in entry.get("tags", ()) if CATEGORY.fullmatch(tag.get("term") or "")),
        listed_on=listed_on,
        rank=rank if listed_on else None,
        raw={key: entry.get(key) for key in ("id", "title", "summary", "published", "updated", "arxiv_comment")},
    )
