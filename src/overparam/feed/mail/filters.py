"""What a subscriber wants to hear about."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from overparam.errors import BadInput
from overparam.lab.wording import joined

KINDS = ("papers", "verdicts", "changes")
LONGEST_WORDS, MOST_TOPICS, MOST_PAPERS = 200, 40, 100
TOPIC = re.compile(r"[\w][\w .+/-]{0,59}")
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Filter:
    """Which news a subscription is about; all conditions must hold.

    Attributes:
        kinds: Any of `papers`, `verdicts`, `changes`. With `changes` only verdicts that changed are told.
        topics: Any of these topics; all if empty.
        words: A search query; all if empty.
        papers: Slugs of papers that are followed; all if empty.
    """

    kinds: tuple[str, ...] = ("papers", "verdicts")
    topics: tuple[str, ...] = ()
    words: str = ""
    papers: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the filter as plain data."""
        return {
            "kinds": list(self.kinds),
            "topics": list(self.topics),
            "words": self.words,
            "papers": list(self.papers),
        }

    @property
    def text(self) -> str:
        """The filter as JSON text, the same for equal filters."""
        return json.dumps(self.as_json(), sort_keys=True)

    @property
    def key(self) -> str:
        """A hash of the filter."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Filter:
        """Read a filter from plain data, as sent by a form or kept in the ledger.

        Args:
            given: Fields of a filter; those that are absent take their defaults.

        Returns:
            The filter in its one normal form.

        Raises:
            BadInput: A field that does not exist or a value that is not allowed; the message names the field.
        """
        unknown = sorted(set(given) - {"kinds", "topics", "words", "papers"})
        if unknown:
            raise BadInput(f"{unknown[0]}: a filter has no such field; it has kinds, topics, words and papers")
        kinds = _texts(given, "kinds", len(KINDS)) if "kinds" in given else ("papers", "verdicts")
        for kind in kinds:
            if kind not in KINDS:
                raise BadInput(f"kinds: {kind!r} is unknown; choose from {', '.join(KINDS)}")
        if not kinds:
            raise BadInput(f"kinds: nothing is chosen; choose from {', '.join(KINDS)}")
        topics = _texts(given, "topics", MOST_TOPICS)
        for topic in topics:
            if not TOPIC.fullmatch(topic):
                raise BadInput(f"topics: {topic[:60]!r} is no topic; topics are short words such as theory or cs.LG")
        papers = _texts(given, "papers", MOST_PAPERS)
        for slug in papers:
            if not SLUG.fullmatch(slug) or len(slug) > 80:
                raise BadInput(f"papers: {slug[:80]!r} is no slug, such as data-diet")
        words = given.get("words", "")
        words = " ".join(words.split()) if isinstance(words, str) else "\0"
        if not words.isprintable():
            raise BadInput("words: only letters, digits, signs and spaces")
        if len(words) > LONGEST_WORDS:
            raise BadInput(f"words: {len(words)} characters are too many; write at most {LONGEST_WORDS}")
        wanted = tuple(k for k in KINDS if k in kinds and not (k == "verdicts" and "changes" in kinds))
        return cls(wanted, tuple(sorted(topics)), words, tuple(sorted(papers)))

    @property
    def words_for_people(self) -> str:
        """Such as `new papers and verdicts on theory`."""
        names = {"papers": "new papers", "verdicts": "verdicts", "changes": "verdicts that changed"}
        text = joined([names[kind] for kind in self.kinds])
        text = "new verdicts" if text == "verdicts" else text
        text += f" on {joined(self.topics)}" if self.topics else ""
        text += f" about {joined(self.papers)}" if self.papers else ""
        return text + (f" with “{self.words}”" if self.words else "")


def _texts(given: Mapping[str, Any], field: str, most: int) -> tuple[str, ...]:
    values = given.get(field, ())
    values = (values,) if isinstance(values, str) else values
    if not isinstance(values, list | tuple) or not all(isinstance(v, str) for v in values):
        raise BadInput(f"{field}: a list of texts is wanted")
    found = tuple(dict.fromkeys(v.strip() for v in values if v.strip()))
    if len(found) > most:
        raise BadInput(f"{field}: {len(found)} are too many; give at most {most}")
    return found
