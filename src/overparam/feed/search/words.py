"""Words as search sees them: folded text for the index, stems for the embedder, places for the marks.

Folding leaves small letters, digits and single spaces, with British and American spelling made one. Stored text and
queries go through the same folding, so nothing in them can be syntax to FTS5, to tsquery or to LIKE.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable
from typing import Final

ANALYSIS: Final = 2  # raised when folding, stems or what is embedded change: then a new model is fitted
LONGEST_WORD: Final = 60
STOP: Final = frozenset(
    re.findall(
        r"\w+",
        "a about after all also an and any are as at be because been before being between both but by can could did do "
        "does done during each either few for from further get had has have having how however i if in into is it its "
        "itself let may me might more most much must my no nor not of off on once one only or other our out over own "
        "per rather same shall she should since so some such than that the their them then there these they this those "
        "through thus to too under until up upon us use used uses using very via was we well were what when where "
        "whether which while who whom whose why will with within without would you your",
    )
)
_MARK = re.compile(r"[\u0300-\u036f]")
_GAP = re.compile(r"[\W_]+")
_BRITISH: Final = (
    (re.compile(r"(?<=[a-z]{3})is(?=(?:e|ed|es|er|ers|ing|ation|ations|able)\b)"), "iz"),
    (re.compile(r"(?<=[a-z]{3})ys(?=(?:e|ed|er|ers|ing)\b)"), "yz"),
    (re.compile(r"\b(behavi|neighb|col|fav|lab|hon|hum)our"), r"\1or"),
    (re.compile(r"\bartefact"), "artifact"),
    (re.compile(r"\bcentre"), "center"),
)
_ENDINGS: Final = (
    *("izations", "ization", "izable", "izers", "izing", "izer", "ized", "izes", "ize"),
    *("ations", "ation", "ators", "ator", "ating", "ated", "ates", "ate"),
    *("ments", "ment"),  # codespell:ignore ment
    *("nesses", "ness", "ities", "ity", "ically", "ally", "ics", "ical", "ic", "ings", "ing"),
    *("edly", "ed", "ers", "er", "ies", "ly", "es", "ions", "ion", "s", "e", "y"),
)


def fold(text: str) -> str:
    """Reduce a text to its words.

    Args:
        text: Any text.

    Returns:
        Small letters and digits, words of at most 60 of them, single spaces between.

    Example:
        >>> fold("Généralisation of C++-like behaviour")
        'generalization of c like behavior'
    """
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    plain = _GAP.sub(" ", _MARK.sub("", plain)).strip()
    for pattern, american in _BRITISH:
        plain = pattern.sub(american, plain)
    return " ".join(word[:LONGEST_WORD] for word in plain.split())


@functools.lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """Cut an ending off, so that forms of one word agree; it need not be a word.

    Args:
        word: Folded.

    Returns:
        At least three letters of it.

    Example:
        >>> [stem(word) for word in ("noisy", "noise", "labelled", "labels", "memorization", "memorize")]
        ['nois', 'nois', 'label', 'label', 'memor', 'memor']
    """
    if not word.isalpha():
        return word
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) >= len(ending) + 3:
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "aeiou" else word


def stems(folded: str) -> list[str]:
    """List the stems of a folded text, without the words that every text has.

    Args:
        folded: As `fold` returns it.

    Returns:
        Stems in order, repeated as in the text.
    """
    return [stem(word) for word in folded.split() if word not in STOP]


def telling(folded: Iterable[str]) -> list[str]:
    """Leave out what folded to nothing, and words that every text has unless there are no others.

    Args:
        folded: Terms, folded.

    Returns:
        The terms worth looking for.
    """
    terms = [term for term in dict.fromkeys(folded) if term]
    return [term for term in terms if term not in STOP] or terms


@functools.lru_cache(maxsize=100_000)
def _stems_of(word: str) -> frozenset[str]:
    return frozenset(map(stem, fold(word).split()))


def places(text: str, wanted: frozenset[str]) -> list[tuple[int, int]]:
    """Find words in a text as it is shown.

    Args:
        text: Any text.
        wanted: Stems.

    Returns:
        Start and end of each word whose stem is wanted, in order.

    Example:
        >>> places("Noise in labels", frozenset({"nois"}))
        [(0, 5)]
    """
    if not wanted:
        return []
    starts = "|".join(sorted({re.escape(word[:4]) for word in wanted}))  # spelling differs after these at most
    near = re.finditer(rf"\b(?:{starts})[^\W_]*", text, re.IGNORECASE)
    return [m.span() for m in near if wanted & _stems_of(m.group())]


def excerpt(sentences: Iterable[str], wanted: frozenset[str], longest: int) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Choose the sentence that shows most of what was looked for, the first of equals, cut to size.

    Args:
        sentences: In order of preference.
        wanted: Stems.
        longest: Characters.

    Returns:
        The sentence, and the places of the words in it.
    """
    best, marks, most = "", list[tuple[int, int]](), -1
    for sentence in sentences:
        found = places(sentence, wanted)
        distinct = len(wanted.intersection(s for a, b in found for s in _stems_of(sentence[a:b])))
        if distinct > most:
            best, marks, most = sentence, found, distinct
    if len(best) <= longest:
        return best, tuple(marks)
    first = marks[0][0] if marks else 0
    start = 0 if first < longest // 2 else best.rfind(" ", 0, first - longest // 4) + 1
    stop = len(best) if len(best) - start <= longest else best.rfind(" ", start, start + longest)
    stop = stop if stop > start else start + longest
    lead, tail = "…" if start else "", "…" if stop < len(best) else ""
    shift = len(lead) - start
    inside = [(a + shift, b + shift) for a, b in marks if a >= start and b <= stop]
    return lead + best[start:stop] + tail, tuple(inside)
