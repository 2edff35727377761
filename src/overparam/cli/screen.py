"""What the terminal shows: verdict tables, the board, lists, and progress."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from overparam.lab.wording import capital, count, duration, joined, megabytes, spelled

if TYPE_CHECKING:
    from overparam.lab.registry import Entry

COLOURS = {
    "reproduced": "#45a39b",
    "partly": "#f7bf45",
    "not reproduced": "#f2651f",
    "inconclusive": "#b0bdcd",
    "running": "#8fbaff",
    "failed": "#f291c4",
    "dim": "#949caa",
}
MARKS = {"reproduced": "●", "partly": "◐", "not reproduced": "■", "inconclusive": "○", None: "·", "untestable": "–"}
ASCII = {
    "reproduced": "[+]",
    "partly": "[~]",
    "not reproduced": "[x]",
    "inconclusive": "[?]",
    None: ".",
    "untestable": "-",
}
DIM = COLOURS["dim"]


def console(*, stderr: bool = False) -> Console:
    """Make a console in the house style.

    Args:
        stderr: Whether it writes to stderr.

    Returns:
        The console; 80 columns where the width is unknown.
    """
    made = Console(stderr=stderr, highlight=False, soft_wrap=False)
    return made if made.is_terminal or "COLUMNS" in os.environ else Console(stderr=stderr, highlight=False, width=80)


def plain() -> bool:
    """Whether only ASCII marks may be used: NO_COLOR, a dumb terminal, or an encoding without them."""
    encoding = (sys.stdout.encoding or "").lower()
    return "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb" or "utf" not in encoding


def mark(status: str | None) -> str:
    """Return the mark of a status.

    Args:
        status: A verdict, `untestable`, or None for not run.

    Returns:
        One sign, or three in ASCII.
    """
    return (ASCII if plain() else MARKS)[status]


def columns(*named: tuple[str, str]) -> Table:
    """Start a table in the house style.

    Args:
        named: Heading and `right`, `wrap` or empty, one a column.

    Returns:
        The table.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style=DIM, show_edge=False)
    for name, side in named:
        table.add_column(name, justify="right" if side == "right" else "left", no_wrap=side != "wrap")
    return table


def verdict_table(document: Mapping[str, Any], width: int) -> RenderableType:
    """Lay out the verdicts of a run.

    Args:
        document: JSON document of the run.
        width: Columns; below 72 the plot goes, below 56 the interval.

    Returns:
        A renderable.
    """
    from overparam.lab.report import headline, part_of
    from overparam.lab.wording import estimate_text

    heads = [("Claim", ""), ("Verdict", ""), ("Estimate", "right")]
    heads += [("Interval", "right")] if width >= 56 else []
    heads += [(f"Region {'#' if plain() else '░'}", "")] if width >= 72 else []
    table = columns(*heads)
    worst = [headline(verdict) for verdict in document["verdicts"]]
    texts = [estimate_text(part_of(head)) if head else ("–", "") for head in worst]
    taken = [max([len(t[i]) for t in texts], default=0) for i in (0, 1)]
    wide = max(12, min(26, width - 5 - 16 - max(8, taken[0]) - max(8, taken[1]) - 4 * 2))
    for verdict, head, (estimate, interval) in zip(document["verdicts"], worst, texts, strict=True):
        colour = COLOURS[verdict["status"]]
        cells: list[RenderableType] = [
            verdict["claim"],
            Text(f"{mark(verdict['status'])} {capital(verdict['status'])}", style=f"bold {colour}"),
            estimate,
        ]
        cells += [Text(interval)] if width >= 56 else []
        cells += [_interval(head, colour, wide) if head else Text("")] if width >= 72 else []
        table.add_row(*cells)
    for claim in document["not_judged"]:
        words = "Not testable" if claim["untestable"] else "Not run"
        table.add_row(
            claim["claim"], Text(f"{mark('untestable' if claim['untestable'] else None)} {words}", style=DIM), ""
        )
    return table


def _interval(part: Mapping[str, Any], colour: str, wide: int) -> Text:
    from overparam.lab.axis import axis_for

    axis = axis_for([part])
    region, line, edge, cross = ("#", "-", "|", "+") if plain() else ("░", "─", "│", "┼")
    dots = {"holds": "o", "unclear": "?", "fails": "x"} if plain() else {"holds": "●", "unclear": "○", "fails": "■"}

    def cell(value: float | None, otherwise: int) -> int:
        return otherwise if value is None else min(wide - 1, round(axis.place(value, 0) / 100 * (wide - 1)))

    low, high = cell(part["region"]["low"], 0), cell(part["region"]["high"], wide - 1)
    signs = [(region if low <= i <= high else " ", DIM) for i in range(wide)]
    edges = [i for i, k in ((low, "low"), (high, "high")) if part["region"][k] is not None]
    for i in edges:
        signs[i] = edge, DIM
    if part["estimate"] is not None:
        for i in range(cell(part["low"], 0), cell(part["high"], wide - 1) + 1):
            signs[i] = cross if i in edges else line, colour
        signs[cell(part["estimate"], 0)] = dots[part["state"]], f"bold {colour}"
    return Text.assemble(*signs)


