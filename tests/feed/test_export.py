"""A ledger leaves as files and comes back, on both stores, without anything about people."""

import json

import jsonschema
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from overparam.errors import BadInput, NotFound
from overparam.feed import export as files
from overparam.feed import trending
from overparam.feed.fetch import fetch_file
from overparam.feed.merge import absorb
from overparam.feed.record import Record
from overparam.feed.seed import seed
from overparam.feed.votes import vote
from overparam.lab.planner import REGULAR
from overparam.ledger import Ledger
from overparam.ledger.schema import account, article, figure, listing, metric, run, trial, verdict

AT = "2026-11-20T14:00:00.000000Z"
NAMES = ["articles", "papers", "claims", "runs", "verdicts", "trials", "figures"]


@pytest.fixture
def full(ledger):
    """A ledger with papers of ours and of others, evidence, a run with trials and figures, and people."""
    seed(ledger)
    record = Record(
        source="huggingface", external_id="2611.00001", arxiv="2611.00001", title="Größe \u2028 matters", abstract="Some.",
        published_on="2026-11-19", authors=("Ada Lovelace",), topics=("cs.LG",), listed_on="2026-11-20", rank=1,
        submitted_by="SECRET submitter", votes=86, comments=6, raw={"who": "SECRET raw"},
    )  # fmt: skip
    absorb(ledger, [record], now=AT)
    run_row = {
        "id": "R1",
        "paper": "data-diet",
        "scale": "smoke",
        "state": "succeeded",
        "options_json": REGULAR,
        "spec_hash": "s",
    }
    going = {**run_row, "id": "R2", "state": "running"}
    more = {
        "engine": "inline",
        "workers": 1,
        "attempt": 1,
        "created_at": AT,
        "wall_seconds": 1.0,
        "provenance_json": '{"cores": 2}',
    }
    held = {"lease_owner": "SECRET host:1:2", "lease_until": AT}
    trials = [
        {"run_id": "R1", "trial_key": f"k{n:03}", "position": n, "task": n, "experiment": "e", "params_json": '{"a": [1, 2.5]}', "seed": n,
         "state": "failed", "cached": False, "attempt": 1, "metrics_json": None, "message": "no", "traceback": "SECRET /home/ada"}
        for n in range(files.CHUNK + 3)
    ]  # fmt: skip
    drawn = {
        "run_id": "R1",
        "name": "f",
        "position": 0,
        "svg": "<svg/>",
        "caption": "c",
        "table_json": '{"columns": [], "rows": []}',
    }
    with ledger.writing() as db:
        db.execute(sa.insert(run), [{**run_row, **more, **held}, {**going, **more, **held}])
        db.execute(sa.insert(trial), trials)
        db.execute(sa.insert(figure).values(**drawn))
        db.execute(
            sa.insert(account).values(
                id="SECRET id", name="SECRET name", role="member", email_hash="SECRET", created_at=AT
            )
        )
        found = db.execute(sa.select(article.c.id).where(article.c.arxiv == "2611.00001")).scalar_one()
    vote(ledger, "SECRET id", found, now=AT)
    return ledger


def lines(folder, name):
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def second(tmp_path):
    opened = Ledger(f"sqlite:///{tmp_path / 'second.sqlite3'}")
    yield opened
    opened.close()


def test_every_line_fits_the_schema_and_nothing_is_about_people(full, tmp_path):
    counts = files.export(full, tmp_path / "out")
    schema = json.loads((tmp_path / "out" / "schema.json").read_text())
    assert schema["lines"] == counts
    assert set(counts) == set(NAMES)
    for name in NAMES:
        found = lines(tmp_path / "out", name)
        assert len(found) == counts[name] > 0
        validator = jsonschema.Draft202012Validator(schema["$defs"][name])
        for line in found:
            validator.validate(line)
    for file in (tmp_path / "out").iterdir():
        assert "SECRET" not in file.read_text(encoding="utf-8")
    assert "R2" not in [line["id"] for line in lines(tmp_path / "out", "runs")]  # it is going on
    assert {line["arxiv"]: line["votes"] for line in lines(tmp_path / "out", "articles")}["2611.00001"] == 1


def test_an_empty_ledger_takes_it_in_and_gives_the_same_back(full, second, tmp_path):
    counts = files.export(full, tmp_path / "a")
    assert files.load(second, tmp_path / "a") == counts
    assert not any(files.load(second, tmp_path / "a").values())
    files.export(second, tmp_path / "b")
    for name in NAMES:
        ours, theirs = (sorted(json.dumps(line) for line in lines(tmp_path / f, name)) for f in ("a", "b"))
        if name == "articles":
            before = {line["key"]: line for line in lines(tmp_path / "a", name)}
            after = {line["key"]: line for line in lines(tmp_path / "b", name)}
            changed = [key for key in before if before[key] != after[key]]
            assert changed == ["2611.00001"]
            assert (after[changed[0]]["votes"], after[changed[0]]["votes_elsewhere"]) == (0, 87)
        else:
            assert ours == theirs
    with full.writing() as db:
        for article_id in db.execute(sa.select(article.c.id)).scalars().all():
            trending.recompute(db, article_id)
    with full.reading() as one, second.reading() as two:
        query = sa.select(article.c.key, article.c.trend_key, article.c.title_key).where(article.c.votes_elsewhere == 0)
        for (key, trend, title), (_, trend_then, title_then) in zip(
            one.execute(query.order_by(article.c.key)), two.execute(query.order_by(article.c.key)), strict=True
        ):
            assert (trend, title) == (pytest.approx(trend_then), title_then), key


