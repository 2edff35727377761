"""Back-fill from arXiv by OAI-PMH: a month at a time, a page at a time, by the day of the last change.

A datestamp says when a record last changed, not when the paper came out, so a harvest fills articles and versions but
no listings. Format `arXivRaw`, since it alone carries the version history.
"""

from __future__ import annotations

import contextlib
import email.utils
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from xml.etree.ElementTree import Element

from overparam.errors import BadInput, Unavailable
from overparam.feed.identity import arxiv_id, doi
from overparam.feed.record import Record, line
from overparam.feed.sources.document import is_withdrawn, xml_of
from overparam.feed.sources.step import Get, Step

OAI = "{http://www.openarchives.org/OAI/2.0/}"
RAW = "{http://arxiv.org/OAI/arXivRaw/}"
WINDOW = timedelta(days=30)  # bounds what is read again when a token expires, as they do every day
TOKENS = 3  # that may expire in one go
PHYSICS = {"astro-ph", "cond-mat", "gr-qc", "hep-ex", "hep-lat", "hep-ph", "hep-th", "math-ph", "nlin", "nucl-ex"}
PHYSICS |= {"nucl-th", "physics", "quant-ph"}


def steps(
    get: Get, address: str, categories: Sequence[str], cursor: Mapping[str, Any], today: date, days: int
) -> Iterator[Step]:
    """Harvest what changed in the last days.

    Args:
        get: Fetches a document.
        address: Of the OAI-PMH service.
        categories: Such as cs.LG.
        cursor: Of the last step that was kept.
        today: The day in UTC.
        days: How many days.

    Yields:
        A step for each page.
    """
    first = today - timedelta(days=days - 1)
    task = {"from": first.isoformat(), "to": today.isoformat(), "categories": list(categories)}
    stopped = cursor.get("harvest") or {}
    begin: dict[str, Any] = {"from": first.isoformat(), "set": 0, "token": None}
    at: dict[str, Any] = dict(stopped["at"]) if stopped.get("task") == task else begin
    expired = 0
    while date.fromisoformat(at["from"]) <= today:
        start = date.fromisoformat(at["from"])
        until = min(start + WINDOW - timedelta(days=1), today)
        category = categories[at["set"]]
        page = _page(get, address, category, start, until, at["token"])
        if page is None:  # the token has expired: begin the window again, what is known changes nothing
            expired += 1
            if expired > TOKENS:
                raise Unavailable("arxiv: the harvest cannot be continued, its tokens expire at once")
            at = {**at, "token": None}
            continue
        records, problems, token = page
        if token:
            at = {**at, "token": token}
        elif at["set"] + 1 < len(categories):
            at = {**at, "set": at["set"] + 1, "token": None}
        else:
            at = {"from": (until + timedelta(days=1)).isoformat(), "set": 0, "token": None}
        done = date.fromisoformat(at["from"]) > today
        label = f"{category} changed {start} to {until}"
        yield Step(label, records, {**cursor, "harvest": None if done else {"task": task, "at": at}}, problems)


def set_of(category: str) -> str:
    """Name the OAI-PMH set of a category.

    Args:
        category: Such as cs.LG or quant-ph.

    Returns:
        Such as cs:cs:LG.
    """
    archive, _, subject = category.partition(".")
    group = "physics" if archive in PHYSICS else archive
    return ":".join(part for part in (group, archive, subject) if part)


def _page(
    get: Get, address: str, category: str, start: date, until: date, token: str | None
) -> tuple[list[Record], list[str], str | None] | None:
    span = {"metadataPrefix": "arXivRaw", "set": set_of(category), "from": f"{start}", "until": f"{until}"}
    root = xml_of(get(address, {"verb": "ListRecords", **({"resumptionToken": token} if token else span)}))
    problem = root.find(f"{OAI}error")
    if problem is not None:
        code = problem.get("code")
        if code == "noRecordsMatch":
            return [], [], None
        if code == "badResumptionToken" and token:
            return None
        raise Unavailable(f"arxiv: the harvest was refused: {code} {line(problem.text or '', 200)}")
    records, problems = [], []
    for element in root.iter(f"{OAI}record"):
        header = element.find(f"{OAI}header")
        if header is not None and header.get("status") == "deleted":
            continue
        try:
            records.append(record_of(element))
        except BadInput as error:
            problems.append(str(error))
    following = root.find(f"{OAI}ListRecords/{OAI}resumptionToken")
    return records, problems, (following.text or "").strip() or None if following is not None else None


def record_of(element: Element) -> Record:
    """Read one record of a harvest.

    Args:
        element: `record` with metadata in the format arXivRaw.

    Returns:
        The record.

    Raises:
        BadInput: It has no identifier, title or version with a date.
    """
    body = element.find(f"{OAI}metadata/{RAW}arXivRaw")
    children = list(body) if body is not None else []
    fields = {child.tag.removeprefix(RAW): child.text.strip() for child in children if child.text}
    found, title = arxiv_id(fields.get("id", "")), line(fields.get("title", ""), 1_000)
    versions = _versions(children)
    if found is None or not title or not versions:
        raise BadInput(f"a record without identifier, title or dated version: {fields.get('id', '')[:80]!r}")
    names = tuple(_names(fields.get("authors", "")))
    number, at, size = versions[-1]
    return Record(
        source="arxiv",
        external_id=found[0],
        title=title,
        abstract=fields.get("abstract", ""),
        published_on=versions[0][1][:10],
        authors=names,
        author_count=len(names),
        arxiv=found[0],
        doi=doi(fields.get("doi")),
        version=number,
        version_at=at,
        withdrawn=size in {"0kb", "0"} or is_withdrawn(fields.get("comments", ""), fields.get("abstract", "")),
        topics=tuple(fields.get("categories", "").split()),
        raw=fields,
    )


def _versions(children: Sequence[Element]) -> list[tuple[int, str, str]]:
    found = []
    for element in children:
        number = (element.get("version") or "").removeprefix("v")
        if element.tag == f"{RAW}version" and number.isdecimal():
            with contextlib.suppress(ValueError):
                moment = email.utils.parsedate_to_datetime(element.findtext(f"{RAW}date") or "")
                found.append((int(number), f"{moment:%Y-%m-%dT%H:%M:%SZ}", element.findtext(f"{RAW}size") or ""))
    return sorted(found)


def _names(text: str) -> Iterator[str]:
    """Part `A. One (1), B. Two and C. Three ((1) Here, (2) There)` into names."""
    while text != (text := re.sub(r"\([^()]*\)", " ", text)):
        pass
    for name in re.split(r",\s*(?:and\s+)?|\s+and\s+", " ".join(text.split())):
        if name.strip():
            yield name.strip()