def run_summary(entry: Entry, document: Mapping[str, Any]) -> RenderableType:
    """Say below the table what the verdicts rest on and what comes next.

    Args:
        entry: The paper.
        document: JSON document of the run.

    Returns:
        A renderable.
    """
    lines: list[RenderableType] = [Text()]
    proxies = [v for v in document["verdicts"] if v["proxy"]]
    if proxies:
        departs = list(dict.fromkeys(text for v in proxies for text in v["departs"]))
        everything = len(proxies) == len(document["verdicts"])
        who = (
            (f"{'All' if len(proxies) > 1 else 'The'} {spelled(len(proxies)) if len(proxies) > 1 else ''}".strip())
            if everything
            else joined([v["claim"] for v in proxies])
        )
        verb = "are proxy verdicts" if len(proxies) > 1 else "is a proxy verdict"
        shown = "; ".join(departs[:3]) + (f"; and {spelled(len(departs) - 3)} more" if len(departs) > 3 else "")
        who = who if not everything or len(proxies) > 1 else "The verdict"
        lines.append(Text(f"{who} {verb}: {shown}."))
    for verdict in document["verdicts"]:
        if verdict["status"] != "reproduced":
            lines.append(Text(f"{verdict['claim']}: {verdict['sentence']}"))
    for claim in document["not_judged"]:
        lines.append(Text(f"{claim['claim']}: {claim['reason'].rstrip('.')}.", style=DIM))
    trials, cost = document["trials"], document["cost"]
    distinct = {(f["experiment"], f["outcome"], f["message"]): f for f in reversed(document["failures"])}
    for failure in list(reversed(distinct.values()))[:5]:
        setting = ", ".join([*(f"{k} {v}" for k, v in failure["params"].items()), f"seed {failure['seed']}"])
        lines.append(
            Text(
                f"{'[!]' if plain() else '▲'} {failure['experiment']} ({setting}) {failure['outcome']}: {failure['message']}",
                style=COLOURS["failed"],
            )
        )
    if document["state"] == "failed":
        lines.append(
            Text(
                f"{count(trials['failed'], 'trial')} of {trials['planned']:,} failed. The other {trials['done']:,} are kept."
            )
        )
    elif document["state"] in ("cancelled", "interrupted"):
        lines.append(
            Text(
                f"Stopped after {trials['done']:,} of {count(trials['planned'], 'trial')}; the same command goes on from here."
            )
        )
    facts = Table.grid(padding=(0, 2, 0, 0))
    fresh = (
        "nothing was new"
        if not cost["new_trials"]
        else f"{count(cost['new_trials'], 'trial')} {'was' if cost['new_trials'] == 1 else 'were'} new"
    )
    facts.add_row(
        Text("Cost", style=DIM),
        f"{duration(cost['cpu_seconds'])} CPU, {duration(cost['wall_seconds'])} wall, {megabytes(cost['peak_megabytes'])} peak; {fresh}",
    )
    facts.add_row(Text("Report", style=DIM), f"overparam report {entry.paper.slug} --scale {document['scale']}")
    return Group(*lines, Text(), facts)


