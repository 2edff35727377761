"""The language of the search box: words, "phrases", -without, author:, tag:, after:, verdict:, proxy:.

Whatever is not understood is taken as a literal word, so no text is ever refused. `Query.text` writes a query in one
canonical way, which reads back as the same query: addresses, saved searches and digests keep that text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

VERDICTS: Final = ("reproduced", "partly", "not reproduced", "inconclusive", "unjudged")
PROXY: Final = {"yes": True, "no": False}
MOST_TERMS: Final = 40
LONGEST_TERM: Final = 100
_TOKEN = re.compile(r'(-?)(?:([A-Za-z]+):)?"([^"]*)"|([^\s"]+)')
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # NUL and lone surrogates are refused by databases


@dataclass(frozen=True)
class Query:
    """What somebody looks for.

    Attributes:
        words: All of them, as typed; when few papers have all, those that have some follow.
        phrases: Words in this order; every one is required.
        excluded: Words and phrases that must not occur.
        authors: Names or parts of names; every one is required.
        topics: Any of these.
        after: Published on this day or later, `2026-11-21`; empty for any time.
        verdicts: Some claim has any of these.
        proxy: Whether that claim was judged in another setting than the paper's; None for either.
    """

    words: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    after: str = ""
    verdicts: tuple[str, ...] = ()
    proxy: bool | None = None

    @property
    def text(self) -> str:
        """The canonical form, which `parse` reads back as this query."""
        parts = [*self.words, *(f'"{phrase}"' for phrase in self.phrases)]
        parts += [f"-{_quoted(term, also='-')}" for term in self.excluded]
        parts += [f"author:{_quoted(name)}" for name in self.authors]
        parts += [f"tag:{_quoted(topic)}" for topic in self.topics]
        parts += [f"after:{self.after}"] if self.after else []
        parts += [f"verdict:{verdict.replace(' ', '-')}" for verdict in self.verdicts]
        parts += [f"proxy:{'yes' if self.proxy else 'no'}"] if self.proxy is not None else []
        return " ".join(parts)

    @property
    def by_claim(self) -> bool:
        """Whether verdicts decide who is found."""
        return bool(self.verdicts) or self.proxy is not None


def _quoted(term: str, also: str = "\0") -> str:
    return f'"{term}"' if " " in term or term.startswith(also) else term


def _tidy(text: str) -> str:
    return " ".join(text.split())[:LONGEST_TERM].rstrip()


def _day(text: str) -> str:
    """Read `2023`, `2023-05` or `2023-05-17`; empty for anything else."""
    if not re.fullmatch(r"[0-9]{4}(-[0-9]{2}){0,2}", text):
        return ""
    try:
        return date.fromisoformat(text + "-01" * (2 - text.count("-"))).isoformat()
    except ValueError:
        return ""


def _filter(key: str, value: str) -> tuple[str, str] | None:
    """Name the attribute and the value of a filter, or None where it is no filter."""
    value = _tidy(value)
    plain = value.lower().replace("-", " ")
    match key.lower():
        case "author" if value:
            return "authors", value
        case "tag" if value:
            return "topics", value
        case "after" if _day(value):
            return "after", _day(value)
        case "verdict" if plain in VERDICTS:
            return "verdicts", plain
        case "proxy" if plain in PROXY:
            return "proxy", plain
    return None


def _read(minus: str, key: str | None, quoted: str | None, plain: str | None) -> list[tuple[str, str]]:
    """Turn one token into attributes with values."""
    if plain is not None:
        if plain.startswith("-"):
            return [("excluded", _tidy(plain.lstrip("-")))]
        head, colon, tail = plain.partition(":")
        return [(colon and _filter(head, tail)) or ("words", _tidy(plain))]
    quoted = _tidy(quoted or "")
    if key is None:
        return [("excluded" if minus else "phrases", quoted)]
    found = None if minus else _filter(key, quoted)
    literal = ("excluded" if minus else "words", f"{key}:"[:LONGEST_TERM])
    return [found] if found else [literal, ("phrases", quoted)]


def parse(text: str) -> Query:
    """Read what was typed. Any text is accepted; terms after the fortieth are left out.

    Args:
        text: Words and filters.

    Returns:
        The query.

    Example:
        >>> parse('noisy "early stopping" -vision author:Feldman after:2019 verdict:not-reproduced C++')
        ... # doctest: +NORMALIZE_WHITESPACE
        Query(words=('noisy', 'C++'), phrases=('early stopping',), excluded=('vision',), authors=('Feldman',),
              topics=(), after='2019-01-01', verdicts=('not reproduced',), proxy=None)
    """
    terms: dict[tuple[str, str], None] = {}
    for token in _TOKEN.finditer(_UNSAFE.sub(" ", text)):
        for name, value in _read(*token.groups()):
            if value and len(terms) < MOST_TERMS:
                terms[name, value] = None

    def of(name: str) -> tuple[str, ...]:
        return tuple(value for kind, value in terms if kind == name)

    verdicts = tuple(verdict for verdict in VERDICTS if ("verdicts", verdict) in terms)
    proxy = {PROXY[value] for value in of("proxy")}
    return Query(
        words=of("words"),
        phrases=of("phrases"),
        excluded=of("excluded"),
        authors=of("authors"),
        topics=of("topics"),
        after=max(of("after"), default=""),
        verdicts=verdicts,
        proxy=proxy.pop() if len(proxy) == 1 else None,
    )
