import json

import pytest
from typer.testing import CliRunner

from overparam.cli.main import app
from overparam.errors import BadInput, NotFound
from overparam.feed import fetch as feed
from overparam.feed.sources.huggingface import HuggingFace
from overparam.feed.sources.transport import Network

PAPER = {"id": "2611.00001", "title": "Wide networks", "abstract": "Wide.", "listed": "2026-11-20", "authors": ["A B"]}


@pytest.fixture
def run():
    return lambda *words: CliRunner().invoke(app, ["fetch", *map(str, words)])


@pytest.fixture
def papers(tmp_path):
    path = tmp_path / "papers.jsonl"
    path.write_text(json.dumps(PAPER) + "\n{broken\n" + json.dumps({"title": "Undated"}))
    return path


@pytest.mark.slow
def test_a_file_comes_in_and_bad_lines_are_named(run, papers):
    result = run("--from-file", papers)
    assert result.exit_code == 0
    assert "papers.jsonl: 1 new, 0 updated, 0 unchanged" in result.stdout
    assert "2 could not be read:" in result.stderr
    assert "line 2: no JSON" in result.stderr
    assert "line 3: no date" in result.stderr


def test_one_document_on_stdout(run, papers):
    run("--from-file", papers)
    result = run("--from-file", papers, "--json")
    document = json.loads(result.stdout)
    [report] = document["sources"]
    assert (report["source"], report["added"], report["unchanged"], report["error"]) == ("papers.jsonl", 0, 1, None)
    assert len(report["problems"]) == 2
    assert document["indexed"] == 0


def test_a_source_that_cannot_be_reached_is_told_by_the_exit_code(run, monkeypatch):
    def nowhere(*_, **__):
        raise OSError(-2, "Name or service not known")

    network = Network(frozenset({"huggingface.co"}), resolve=nowhere, attempts=1)
    monkeypatch.setattr(feed, "standard", lambda names, categories: [HuggingFace(network=network)])
    result = run("huggingface")
    assert result.exit_code == 1
    assert "huggingface: 0 new" in result.stdout
    assert "stopped early: huggingface.co: the name cannot be resolved" in result.stderr
    assert json.loads(run("huggingface", "--json").stdout)["sources"][0]["error"].startswith("huggingface.co:")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["openreview"], "write huggingface, arxiv or all"),
        (["--since", "yesterday"], "write it like 2026-11-21"),
        (["--since", "9999-01-01"], "lies in the future"),
        (["--since", "2026-01-01", "--days", "3"], "give one of them"),
        (["arxiv", "--category", "cs.LG OR all"], "none of arXiv"),
        (["--from-file", "x.jsonl", "--listed", "soon"], "--listed 'soon' is no day"),
    ],
)
def test_usage(run, words, message):
    result = run(*words)
    assert isinstance(result.exception, BadInput)
    assert message in str(result.exception)


def test_a_file_that_is_not_there(run):
    assert isinstance(run("--from-file", "none.jsonl").exception, NotFound)
