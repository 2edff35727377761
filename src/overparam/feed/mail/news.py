"""What one digest tells, as plain data that can be frozen and read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One verdict.

    Attributes:
        claim: Id of the claim.
        status: Of the verdict.
        proxy: Whether the setting departs from the paper's.
        statement: The claim in a sentence.
        was: How it was judged before, in a sentence; empty unless it changed.
        estimate: Number with interval.
        interval: Whether the estimate has an interval over seeds.
    """

    claim: str
    status: str
    proxy: bool
    statement: str
    was: str
    estimate: str
    interval: bool


@dataclass(frozen=True)
class Judged:
    """A paper with its new verdicts.

    Attributes:
        slug: Of the paper.
        title: Of the paper.
        about: Authors, arXiv number, cost.
        findings: In the order of the paper's claims.
    """

    slug: str
    title: str
    about: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Listed:
    """A new paper.

    Attributes:
        key: Its name in addresses.
        title: Its title.
        about: A sentence or two.
        day: On which it was listed first.
        judged: Whether any of its claims has a verdict.
    """

    key: str
    title: str
    about: str
    day: str
    judged: bool


@dataclass(frozen=True)
class News:
    """What one digest tells.

    Attributes:
        judged: Papers with verdicts.
        listed: New papers.
    """

    judged: tuple[Judged, ...] = ()
    listed: tuple[Listed, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.judged or self.listed)

    @property
    def findings(self) -> list[Finding]:
        """All verdicts."""
        return [finding for each in self.judged for finding in each.findings]

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> News:
        """Read plain data back.

        Args:
            given: As from `as_json`.

        Returns:
            The news.
        """
        judged = (
            Judged(**{**each, "findings": tuple(Finding(**f) for f in each["findings"])}) for each in given["judged"]
        )
        return cls(tuple(judged), tuple(Listed(**each) for each in given["listed"]))
