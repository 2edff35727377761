"""`overparam doctor`."""

import json

import pytest
import sqlalchemy as sa
import typer
from typer.testing import CliRunner

from overparam.cli.doctor import doctor
from overparam.ledger import Ledger
from overparam.ledger.schema import source_state


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(doctor)
    return lambda *words: CliRunner().invoke(app, words)


def test_a_new_installation_is_well(run):
    shown = run()
    assert shown.exit_code == 0
    for name in ("database", "tables", "disk", "sources", "queue"):
        assert name in shown.stdout
    assert "overparam fetch" in shown.stdout
    body = json.loads(run("--json").stdout)
    assert body["status"] == "ready"
    assert all(check["ok"] for check in body["checks"])


def test_a_late_source_is_named_and_the_exit_code_says_so(run):
    ledger = Ledger()
    with ledger.writing() as db:
        row = {
            "source": "arxiv",
            "cursor_json": "{}",
            "next_allowed_at": "",
            "succeeded_at": "2026-01-01T00:00:00.000000Z",
        }
        db.execute(sa.insert(source_state).values(**row))
    ledger.close()
    shown = run()
    assert shown.exit_code == 1
    assert "arxiv was last read" in " ".join(shown.stdout.split())
    assert json.loads(run("--json").stdout)["status"] == "not ready"


def test_a_ledger_that_cannot_be_opened_is_a_finding(run, home):
    (home / "ledger.sqlite3").write_text("this is no database, only text that is long enough to be looked at")
    shown = run("--json")
    assert shown.exit_code == 1
    assert [(c["name"], c["ok"]) for c in json.loads(shown.stdout)["checks"]] == [("database", False)]


def test_marks_are_plain_where_colour_is_not_wanted(run, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert "[+]" in run().stdout
