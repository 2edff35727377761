from overparam.lab import figures
from overparam.lab.planner import Spec
from overparam.lab.runner import execute


def test_figures_are_drawn_when_their_trials_are_all_there(ledger, toy, monkeypatch):
    run = execute(Spec(toy, "smoke", ("T1",)), ledger, engine="inline")
    ((name, drawing),), missing = figures.draw(toy, ledger, run)
    assert (name, missing) == ("means", [])
    assert list(drawing.table.columns) == ["shift", "seed", "mean"]
    other = execute(Spec(toy, "laptop", ("T1",)), ledger, engine="inline", max_seconds=0)
    assert figures.draw(toy, ledger, other) == ([], ["means"])


def test_kept_figures_are_those_of_the_last_call(ledger, toy):
    run = execute(Spec(toy, "smoke", ("T1",)), ledger, engine="inline")
    assert figures.keep(toy, ledger, run) == ["means"]
    (first,) = ledger.figures(run)
    figures.keep(toy, ledger, run)
    assert ledger.figures(run) == [first]
