"""What every paper must do. A new paper passes this without any new code here."""

import importlib
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from overparam.lab import figures
from overparam.lab.document import document
from overparam.lab.experiment import SCALES
from overparam.lab.planner import Spec
from overparam.lab.plots import to_svg
from overparam.lab.registry import papers
from overparam.lab.runner import execute

ALL = [e for e in papers().values() if e.package.startswith("overparam.")]
RUNNABLE = [e for e in ALL if e.runnable]
every = pytest.mark.parametrize("entry", ALL, ids=lambda e: e.paper.slug)
runnable = pytest.mark.parametrize("entry", RUNNABLE, ids=lambda e: e.paper.slug)


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """Run a paper at smoke scale once for all tests here."""
    from overparam.ledger import Ledger

    done = {}

    def run(entry, *, sabotage=False, again=False):
        key = entry.paper.slug, sabotage, again
        if key not in done:
            folder = tmp_path_factory.mktemp(entry.paper.slug)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("OVERPARAM_CACHE", str(folder / "cache"))
                ledger = Ledger(f"sqlite:///{folder / 'ledger.sqlite3'}")
                done[key] = ledger, execute(Spec(entry, "smoke", sabotage=sabotage), ledger)
        return done[key]

    return run


def columns(ledger, run_id):
    return {(r.experiment, r.params_json, r.seed): r.metrics_json for r in ledger.trials(run_id)}


@every
def test_claims_have_sources_and_rules_or_reasons(entry):
    for claim in entry.claims:
        assert claim.source
        assert claim.statement.endswith(".")
        assert claim.untestable or (claim.rule and claim.rule.text and claim.on)


def test_no_claims_module_loads_numerics():
    heavy = ("torch", "numpy", "pandas", "scipy", "matplotlib", "sqlalchemy")
    code = f"import sys; from overparam.lab.registry import papers; papers(); print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@runnable
def test_every_claim_is_fed_at_some_scale(entry):
    experiments = entry.experiments()
    for claim in entry.claims:
        if claim.rule:
            assert set(experiments[claim.on].grids) & set(SCALES)


@runnable
def test_every_grid_point_fits_its_experiment(entry):
    for declared in entry.experiments().values():
        for grid in declared.grids.values():
            for point in grid.points():
                declared.check(point)


@runnable
def test_papers_do_not_import_each_other(entry):
    importlib.import_module(f"{entry.package}.experiments")
    from overparam.lab.closure import _closure

    reached = _closure([f"{entry.package}.experiments"], {"overparam"})
    others = [m for m in reached if m.startswith("overparam.papers.") and not m.startswith(entry.package)]
    assert others == []


@runnable
@pytest.mark.slow
def test_smoke_runs_through_and_twice_gives_the_same_bytes(entry, smoke):
    ledger, run = smoke(entry)
    found = document(entry, ledger, run)
    assert found["state"] == "succeeded", found["failures"]
    assert found["verdicts"]
    other, again = smoke(entry, again=True)
    assert columns(ledger, run) == columns(other, again)
    strip = lambda d: [{k: v for k, v in x.items() if k != "cpu_seconds"} for x in d["verdicts"]]  # noqa: E731
    assert strip(found) == strip(document(entry, other, again))


@runnable
@pytest.mark.slow
def test_seeds_matter_where_there_are_seeds(entry, smoke):
    ledger, run = smoke(entry)
    rows = columns(ledger, run)
    for name, declared in entry.experiments().items():
        if declared.takes & {"seed", "seeds"} and "smoke" in declared.grids and declared.seeds.smoke > 1:
            mine = {(p, s): m for (e, p, s), m in rows.items() if e == name}
            assert any(mine[p, 0] != mine[p, 1] for p in {p for p, _ in mine}), name


@runnable
@pytest.mark.slow
def test_sabotage_turns_a_verdict(entry, smoke):
    assert any(e.sabotage for e in entry.experiments().values()), "name a sabotage of the method"
    before = {v["claim"]: v["status"] for v in document(entry, *smoke(entry))["verdicts"]}
    after = {v["claim"]: v["status"] for v in document(entry, *smoke(entry, sabotage=True))["verdicts"]}
    held = [c for c, status in before.items() if status == "reproduced"]
    assert held, "no verdict holds at smoke scale, so none can turn"
    assert [c for c in held if after[c] != "reproduced"], f"all of {held} survive the sabotage"


@runnable
@pytest.mark.slow
def test_figures_render_with_words(entry, smoke):
    drawn, missing = figures.draw(entry, *smoke(entry))
    assert drawn
    assert not missing
    for name, drawing in drawn:
        root = ET.fromstring(to_svg(drawing, prefix=name))
        assert root.find("{http://www.w3.org/2000/svg}title").text
        assert drawing.caption.endswith(".")
