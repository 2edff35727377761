"""The report of a run: one HTML file that needs nothing else."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup, escape

from overparam.lab.axis import axis_for, groups
from overparam.lab.experiment import Drawing
from overparam.lab.judgement import Part, Region
from overparam.lab.plots import to_svg
from overparam.lab.registry import Entry
from overparam.lab.wording import (
    THIN,
    capital,
    count,
    day,
    duration,
    estimate_text,
    joined,
    megabytes,
    number,
    spelled,
)

ROWS_SHOWN = 2_000
_MARK = {"holds": "reproduced", "fails": "not-reproduced", "unclear": "inconclusive"}


@functools.cache
def look(name: str) -> str:
    """Return a file of the house style.

    Args:
        name: Such as `page.css`.

    Returns:
        Its text.
    """
    return (resources.files("overparam.lab") / "look" / name).read_text(encoding="utf-8")


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("overparam.lab"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["capital"] = capital
    environment.filters["code"] = code
    environment.filters["slug"] = slug
    return environment.get_template("report.html.jinja")


def slug(text: str) -> str:
    """Turn a status into the name of its mark and class.

    Args:
        text: Such as `not reproduced`.

    Returns:
        Its words joined by dashes.
    """
    return text.replace(" ", "-")


def code(text: str) -> Markup:
    """Escape a text and set what stands between backticks as code.

    Args:
        text: Plain text.

    Returns:
        HTML.
    """
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def render(
    entry: Entry,
    document: Mapping[str, Any],
    figures: Sequence[tuple[str, Drawing]],
    trials: Mapping[str, Sequence[Mapping[str, Any]]],
) -> str:
    """Render a report.

    Args:
        entry: The paper.
        document: JSON document of the run.
        figures: Name and drawing of each figure.
        trials: Experiment to rows of parameters, seed, metrics and state.

    Returns:
        A complete HTML page.
    """
    verdicts = [verdict_context(v, entry) for v in document["verdicts"]]
    sprite = look("verdicts.svg").replace("<svg ", '<svg class="sprite" aria-hidden="true" ', 1)
    return _template().render(
        paper=entry.paper,
        doc={**document, "verdicts": verdicts},
        css=Markup(look("tokens.css") + look("page.css") + look("report.css")),
        sprite=Markup(sprite),
        logo=Markup(look("logo.svg")),
        moment=_moment(document["ended_at"] or document["started_at"]),
        summary=summary(document, verdicts),
        notices=list(_notices(document)),
        open=[open_context(c, entry) for c in document["not_judged"]],
        figures=[figure_context(name, drawing) for name, drawing in figures],
        trial_words=_trial_words(document),
        tables=[_table(name, rows) for name, rows in trials.items()],
        facts=list(_facts(document, entry)),
        count=count,
        duration=duration,
        day=day,
        thin=THIN,
    )


def _moment(iso: str) -> str:
    return f"{day(iso)}, {iso[11:16]} UTC"


def summary(document: Mapping[str, Any], verdicts: Sequence[Mapping[str, Any]]) -> str:
    """Say in a sentence or two what came out.

    Args:
        document: JSON document of the run.
        verdicts: Its verdicts.

    Returns:
        Plain text.
    """
    if not verdicts:
        return "No claim has been judged yet."
    words = {
        "reproduced": "reproduced",
        "partly": "partly reproduced",
        "not reproduced": "not reproduced",
        "inconclusive": "left open",
    }
    tally = [(sum(v["status"] == s for v in verdicts), w) for s, w in words.items()]
    parts = [f"{spelled(n)} {'was' if n == 1 else 'were'} {w}" for n, w in tally if n]
    text = f"Of {count(len(verdicts), 'claim')}, {joined(parts)}."
    proxies = sum(v["proxy"] for v in verdicts)
    if proxies:
        number_of = (
            "All are" if proxies == len(verdicts) else f"{capital(spelled(proxies))} {'is' if proxies == 1 else 'are'}"
        )
        kind = "proxy verdicts" if proxies > 1 or number_of == "All are" else "a proxy verdict"
        text += f" {number_of} {kind}: the setting departs from the paper's, as each claim says."
    return f"{text} The evidence cost {duration(document['cost']['cpu_seconds'])} of CPU."


def _notices(document: Mapping[str, Any]) -> Iterable[str]:
    again = f"overparam run {document['paper']} --scale {document['scale']}"
    done = document["trials"]["done"]
    state = {
        "running": f"This run is not finished. {count(done, 'trial')} are done and kept.",
        "interrupted": f"Its process is gone. {count(done, 'trial')} are kept; “{again}” goes on from there.",
        "cancelled": f"This run was stopped. {count(done, 'trial')} are kept; “{again}” goes on from there.",
        "failed": f"{count(document['trials']['failed'], 'trial')} of {document['trials']['planned']} failed. "
        f"The other {done} are kept; claims that need the failed ones are inconclusive.",
    }
    if document["state"] in state:
        yield state[document["state"]]
    if document["custom"]:
        yield f"Changed by hand: {joined(document['custom'])}. This run does not count on the board."
    if document["sabotage"]:
        yield "The method was broken on purpose, to see that a verdict turns. This run does not count on the board."


def part_of(data: Mapping[str, Any]) -> Part:
    """Read a part back from the JSON document.

    Args:
        data: An entry of `parts`.

    Returns:
        The part, infinite ends restored.
    """
    region = data["region"]
    low, high = data["low"], data["high"]
    known = data["estimate"] is not None
    return Part(
        name=data["name"],
        unit=data["unit"],
        estimate=data["estimate"],
        low=-math.inf if known and low is None else low,
        high=math.inf if known and high is None else high,
        n=data["n"],
        region=Region(
            -math.inf if region["low"] is None else region["low"],
            math.inf if region["high"] is None else region["high"],
            region["closed"],
        ),
        level=data["level"],
        across=data["across"],
        difference=data["difference"],
    )


def headline(verdict: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the part that went worst, the first of equals.

    Args:
        verdict: An entry of `verdicts`.

    Returns:
        An entry of its `parts`, or None.
    """
    order = {"fails": 0, "unclear": 1, "holds": 2}
    return min(verdict["parts"], key=lambda part: order[part["state"]], default=None)


