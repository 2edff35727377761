import json

import pytest

from overparam.errors import Unavailable
from overparam.lab import evidence, figures
from overparam.lab.document import document
from overparam.lab.planner import Spec
from overparam.lab.runner import execute


@pytest.fixture
def ran(ledger, toy):
    run_id = execute(Spec(toy, "smoke"), ledger, engine="inline")
    figures.keep(toy, ledger, run_id)
    return document(toy, ledger, run_id)


def test_evidence_reads_back_with_its_pictures(ledger, ran, tmp_path):
    path = evidence.save(ledger, ran, tmp_path)
    assert path == tmp_path / "toy" / "smoke.json"
    back = evidence.read(path)
    kept = [(f.name, f.svg, f.caption) for f in ledger.figures(ran["run"])]
    assert kept
    assert [(f["name"], f["svg"], f["caption"]) for f in back.pop("figures")] == kept
    assert back == json.loads(json.dumps(ran))
    assert sorted(p.stem for p in (tmp_path / "toy" / "smoke").glob("*.svg")) == sorted(name for name, _, _ in kept)


def test_pictures_of_an_earlier_run_go(ledger, ran, tmp_path):
    (tmp_path / "toy" / "smoke").mkdir(parents=True)
    (tmp_path / "toy" / "smoke" / "old.svg").write_text("<svg/>")
    evidence.save(ledger, ran, tmp_path)
    assert not (tmp_path / "toy" / "smoke" / "old.svg").exists()


def test_cost_by_experiment_adds_up(ran):
    total = sum(e["cpu_seconds"] for e in ran["experiments"])
    assert total == pytest.approx(ran["cost"]["cpu_seconds"], abs=0.01)
    assert sum(e["trials"] for e in ran["experiments"]) == ran["trials"]["planned"]


@pytest.mark.parametrize("damage", ["json", "picture"])
def test_what_cannot_be_read_is_named(ledger, ran, tmp_path, damage):
    path = evidence.save(ledger, ran, tmp_path)
    if damage == "json":
        path.write_text(path.read_text()[:-5])
    else:
        next((tmp_path / "toy" / "smoke").glob("*.svg")).unlink()
    with pytest.raises(Unavailable, match=r"smoke\.json cannot be read .*overparam run --save"):
        evidence.read(path)