def test_papers_known_under_other_ids_keep_them(full, second, tmp_path):
    seed(second)
    with second.reading() as db:
        before = dict(db.execute(sa.select(article.c.slug, article.c.id)).all())
    files.export(full, tmp_path / "a")
    counts = files.load(second, tmp_path / "a")
    assert (counts["articles"], counts["papers"], counts["verdicts"]) == (1, 0, 0)
    assert (counts["runs"], counts["trials"]) == (1, files.CHUNK + 3)
    with second.reading() as db:
        after = dict(db.execute(sa.select(article.c.slug, article.c.id).where(article.c.slug.is_not(None))).all())
        listed = db.execute(sa.select(sa.func.count()).where(listing.c.article_id == after["data-diet"])).scalar()
        assert db.execute(sa.select(sa.func.count()).select_from(article)).scalar() == len(before) + 1
    assert {slug: key for slug, key in before.items() if slug} == after
    assert listed == 1


def test_our_own_votes_do_not_come_back_as_those_of_others(full, tmp_path):
    files.export(full, tmp_path / "a")
    files.load(full, tmp_path / "a")
    with full.reading() as db:
        row = db.execute(sa.select(article).where(article.c.arxiv == "2611.00001")).one()
        assert (row.votes, row.votes_elsewhere) == (1, 86)
        assert not db.execute(sa.select(metric).where(metric.c.source == files.IMPORTED)).all()


def test_the_papers_can_be_fetched_from_the_file(full, second, tmp_path):
    counts = files.export(full, tmp_path / "a")
    report = fetch_file(second, tmp_path / "a" / "articles.jsonl")
    assert report.problems == ()
    assert report.absorbed.added == counts["articles"]
    with second.reading() as db:
        row = db.execute(sa.select(article).where(article.c.arxiv == "2611.00001")).one()
    assert (json.loads(row.authors_json), row.comments, row.listed_on) == (["Ada Lovelace"], 6, "2026-11-20")


def test_an_older_export_is_replaced_and_nothing_else_is(full, tmp_path):
    files.export(full, tmp_path / "a")
    assert files.export(full, tmp_path / "a")["articles"] == len(lines(tmp_path / "a", "articles"))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.tex").write_text("mine")
    with pytest.raises(BadInput, match="something that is no export"):
        files.export(full, tmp_path / "b")
    (tmp_path / "c").write_text("a file")
    with pytest.raises(BadInput, match="something that is no export"):
        files.export(full, tmp_path / "c")


def spoil(folder, name, change):
    found = lines(folder, name)
    change(found)
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in found))


def test_damaged_exports_leave_no_trace(full, second, tmp_path):
    damages = {
        "a column is gone": ("runs", lambda found: found[-1].pop("state")),
        "a run is gone": ("runs", lambda found: [found.remove(r) for r in found if r["id"] == "R1"]),
        "a value is gone": ("articles", lambda found: found[-1].update(title=None)),
        "a list is none": ("articles", lambda found: found[-1].update(topics=3)),
    }
    for words, (name, change) in damages.items():
        folder = tmp_path / words
        files.export(full, folder)
        spoil(folder, name, change)
        with pytest.raises(BadInput, match="nothing was taken in"):
            files.load(second, folder)
    folder = tmp_path / "cut off"
    files.export(full, folder)
    text = (folder / "trials.jsonl").read_text()
    (folder / "trials.jsonl").write_text(text[: len(text) // 2])
    with pytest.raises(BadInput, match=r"line \d+ is no JSON object"):
        files.load(second, folder)
    with second.reading() as db:
        for table in (article, run, verdict, trial):
            assert db.execute(sa.select(sa.func.count()).select_from(table)).scalar() == 0


def test_what_is_no_export_is_refused(second, tmp_path):
    with pytest.raises(NotFound, match="holds no export"):
        files.load(second, tmp_path)
    for text, words in (('{"format": 99, "at": ""}', "format 99"), ("[]", "damaged"), ("{", "damaged")):
        (tmp_path / "schema.json").write_text(text)
        with pytest.raises(BadInput, match=words):
            files.load(second, tmp_path)


@pytest.mark.slow
def test_the_command_goes_both_ways(home, monkeypatch):
    import typer

    from overparam.cli.export import export_data

    app = typer.Typer()
    app.command()(export_data)
    ledger = Ledger()
    seed(ledger)
    ledger.close()
    out = str(home / "out")
    written = CliRunner().invoke(app, [out])
    assert (written.exit_code, "articles" in written.stdout) == (0, True)
    monkeypatch.setenv("OVERPARAM_DATABASE_URL", f"sqlite:///{home / 'other.sqlite3'}")
    loaded = json.loads(CliRunner().invoke(app, [out, "--load", "--json"]).stdout)["loaded"]
    assert loaded["papers"] == len(lines(home / "out", "papers"))
    assert "nothing" in CliRunner().invoke(app, [out, "--load"]).stdout
