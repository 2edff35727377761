"""Papers from files: exports as JSON, JSON lines or CSV (also with .gz), and listings read off a Daily Papers page.

A listing read off a page has titles, abstracts, the number of authors and a date such as `Sep 2 6`: 2 September, 6
comments, of the year in which the page was read. An entry that cannot be read is reported with its line; all others
are taken.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import hashlib
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Any

from overparam.errors import BadInput, NotFound
from overparam.feed.identity import arxiv_id, doi, title_key
from overparam.feed.record import Record, day, line
from overparam.feed.sources.document import is_withdrawn

LONGEST_LINE = 10_000_000
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
PAGE_DATE = re.compile(
    r"(?P<month>[A-Za-z]{3,9})\.?\s+(?P<day>\d{1,2})(?:,?\s+(?P<year>(?:19|20)\d{2}))?(?:\s+(?P<comments>\d{1,6}))?"
)
Entries = Iterator[tuple[str, Any]]


@dataclass
class Export:
    """A file of papers.

    Attributes:
        path: The file.
        year: Of dates without one; by default that of `listed`, else of the file.
        listed: Day of the page whose listing the file holds; None if it is no such page.
        problems: Entries that could not be read, with line and reason; filled while records are read.
    """

    path: Path
    year: int | None = None
    listed: date | None = None
    problems: list[str] = field(default_factory=list)

    def records(self) -> Iterator[Record]:
        """Read the file.

        Yields:
            Records in the order of the file.

        Raises:
            NotFound: There is no such file.
            BadInput: It is of another kind, or no JSON at all.
        """
        if not self.path.is_file():
            raise NotFound(f"no file {self.path}; name a file of papers")
        suffixes = [s.lower() for s in self.path.suffixes if s.lower() != ".gz"]
        read = READERS.get(suffixes[-1] if suffixes else "")
        if read is None:
            raise BadInput(f"{self.path} is no file of papers; its name ends in {', '.join(READERS)}, perhaps with .gz")
        modified = datetime.fromtimestamp(self.path.stat().st_mtime, UTC)
        year = self.year or (self.listed.year if self.listed else modified.year)
        ranks: Counter[str] = Counter()
        opened: Any = gzip.open if self.path.suffix.lower() == ".gz" else open
        with opened(self.path, "rb") as file:
            for place, entry in read(file, self.problems.append):
                try:
                    yield _record(entry, year, self.listed, ranks)
                except BadInput as error:
                    self.problems.append(f"{place}: {error}")


def _lines(file: IO[bytes], problem: Callable[[str], None]) -> Entries:
    number = 0
    with _to_the_end(problem, lambda: f"line {number + 1}"):
        while text := file.readline(LONGEST_LINE):
            number += 1
            if len(text) == LONGEST_LINE:
                problem(f"line {number}: longer than {LONGEST_LINE:,} bytes")
                while len(text) == LONGEST_LINE:
                    text = file.readline(LONGEST_LINE)
                continue
            try:
                if text.strip():
                    yield f"line {number}", json.loads(text.decode("utf-8-sig"))
            except (ValueError, RecursionError) as error:
                problem(f"line {number}: no JSON ({error})")


def _document(file: IO[bytes], problem: Callable[[str], None]) -> Entries:
    try:
        document = json.loads(file.read().decode("utf-8-sig"))
    except (ValueError, RecursionError, EOFError, zlib.error, OSError) as error:
        raise BadInput(f"{getattr(file, 'name', 'the file')} is no JSON: {error}") from error
    if isinstance(document, dict):
        document = next((v for v in document.values() if isinstance(v, list)), [document])
    for number, entry in enumerate(document if isinstance(document, list) else [document], 1):
        yield f"entry {number}", entry


def _table(file: IO[bytes], problem: Callable[[str], None]) -> Entries:
    reader = csv.DictReader(text.decode("utf-8-sig", errors="replace") for text in file)
    with _to_the_end(problem, lambda: f"line {reader.line_num + 1}"):
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                problem(f"line {reader.line_num}: {error}")
                continue
            if None in row or None in row.values():
                problem(f"line {reader.line_num}: not as many fields as the header has")
            else:
                yield f"line {reader.line_num}", {(k or "").strip(): v for k, v in row.items()}


READERS: dict[str, Callable[[IO[bytes], Callable[[str], None]], Entries]] = {
    ".jsonl": _lines,
    ".ndjson": _lines,
    ".json": _document,
    ".csv": _table,
}


@contextlib.contextmanager
def _to_the_end(problem: Callable[[str], None], place: Callable[[], str]) -> Iterator[None]:
    """Keep what was read of a compressed file that is cut off."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        problem(f"{place()}: the file is damaged from here on ({error})")


