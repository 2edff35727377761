import json

import pytest

from overparam.lab.service import ask
from overparam.ledger import Ledger, requests


@pytest.mark.slow
def test_the_command_works_off_the_queue(overparam):
    ledger = Ledger()
    key = ask(ledger, "toy", "smoke", ["T1"], requested_by="local")
    done = overparam("work", "--once", "--engine", "inline")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert requests.find(ledger, key).state == "succeeded"
    refused = overparam("work", "--engine", "slurm")
    assert refused.returncode == 2
    assert "engine 'slurm' is unknown; choose processes, inline, ray" in refused.stderr


@pytest.mark.slow
def test_a_run_from_the_terminal_keeps_its_figures_too(overparam):
    done = overparam("run", "toy", "--scale", "smoke", "--claim", "T1", "--json", "--engine", "inline")
    assert done.returncode == 0, done.stderr
    assert [f.name for f in Ledger().figures(json.loads(done.stdout)["run"])] == ["means"]
