import json
import os
import subprocess
import sys

import pytest

from overparam.lab.registry import papers

MODULES = "import sys, overparam.cli.main; print(sorted(m for m in ('torch', 'pandas', 'numpy', 'scipy', 'sqlalchemy', 'matplotlib', 'ray') if m in sys.modules))"


def test_the_command_line_loads_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", MODULES], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_help_and_version(overparam):
    shown = overparam("--help")
    assert shown.returncode == 0
    for command in ("list", "run", "show", "report", "board", "tool", "new"):
        assert command in shown.stdout
    assert overparam("--version").stdout.startswith("overparam 0.")


@pytest.mark.slow
def test_run_prints_one_json_document_on_stdout(overparam):
    done = overparam("run", "toy", "--scale", "smoke", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert {"paper", "scale", "run", "state", "verdicts", "cost", "provenance"} <= set(document)
    first = document["verdicts"][0]
    assert {"claim", "kind", "status", "sentence", "estimate", "low", "high", "n", "rule", "proxy", "departs"} <= set(
        first
    )
    assert document["provenance"]["libraries"]["numpy"]
    shown = json.loads(overparam("show", "toy", "--json").stdout)
    assert shown["run"]["run"] == document["run"]


@pytest.mark.slow
def test_a_failed_trial_is_exit_code_1(overparam):
    done = overparam("run", "toy", "--scale", "paper", "--set", "kind=fine,raises")
    assert done.returncode == 1
    assert "RuntimeError: as asked in two lines" in done.stdout
    assert "The other 1 is kept" in done.stdout or "The other 1 are kept" in done.stdout


WAITING = next(slug for slug, entry in papers().items() if not entry.runnable)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "no-such"], "no paper is called 'no-such'"),
        (["run", "toy", "--scale", "huge"], "scale 'huge' is unknown; choose smoke, laptop or paper"),
        (["run", "toy", "--claim", "T9"], "toy has no claim 'T9'; it has T1"),
        (["run", "toy", "--engine", "slurm"], "engine 'slurm' is unknown; choose processes, inline, ray"),
        (["run", "toy", "--set", "shift=wide"], "--set shift=wide: 'wide' is no float; shift takes float"),
        (["run", "toy", "--set", "colour=red"], "--set colour: toy has no such parameter; it has"),
        (["run", WAITING], f"{WAITING} is not runnable yet"),
        (["run", "all", "--claim", "C1"], "give its slug instead of all"),
        (["list", "--topic", "cooking"], "no paper has topic 'cooking'; topics are"),
        (["report", "toy"], "toy has not been run yet; overparam run toy"),
        (["board", "--evidence", "/nowhere"], "--evidence /nowhere: no such folder"),
        (["tool", "step-law", "many", "1T"], "'many' is no number"),
    ],
)
def test_usage_errors_are_one_line_and_exit_code_2(overparam, words, says):
    done = overparam(*words)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert done.stderr.startswith("overparam: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_traceback_shows_where(overparam):
    done = overparam("--traceback", "run", "no-such")
    assert "Traceback" in done.stderr
    assert "NotFound" in done.stderr


def test_a_damaged_ledger_is_one_line_and_exit_code_1(overparam, home):
    (home / "ledger.sqlite3").write_bytes(b"no database at all, but long enough" * 50)
    done = overparam("board")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "damaged or no ledger" in done.stderr


@pytest.mark.slow
def test_missing_data_is_one_line(overparam, home):
    done = overparam("run", "step-law", OVERPARAM_DATA=str(home), OVERPARAM_OFFLINE="1")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "dense_lr_bs_loss.csv is not at hand" in done.stderr
    assert "set OVERPARAM_DATA" in done.stderr


@pytest.mark.slow
def test_saved_evidence_makes_a_board(overparam, home):
    assert overparam("run", "toy", "--scale", "smoke", "--save", home / "evidence").returncode == 0
    saved = json.loads((home / "evidence" / "toy" / "smoke.json").read_text())
    assert saved["scale"] == "smoke"
    rows = json.loads(overparam("board", "--evidence", home / "evidence", "--json").stdout)["papers"]
    claims = {c["claim"]: c["status"] for row in rows if row["paper"] == "toy" for c in row["claims"]}
    assert claims["T1"] == "reproduced"
    assert claims["T4"] is None
    (home / "evidence" / "toy" / "smoke.json").write_text("{")
    done = overparam("board", "--evidence", home / "evidence")
    assert done.returncode == 1
    assert "cannot be read" in done.stderr


@pytest.mark.slow
def test_a_report_is_one_file(overparam, home):
    overparam("run", "toy", "--scale", "smoke")
    done = overparam("report", "toy", "--output", home / "r" / "toy.html")
    assert done.stdout == f"Report {home / 'r' / 'toy.html'}\n"
    text = (home / "r" / "toy.html").read_text()
    assert "&lt;positive&gt;" in text
    assert "<positive>" not in text


def test_output_into_a_closed_pipe_is_no_error(home):
    command = f"{sys.executable} -m overparam list | head -1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, env=os.environ)
    assert "Traceback" not in done.stderr
