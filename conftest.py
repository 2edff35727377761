"""Runs the examples of README and docs; those of docstrings run through --doctest-modules."""

import os

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers side by side would wait for each other's threads


@pytest.fixture(scope="module")
def _home_of_examples(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("examples")
        patch.setenv("OVERPARAM_CACHE", str(home / "cache"))
        patch.setenv("OVERPARAM_DATABASE_URL", f"sqlite:///{home / 'ledger.sqlite3'}")
        yield


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()], patterns=["*.md"], fixtures=["_home_of_examples"]
).pytest()
