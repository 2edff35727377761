import copy
import re

import pytest

from overparam.lab import figures
from overparam.lab.document import document
from overparam.lab.planner import Spec
from overparam.lab.report import headline, render, summary
from overparam.lab.runner import execute


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A run of the toy pack: entry, document, figures and trial rows."""
    from overparam.lab.registry import find
    from overparam.ledger import Ledger

    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OVERPARAM_CACHE", str(folder))
        ledger = Ledger(f"sqlite:///{folder / 'ledger.sqlite3'}")
        toy = find("toy")
        run = execute(Spec(toy, "smoke"), ledger, engine="inline")
        drawn, _ = figures.draw(toy, ledger, run)
        yield toy, document(toy, ledger, run), drawn
        ledger.close()


ROWS = {"draws": [{"shift": 1.0, "seed": 0, "mean": 0.5, "state": "done"}]}


def page(sample, change=None, rows=ROWS, with_figures=True):
    toy, found, drawn = sample
    found = copy.deepcopy(found)
    if change:
        change(found)
    return render(toy, found, drawn if with_figures else [], rows)


def test_the_page_is_one_file(sample):
    text = page(sample)
    outside = set(re.findall(r'(?:src|href)="(https?://[^"]+)"', text))
    assert outside == {"https://arxiv.org/abs/0000.00001"}
    assert "<script" not in text
    assert "@import" not in text
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_every_claim_is_there_with_what_it_rests_on(sample):
    text = page(sample)
    for claim in sample[0].claims:
        assert f'id="{claim.id}"' in text
    assert "a tiny size" in text.lower()
    assert "Not testable" in text
    assert "There is nothing to measure." in text
    assert "it is tried at paper scale" in text
    assert "Together they err in 5" in text  # Holm
    assert "All means are &lt;positive&gt; &amp; sound." in text


def test_marks_have_word_and_shape(sample):
    text = page(sample)
    assert re.search(r'class="m m-big reproduced"><svg[^>]*><use href="#reproduced"/></svg><b>Reproduced</b>', text)
    assert '<symbol id="reproduced"' in text


def test_intervals_are_drawn_against_their_region(sample):
    def failing(found):
        part = found["verdicts"][0]["parts"][0]
        part.update(
            estimate=-1.0, low=-2.0, high=-0.5, state="fails", region={"low": 0.0, "high": None, "closed": False}
        )

    text = page(sample, failing)
    start = text.index('id="T1"')
    svg = text[start : text.index("</article>", start)]
    region = float(re.search(r'iv-region" x="([\d.]+)%"', svg)[1])
    low, high = (float(x) for x in re.search(r'iv-ci" x1="([\d.]+)%" x2="([\d.]+)%"', svg).groups())
    assert low < high < region
    assert '<rect class="iv-dot"' in svg  # a square: outside
    assert "outside the region above 0" in svg


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("running", "This run is not finished"),
        ("interrupted", "goes on from there"),
        ("cancelled", "This run was stopped"),
        ("failed", "claims that need the failed ones are inconclusive"),
    ],
)
def test_states_of_a_run_are_said_in_words(sample, state, says):
    assert says in page(sample, lambda found: found.update(state=state))


def test_changes_by_hand_and_sabotage_are_said(sample):
    text = page(sample, lambda found: found.update(custom=["shift=3.0"], sabotage=True))
    assert "Changed by hand: shift=3.0" in text
    assert "broken on purpose" in text


def test_hostile_text_stays_text(sample):
    bad = "<script>alert(1)</script>"

    def change(found):
        found["verdicts"][0]["sentence"] = bad
        found["failures"] = [{"experiment": bad, "params": {bad: bad}, "seed": 0, "outcome": "raised", "message": bad}]
        found["not_judged"][0]["reason"] = bad

    text = page(sample, change, rows={bad: [{bad: bad, "state": "done"}]})
    assert bad not in text
    assert "&lt;script&gt;" in text


def test_code_in_notes_is_set_as_code():
    from overparam.lab.report import code

    assert code("Run `a < b` <now>.") == "Run <code>a &lt; b</code> &lt;now&gt;."


def test_a_superseded_verdict_stays_visible(sample):
    old = {"status": "not reproduced", "at": "2026-11-01T10:00:00Z", "reason": "the rule changed"}
    text = page(sample, lambda found: found["verdicts"][0].update(supersedes=old))
    assert "Not reproduced" in text
    assert "of 1 November 2026: the rule changed" in text


def test_long_tables_are_cut_with_a_word(sample):
    rows = {"draws": [{"seed": i, "mean": 0.5, "state": "done"} for i in range(2_500)]}
    text = page(sample, rows=rows)
    assert "500 more rows are in the ledger." in text


def test_a_run_without_verdicts_has_a_page(sample):
    text = page(sample, lambda found: found.update(verdicts=[]), with_figures=False)
    assert "No claim has been judged yet." in text


def test_the_summary_counts(sample):
    found = sample[1]
    assert summary(found, found["verdicts"]).startswith("Of 4 claims, four were reproduced. One is a proxy verdict")


def test_the_headline_is_the_worst_part():
    parts = [{"state": s} for s in ("holds", "unclear", "fails", "fails")]
    assert headline({"parts": parts}) is parts[2]
    assert headline({"parts": []}) is None
