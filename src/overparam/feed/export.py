"""Everything a ledger knows of papers and evidence, as JSON lines that another ledger takes in again.

What belongs to people stays behind: accounts, addresses, sessions, who voted, who asked for a run, who listed a paper.
Votes are counts. In a ledger that takes them in they are votes from elsewhere.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa

import overparam
from overparam.errors import BadInput, NotFound, Unavailable
from overparam.feed import trending
from overparam.feed.identity import title_key
from overparam.ledger import Ledger
from overparam.ledger.clock import now
from overparam.ledger.schema import (
    article,
    article_source,
    article_topic,
    article_version,
    claim,
    figure,
    listing,
    metric,
    paper,
    run,
    trial,
    verdict,
)

FORMAT = 1
SCHEMA = "schema.json"
NEW = ".new"  # end of the name of a file until it is whole
CHUNK = 500
IMPORTED = "import"  # source of votes that were given where an export comes from
LEFT_OUT = {
    article: {"title_key", "trend_key"},  # follow from the rest
    article_source: {"raw_json"},
    listing: {"submitted_by"},
    run: {"lease_owner", "lease_until", "cancel_requested_at"},
    trial: {"traceback"},  # names folders of the machine
}
FLAT = {"papers": paper, "claims": claim, "runs": run, "verdicts": verdict, "trials": trial, "figures": figure}
ATTACHED = {
    "topics": article_topic,
    "versions": article_version,
    "sources": article_source,
    "listings": listing,
    "metrics": metric,
}
ENDED = ("succeeded", "failed", "cancelled", "interrupted")
Counts = dict[str, int]


def export(ledger: Ledger, folder: Path) -> Counts:
    """Write a ledger into a folder: a file of JSON lines for each kind, and `schema.json`.

    Runs that are going on are left out. Each file appears whole.

    Args:
        ledger: What is exported.
        folder: Empty, new, or with an older export, which is replaced.

    Returns:
        Kind to number of lines.

    Raises:
        BadInput: The folder holds something else.
        Unavailable: It cannot be written.
    """
    ours = {SCHEMA, "articles.jsonl", *(f"{name}.jsonl" for name in FLAT)}
    if folder.exists() and not (folder.is_dir() and all(p.name.removesuffix(NEW) in ours for p in folder.iterdir())):
        raise BadInput(f"{folder} holds something that is no export; name a new folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        counts = {"articles": _write(folder, "articles", _articles(ledger)), **_write_runs(ledger, folder)}
        for name in ("claims", "papers"):  # last, so that whatever a run names is there
            counts[name] = _write(folder, name, _rows(ledger, FLAT[name]))
        _write_text(folder / SCHEMA, json.dumps(_schema(counts), indent=1) + "\n")
    except OSError as error:
        raise Unavailable(f"export {folder} cannot be written ({error.strerror}); choose another place") from error
    return counts


def _write(folder: Path, name: str, rows: Iterable[Mapping[str, Any]]) -> int:
    n = 0
    with _appearing(folder / f"{name}.jsonl") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            n += 1
    return n


def _write_text(path: Path, text: str) -> None:
    with _appearing(path) as file:
        file.write(text)


@contextlib.contextmanager
def _appearing(path: Path) -> Iterator[IO[str]]:
    new = path.with_name(path.name + NEW)
    with new.open("w", encoding="utf-8") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _write_runs(ledger: Ledger, folder: Path) -> Counts:
    """Write runs with all that belongs to them, so that no file speaks of a run that another does not know."""
    attached = ("verdicts", "trials", "figures")
    counts = dict.fromkeys(("runs", *attached), 0)
    found = _rows(ledger, run, run.c.state.in_(ENDED))
    with contextlib.ExitStack() as stack:
        files = {name: stack.enter_context(_appearing(folder / f"{name}.jsonl")) for name in counts}
        while batch := list(itertools.islice(found, CHUNK)):
            ids = [row["id"] for row in batch]
            parts = {name: _rows(ledger, FLAT[name], FLAT[name].c.run_id.in_(ids)) for name in attached}
            for name, rows in {"runs": iter(batch), **parts}.items():
                for row in rows:
                    files[name].write(json.dumps(row, ensure_ascii=False) + "\n")
                    counts[name] += 1
    return counts


def _rows(ledger: Ledger, table: sa.Table, *where: sa.ColumnElement[bool]) -> Iterator[dict[str, Any]]:
    """Read a table in the order of its key, a few rows at a time."""
    columns = _columns(table)
    key = list(table.primary_key)
    last: tuple[Any, ...] | None = None
    while True:
        query = sa.select(*columns).where(*where).order_by(*key).limit(CHUNK)
        if last is not None:
            query = query.where(sa.tuple_(*key) > sa.tuple_(*(sa.literal(value) for value in last)))
        with ledger.reading() as db:
            found = db.execute(query).all()
        yield from (_plain(dict(row._mapping)) for row in found)
        if len(found) < CHUNK:
            return
        last = tuple(found[-1]._mapping[column.name] for column in key)


def _columns(table: sa.Table) -> list[sa.Column[Any]]:
    return [column for column in table.c if column.name not in LEFT_OUT.get(table, ())]


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Open up columns that hold JSON."""
    return {
        name.removesuffix("_json"): json.loads(value) if name.endswith("_json") and value is not None else value
        for name, value in row.items()
    }


