import json
from pathlib import Path

import pytest

TARGETS = Path(__file__).parents[1] / "examine" / "targets.py"


@pytest.mark.slow
def test_one_command_writes_report_json_and_scores(overparam, tmp_path):
    out = tmp_path / "r.html"
    done = overparam("examine", f"{TARGETS}:plain", "--max-seconds", 10, "--output", out)
    assert done.returncode == 0, done.stderr
    assert "Labels that look wrong" in done.stdout
    assert all(out.with_suffix(s).exists() for s in (".html", ".json", ".csv"))
    assert "Examining" in done.stderr


@pytest.mark.slow
def test_json_is_one_document(overparam, tmp_path):
    done = overparam("examine", f"{TARGETS}:regression", "--max-seconds", 5, "--output", tmp_path / "r.html", "--json")
    document = json.loads(done.stdout)
    assert document["of"] == 200
    assert document["sections"][0]["state"] == "skipped"


@pytest.mark.parametrize(
    ("target", "words"),
    [("torn", "data[17] raised OSError"), ("empty", "no examples"), ("absent", "has no function 'absent'")],
)
def test_errors_are_one_line(overparam, tmp_path, target, words):
    done = overparam("examine", f"{TARGETS}:{target}", "--output", tmp_path / "r.html")
    assert done.returncode == 2
    assert words in done.stderr.splitlines()[-1]
    assert not (tmp_path / "r.html").exists()


def test_a_budget_must_be_positive(overparam):
    done = overparam("examine", "m:f", "--max-seconds", 0)
    assert done.returncode == 2
    assert "positive number of seconds" in done.stderr
