"""Evidence on disk: the JSON document of a run with its figures, as `evidence/<slug>/<scale>.json` and SVG files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from overparam.errors import Unavailable
from overparam.ledger import Ledger


def save(ledger: Ledger, document: Mapping[str, Any], folder: Path) -> Path:
    """Write the evidence of a run.

    Args:
        ledger: Where its figures lie.
        document: Its JSON document.
        folder: Gets a folder for the paper.

    Returns:
        The JSON file.
    """
    path: Path = folder / document["paper"] / f"{document['scale']}.json"
    pictures = path.with_suffix("")
    pictures.mkdir(parents=True, exist_ok=True)
    for old in pictures.glob("*.svg"):
        old.unlink()
    figures = []
    for row in ledger.figures(document["run"]):
        (pictures / f"{row.name}.svg").write_text(row.svg + "\n", encoding="utf-8")
        name = f"{pictures.name}/{row.name}.svg"
        figures.append({"name": row.name, "svg": name, "caption": row.caption, **json.loads(row.table_json)})
    text = json.dumps({**document, "figures": figures}, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def read(path: Path) -> dict[str, Any]:
    """Read evidence.

    Args:
        path: The JSON file.

    Returns:
        The document; each figure holds its SVG.

    Raises:
        Unavailable: A file cannot be read.
    """
    try:
        document = dict(json.loads(path.read_text(encoding="utf-8")))
        for figure in document.get("figures", []):
            figure["svg"] = (path.parent / figure["svg"]).read_text(encoding="utf-8").rstrip("\n")
        return document
    except (OSError, ValueError) as error:
        raise Unavailable(
            f"evidence {path} cannot be read ({error}); write it again with overparam run --save"
        ) from error
