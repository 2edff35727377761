"""A seeded site in this process."""

import pytest


@pytest.fixture
def seeded(ledger):
    """A ledger with the papers and the shipped evidence."""
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
