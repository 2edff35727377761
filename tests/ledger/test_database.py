import os
import sqlite3
import subprocess
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from overparam.errors import BadInput, Unavailable
from overparam.ledger import Ledger, database
from overparam.ledger.schema import HEAD, metadata


def test_head_is_the_newest_migration():
    from pathlib import Path

    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_migrations_build_exactly_the_schema(ledger):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with ledger.engine.connect() as connection:
        # the index of words differs by store: tables of FTS5, or a column with its index
        ours = {"include_name": lambda name, _kind, _parents: not (name or "").startswith("search_words")}
        assert compare_metadata(MigrationContext.configure(connection, opts=ours), metadata) == []


def test_sqlite_is_opened_with_its_safety_on(home):
    ledger = Ledger()
    with ledger.engine.connect() as db:
        pragma = lambda name: db.exec_driver_sql(f"PRAGMA {name}").scalar()  # noqa: E731
        assert (pragma("journal_mode"), pragma("foreign_keys"), pragma("synchronous")) == ("wal", 1, 1)


def test_reading_takes_no_lock(home):
    ledger = Ledger()
    with ledger.reading() as reader:
        query = sa.text("SELECT count(*) FROM paper")
        assert reader.execute(query).scalar() == 0
        with ledger.writing() as writer:
            writer.execute(sa.text("INSERT INTO paper VALUES ('toy', '0000.00001', 'A Toy', '2020-01-01')"))
        assert reader.execute(query).scalar() == 1  # each statement sees what is committed
    ledger.close()


def test_a_damaged_file_is_named_with_what_to_do(home):
    (home / "ledger.sqlite3").write_bytes(b"this is no database, and it is long enough to be looked at" * 20)
    with pytest.raises(Unavailable, match="damaged or no ledger; move it away"):
        Ledger()


def test_a_ledger_of_a_newer_version_is_left_alone(home):
    Ledger().close()
    with sqlite3.connect(home / "ledger.sqlite3") as db:
        db.execute("UPDATE alembic_version SET version_num = 'm999'")
    with pytest.raises(Unavailable, match="newer one: upgrade overparam"):
        Ledger()
    with sqlite3.connect(home / "ledger.sqlite3") as db:
        assert db.execute("SELECT version_num FROM alembic_version").fetchone() == ("m999",)


def test_network_file_systems_are_refused(home, monkeypatch):
    mounts = [SimpleNamespace(mountpoint="/", fstype="ext4"), SimpleNamespace(mountpoint=str(home), fstype="nfs4")]
    monkeypatch.setattr("psutil.disk_partitions", lambda all: mounts)
    with pytest.raises(Unavailable, match=r"network file system \(nfs4\)"):
        Ledger()


@pytest.mark.parametrize(
    ("url", "says"), [("mysql://x/y", "neither sqlite"), ("nonsense", "is no address"), ("sqlite://", "needs a file")]
)
def test_other_addresses_are_refused(url, says):
    with pytest.raises(BadInput, match=says):
        Ledger(url)


def test_an_unreachable_postgresql_is_named():
    pytest.importorskip("psycopg")
    with pytest.raises(Unavailable, match="postgresql.*check that it can be reached"):
        Ledger("postgresql://nobody@127.0.0.1:1/none")


def test_a_full_disk_is_named_and_keeps_what_was_committed(tmp_path, toy):
    """A real file system of one megabyte that fills up."""
    from overparam.lab.document import document
    from overparam.lab.planner import Spec
    from overparam.lab.runner import execute

    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        url = f"sqlite:///{disk / 'ledger.sqlite3'}"
        ledger = Ledger(url)
        execute(Spec(toy, "smoke", ("T1",)), ledger, engine="inline")
        filler = disk / "filler"
        with pytest.raises(OSError, match="No space left"):
            filler.write_bytes(b"x" * 10_000_000)
        with pytest.raises(Unavailable, match="the disk is full; free some space"):
            for _ in range(50):
                execute(Spec(toy, "smoke"), ledger, engine="inline", fresh=True)
        ledger.close()
        filler.unlink()
        again = Ledger(url)
        run = execute(Spec(toy, "smoke", ("T1",)), again, engine="inline")
        assert document(toy, again, run)["trials"]["cached"] == 8
        again.close()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_a_ledger_that_may_not_be_written_is_named(tmp_path):
    """On a file system mounted read-only, which binds root as well."""
    folder = tmp_path / "locked"
    folder.mkdir()
    Ledger(f"sqlite:///{folder / 'ledger.sqlite3'}").close()
    if os.geteuid() != 0 or subprocess.run(["mount", "--bind", folder, folder]).returncode:
        pytest.skip("mounting needs root")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        with pytest.raises(Unavailable, match="cannot be opened|may not be written"):
            Ledger(f"sqlite:///{folder / 'ledger.sqlite3'}").reap()
            Ledger(f"sqlite:///{folder / 'ledger.sqlite3'}").record_paper(
                {"slug": "x", "arxiv": "1", "title": "t", "published_on": "2020-01-01"}, []
            )
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_words_for_every_refusal():
    url = sa.make_url("sqlite:////x.sqlite3")
    with pytest.raises(Unavailable, match="another process keeps it locked"), database.in_words(url):
        raise sa.exc.OperationalError("s", {}, Exception("database is locked"))