def mini(verdict: Mapping[str, Any]) -> dict[str, Any] | None:
    """Place the headline of a verdict for a row of 14 pixels.

    Args:
        verdict: An entry of `verdicts`.

    Returns:
        Positions in per cent, or None without parts.
    """
    head = headline(verdict)
    return {**_group([head])["parts"][0], "key": slug(verdict["status"])} if head else None


def evidence_words(verdict: Mapping[str, Any]) -> str:
    """Say what a verdict rests on.

    Args:
        verdict: An entry of `verdicts`.

    Returns:
        Such as `5 seeds`.
    """
    head = headline(verdict)
    return count(head["n"], head["across"]) if head and head["n"] else "no evidence"


def verdict_context(verdict: Mapping[str, Any], entry: Entry) -> dict[str, Any]:
    """Turn a verdict into what a template shows.

    Args:
        verdict: An entry of `verdicts`.
        entry: The paper.

    Returns:
        The entry with its claim, headline, evidence in words and intervals as positions.
    """
    head = headline(verdict)
    unit = f" {head['unit']}" if head and head["unit"] else ""
    return {
        **verdict,
        "about": entry.claim(verdict["claim"]),
        "head": " ".join(estimate_text(part_of(head))) + unit if head else "–",
        "evidence": evidence_words(verdict),
        "groups": [_group(parts) for parts in groups(verdict["parts"])],
        "holm": any(0.95 < p["level"] < 1 for p in verdict["parts"]),
    }


