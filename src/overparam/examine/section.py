"""What a part of the examination found, in numbers and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from overparam.lab.experiment import Drawing

State = Literal["done", "partly", "skipped", "failed"]
# key to heading, and to the slug of the paper behind it
ABOUT = {
    "wrong_labels": ("Labels that look wrong", "data-diet"),
    "memorised": ("Memorised, and safe to drop", "long-tail"),
    "agreement": ("Do examples agree?", "gradient-coherence"),
    "curvature": ("Curvature", "hessian-spectrum"),
    "flatness": ("Sharpness", "hessian-spectrum"),
    "bounds": ("Norms and margins", "generalization-bounds"),
}


@dataclass(frozen=True)
class Card:
    """An example as people see it.

    Attributes:
        position: In the data set.
        image: A data URI, or empty.
        text: A snippet, or empty.
        lines: Short lines under it.
    """

    position: int
    image: str
    text: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Gallery:
    """Examples under a heading.

    Attributes:
        title: Heading.
        note: A sentence on what they are.
        cards: The examples.
    """

    title: str
    note: str
    cards: Sequence[Card]


@dataclass
class Section:
    """One part of the examination.

    Attributes:
        key: Name in the JSON.
        reading: How to read it, for someone who knows none of the papers.
        state: Done, partly (time was up), skipped or failed.
        finding: What was found, in a sentence or two.
        uncertainty: How sure that is, in a sentence.
        reason: Why it was cut short, skipped or failed.
        seconds: Wall time.
        facts: Label and value.
        columns: Headings of a table.
        rows: Its rows.
        figures: Name and drawing.
        galleries: Examples.
        numbers: The same for machines.
    """

    key: str
    reading: str = ""
    state: State = "done"
    finding: str = ""
    uncertainty: str = ""
    reason: str = ""
    seconds: float = 0.0
    facts: list[tuple[str, str]] = field(default_factory=list)
    columns: Sequence[str] = ()
    rows: list[Sequence[Any]] = field(default_factory=list)
    figures: list[tuple[str, Drawing]] = field(default_factory=list)
    galleries: list[Gallery] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Heading."""
        return ABOUT[self.key][0]

    @property
    def paper(self) -> str:
        """Slug of the paper behind it."""
        return ABOUT[self.key][1]

    def cut(self, reason: str) -> None:
        """Note that time ran out before all was done.

        Args:
            reason: What is missing.
        """
        self.state, self.reason = "partly", f"{self.reason} {reason}".strip()
