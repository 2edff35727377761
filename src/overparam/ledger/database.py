"""Connections: opens SQLite or PostgreSQL, brings the tables up to date, and puts database errors into words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from overparam.errors import BadInput, MissingExtra, Unavailable
from overparam.ledger.schema import HEAD

NETWORK = {
    "nfs",
    "nfs4",
    "cifs",
    "smbfs",
    "smb2",
    "smb3",
    "afs",
    "9p",
    "fuse.sshfs",
    "ceph",
    "lustre",
    "glusterfs",
    "gpfs",
}
MIGRATION_LOCK = 5_872_361  # PostgreSQL advisory lock: any fixed number of ours


def connect(url: str) -> sa.Engine:
    """Open a database and migrate it.

    Args:
        url: `sqlite:///path` or `postgresql://...`.

    Returns:
        An engine whose transactions on SQLite begin as `BEGIN IMMEDIATE`.

    Raises:
        BadInput: The address is of another kind.
        MissingExtra: PostgreSQL without its driver.
        Unavailable: The database cannot be used: damaged, newer, on a network file system, full or not writable.
    """
    try:
        parsed = sa.make_url(url)
    except exc.ArgumentError as error:
        raise BadInput(
            f"OVERPARAM_DATABASE_URL={url!r} is no address; write sqlite:///path or postgresql://…"
        ) from error
    with in_words(parsed):
        if parsed.get_backend_name() == "sqlite":
            engine = _sqlite(parsed)
        elif parsed.get_backend_name() == "postgresql":
            engine = _postgresql(parsed)
        else:
            raise BadInput(f"ledger address {url!r} is neither sqlite:// nor postgresql://")
        _migrate(engine)
    return engine


def _sqlite(url: sa.URL) -> sa.Engine:
    path = Path(url.database or "")
    if not url.database or url.database == ":memory:":
        raise BadInput("the ledger needs a file that outlives the process; write sqlite:///path/to/ledger.sqlite3")
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = _file_system(path.parent.resolve())
    if kind in NETWORK:
        raise Unavailable(
            f"ledger {path} lies on a network file system ({kind}), where SQLite loses data; "
            "set OVERPARAM_DATABASE_URL to a local file or to PostgreSQL"
        )
    engine = sa.create_engine(url, connect_args={"timeout": 30}, poolclass=sa.pool.QueuePool)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # busy_timeout does not cover a read transaction that is upgraded to a write, so take the lock at once;
        # SQLAlchemy also announces a beginning to connections that commit by themselves: those only read
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _postgresql(url: sa.URL) -> sa.Engine:
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise MissingExtra('PostgreSQL needs its driver; pip install "overparam[postgres]"') from error
    return sa.create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True)


def _file_system(folder: Path) -> str:
    import psutil

    mounts = [p for p in psutil.disk_partitions(all=True) if folder.is_relative_to(p.mountpoint)]
    return max(mounts, key=lambda p: len(p.mountpoint)).fstype.lower() if mounts else ""


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(engine: sa.Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        version = _version(connection)
    if version == HEAD:
        return
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:n)"), {"n": MIGRATION_LOCK})
        if _version(connection) == HEAD:  # somebody else did it while we waited
            return
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise Unavailable(
                f"ledger {engine.url.render_as_string()} is at version {version}, which this overparam does not know; "
                "it was written by a newer one: upgrade overparam, or set OVERPARAM_DATABASE_URL to another ledger"
            ) from error


@contextlib.contextmanager
def in_words(url: sa.URL) -> Iterator[None]:
    """Turn errors of the database into one line that says what to do.

    Args:
        url: Address to name in the message.

    Yields:
        Nothing; run database work inside.

    Raises:
        Unavailable: Whenever the database refuses.
    """
    try:
        yield
    except (exc.OperationalError, exc.DatabaseError, OSError) as error:
        text = " ".join(str(getattr(error, "orig", error)).split())
        name = url.database if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)
        hints = {
            "full": "the disk is full; free some space and run the same command again, nothing committed is lost",
            "no space": "the disk is full; free some space and run the same command again, nothing committed is lost",
            "not a database": "the file is damaged or no ledger; move it away or set OVERPARAM_DATABASE_URL",
            "malformed": "the file is damaged; restore a copy or move it away, then run again",
            "readonly": "it may not be written; change its permissions or set OVERPARAM_DATABASE_URL",
            "read-only": "it may not be written; change its permissions or set OVERPARAM_DATABASE_URL",
            "permission": "it may not be written; change its permissions or set OVERPARAM_DATABASE_URL",
            "unable to open": "it cannot be opened; check that the folder exists and may be written",
            "locked": "another process keeps it locked; wait for it to end",
        }
        hint = next((h for word, h in hints.items() if word in text.lower()), "check that it can be reached")
        raise Unavailable(f"ledger {name}: {text}: {hint}") from error
