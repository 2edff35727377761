"""Makes text from elsewhere safe to show: plain text, text with formulas, Markdown. Whatever comes in is hostile."""

from __future__ import annotations

import functools
import html
import re
from xml.etree import ElementTree

import nh3
from latex2mathml.converter import Converter
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

LONGEST_TEX = 400
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
FORMULA = re.compile(
    r"\\\((?P<round>.{1,400}?)\\\)"
    # as in pandoc: no space inside the dollars, no digit after them, so that "$5 and $6" stays money
    r"|(?<![\\$])\$(?![\s$])(?P<dollar>(?:[^$\\]|\\.){1,400}?)(?<!\s)\$(?![\d$])",
    re.DOTALL,
)
GROWING = re.compile(r"\\(?:(?:re|provide)?newcommand|def|let)(?![a-zA-Z])")  # macros of macros grow without bound

MATHML = (
    "math mrow mi mn mo mtext mspace ms mfrac msqrt mroot mstyle mpadded mphantom menclose msub msup msubsup munder "
    "mover munderover mmultiscripts mprescripts none mtable mtr mtd merror"
)
MATHML_ATTRIBUTES = {
    "*": {"mathvariant", "displaystyle", "scriptlevel"},
    "math": {"display"},
    "mo": {
        "stretchy",
        "fence",
        "accent",
        "separator",
        "form",
        "lspace",
        "rspace",
        "minsize",
        "maxsize",
        "movablelimits",
    },
    "mover": {"accent"},
    "munder": {"accentunder"},
    "mfrac": {"linethickness"},
    "mspace": {"width", "height", "depth"},
    "mpadded": {"width", "height", "depth", "lspace", "voffset"},
    "menclose": {"notation"},
    "mtable": {"columnalign", "rowlines", "columnlines", "rowspacing", "columnspacing"},
    "mtd": {"columnalign"},
}
PROSE = "p br hr h1 h2 h3 h4 h5 h6 ul ol li blockquote pre code em strong a table thead tbody tr th td"
LENGTH = re.compile(r"-?[0-3]?(\.\d+)?(em|ex)")  # so that no formula reaches over the rest of the page
LENGTHS = {"width", "height", "depth", "lspace", "rspace", "voffset", "minsize", "maxsize"}


def clean_text(text: str) -> str:
    """Remove what no reader sees but what changes what they see.

    Args:
        text: Anything.

    Returns:
        The text without control characters (tabs and line ends stay), direction overrides and broken characters.
    """
    return UNSEEN.sub("", text)


def with_maths(text: str) -> Markup:
    r"""Escape a text and render its formulas, `$...$` or `\(...\)`, as MathML.

    Args:
        text: A title or abstract.

    Returns:
        HTML; a formula that cannot be rendered stays as it was written.
    """
    text = clean_text(text)
    parts, end = [], 0
    for found in FORMULA.finditer(text):
        rendered = _mathml(found["round"] or found["dollar"])
        parts += [escape(text[end : found.start()]), Markup(rendered) if rendered else escape(found[0])]
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


@functools.lru_cache(maxsize=4096)
def _mathml(tex: str) -> str:
    if len(tex) > LONGEST_TEX or GROWING.search(tex):
        return ""
    try:
        tree = Converter().convert_to_element(tex)
        for node in tree.iter():
            node.text = html.unescape(node.text or "")  # the library writes symbols as entities
        written = ElementTree.tostring(tree, encoding="unicode")
    except Exception:  # the library raises IndexError, StopIteration, RecursionError and more of its own
        return ""
    return nh3.clean(
        written,
        tags=set(MATHML.split()),
        attributes=MATHML_ATTRIBUTES,
        attribute_filter=_short,
        clean_content_tags=set(),
    )


def _short(_tag: str, attribute: str, value: str) -> str | None:
    return value if attribute not in LENGTHS or LENGTH.fullmatch(value) else None


@functools.cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")


@functools.lru_cache(maxsize=256)
def clean_markdown(text: str) -> Markup:
    """Render Markdown: paragraphs, headings, lists, tables, code, emphasis, links to http, https and mail.

    Args:
        text: Markdown; HTML in it is shown as text.

    Returns:
        HTML without pictures, classes and other addresses.
    """
    rendered = _markdown().render(clean_text(text))
    attributes = {"a": {"href", "title"}}
    return Markup(
        nh3.clean(rendered, tags=set(PROSE.split()), attributes=attributes, url_schemes={"http", "https", "mailto"})
    )