def _articles(ledger: Ledger) -> Iterator[dict[str, Any]]:
    rows = _rows(ledger, article)
    while batch := list(itertools.islice(rows, CHUNK)):
        yield from _with_attached(ledger, batch)


def _with_attached(ledger: Ledger, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
    by_id = {row["id"]: row | {name: [] for name in ATTACHED} for row in batch}
    for name, table in ATTACHED.items():
        for row in _rows(ledger, table, table.c.article_id.in_(list(by_id))):
            article_id = row.pop("article_id")
            by_id[article_id][name].append(row["topic"] if name == "topics" else row)
    return list(by_id.values())


def _schema(counts: Counts) -> dict[str, Any]:
    shapes = {name: _shape(table) for name, table in FLAT.items()}
    attached: dict[str, Any] = {
        name: {"type": "array", "items": _shape(table, without="article_id")} for name, table in ATTACHED.items()
    }
    attached["topics"] = {"type": "array", "items": {"type": "string"}}
    articles = _shape(article)
    articles["properties"] |= attached
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Export of overparam",
        "format": FORMAT,
        "version": overparam.__version__,
        "at": now(),
        "lines": counts,
        "$defs": {"articles": articles, **shapes},
    }


def _shape(table: sa.Table, without: str = "") -> dict[str, Any]:
    kinds = {sa.Integer: "integer", sa.Float: "number", sa.Boolean: "boolean", sa.Text: "string"}
    properties: dict[str, Any] = {}
    for column in _columns(table):
        if column.name == without:
            continue
        kind = kinds[type(column.type)]
        if column.name.endswith("_json"):
            properties[column.name.removesuffix("_json")] = {}
        else:
            properties[column.name] = {"type": [kind, "null"] if column.nullable else kind}
    return {"type": "object", "properties": properties, "required": sorted(properties)}


def load(ledger: Ledger, folder: Path) -> Counts:
    """Take an export in, all of it or nothing. What is there already stays as it is, so doing it twice changes nothing.

    A paper that the ledger knows under another id keeps its own; listings, topics and votes of the export are added.

    Args:
        ledger: Where it goes.
        folder: As written by `export`.

    Returns:
        Kind to number of lines that were new.

    Raises:
        BadInput: It is no export, of another format, or damaged.
    """
    at = _check(folder)
    with ledger.writing() as db:
        try:
            return _load(ledger, db, folder, at)
        except (KeyError, TypeError, AttributeError, sa.exc.StatementError) as error:
            reason = " ".join(str(getattr(error, "orig", error)).split())
            raise BadInput(f"export {folder} is damaged ({reason}); nothing was taken in") from error


