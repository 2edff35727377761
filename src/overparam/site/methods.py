"""The pages on methods: the documentation's own, examples included, rendered once."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from markupsafe import Markup

from overparam.settings import shipped
from overparam.site.markup import clean_markdown


@dataclass(frozen=True)
class Method:
    """A page on methods.

    Attributes:
        slug: Of the paper.
        title: Its heading.
        lede: Its first paragraph, as HTML.
        html: The whole page without the heading.
        example: The code of its examples, prompts and checks removed, ready to paste.
    """

    slug: str
    title: str
    lede: Markup
    html: Markup
    example: str


@functools.cache
def methods() -> dict[str, Method]:
    """Read all pages on methods.

    Returns:
        Slug to page, by name.
    """
    folder = shipped("methods")
    return {path.stem: _read(path.stem, path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.md"))}


def example_of(slug: str) -> str:
    """Return the example that shows how to use a paper's method.

    Args:
        slug: Of the paper.

    Returns:
        Python code, empty if there is no page.
    """
    found = methods().get(slug)
    return found.example if found else ""


def _read(slug: str, text: str) -> Method:
    title, _, body = text.partition("\n")
    body = re.sub(r"\]\((?:\.\./)?methods/([a-z-]+)\.md\)", r"](/methods/\1)", body)
    body = re.sub(r"\]\(([a-z-]+)\.md\)", r"](/methods/\1)", body)
    lede = body.strip().split("\n\n")[0]
    blocks = re.findall(r"```python\n(.*?)```", body, re.DOTALL)
    return Method(slug, title.lstrip("# "), clean_markdown(lede), prose(body), _pasteable(blocks[:2]))


def prose(text: str) -> Markup:
    """Render a page of the documentation.

    Args:
        text: Markdown.

    Returns:
        HTML, in which code that scrolls can be reached by keyboard.
    """
    return Markup(clean_markdown(text).replace("<pre>", '<pre tabindex="0">'))


def _pasteable(blocks: list[str]) -> str:
    """Keep the statements of an interactive session, not what it printed."""
    code = []
    for block in blocks:
        lines = [line[4:] for line in block.splitlines() if line.startswith((">>> ", "... "))]
        code.append("\n".join(lines) if ">>> " in block else block.strip())
    return "\n\n".join(code).strip()
