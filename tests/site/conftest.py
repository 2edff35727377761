"""A seeded site in this process."""

import pytest


@pytest.fixture
def seeded(ledger, home, monkeypatch):
    """A ledger with the papers and the shipped evidence."""
    monkeypatch.setenv("OVERPARAM_SECRET_FILE", str(home / "secret"))
    monkeypatch.setenv("OVERPARAM_OUTBOX", str(home / "outbox"))
    from overparam.feed.seed import seed

    seed(ledger)
    return ledger


@pytest.fixture
def visit(seeded):
    """A reader; `visit(local=True)` is the person at the desk."""
    from starlette.testclient import TestClient

    from overparam.site.app import make_app

    def opened(**options):
        app = make_app(seeded, hosts=["testserver"], **options)
        return TestClient(app, headers={"Accept": "text/html"}, raise_server_exceptions=True)

    return opened
