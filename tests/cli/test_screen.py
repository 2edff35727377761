import copy
from types import SimpleNamespace

import pytest
from rich.console import Console

from overparam.cli import screen
from overparam.cli.meter import Meter
from overparam.lab.registry import papers


def part(state="holds", estimate=2.04, low=1.71, high=2.37):
    region = {"low": 0.0, "high": None, "closed": False}
    return {
        "name": "EL2N − random", "unit": "points", "estimate": estimate, "low": low, "high": high, "n": 5, "level": 0.95,
        "across": "seed", "difference": True, "state": state, "region": region,
    }  # fmt: skip


def verdict(claim, status, *parts, proxy=False):
    departs = ["digits for images"] if proxy else []
    return {
        "claim": claim,
        "status": status,
        "parts": list(parts),
        "proxy": proxy,
        "departs": departs,
        "sentence": "It was so.",
    }


DOCUMENT = {
    "paper": "toy", "scale": "laptop", "state": "succeeded",
    "verdicts": [
        verdict("C2", "reproduced", part(), proxy=True),
        verdict("C3", "not reproduced", part("fails", -0.16, -0.29, -0.03)),
        verdict("C4", "inconclusive", part("unclear", 0.48, -0.05, 1.01)),
        verdict("C5", "partly", part(), part("fails", -0.16, -0.29, -0.03)),
    ],
    "not_judged": [{"claim": "C8", "reason": "a statement of effort", "untestable": True}],
    "trials": {"planned": 1200, "done": 1200, "cached": 1000, "failed": 0},
    "failures": [],
    "cost": {"cpu_seconds": 271.0, "wall_seconds": 149.0, "peak_megabytes": 612.0, "new_trials": 12},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _colours(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr("sys.__stdout__", SimpleNamespace(encoding="utf-8"))


def text_of(renderable, width=80):
    console = Console(width=width, record=True, file=open("/dev/null", "w"), color_system=None, highlight=False)  # noqa: SIM115
    console.print(renderable)
    text = console.export_text()
    console.file.close()
    return text.replace("\u202f", " ")


def test_the_table_has_mark_word_estimate_interval_and_plot():
    lines = text_of(screen.verdict_table(DOCUMENT, 80)).splitlines()
    assert all(len(line.rstrip()) <= 80 for line in lines)
    row = {line.split()[0]: line for line in lines[1:]}
    assert "● Reproduced" in row["C2"]
    assert "+2.04" in row["C2"]
    assert "[1.71, 2.37]" in row["C2"]
    assert "░" in row["C2"]
    assert row["C2"].index("│") < row["C2"].rindex("●")
    assert "■ Not reproduced" in row["C3"]
    assert row["C3"].rindex("■") < row["C3"].index("│")
    assert "┼" in row["C4"]
    assert "−0.16" in row["C5"]  # the part that went worst
    assert "– Not testable" in row["C8"]


def test_narrow_terminals_lose_the_plot_then_the_interval():
    assert "░" not in text_of(screen.verdict_table(DOCUMENT, 70), 70)
    assert "[1.71, 2.37]" in text_of(screen.verdict_table(DOCUMENT, 70), 70)
    assert "[1.71" not in text_of(screen.verdict_table(DOCUMENT, 50), 50)


def test_plain_terminals_get_ascii(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    text = text_of(screen.verdict_table(DOCUMENT, 80))
    assert "[+] Reproduced" in text
    assert "[x] Not reproduced" in text
    assert "[?] Inconclusive" in text
    assert "[~] Partly" in text
    assert not set("●■○◐░│─┼") & set(text)


def test_the_summary_says_proxy_failures_cost_and_the_next_command(toy):
    text = text_of(screen.run_summary(toy, DOCUMENT))
    assert "C2 is a proxy verdict: digits for images." in text
    assert "C3: It was so." in text
    assert "C8: a statement of effort." in text
    assert "4 min 31 s CPU, 2 min 29 s wall, 612 MB peak; 12 trials were new" in text
    assert "overparam report toy --scale laptop" in text


def test_failures_alike_are_said_once(toy):
    found = copy.deepcopy(DOCUMENT)
    found["state"] = "failed"
    found["trials"] = {"planned": 20, "done": 18, "cached": 0, "failed": 2}
    found["failures"] = [
        {
            "experiment": "draws",
            "params": {"k": 3},
            "seed": s,
            "outcome": "out of memory",
            "message": "more than 4,000 MB",
        }
        for s in (0, 1)
    ]
    text = text_of(screen.run_summary(toy, found), 120)
    assert text.count("out of memory") == 1
    assert "▲ draws (k 3, seed 0) out of memory: more than 4,000 MB" in text
    assert "2 trials of 20 failed. The other 18 are kept." in text


def rows():
    claims = [
        {
            "claim": "C1",
            "statement": "s",
            "untestable": False,
            "status": "reproduced",
            "proxy": True,
            "scale": "laptop",
        },
        {"claim": "C2", "statement": "s", "untestable": True, "status": None, "proxy": False, "scale": None},
    ]
    one = {"paper": "toy", "title": "A Toy", "arxiv": "1", "runnable": True, "claims": claims}
    return [one, {**one, "paper": "later", "runnable": False, "claims": []}]


def test_the_board_and_the_list_say_it_in_words_too():
    board = text_of(screen.board(rows()))
    assert "● –" in board
    assert "1 by proxy" in board
    assert "later  not runnable yet" in board
    assert "● reproduced" in board
    listed = text_of(screen.paper_list(rows()))
    assert "●–" in listed
    assert "not runnable yet" in listed


def test_a_paper_has_a_page_before_and_after_its_run(toy):
    before = text_of(screen.paper_page(toy, None))
    assert "Not run yet: overparam run toy" in before
    assert "Rule: mean above 0.5, over seeds" in before
    unrunnable = text_of(screen.paper_page(next(e for e in papers().values() if not e.runnable), None))
    assert "Not runnable yet" in unrunnable


def test_progress_speaks_in_plain_lines_where_it_is_no_terminal(tmp_path):
    with (tmp_path / "log").open("w") as file:
        meter = Meter("toy at laptop scale", "A Toy", {"draws": 100}, Console(file=file, width=80))
        meter.SILENT_SECONDS = 0.0
        with meter:
            meter.left(72)
            meter.done("draws", 60, cached=True)
            meter.note("draws", "seed 3")
    text = (tmp_path / "log").read_text()
    assert "60 of 100 trials done, about 1 min 12 s left" in text.replace("\u202f", " ")


def test_progress_draws_a_bar_an_experiment():
    meter = Meter("toy", "A Toy", {"draws": 100, "slow": 10}, Console(width=80, file=open("/dev/null", "w")))  # noqa: SIM115
    meter.done("draws", 100, cached=True)
    meter.done("slow", 5)
    meter.note("slow", "part 3, seed 1")
    meter.left(50)
    text = text_of(meter._render())
    meter._console.file.close()
    assert "━" * 24 in text
    assert "100/100" in text
    assert "cached" in text
    assert "part 3, seed 1" in text
    assert "about 50 s to go" in text.replace("\u202f", " ")
    assert "Ctrl-C stops cleanly" in text
