"""Fixtures: a home of its own for every test, the toy paper pack, and a real PostgreSQL server."""

import glob
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

PACKS = Path(__file__).parent / "packs"
sys.path.insert(0, str(PACKS))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PACKS), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Keep ledger, cache, secret and outbox away from those of the user."""
    monkeypatch.setenv("OVERPARAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OVERPARAM_DATABASE_URL", f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    monkeypatch.setenv("OVERPARAM_SECRET_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("OVERPARAM_OUTBOX", str(tmp_path / "outbox"))
    monkeypatch.setenv("COLUMNS", "80")
    yield tmp_path
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def cli(*arguments, timeout=300, **environment):
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "overparam", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **environment},
    )


@pytest.fixture
def overparam():
    return cli


@pytest.fixture
def toy():
    from overparam.lab.registry import find

    return find("toy")


@pytest.fixture(scope="session")
def postgres_server():
    """Start PostgreSQL from Debian's package; as root it runs under the user postgres."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_ctl")) + [p for p in [shutil.which("pg_ctl")] if p]
    if not found:
        message = "PostgreSQL is not installed: apt-get install postgresql"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    folder = Path(found[-1]).parent
    base = Path(tempfile.mkdtemp(prefix="overparam-postgres-"))  # below pytest's own folder another user cannot go
    as_user = []
    if os.geteuid() == 0:
        base.chmod(0o755)
        shutil.chown(base, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    data = base / "data"
    run = lambda *words: subprocess.run([*as_user, *map(str, words)], check=True, capture_output=True, cwd=base)  # noqa: E731
    run(folder / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={base} -c fsync=off"
    run(folder / "pg_ctl", "-D", data, "-w", "-l", base / "log", "-o", options, "start")
    yield f"postgresql://postgres@127.0.0.1:{port}"
    run(folder / "pg_ctl", "-D", data, "-m", "immediate", "stop")
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request, tmp_path):
    """Address of an empty ledger on either store."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    import sqlalchemy as sa

    server = request.getfixturevalue("postgres_server")
    name = f"t{time.time_ns()}"
    engine = sa.create_engine(server.replace("://", "+psycopg://") + "/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return f"{server}/{name}"


@pytest.fixture
def ledger(url):
    from overparam.ledger import Ledger

    opened = Ledger(url)
    yield opened
    opened.close()
