import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overparam.lab import Part, Region
from overparam.lab.wording import count, duration, estimate_text, joined, megabytes, number, sentence_for, spelled


def part(estimate, low, high, *, n=5, difference=False, across="seed", region=None, name="gain", unit=""):
    return Part(name, unit, estimate, low, high, n, region or Region(low=0.0), across=across, difference=difference)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.0025, "0.0025"),
        (-12000.0, "−12,000"),
        (3e-12, "3·10⁻¹²"),
        (1.5e9, "1.5·10⁹"),
        (0.1 + 0.2, "0.3"),
        (95.0, "95"),
    ],
)
def test_numbers_are_short(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("given_part", "texts"),
    [
        (part(2.04, 1.71, 2.37, difference=True), ("+2.04", "[1.71, 2.37]")),
        (part(-0.16, -0.29, -0.03, difference=True), ("−0.16", "[−0.29, −0.03]")),
        (part(29.7, 27.9, 31.5, difference=True), ("+29.7", "[27.9, 31.5]")),
        (part(0.00002, -0.04, 0.04, difference=True), ("0.000", "[−0.040, 0.040]")),
        (part(12.0, 12.0, 12.0), ("12", "[12, 12]")),
        (part(5.0, -math.inf, math.inf, n=1), ("5", "no interval")),
        (part(None, None, None, n=0), ("–", "no data")),
        (part(3e-12, 3e-12, 3e-12, n=400, across="case"), ("3·10⁻¹²", "in 400 cases")),
    ],
)
def test_estimates_have_two_digits_of_their_uncertainty(given_part, texts):
    assert estimate_text(given_part) == texts


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e2))
def test_estimate_and_ends_have_the_same_decimals(middle, half):
    estimate, ends = estimate_text(part(middle, middle - half, middle + half))
    decimals = {len(text.partition(".")[2].rstrip("],")) for text in (estimate, *ends[1:-1].split(", "))}
    assert len(decimals) == 1


def test_times_and_sizes():
    assert [duration(s) for s in (2.13, 58.2, 252, 11520)] == [
        "2.1\u202fs",
        "58\u202fs",
        "4\u202fmin 12\u202fs",
        "3.2\u202fh",
    ]
    assert (megabytes(612.3), megabytes(3100)) == ("612\u202fMB", "3.1\u202fGB")


def test_counting_and_joining():
    assert (count(1, "trial"), count(2000, "trial")) == ("1 trial", "2,000 trials")
    assert (joined(["a"]), joined(["a", "b"]), joined(["a", "b", "c"])) == ("a", "a and b", "a, b and c")
    assert (spelled(0), spelled(12), spelled(1300)) == ("none", "twelve", "1,300")


def test_sentences_say_what_was_found():
    good, bad = part(2.0, 1.0, 3.0, name="EL2N − random", unit="points"), part(-1.0, -2.0, -0.5)
    assert sentence_for("empirical", "reproduced", [good]) == (
        "EL2N − random was 2.0 [1.0, 3.0] points over 5 seeds, inside the region above 0."
    )
    assert "outside the region above 0" in sentence_for("empirical", "not reproduced", [bad])
    both = sentence_for("empirical", "partly", [good, bad, bad])
    assert both.startswith("Gain was −1.00")
    assert both.endswith("One of three parts holds.")
    assert sentence_for("theorem", "reproduced", [good]).startswith("The bound or rate held in every case tried")
    assert "gives no interval" in sentence_for("empirical", "inconclusive", [part(1.0, -math.inf, math.inf, n=1)])
    assert sentence_for("empirical", "inconclusive", [part(None, None, None, n=0)]) == "Gain: no data."