def board(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Lay out papers by claims, a mark a claim.

    Args:
        rows: One a paper, as `overparam board --json` prints them.

    Returns:
        A renderable.
    """
    table = columns(("Paper", ""), ("Claims", ""), ("", ""))
    for row in rows:
        if not row["runnable"]:
            table.add_row(row["paper"], Text("not runnable yet", style=DIM), "")
            continue
        marks = Text()
        for claim in row["claims"]:
            status = "untestable" if claim["untestable"] else claim["status"]
            style = COLOURS.get(status or "", DIM) + (" underline" if claim["proxy"] and not plain() else "")
            marks.append(mark(status), style=style)
            marks.append(" ")
        proxies = sum(c["proxy"] for c in row["claims"])
        table.add_row(row["paper"], marks, Text(f"{proxies} by proxy" if proxies else "", style=DIM))
    key = Text(style=DIM)
    for status, word in (
        ("reproduced", "reproduced"),
        ("partly", "partly"),
        ("not reproduced", "not reproduced"),
        ("inconclusive", "inconclusive"),
        ("untestable", "not testable"),
        (None, "not run"),
    ):
        key.append(mark(status), style=COLOURS.get(status or "", DIM))
        key.append(f" {word}   ")
    return Group(table, Text(), key)


def paper_list(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Lay out the list of papers.

    Args:
        rows: One a paper, as `overparam list --json` prints them.

    Returns:
        A renderable.
    """
    table = columns(("Slug", ""), ("Verdicts", ""), ("Title", ""))
    for row in rows:
        tested = [c for c in row["claims"] if not c["untestable"]]
        states = Text("not runnable yet", style=DIM)
        if row["runnable"]:
            states = Text()
            for claim in row["claims"]:
                status = "untestable" if claim["untestable"] else claim["status"]
                states.append(mark(status), style=COLOURS.get(status or "", DIM))
            if not any(c["status"] for c in tested):
                states = Text(f"{count(len(tested), 'claim')}, not run", style=DIM)
        table.add_row(Text(row["paper"], style="bold"), states, row["title"])
    return table


def paper_page(entry: Entry, document: Mapping[str, Any] | None) -> RenderableType:
    """Lay out one paper: facts, claims with rules, newest run.

    Args:
        entry: The paper.
        document: JSON document of its newest run, if any.

    Returns:
        A renderable.
    """
    paper = entry.paper
    who = ", ".join(paper.authors) or count(paper.author_count, "author")
    lines: list[RenderableType] = [
        Text(paper.title, style="bold"),
        Text(f"{who} · arXiv {paper.arxiv} · {paper.published:%-d %B %Y}", style=DIM),
        Text(),
        Text(paper.summary),
    ]
    verdicts = {v["claim"]: v for v in document["verdicts"]} if document else {}
    for claim in entry.claims:
        verdict = verdicts.get(claim.id)
        head = Text(f"\n{claim.id}  ", style=DIM)
        if verdict:
            head.append(
                f"{mark(verdict['status'])} {capital(verdict['status'])}", style=f"bold {COLOURS[verdict['status']]}"
            )
            head.append("  proxy" if verdict["proxy"] else "", style=DIM)
        else:
            head.append(
                f"{mark('untestable' if claim.untestable else None)} {'Not testable' if claim.untestable else 'Not run'}",
                style=DIM,
            )
        lines += [head, Text(claim.statement)]
        lines.append(
            Text(
                verdict["sentence"]
                if verdict
                else claim.untestable or f"Rule: {claim.rule.text if claim.rule else ''}",
                style=DIM,
            )
        )
    if not entry.claims:
        lines.append(Text("\nNot runnable yet: none of its claims has a rule.", style=DIM))
    if document:
        run = f"Run {document['run']} at {document['scale']} scale: {document['state']}, {document['trials']['done']} of {count(document['trials']['planned'], 'trial')}"
        lines.append(Text(f"\n{run}", style=DIM))
    elif entry.runnable:
        lines.append(Text(f"\nNot run yet: overparam run {paper.slug}", style=DIM))
    return Group(*lines)


class Meter:
    """Progress on stderr: a line an experiment, cleared at the end; plain lines where it is no terminal.

    Args:
        title: First line.
        subtitle: Second line.
        experiments: Name to number of trials.
        console: Where to draw.
    """

    WIDE = 24
    SILENT_SECONDS = 10.0

    def __init__(self, title: str, subtitle: str, experiments: Mapping[str, int], console: Console) -> None:
        self._title, self._subtitle, self._totals, self._console = title, subtitle, dict(experiments), console
        self._done = dict.fromkeys(experiments, 0)
        self._cached = dict.fromkeys(experiments, 0)
        self._notes = dict.fromkeys(experiments, "")
        self._left: float | None = None
        self._said = time.monotonic()
        self._live = (
            Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> Meter:
        if self._live:
            self._live.start()
        else:
            self._console.print(self._title)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def done(self, experiment: str, n: int, *, cached: bool = False) -> None:
        """Count trials that ended.

        Args:
            experiment: Which.
            n: How many.
            cached: Whether they were known before.
        """
        self._done[experiment] += n
        self._cached[experiment] += n if cached else 0
        self._tell()

    def note(self, experiment: str, text: str) -> None:
        """Say what runs now.

        Args:
            experiment: Which.
            text: What.
        """
        self._notes[experiment] = text
        self._tell()

    def left(self, seconds: float) -> None:
        """Say how long it will take.

        Args:
            seconds: Estimate.
        """
        self._left = seconds

    def _tell(self) -> None:
        if self._live or time.monotonic() - self._said < self.SILENT_SECONDS:
            return
        self._said = time.monotonic()
        left = f", about {duration(self._left)} left" if self._left else ""
        self._console.print(f"  {sum(self._done.values()):,} of {sum(self._totals.values()):,} trials done{left}")

    def _render(self) -> RenderableType:
        table = Table.grid(padding=(0, 2, 0, 0))
        for name, total in self._totals.items():
            done = self._done[name]
            full = self.WIDE * done // max(1, total)
            signs = ("=", ".") if plain() else ("━", "─")
            colour = COLOURS["reproduced"] if done == total else COLOURS["running"]
            line = Text(f"{signs[0] * full}", style=colour) + Text(signs[1] * (self.WIDE - full), style=DIM)
            words = (
                ["cached"]
                if done == total and self._cached[name] == total
                else []
                if done == total
                else [self._notes[name]]
            )
            table.add_row(
                f"  {name.replace('_', ' ')}",
                line,
                Text(f"{done}/{total}", justify="right"),
                Text(" · ".join(w for w in words if w), style=DIM, no_wrap=True, overflow="ellipsis"),
            )
        left = f" · about {duration(self._left)} to go" if self._left else ""
        return Group(
            Text(self._title, style="bold"),
            Text(self._subtitle + left, style=DIM, no_wrap=True, overflow="ellipsis"),
            Text(),
            table,
            Text("  Ctrl-C stops cleanly; the same command goes on from here.", style=DIM),
        )
