"""What a source says about a paper, in one shape, and how its words are made safe to keep."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import urlsplit

TITLE, ABSTRACT, NAME, SHORT, LINK, NAMES = 1_000, 20_000, 200, 200, 2_000, 5_000  # longest that is kept
LARGEST = 10_000_000  # more is no count of votes, and sums must fit an INTEGER
JOINERS = "\u200c\u200d"  # the only invisible characters that words need
LISTING = ("listed_on", "rank", "submitted_by", "raw")  # not part of what the record says about the paper


@dataclass(frozen=True)
class Record:
    """One paper as one source lists it. None means that the source does not say.

    Attributes:
        source: `huggingface`, `arxiv`, `file` or `overparam`.
        external_id: Its name there.
        title: As listed; plain text, may hold TeX.
        abstract: As listed; may be empty.
        published_on: Day of the first version, `2026-11-21`.
        authors: Names in order; may be empty.
        author_count: Number of authors.
        arxiv: Identifier without version.
        doi: In lower case.
        version: Of the text; 1 where the source does not say.
        version_at: When this version came out.
        withdrawn: Whether the authors withdrew it.
        topics: Categories or topics.
        listed_on: Day of the listing.
        rank: Place in the listing, from 1.
        submitted_by: Who listed it.
        votes: Up-votes there.
        comments: Comments there.
        code_url: Address of the code.
        discussion_url: Address of the comments.
        slug: Paper of ours, if it is one.
        raw: The record as it came.
    """

    source: str
    external_id: str
    title: str
    abstract: str
    published_on: str
    authors: tuple[str, ...] = ()
    author_count: int = 0
    arxiv: str | None = None
    doi: str | None = None
    version: int = 1
    version_at: str | None = None
    withdrawn: bool = False
    topics: tuple[str, ...] = ()
    listed_on: str | None = None
    rank: int | None = None
    submitted_by: str | None = None
    votes: int | None = None
    comments: int | None = None
    code_url: str | None = None
    discussion_url: str | None = None
    slug: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)

    @property
    def content_hash(self) -> str:
        """Hash of what the source says about the paper; the listing and the raw form are left out."""
        facts = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in LISTING}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def tidied(record: Record) -> Record:
    """Make a record safe to keep: no control characters, no endless texts, no odd links, no numbers out of range.

    Args:
        record: As a source made it.

    Returns:
        The same paper; markup stays as text, since pages escape it.
    """
    names = tuple(name for name in (line(a, NAME) for a in record.authors[:NAMES]) if name)
    return dataclasses.replace(
        record,
        external_id=line(record.external_id, SHORT),
        title=line(record.title, TITLE),
        abstract=paragraphs(record.abstract, ABSTRACT),
        authors=names,
        author_count=len(names) or _count(record.author_count) or 0,
        doi=line(record.doi or "", SHORT).lower() or None,
        version=max(1, _count(record.version) or 1),
        topics=tuple(sorted({topic for topic in (line(t, SHORT) for t in record.topics) if topic})),
        submitted_by=line(record.submitted_by or "", NAME) or None,
        votes=_count(record.votes),
        comments=_count(record.comments),
        code_url=link(record.code_url),
        discussion_url=link(record.discussion_url),
    )


def line(text: str, longest: int) -> str:
    """Put a text on one line.

    Args:
        text: Anything.
        longest: Characters at most; a longer text ends in an ellipsis.

    Returns:
        The text without control, direction and broken characters, single spaces between words.
    """
    text = " ".join("".join(_visible(character) for character in text[: 4 * longest]).split())
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def paragraphs(text: str, longest: int) -> str:
    """Put each paragraph on one line.

    Args:
        text: Anything; blank lines part paragraphs.
        longest: Characters at most.

    Returns:
        Paragraphs parted by a blank line.
    """
    parts = [line(part, longest) for part in re.split(r"\n[ \t\r]*\n", text[: 4 * longest])]
    text = "\n\n".join(part for part in parts if part)
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def link(text: str | None) -> str | None:
    """Keep an address only if a browser may open it.

    Args:
        text: Anything.

    Returns:
        The address if it is http or https and of a sane length, else None.
    """
    text = (text or "").strip()
    if not text or len(text) > LINK or not text.isascii() or re.search(r"[\s<>\"'\\\x00-\x1f\x7f]", text):
        return None
    try:
        parts = urlsplit(text)
        return text if parts.scheme.lower() in {"http", "https"} and parts.hostname else None
    except ValueError:
        return None


def day(text: object) -> str | None:
    """Read the day of a date or time.

    Args:
        text: ISO text, such as `2026-11-21` or `2026-11-21T10:00:00.000Z`.

    Returns:
        `2026-11-21`, or None if it is no day of the calendar.
    """
    found = re.match(r"\s*(\d{4}-\d{2}-\d{2})(?:$|[T\s])", text) if isinstance(text, str) else None
    try:
        return date.fromisoformat(found[1]).isoformat() if found else None
    except ValueError:
        return None


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    kind = unicodedata.category(character)
    return "" if kind in {"Cc", "Cs", "Cf"} and character not in JOINERS else character


def _count(number: int | None) -> int | None:
    return None if number is None else min(max(0, number), LARGEST)
