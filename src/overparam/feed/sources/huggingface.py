"""Daily Papers of Hugging Face: the raw JSON of each listing day.

Facts lie at two levels: an item wraps a `paper`, and either may hold title, summary or times. The outer `publishedAt`
is not the day of the listing, an `upvotes` of 0 is a count, and only the asked `date` is the listing day. Votes move
for days, so the last days are read again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from overparam.errors import BadInput, Unavailable
from overparam.feed.identity import arxiv_id
from overparam.feed.record import Record, day, line
from overparam.feed.sources.step import Get, Step, sweep
from overparam.feed.sources.transport import Network

PAGE = 50
PAGES = 20  # of one day; more means that the source does not turn pages


@dataclass(frozen=True)
class HuggingFace:
    """The source.

    Attributes:
        address: Where its API lies.
        network: What may be reached.
        interval: 500 requests in 5 minutes are allowed.
    """

    address: str = "https://huggingface.co"
    network: Network = field(default_factory=lambda: Network(frozenset({"huggingface.co"})))
    interval: float = 0.6
    name: str = "huggingface"

    def steps(self, get: Get, cursor: Mapping[str, Any], today: date, days: int) -> Iterator[Step]:
        """Read the listings day by day.

        Args:
            get: Fetches a document.
            cursor: Of the last step that was kept.
            today: The day in UTC.
            days: How many days are read again.

        Yields:
            A step for each day.
        """
        for listed, reached in sweep(cursor, today, days):
            records: dict[str, Record] = {}
            problems: list[str] = []
            for item in self._items(get, listed, today):
                try:
                    record = record_of(item, listed.isoformat(), len(records) + 1)
                    records.setdefault(record.external_id, record)
                except BadInput as error:
                    problems.append(f"{listed}: {error}")
            yield Step(listed.isoformat(), list(records.values()), reached, problems)

    def _items(self, get: Get, listed: date, today: date) -> Iterator[Any]:
        before: list[Any] = []
        for number in range(PAGES):
            params = {"date": listed.isoformat(), "p": str(number), "limit": str(PAGE)}
            # a day that has not begun for the source is refused with 400
            body = get(f"{self.address}/api/daily_papers", params, empty={400} if listed == today else ())
            try:
                items = json.loads(body or b"[]")
            except (ValueError, RecursionError) as error:
                raise Unavailable(f"huggingface: the listing of {listed} is no JSON ({error})") from error
            if not isinstance(items, list):
                raise Unavailable(f"huggingface: the listing of {listed} is no list, so its form may have changed")
            if items == before:
                return
            yield from items
            if len(items) < PAGE:
                return
            before = items


def record_of(item: Any, listed_on: str, rank: int) -> Record:
    """Read one item of a listing.

    Args:
        item: As in the JSON.
        listed_on: Day of the listing.
        rank: Place in the listing.

    Returns:
        The record.

    Raises:
        BadInput: It has no id or no title.
    """
    outer = _mapping(item)
    inner = _mapping(outer.get("paper"))
    both = (inner, outer)
    name = line(_text(both, "id"), 200)
    title = line(_text(both, "title"), 1_000)
    if not name or not title:
        raise BadInput(f"an entry without {'id' if not name else 'title'}: {str(item)[:80]!r}")
    found = arxiv_id(name)
    authors = inner.get("authors")
    names = tuple(_text((_mapping(a),), "name") for a in authors) if isinstance(authors, list) else ()
    submitter = _mapping(outer.get("submittedBy") or inner.get("submittedOnDailyBy"))
    return Record(
        source="huggingface",
        external_id=found[0] if found else name,
        title=title,
        abstract=_text(both, "summary"),
        published_on=day(inner.get("publishedAt")) or day(outer.get("publishedAt")) or listed_on,
        authors=names,
        author_count=len(names),
        arxiv=found[0] if found else None,
        listed_on=listed_on,
        rank=rank,
        submitted_by=_text((submitter,), "fullname") or _text((submitter,), "name") or None,
        votes=_number(both, "upvotes"),
        comments=_number((outer, inner), "numComments"),
        code_url=_text(both, "githubRepo") or None,
        discussion_url=f"https://huggingface.co/papers/{found[0] if found else name}",
        raw=outer,
    )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(levels: tuple[Mapping[str, Any], ...], key: str) -> str:
    return next((v for level in levels if isinstance(v := level.get(key), str) and v.strip()), "")


def _number(levels: tuple[Mapping[str, Any], ...], key: str) -> int | None:
    for level in levels:
        value = level.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None
