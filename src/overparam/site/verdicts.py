"""What held so far: the newest verdict of every claim, gathered for cards, board and paper pages."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from overparam.lab.experiment import SCALES
from overparam.lab.planner import REGULAR
from overparam.lab.registry import Entry, papers
from overparam.lab.report import mini, slug
from overparam.lab.wording import capital, count, duration
from overparam.ledger import Ledger
from overparam.ledger.schema import verdict

STATUSES = ("reproduced", "partly", "inconclusive", "not reproduced")
ROWS_ON_CARD = 6


@dataclass(frozen=True)
class ClaimState:
    """Where a claim stands.

    Attributes:
        claim: Its id.
        statement: The claim in our words.
        status: Of the newest verdict at the largest scale; `not run` or `not testable` without one.
        body: The verdict as in the JSON document; empty without one.
        scale: At which it was judged.
        at: When.
    """

    claim: str
    statement: str
    status: str
    body: Mapping[str, Any]
    scale: str = ""
    at: str = ""

    @property
    def judged(self) -> bool:
        """Whether there is a verdict."""
        return bool(self.body)

    @property
    def proxy(self) -> bool:
        """Whether the verdict departs from the paper's setting."""
        return bool(self.body.get("proxy"))


@dataclass(frozen=True)
class PaperState:
    """Where a paper stands."""

    entry: Entry
    claims: tuple[ClaimState, ...]

    @property
    def judged(self) -> list[ClaimState]:
        """Claims with a verdict."""
        return [c for c in self.claims if c.judged]

    @property
    def newest(self) -> str:
        """When the newest verdict fell; empty without one."""
        return max((c.at for c in self.judged), default="")

    @property
    def cpu_seconds(self) -> float:
        """What the verdicts cost; claims that share an experiment share its cost."""
        by_experiment = {self.entry.claim(c.claim).on: c.body["cpu_seconds"] for c in self.judged}
        return float(sum(by_experiment.values()))

    @property
    def scales(self) -> list[str]:
        """Scales of the verdicts, the largest first."""
        found = {c.scale for c in self.judged}
        return [s for s in reversed(SCALES) if s in found]


class Overview:
    """The newest verdicts, read again only when there are new ones.

    Args:
        ledger: Where they lie.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._seen: str | None = ""  # differs from every answer, also from that of a ledger without verdicts
        self._states: dict[str, PaperState] = {}

    def states(self) -> dict[str, PaperState]:
        """Return the state of every paper.

        Returns:
            Slug to state, in the order of the registry.
        """
        with self._ledger.reading() as db:
            newest = db.execute(sa.select(sa.func.max(verdict.c.at))).scalar()
        with self._lock:
            if newest != self._seen:
                self._states = self._read()
                self._seen = newest
            return self._states

    def _read(self) -> dict[str, PaperState]:
        found = {(row.paper, row.claim): row for row in self._ledger.latest_verdicts(REGULAR)}
        states = {}
        for key, entry in papers().items():
            claims = []
            for claim in entry.claims:
                row = found.get((key, claim.id))
                if row is None:
                    status = "not testable" if claim.untestable else "not run"
                    claims.append(ClaimState(claim.id, claim.statement, status, {}))
                else:
                    body = json.loads(row.body_json)
                    claims.append(ClaimState(claim.id, claim.statement, row.status, body, row.scale, row.at))
            states[key] = PaperState(entry, tuple(claims))
        return states


def tally(states: Iterable[PaperState]) -> dict[str, Any]:
    """Count verdicts for the bar on top of a page.

    Args:
        states: Papers to count.

    Returns:
        Counts, segments in per cent, and what is open or not testable.
    """
    every = [c for state in states for c in state.claims]
    counts = Counter(c.status for c in every)
    judged = sum(counts[s] for s in STATUSES)
    shown = judged + counts["not run"]
    segments, x = [], 0.0
    for status in (*STATUSES, "not run"):
        width = 100 * counts[status] / shown if shown else 0.0
        if width:
            key = "rest" if status == "not run" else slug(status)
            segments.append({"key": key, "x": round(x, 2), "width": round(max(0.2, width - 0.25), 2)})
        x += width
    return {
        "claims": len(every),
        "judged": judged,
        "open": counts["not run"],
        "untestable": counts["not testable"],
        "counts": [{"status": s, "words": s, "n": counts[s]} for s in STATUSES],
        "segments": segments,
    }


def card_evidence(state: PaperState, day_of: Any) -> dict[str, Any]:
    """Gather what a card shows beside the summary.

    Args:
        state: The paper.
        day_of: Writes a day.

    Returns:
        Rows with marks and small intervals, and a note on scale, cost and day.
    """
    judged = state.judged
    rows = [
        {"claim": c.claim, "status": c.status, "proxy": c.proxy, "mini": mini(c.body)} for c in judged[:ROWS_ON_CARD]
    ]
    rest = judged[ROWS_ON_CARD:]
    tallied = Counter(c.status for c in rest)
    more = ", ".join(f"{tallied[s]} {s}" for s in STATUSES if tallied[s])
    testable = [c for c in state.claims if c.status != "not testable"]
    if judged:
        note = f"{capital(state.scales[0])} scale, {duration(state.cpu_seconds)} of CPU, {day_of(state.newest)}"
        waiting = ""
    elif state.entry.runnable:
        note, waiting = "", count(len(testable), "claim")
    else:
        note, waiting = "The method and its claims are not built yet", "not runnable yet"
    return {
        "key": state.entry.paper.slug,
        "rows": rows,
        "more": f"{count(len(rest), 'more claim')}: {more}" if rest else "",
        "waiting": waiting,
        "runnable": state.entry.runnable,
        "note": note,
        "reconstruction": state.entry.paper.fidelity == "reconstruction",
    }