def _record(entry: Any, year: int, listed: date | None, ranks: Counter[str]) -> Record:
    if not isinstance(entry, Mapping):
        raise BadInput(f"no entry with fields: {str(entry)[:60]!r}")
    title = line(_first(entry, "title"), 1_000)
    if not title:
        raise BadInput("no title")
    names, count = _authors(entry)
    listed_on = day(_first(entry, "listed_on", "listed")) or (listed.isoformat() if listed else None)
    published, comments = _dates(_first(entry, "published_on", "published", "publishedAt", "date"), year)
    published = published or listed_on
    if published is None:
        raise BadInput("no date; give published_on, date or listed")
    texts = [_first(entry, key) for key in ("arxiv", "arxiv_id", "id", "external_id", "abs_url", "url")]
    found = next((identifier for text in texts if (identifier := arxiv_id(text))), None)
    known_doi = doi(_first(entry, "doi"))
    named = found[0] if found else known_doi or next((text for text in texts if text), "")
    digest = hashlib.sha256(f"{title_key(title)} {published}".encode()).hexdigest()
    if listed_on:
        ranks[listed_on] += 1
    stated = _number(entry, "comments", "comment_count", "numComments")
    abstract = _first(entry, "abstract", "summary")
    return Record(
        source="file",
        external_id=named or f"title {digest[:24]}",
        title=title,
        abstract=abstract,
        published_on=published,
        authors=names,
        author_count=count,
        arxiv=found[0] if found else None,
        doi=known_doi,
        version=_number(entry, "version") or (found[1] if found and found[1] else 1),
        withdrawn=_first(entry, "withdrawn").lower() in {"true", "1"}
        or is_withdrawn(_first(entry, "comment"), abstract),
        topics=_topics(entry),
        listed_on=listed_on,
        rank=(_number(entry, "rank") or ranks[listed_on]) if listed_on else None,
        votes=_number(entry, "upvotes"),  # `votes` of an export of ours were given here, not elsewhere
        comments=comments if stated is None else stated,
        code_url=_first(entry, "code_url", "code", "githubRepo") or None,
        discussion_url=_first(entry, "discussion_url") or None,
        raw=entry,
    )


def _first(entry: Mapping[str, Any], *keys: str) -> str:
    for key in keys:
        value = entry.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if isinstance(value, bool):
            return str(value).lower()
    return ""


def _number(entry: Mapping[str, Any], *keys: str) -> int | None:
    for key in keys:
        value = entry.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str) and re.fullmatch(r"\s*\d{1,9}\s*", value, re.ASCII):
            return int(value)
    return None


def _dates(text: str, year: int) -> tuple[str | None, int | None]:
    """Read a date, and the number of comments that may follow it on a page."""
    if not text or day(text):
        return day(text), None
    found = PAGE_DATE.fullmatch(text)
    month = found["month"].lower()[:3] if found else ""
    if found is None or month not in MONTHS:
        raise BadInput(f"date {text[:40]!r} is none; write 2025-09-02, or Sep 2 as on the page")
    try:
        moment = date(int(found["year"] or year), MONTHS.index(month) + 1, int(found["day"]))
    except ValueError as error:
        raise BadInput(f"date {text[:40]!r} is not in the calendar of {found['year'] or year}") from error
    return moment.isoformat(), int(found["comments"]) if found["comments"] else None


def _authors(entry: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
    value = entry.get("authors", entry.get("authors_json"))
    if isinstance(value, str) and value.lstrip().startswith("["):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    names: tuple[str, ...] = ()
    counted = re.fullmatch(r"\W*(\d{1,6})(?:\s+authors?)?\W*", value, re.ASCII) if isinstance(value, str) else None
    if isinstance(value, list):
        plain = (author.get("name") if isinstance(author, dict) else author for author in value)
        names = tuple(author for author in plain if isinstance(author, str) and author.strip())
    elif isinstance(value, str) and not counted:
        names = _parts(value, r"\s*[;|]\s*" if re.search(r"[;|]", value) else r",\s*(?:and\s+)?|\s+and\s+")
    number = _number(entry, "author_count", "num_authors", "authors")
    return names, len(names) or (int(counted[1]) if counted else number or 0)


def _topics(entry: Mapping[str, Any]) -> tuple[str, ...]:
    value = entry.get("topics") or entry.get("categories") or ()
    if isinstance(value, str):
        return _parts(value, r"\s*[;|,]\s*" if re.search(r"[;|,]", value) else r"\s+")
    return tuple(topic for topic in value if isinstance(topic, str)) if isinstance(value, list | tuple) else ()


def _parts(text: str, separator: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in re.split(separator, text) if part.strip())
