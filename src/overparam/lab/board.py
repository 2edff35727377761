"""The board as plain data: each paper with its claims and where they stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from overparam.lab.registry import Entry


def board_row(entry: Entry, verdicts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Describe a paper on the board.

    Args:
        entry: The paper.
        verdicts: Claim to its newest verdict, with status, proxy and scale.

    Returns:
        Facts of the paper, and for each claim its status, None without a verdict.
    """
    paper = entry.paper
    none: Mapping[str, Any] = {}
    claims = [
        {
            "claim": c.id,
            "statement": c.statement,
            "untestable": bool(c.untestable),
            "status": verdicts.get(c.id, none).get("status"),
            "proxy": bool(verdicts.get(c.id, none).get("proxy")),
            "scale": verdicts.get(c.id, none).get("scale"),
        }
        for c in entry.claims
    ]
    return {
        "paper": paper.slug,
        "title": paper.title,
        "arxiv": paper.arxiv,
        "published": paper.published.isoformat(),
        "authors": paper.author_count,
        "topics": list(paper.topics),
        "fidelity": paper.fidelity,
        "runnable": entry.runnable,
        "claims": claims,
    }