def _group(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Place parts that share an axis."""
    axis = axis_for(parts)
    rows = []
    for data in parts:
        part = part_of(data)
        estimate, interval = estimate_text(part)
        region = data["region"]
        start, end = axis.place(region["low"], 0.0), axis.place(region["high"], 100.0)
        place = {"holds": "inside", "fails": "outside", "unclear": "across the edge of"}[data["state"]]
        rows.append({
            **data,
            "mark": _MARK[data["state"]],
            "estimate_text": estimate,
            "interval_text": interval,
            "from": _percent(start),
            "wide": _percent(end - start),
            "edges": [_percent(axis.place(region[k], 0)) for k in ("low", "high") if region[k] is not None],
            "at": None if data["estimate"] is None else _percent(axis.place(data["estimate"], 50.0)),
            "low": _percent(axis.place(data["low"], 0.0)),
            "high": _percent(axis.place(data["high"], 100.0)),
            "aria": " ".join(filter(None, (f"{data['name']}:", estimate, interval, data["unit"])))
            + f", {place} the region {part.region}",
        })
    signed = all(p["difference"] for p in parts)
    return {"parts": rows, "labels": [(_percent(at), text) for at, text in axis.labels(signed)]}


def _percent(value: float) -> float:
    return round(value, 1)


def open_context(claim: Mapping[str, Any], entry: Entry) -> dict[str, Any]:
    """Turn a claim without a verdict into what a template shows.

    Args:
        claim: An entry of `not_judged`.
        entry: The paper.

    Returns:
        The entry with its claim and mark.
    """
    untestable = claim["untestable"]
    return {
        **claim,
        "reason": claim["reason"].rstrip("."),
        "about": entry.claim(claim["claim"]),
        "key": "not-testable" if untestable else "not-run",
        "words": "Not testable" if untestable else "Not run",
    }


def figure_context(name: str, drawing: Drawing) -> dict[str, Any]:
    """Turn a figure into what a template shows.

    Args:
        name: Goes into its ids.
        drawing: The figure with its words.

    Returns:
        SVG, caption, and the columns and rows of its table.
    """
    table = drawing.table
    return {
        "svg": Markup(to_svg(drawing, prefix=f"f-{name.replace('_', '-')}")),
        "caption": drawing.caption,
        "columns": [] if table is None else [str(c) for c in table.columns],
        "rows": [] if table is None else [[_cell(v) for v in row] for row in table.itertuples(index=False)],
    }


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool | str):
        return str(value).lower() if isinstance(value, bool) else value
    if isinstance(value, list | tuple):
        shown = ", ".join(_cell(v) for v in value[:4])
        return shown + (f", … ({len(value)})" if len(value) > 4 else "")
    return str(value) if isinstance(value, int) else number(float(value)) if math.isfinite(value) else "–"


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    shown = rows[:ROWS_SHOWN]
    columns = list(dict.fromkeys(key for row in shown for key in row))
    return {
        "name": name,
        "total": len(rows),
        "columns": columns,
        "rows": [[_cell(r.get(c)) for c in columns] for r in shown],
    }


def _trial_words(document: Mapping[str, Any]) -> str:
    trials = document["trials"]
    text = (
        f"{count(trials['done'], 'trial')} of {trials['planned']:,} done, {trials['cached']:,} of them from the cache"
    )
    return f"{text}, {trials['failed']:,} failed." if trials["failed"] else f"{text}."


def _facts(document: Mapping[str, Any], entry: Entry) -> Iterable[tuple[str, str]]:
    cost, made = document["cost"], document["provenance"]
    yield (
        "cost",
        (
            f"{duration(cost['cpu_seconds'])} of CPU in all, {duration(cost['new_cpu_seconds'])} of it new; "
            f"{duration(cost['wall_seconds'])} wall; {megabytes(cost['peak_megabytes'])} at the peak of a trial"
        ),
    )
    yield (
        "run",
        f"{document['run']}, attempt {document['attempt']}, {made['engine']} with {count(made['workers'], 'worker')}",
    )
    commit = f", commit {made['commit']}{' with local changes' if made['dirty'] else ''}" if made["commit"] else ""
    yield "overparam", f"{made['version']}{commit}"
    yield "libraries", ", ".join([f"Python {made['python']}", *(f"{n} {v}" for n, v in made["libraries"].items())])
    yield "machine", f"{made['machine']}, {count(made['cores'], 'core')}, one thread a trial, {made['device'] or 'cpu'}"
    for name, checksum in made["data"].items():
        yield "data", f"{name}, sha256 {checksum[:8]}…{checksum[-4:]}"
    yield (
        "built from",
        {"official code": "the official code", "paper": "the paper"}.get(
            entry.paper.fidelity, "the paper, with gaps that we filled: a reconstruction"
        ),
    )