def _load(ledger: Ledger, db: sa.Connection, folder: Path, at: str) -> Counts:
    counts = {name: _load_flat(ledger, db, folder, name) for name in ("papers", "claims")}
    counts["articles"] = _load_articles(ledger, db, folder, at)
    counts |= {name: _load_flat(ledger, db, folder, name) for name in ("runs", "verdicts", "trials", "figures")}
    judged = sorted({row["paper"] for row in _lines(folder, "runs")})
    for article_id in db.execute(sa.select(article.c.id).where(article.c.slug.in_(judged))).scalars().all():
        trending.recompute(db, article_id)
    return counts


def _check(folder: Path) -> str:
    if not (folder / SCHEMA).is_file():
        raise NotFound(f"{folder} holds no export; overparam export writes one")
    try:
        schema = json.loads((folder / SCHEMA).read_text(encoding="utf-8"))
        if schema["format"] != FORMAT:
            raise BadInput(f"export {folder} has format {schema['format']}, this overparam reads {FORMAT}")
        return str(schema["at"])
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{folder / SCHEMA} is damaged; export again") from error


def _lines(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    path = folder / f"{name}.jsonl"
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield dict(json.loads(line))
                except (ValueError, TypeError) as error:
                    raise BadInput(f"{path} line {number} is no JSON object; nothing was taken in") from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be read ({error.strerror})") from error


def _row(table: sa.Table, given: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a line into columns; what the table does not have is an error, what was left out is empty."""
    row = {}
    for column in _columns(table):
        value = given[column.name.removesuffix("_json")]
        row[column.name] = json.dumps(value) if column.name.endswith("_json") and value is not None else value
    return row


def _load_flat(ledger: Ledger, db: sa.Connection, folder: Path, name: str) -> int:
    table = FLAT[name]
    number = sa.select(sa.func.count()).select_from(table)
    before = db.execute(number).scalar_one()
    lines = _lines(folder, name)
    while batch := [_row(table, line) for line in itertools.islice(lines, CHUNK)]:
        db.execute(ledger.insert(table).on_conflict_do_nothing(), batch)
    return int(db.execute(number).scalar_one() - before)


def _load_articles(ledger: Ledger, db: sa.Connection, folder: Path, at: str) -> int:
    added = 0
    for line in _lines(folder, "articles"):
        known = _known(db, line)
        article_id = known or line["id"]
        if known is None:
            row = _row(article, line) | {"votes": 0, "title_key": title_key(line["title"])}
            db.execute(sa.insert(article).values(**row))
            added += 1
        rows: dict[str, list[Mapping[str, Any]]] = {name: line[name] for name in ATTACHED}
        rows["topics"] = [{"topic": topic} for topic in line["topics"]]
        if line["votes"] and known != line["id"]:
            rows["metrics"] = [*rows["metrics"], {"source": IMPORTED, "at": at, "votes": line["votes"], "comments": 0}]
        for name, table in ATTACHED.items():
            attached = [_row(table, {**one, "article_id": article_id}) for one in rows[name]]
            if name == "sources":
                attached = [{**one, "raw_json": "{}"} for one in attached]
            if attached:
                db.execute(ledger.insert(table).on_conflict_do_nothing(), attached)
        _count_again(db, article_id)
        trending.recompute(db, article_id)
    return added


def _known(db: sa.Connection, line: Mapping[str, Any]) -> str | None:
    same = [article.c[name] == line[name] for name in ("id", "slug", "arxiv", "doi", "key") if line[name]]
    return db.execute(sa.select(article.c.id).where(sa.or_(*same)).order_by(article.c.id).limit(1)).scalar()


def _count_again(db: sa.Connection, article_id: str) -> None:
    newest: dict[str, int] = {}
    query = sa.select(metric.c.source, metric.c.votes).where(metric.c.article_id == article_id).order_by(metric.c.at)
    for row in db.execute(query):
        newest[row.source] = row.votes
    db.execute(sa.update(article).where(article.c.id == article_id).values(votes_elsewhere=sum(newest.values())))
