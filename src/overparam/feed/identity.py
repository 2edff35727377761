"""How two records are told to be one paper: identifiers, titles, names."""

from __future__ import annotations

import re
import unicodedata

PREFIX = re.compile(
    r"""(?: https?://(?:www\.|export\.)?arxiv\.org/(?:abs|pdf|html|format)/
          | https?://(?:www\.)?huggingface\.co/papers/
          | (?:https?://(?:dx\.)?doi\.org/)?10\.48550/arxiv\.
          | oai:arxiv\.org:
          | arxiv:\s* )""",
    re.VERBOSE,
)
IDENTIFIER = re.compile(
    r"(?P<id>\d{2}(?:0[1-9]|1[0-2])\.\d{4,5}|[a-z]+(?:-[a-z]+)*(?:\.[a-z]{2})?/\d{2}(?:0[1-9]|1[0-2])\d{3})"
    r"(?:v(?P<version>[1-9]\d{0,2}))?(?:\.pdf)?/?(?:[?#].*)?"
)


def arxiv_id(text: str) -> tuple[str, int | None] | None:
    """Read an arXiv identifier, bare or in an address, of the new style or the old.

    Args:
        text: Such as `2509.02522v2`, `arXiv:quant-ph/0201082` or `https://arxiv.org/abs/math.GT/0309136v1`.

    Returns:
        The identifier without version (and without subject class, as arXiv writes it) and the version; None if the
        text is no such identifier.

    Example:
        >>> arxiv_id("https://arxiv.org/pdf/2509.02522v2"), arxiv_id("math.GT/0309136"), arxiv_id("attention")
        (('2509.02522', 2), ('math/0309136', None), None)
    """
    text = text.strip().lower()
    prefix = PREFIX.match(text)
    found = IDENTIFIER.fullmatch(text, prefix.end() if prefix else 0)
    if not found:
        return None
    identifier = re.sub(r"\.[a-z]{2}/", "/", found["id"])
    return identifier, int(found["version"]) if found["version"] else None


def doi(text: str | None) -> str | None:
    """Read a DOI, bare or in an address.

    Args:
        text: Anything.

    Returns:
        The DOI in lower case; None if there is none, or if it only repeats the arXiv identifier.
    """
    found = re.search(r"\b(10\.\d{4,9}/\S+)", (text or "").lower())
    return None if found is None or arxiv_id(found[1]) else found[1].rstrip(".,;)")


def title_key(title: str) -> str:
    """Reduce a title to what two spellings of it share.

    Args:
        title: As listed.

    Returns:
        NFKC, case folded, letters and digits only; empty if there are none.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", title).casefold())
    return unicodedata.normalize("NFKC", "".join(character for character in folded if character.isalnum()))


def name_key(name: str) -> str:
    """Reduce a name to family name and first initial, so that initials and accents do not matter.

    Args:
        name: `Levent Sagun`, `L. Sagun` or `Sagun, Levent`.

    Returns:
        Such as `sagun l`.

    Example:
        >>> name_key("V. Uğur Güney"), name_key("Guney, Vedat")
        ('guney v', 'guney v')
    """
    family, comma, given = name.partition(",")
    if not comma:
        given, _, family = name.strip().rpartition(" ")
    return f"{_letters(family)} {_letters(given)[:1]}".strip()


def _letters(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(character for character in plain if character.isalpha())
