import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overparam.cli.tool.step_law import parse_count, predictions
from overparam.errors import BadInput
from overparam.methods.scaling.laws import STEP


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7e9", 7e9),
        ("7B", 7e9),
        ("7b", 7e9),
        ("7,000,000,000", 7e9),
        ("1.4T", 1.4e12),
        ("3.5x10^6", 3.5e6),
        ("3.5×10^6", 3.5e6),
        ("350M", 3.5e8),
        ("12k", 12e3),
        ("1e-3", 1e-3),
        (" 2_000 ", 2e3),
    ],
)
def test_large_numbers_as_people_write_them(text, value):
    assert parse_count(text) == pytest.approx(value)


@given(st.floats(1e-3, 1e15))
def test_what_python_prints_can_be_read(value):
    assert parse_count(repr(value)) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "many", "-3", "7X", "0", "1e999", "7 B C", "e9"])
def test_other_texts_are_refused_with_examples(text):
    with pytest.raises(BadInput, match="write 7e9, 7B"):
        parse_count(text)


def test_predictions_name_extrapolation_and_needs(monkeypatch):
    monkeypatch.setenv("OVERPARAM_DATA", "/nowhere")
    monkeypatch.setenv("OVERPARAM_OFFLINE", "1")
    found = predictions(7e9, 2e10, 4096, "all", None)
    rows = {r["law"]: r for r in found["laws"]}
    assert rows["step"]["lr"] == STEP.predict(7e9, 2e10).lr
    assert rows["step"]["batch_sequences"] == round(rows["step"]["batch_tokens"] / 4096)
    assert rows["step"]["lr_interval"] is None
    assert rows["openai"]["note"] == "needs --loss"
    assert [text[:2] for text in found["extrapolation"]] == ["N="]
    assert predictions(1e9, 2e10, 2048, "step", None)["extrapolation"] == []
    assert predictions(1e9, 2e10, 2048, "openai", 2.5)["laws"][0]["lr"] > 0
    with pytest.raises(BadInput, match="--law best: unknown; choose all, step"):
        predictions(1e9, 2e10, 2048, "best", None)


def test_the_command_prints_a_table_or_one_document(overparam):
    table = overparam("tool", "step-law", "1B", "20B")
    assert table.returncode == 0, table.stderr
    for name in ("Step Law", "DeepSeek", "Porian", "OpenAI", "MiniCPM"):
        assert name in table.stdout
    document = json.loads(overparam("tool", "step-law", "7e9", "1.4T", "--json").stdout)
    assert document["parameters"] == 7e9
    assert len(document["laws"]) == 5


def test_intervals_come_from_the_published_fits():
    from overparam import data

    if not data.available("step-law"):
        pytest.skip("data set step-law is not at hand: set OVERPARAM_DATA to a folder that has step-law/")
    row = predictions(1e9, 2e10, 2048, "step", None)["laws"][0]
    assert row["lr_interval"][0] < row["lr"] < row["lr_interval"][1]
    assert row["batch_interval"][0] < row["batch_tokens"] < row["batch_interval"][1]
