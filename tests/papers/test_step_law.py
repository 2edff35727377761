import pytest

from overparam import data
from overparam.lab.judge import table
from overparam.lab.planner import Spec
from overparam.lab.registry import find
from overparam.lab.runner import execute

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not data.available("step-law"), reason="data set step-law is not at hand: OVERPARAM_DATA has no step-law/"
    ),
]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    from overparam.ledger import Ledger

    ledger = Ledger(f"sqlite:///{tmp_path_factory.mktemp('step-law') / 'l.sqlite3'}")
    yield ledger, execute(Spec(find("step-law"), "laptop"), ledger, engine="inline")
    ledger.close()


def test_the_mean_gaps_are_those_of_the_released_measurements(ran):
    rows = table(*ran, "laws").where({"law": "step"})
    nearest, interpolated = rows.values("nearest"), rows.values("interpolated")
    assert len(nearest) == len(interpolated) == 17
    assert round(sum(nearest) / 17, 3) == 0.096
    assert round(sum(interpolated) / 17, 3) == 0.126


def test_the_half_of_c1_that_does_not_hold_is_named(ran):
    verdicts = {v.claim: v for v in ran[0].verdicts(ran[1])}
    assert verdicts["C1"].status == "partly"
    assert verdicts["C1"].estimate == pytest.approx(-0.266, abs=0.001)  # the headline is the part that went worst
    assert "Exponent of N in the batch" in verdicts["C1"].body_json


def test_interpolation_outside_the_measured_hull_is_none_not_a_guess(ran):
    openai = table(*ran, "laws").where({"law": "openai"})
    assert sum(r["interpolated"] is None for r in openai.rows) == 6
    assert len(openai.values("nearest")) == 17


def test_counting_active_parameters_only_makes_the_law_worse(ran):
    sparse = table(*ran, "sparse")
    total, active = (sparse.values("nearest", {"counted": c}) for c in ("total", "active"))
    assert len(total) == len(active) == 16
    assert sum(active) > 4 * sum(total)
