"""Claims of a toy paper."""

from datetime import date

from overparam.lab import Above, AllOf, Claim, Contrast, Departure, Exact, Paper

PAPER = Paper(
    slug="toy",
    arxiv="0000.00001",
    published=date(2020, 1, 1),
    title="A Toy",
    author_count=1,
    topics=("generalisation",),
    fidelity="paper",
    summary="A paper that the tests run.",
)
CLAIMS = (
    Claim("T1", "Draws have a positive mean.", source="nowhere", on="draws", rule=Above("mean", 0.5)),
    Claim(
        "T2",
        "More is more.",
        source="nowhere",
        on="draws",
        rule=AllOf(Contrast("mean", treat={"shift": 2.0}, against={"shift": 1.0}), Above("mean", 0.0)),
        departs=(Departure("a tiny size", size=8),),
    ),
    Claim(
        "T3", "Batches agree with singles.", source="nowhere", on="batches", rule=Exact("off", 1e-12), kind="identity"
    ),
    Claim("T4", "Nothing goes wrong.", source="nowhere", on="faults", rule=Above("value", 0.0)),
    Claim("T5", "Slow ones end, too.", source="nowhere", on="slow", rule=Above("value", -1.0)),
    Claim("T6", "Costly things are shared.", source="nowhere", on="shared", rule=Above("value", -1.0)),
    Claim("T7", "Nobody can say.", source="nowhere", untestable="there is nothing to measure"),
)
