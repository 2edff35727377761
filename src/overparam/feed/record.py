"""What a source says about a paper, in one shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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
