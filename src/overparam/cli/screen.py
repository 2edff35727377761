"""What the terminal shows: verdict tables, the board, lists, and progress."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
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
    encoding = (getattr(sys.__stdout__, "encoding", None) or "").lower()  # sys.stdout is a proxy while a bar is shown
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
    lines += [Text(text) for text in _proxy_words(document)]
    lines += [Text(f"{v['claim']}: {v['sentence']}") for v in document["verdicts"] if v["status"] != "reproduced"]
    lines += [Text(f"{c['claim']}: {c['reason'].rstrip('.')}.", style=DIM) for c in document["not_judged"]]
    lines += [Text(text, style=COLOURS["failed"]) for text in _failure_words(document)]
    return Group(*lines, Text(), _facts(entry.paper.slug, document))


def _proxy_words(document: Mapping[str, Any]) -> list[str]:
    """Name the proxies and at most two departures; the report has all of them."""
    verdicts = document["verdicts"]
    proxies = [v for v in verdicts if v["proxy"]]
    if not proxies:
        return []
    departs = list(dict.fromkeys(text for v in proxies for text in v["departs"]))
    more = f"; {spelled(len(departs) - 2)} more in the report" if len(departs) > 2 else ""
    if len(proxies) == len(verdicts) > 1:
        who = f"All {spelled(len(proxies))} are proxy verdicts"
    else:
        who = joined([v["claim"] for v in proxies]) + (
            " are proxy verdicts" if len(proxies) > 1 else " is a proxy verdict"
        )
    return [f"{who}: {'; '.join(departs[:2])}{more}."]


def _failure_words(document: Mapping[str, Any]) -> list[str]:
    """Say what failed, alike failures once, and what is kept."""
    trials = document["trials"]
    distinct = {(f["experiment"], f["outcome"], f["message"]): f for f in reversed(document["failures"])}
    words = []
    for failure in list(reversed(distinct.values()))[:5]:
        setting = ", ".join([*(f"{k} {v}" for k, v in failure["params"].items()), f"seed {failure['seed']}"])
        sign = "[!]" if plain() else "▲"
        words.append(f"{sign} {failure['experiment']} ({setting}) {failure['outcome']}: {failure['message']}")
    if document["state"] == "failed":
        kept = f"The other {trials['done']:,} {'is' if trials['done'] == 1 else 'are'} kept."
        words.append(f"{count(trials['failed'], 'trial')} of {trials['planned']:,} failed. {kept}")
    elif document["state"] in ("cancelled", "interrupted"):
        done = f"Stopped after {trials['done']:,} of {count(trials['planned'], 'trial')}"
        words.append(f"{done}; the same command goes on from here.")
    return words


def _facts(slug: str, document: Mapping[str, Any]) -> RenderableType:
    cost = document["cost"]
    new = cost["new_trials"]
    fresh = f"{count(new, 'trial')} {'was' if new == 1 else 'were'} new" if new else "nothing was new"
    spent = f"{duration(cost['cpu_seconds'])} CPU, {duration(cost['wall_seconds'])} wall"
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_row(Text("Cost", style=DIM), f"{spent}, {megabytes(cost['peak_megabytes'])} peak; {fresh}")
    facts.add_row(Text("Report", style=DIM), f"overparam report {slug} --scale {document['scale']}")
    return facts


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
        key.append(f" {word}" + ("\n" if status == "inconclusive" else "   "))
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
    for column in table.columns[:2]:  # only the title gives way in a narrow terminal
        column.min_width = max((len(str(cell)) for cell in column.cells), default=0)
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
            words = "Not testable" if claim.untestable else "Not run"
            head.append(f"{mark('untestable' if claim.untestable else None)} {words}", style=DIM)
        rule = f"Rule: {claim.rule.text}" if claim.rule else claim.untestable
        lines += [head, Text(claim.statement), Text(verdict["sentence"] if verdict else rule, style=DIM)]
    if not entry.claims:
        lines.append(Text("\nNot runnable yet: none of its claims has a rule.", style=DIM))
    if document:
        done = f"{document['trials']['done']:,} of {count(document['trials']['planned'], 'trial')}"
        lines.append(
            Text(f"\nRun {document['run']} at {document['scale']} scale: {document['state']}, {done}", style=DIM)
        )
    elif entry.runnable:
        lines.append(Text(f"\nNot run yet: overparam run {paper.slug}", style=DIM))
    return Group(*lines)
