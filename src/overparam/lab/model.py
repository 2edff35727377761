"""The lab's words: paper, claim, departure, verdict. Plain data that loads in milliseconds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from overparam.errors import BadInput
from overparam.lab.judgement import Part, Rule

Status = Literal["reproduced", "partly", "not reproduced", "inconclusive"]
Kind = Literal["empirical", "theorem", "identity"]
Fidelity = Literal["official code", "paper", "reconstruction"]


@dataclass(frozen=True)
class Paper:
    """What a paper is, in facts and in a summary of our own.

    Attributes:
        slug: Name in commands, addresses and folders: lower case, digits and dashes.
        arxiv: Identifier without version.
        published: Day of the first version.
        title: Title as printed.
        authors: Names as far as they are known to us; may be empty.
        author_count: Number of authors.
        topics: Fields a reader filters by.
        fidelity: What the implementation was built from; `reconstruction` where the paper left gaps that we filled.
        summary: Two to four sentences of ours.
        code: Address of the official code, or empty.
        comments: Comments counted where the paper was listed.
        order: Position in the listing.
    """

    slug: str
    arxiv: str
    published: date
    title: str
    author_count: int
    topics: tuple[str, ...]
    fidelity: Fidelity
    summary: str
    authors: tuple[str, ...] = ()
    code: str = ""
    comments: int = 0
    order: int = 0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.slug):
            raise BadInput(f"slug={self.slug!r} is not lower case words joined by dashes; rename the paper")
        if self.authors and len(self.authors) != self.author_count:
            raise BadInput(
                f"{self.slug}: {len(self.authors)} names but author_count={self.author_count}; make them agree"
            )


@dataclass(frozen=True, init=False)
class Departure:
    """A way in which our setting differs from the paper's, true where the trials have these parameters.

    `Departure("8x8 digits stand in for CIFAR-10", data="digits")` holds for a run whose trials have
    `data == "digits"`; a tuple means any of its values. Without parameters it always holds.
    """

    text: str
    when: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __init__(self, text: str, **when: Any) -> None:
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "when", when)

    def applies(self, rows: Iterable[Mapping[str, Any]]) -> bool:
        """Tell whether any row of parameters matches.

        Args:
            rows: Parameters of the trials that feed the claim.

        Returns:
            True without conditions, or when one row meets all of them.
        """
        return not self.when or any(all(matches(row.get(k), v) for k, v in self.when.items()) for row in rows)


def matches(value: Any, wanted: Any) -> bool:
    """Compare a parameter with a wanted value, or with any of a tuple or list of values.

    Args:
        value: Value of a trial.
        wanted: One value, or several.

    Returns:
        Whether they agree.
    """
    return value in wanted if isinstance(wanted, tuple | list) else bool(value == wanted)


@dataclass(frozen=True)
class Claim:
    """One sentence of a paper, and the rule by which the lab judges it.

    Attributes:
        id: Short name within the paper, such as `C2`.
        statement: The claim in our words.
        source: Where in the paper it stands.
        on: Name of the experiment that feeds it.
        rule: Region in which the claim holds.
        kind: Measured in the paper, proved, or exact by definition.
        departs: How our setting differs. A string always applies.
        reported: What the paper reported, only where we read it there.
        note: Context that is shown with every verdict.
        untestable: Reason why the claim has no rule; then `on` and `rule` stay empty.
    """

    id: str
    statement: str
    source: str
    on: str = ""
    rule: Rule | None = None
    kind: Kind = "empirical"
    departs: tuple[str | Departure, ...] = ()
    reported: str = ""
    note: str = ""
    untestable: str = ""

    def __post_init__(self) -> None:
        if not self.source:
            raise BadInput(f"claim {self.id} has no source; say where in the paper it stands")
        if bool(self.untestable) == bool(self.on and self.rule):
            raise BadInput(f"claim {self.id} needs either `on` and `rule`, or `untestable` with the reason")

    def departures(self, rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
        """List the departures that hold for these trials.

        Args:
            rows: Parameters of the trials that feed the claim.

        Returns:
            Their texts, in the order of the claim.
        """
        rows = list(rows)
        every = (d if isinstance(d, Departure) else Departure(d) for d in self.departs)
        return tuple(d.text for d in every if d.applies(rows))


@dataclass(frozen=True)
class Verdict:
    """What the rule of a claim made of the trials.

    Attributes:
        claim: Id of the claim.
        status: Reproduced, partly, not reproduced or inconclusive.
        sentence: The finding in words.
        parts: Estimates with intervals and regions, one for each part of the rule.
        departs: Departures that hold for this run; with any, the verdict is a proxy.
        rule_hash: Fingerprint of the rule as it was when judged.
        seconds: CPU time of the trials that fed it.
    """

    claim: str
    status: Status
    sentence: str
    parts: tuple[Part, ...]
    departs: tuple[str, ...]
    rule_hash: str
    seconds: float = 0.0

    @property
    def proxy(self) -> bool:
        """Whether the setting departs from the paper's."""
        return bool(self.departs)

    @property
    def headline(self) -> Part | None:
        """The part that went worst, the first of equals: what rows and lists show."""
        order = {"fails": 0, "unclear": 1, "holds": 2}
        return min(self.parts, key=lambda part: order[part.state], default=None)


def status_of(parts: Iterable[Part]) -> Status:
    """Combine the parts of a rule: all hold, all fail, some hold, or none of these.

    Args:
        parts: Judged parts.

    Returns:
        The status of the claim; no parts at all are inconclusive.
    """
    states = [part.state for part in parts]
    if not states:
        return "inconclusive"
    if all(s == "holds" for s in states):
        return "reproduced"
    if all(s == "fails" for s in states):
        return "not reproduced"
    return "partly" if "holds" in states else "inconclusive"
