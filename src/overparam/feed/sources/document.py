"""XML from elsewhere, and what arXiv says in it by words alone."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, ParseError

import defusedxml
from defusedxml.ElementTree import fromstring

from overparam.errors import Unavailable

WITHDRAWN = re.compile(r"^\W*withdrawn\b|\b(?:has been|have been|is|was) withdrawn\b", re.IGNORECASE)


def xml_of(body: bytes) -> Element:
    """Parse XML without DTD, entities or references to elsewhere.

    Args:
        body: As fetched.

    Returns:
        The root.

    Raises:
        Unavailable: It is malformed, truncated, or carries a DTD.
    """
    try:
        root: Element = fromstring(body, forbid_dtd=True)
    except defusedxml.DefusedXmlException as error:
        raise Unavailable(f"arxiv: XML with a DTD or entities is refused ({type(error).__name__})") from error
    except (ParseError, ValueError, LookupError) as error:
        raise Unavailable(f"arxiv: malformed or truncated XML ({error})") from error
    return root


def is_withdrawn(comment: str, abstract: str) -> bool:
    """Tell from an author's comment or the abstract whether a paper was withdrawn.

    Args:
        comment: May be empty.
        abstract: May be empty.

    Returns:
        Whether it says so.
    """
    return bool(WITHDRAWN.search(comment) or WITHDRAWN.search(abstract[:100]))
