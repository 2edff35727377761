import json
import os
import subprocess
import sys

import pytest

from overparam.cli.new import new_paper
from overparam.errors import BadInput, Conflict


@pytest.mark.slow
def test_a_new_paper_runs_without_touching_any_other_file(tmp_path):
    """In a copy of the package, so that the checkout stays as it is."""
    import shutil
    from pathlib import Path

    import overparam

    copy = tmp_path / "overparam"
    shutil.copytree(Path(overparam.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    before = {p: p.read_bytes() for p in copy.rglob("*.py")}
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}"}
    run = lambda *words: subprocess.run(  # noqa: E731
        [sys.executable, "-m", "overparam", *words], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    made = run("new", "thirty-seventh")
    assert made.returncode == 0, made.stderr
    assert "overparam run thirty-seventh" in made.stdout
    assert all(p.read_bytes() == text for p, text in before.items())
    done = run("run", "thirty-seventh", "--scale", "smoke", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdicts"][0]["status"] == "reproduced"
    broken = run("run", "thirty-seventh", "--scale", "smoke", "--sabotage", "--json")
    assert json.loads(broken.stdout)["verdicts"][0]["status"] == "not reproduced"
    assert run("report", "thirty-seventh", "--output", "r.html").returncode == 0
    listed = json.loads(run("list", "--json").stdout)["papers"]
    assert "thirty-seventh" in [p["paper"] for p in listed]


def test_bad_names_write_nothing(tmp_path):
    for slug, error, says in (
        ("Upper", BadInput, "lower case words"),
        ("3d-vision", BadInput, "begin with a letter"),
        ("step-law", Conflict, "exists already"),
    ):
        with pytest.raises(error, match=says):
            new_paper(slug, tmp_path)
    assert not list(tmp_path.iterdir())
