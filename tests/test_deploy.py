"""The lines of the deployment page, run as they stand there."""

import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from overparam.feed import secrets
from overparam.feed.seed import seed
from overparam.ledger import Ledger
from overparam.ledger.clock import now
from overparam.ledger.schema import article, run, verdict

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/guide/deploy.md").read_text(encoding="utf-8")


def lines(store):
    """Return the lines of one store: those that keep a copy, and those that restore it."""
    found = re.findall(rf"```bash\n# {store}\n(.*?)```", PAGE, re.DOTALL)
    assert len(found) == 2
    return found


def shell(script, **environment):
    done = subprocess.run(["bash", "-euc", script], env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def rows(url):
    ledger = Ledger(url)
    with ledger.reading() as db:
        found = [
            sorted(map(tuple, db.execute(sa.select(table).where(table.c[first].not_like("late%")))))
            for table, first in ((article, "id"), (run, "id"), (verdict, "run_id"))
        ]
    ledger.close()
    return found


@pytest.mark.slow
def test_a_copy_taken_while_the_site_runs_restores_everything(url, home, monkeypatch):
    store = "SQLite" if url.startswith("sqlite") else "PostgreSQL"
    tool = "sqlite3" if store == "SQLite" else "pg_dump"
    if not shutil.which(tool):
        message = f"{tool} is not installed: apt-get install {'sqlite3' if store == 'SQLite' else 'postgresql'}"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    monkeypatch.setenv("OVERPARAM_SECRET_FILE", str(home / "secret"))
    backup = home / "backup"
    backup.mkdir()
    ledger = Ledger(url)
    seed(ledger)
    kept = secrets.encrypt("reader@example.org")
    before = rows(url)
    names = {
        "LEDGER": url.removeprefix("sqlite:///"),
        "BACKUP": str(backup),
        "OVERPARAM_DATABASE_URL": url,
        "OVERPARAM_SECRET_FILE": str(home / "secret"),
    }
    stop = threading.Event()

    def write():
        n = 0
        while not stop.is_set():
            with ledger.writing() as db:
                late = {
                    **dict(db.execute(sa.select(article).limit(1)).one()._mapping),
                    "id": f"late {n}",
                    "key": f"late {n}",
                }
                db.execute(sa.insert(article).values({**late, "slug": None, "arxiv": None, "updated_at": now()}))
            n += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        shell(lines(store)[0], **names)
    finally:
        stop.set()
        writer.join()
    with ledger.writing() as db:
        db.execute(sa.delete(verdict))
        db.execute(sa.delete(article))
    ledger.close()
    (home / "secret").write_text("a" * 40)
    secrets._lines.cache_clear()
    shell(lines(store)[1], **names)
    assert rows(url) == before
    assert secrets.decrypt(kept) == "reader@example.org"


def test_units_call_commands_that_exist(overparam):
    called = re.findall(
        r"^ExecStart=\S+/overparam (\w+)",
        "\n".join(p.read_text() for p in (ROOT / "deploy").glob("*.service")),
        re.MULTILINE,
    )
    assert sorted(called) == ["digest", "fetch", "serve", "work"]
    for name in called:
        assert overparam(name, "--help").returncode == 0


def test_settings_named_in_the_environment_file_exist():
    names = set(re.findall(r"OVERPARAM_\w+", (ROOT / "deploy/overparam.env").read_text()))
    source = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "src").rglob("*.py"))
    assert names
    assert all(name in source for name in names)
