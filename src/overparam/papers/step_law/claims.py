"""Claims of arXiv 2503.04715: laws for the best learning rate and batch size, judged on the released measurements."""

from datetime import date
from typing import Any

from overparam.lab import Above, AllOf, Below, Claim, Computed, Contrast, Estimated, Exact, Paper, Part, Region, Trials

PAPER = Paper(
    slug="step-law",
    arxiv="2503.04715",
    published=date(2025, 3, 6),
    title="Predictable Scale: Part I -- Optimal Hyperparameter Scaling Law in Large Language Model Pretraining",
    author_count=10,
    order=28,
    topics=("scaling", "hyper-parameters", "language models"),
    fidelity="official code",
    code="https://github.com/step-law/steplaw",
    summary="How should learning rate and batch size grow with a language model and its data? Thousands of pretraining "
    "runs over grids of both give power laws: the rate falls with the number of parameters and rises with that of "
    "tokens, the batch grows with the tokens. The measurements are public, so the laws can be held against them here.",
)

PAIRS: dict[str, Any] = {"across": "pair", "interval": "bca"}
TEST_POINT = "the paper's own test point (1.07 billion parameters, 100 billion tokens) is not among the released runs"
TOLERANCE = "0.25 % is the excess up to which the law's own fit counts a run as optimal"
STEP = {"law": "step"}


def within_of_sparse(trials: Trials) -> list[Part]:
    """At least 15 of 16 sparse configurations within 0.5 % of the optimum, and most within 0.25 %."""
    gaps = trials.values("nearest", {"counted": "total"})
    parts = []
    for limit, least in ((0.5, len(gaps) - 1), (0.25, len(gaps) // 2 + 1)):
        n = sum(gap <= limit for gap in gaps)
        region = Region(low=least, closed=True)
        parts.append(Part(f"configurations within {limit} %", "", n, n, n, len(gaps), region, level=1.0, across="case"))
    return parts


CLAIMS = (
    Claim(
        "C1",
        "The best peak learning rate is a power law in model size and data; the best batch size is a power law in the "
        "data alone.",
        source="equation 1; abstract",
        on="refit",
        rule=AllOf(
            Estimated("lr_n", below=0.0, name="exponent of N in the rate"),
            Estimated("lr_d", above=0.0, name="exponent of D in the rate"),
            Estimated("batch_d", above=0.0, name="exponent of D in the batch"),
            Estimated(
                "batch_n",
                inside=(-0.1, 0.1),
                name="exponent of N in the batch",
                why="no dependence: ten times the parameters would change the batch by a quarter at most",
            ),
        ),
        reported="lr = 1.79 N^-0.713 D^0.307, batch = 0.58 D^0.571 tokens",
        note="Intervals: 10,000 resamples of whole sweeps. Leaving N out costs little loss, because the basin is flat.",
    ),
    Claim(
        "C1b",
        "The exponents are −0.713 and 0.307 for the learning rate and 0.571 for the batch size.",
        source="equation 1",
        on="refit",
        rule=AllOf(
            Estimated(
                "lr_n",
                inside=(-0.813, -0.613),
                name="exponent of N in the rate",
                why="a tenth around each published exponent: ten times the size then moves the optimum by a quarter",
            ),
            Estimated("lr_d", inside=(0.207, 0.407), name="exponent of D in the rate"),
            Estimated("batch_alone_d", inside=(0.471, 0.671), name="exponent of D in the batch, without N"),
        ),
        note="Refitted on the released runs by the procedure of the official code.",
    ),
    Claim(
        "C2",
        "At the learning rate and batch size that the law predicts, the loss is within about a thousandth of the best "
        "of an exhaustive search.",
        source="abstract; section 5",
        on="laws",
        departs=(TEST_POINT,),
        rule=AllOf(
            Below("interpolated", 0.25, where=STEP, name="mean gap, interpolated", unit="%", why=TOLERANCE, **PAIRS),
            Below("nearest", 0.25, where=STEP, name="mean gap, nearest run", unit="%", **PAIRS),
            Below(
                "interpolated",
                0.25,
                where={"law": "left out"},
                name="refitted without the pair, interpolated",
                unit="%",
                **PAIRS,
            ),
            Below(
                "interpolated",
                0.094,
                where=STEP,
                name="mean gap, interpolated, against 0.094 %",
                unit="%",
                why="0.094 % is the figure of the paper's version 7",
                **PAIRS,
            ),
        ),
        reported="0.07 % in version 1, 0.09 % in the repository, 0.094 % in version 7, on a test set of its own",
    ),
    Claim(
        "C3",
        "Step Law finds better settings than the competing laws.",
        source="table of laws",
        on="laws",
        departs=(TEST_POINT, "Microsoft's constant is calibrated on one pair and its batch is the best of each grid"),
        rule=AllOf(
            *(
                Contrast(
                    "nearest",
                    treat={"law": law},
                    against=STEP,
                    name=f"gap of {title} − gap of Step Law",
                    unit="points",
                    **PAIRS,
                )
                for law, title in (
                    ("openai", "OpenAI"),
                    ("microsoft", "Microsoft"),
                    ("deepseek", "DeepSeek"),
                    ("porian", "Porian"),
                )
            )
        ),
        reported="relative error 9.51 per mille for OpenAI's law",
        note="By the nearest run, which covers all 17 pairs; interpolation would have to extrapolate for some laws.",
    ),
    Claim(
        "C4",
        "For fixed sizes the loss is convex in learning rate and batch size, with a single basin.",
        source="section 3",
        on="basins",
        rule=AllOf(
            Above("smallest_curvature", 0.0, name="smallest curvature, % per squared e-fold", **PAIRS),
            Exact("not_convex", 0.0, name="pairs whose fitted basin is not convex"),
            Above(
                "convex_triples",
                95.0,
                name="triples that are convex up to 0.1 %",
                unit="%",
                why="0.1 % is about the noise between runs; 5 % are left to noise beyond it",
                **PAIRS,
            ),
        ),
    ),
    Claim(
        "C5",
        "The bottom of the basin is a broad plateau.",
        source="section 3",
        on="basins",
        rule=Above(
            "broad",
            0.5,
            name="share of pairs whose plateau spans two grid steps both ways",
            why=f"most pairs; {TOLERANCE}",
            **PAIRS,
        ),
    ),
    Claim(
        "C6",
        "The law holds across model shapes and sparse mixtures of experts.",
        source="section 6",
        on="sparse",
        departs=("only the sparse models are among the released runs, not the data mixtures",),
        rule=Computed(within_of_sparse),
        reported="all sparse configurations within 0.5 % but one, most within 0.25 %",
        note="N counts all parameters; with the active ones only, the mean gap is about 1 %.",
    ),
    Claim(
        "C7",
        "With a fixed final learning rate the optimum differs from that with a final rate of a tenth of the peak.",
        source="section 4",
        untestable="all released runs share one schedule; two sweeps under two schedules would have to be trained",
    ),
    Claim(
        "C8",
        "About 3,700 models were trained, on 10¹⁴ tokens, in a million hours of accelerator time.",
        source="abstract",
        untestable="a statement of effort, given as context; 2,619 of the runs are released",
    ),
    Claim(
        "C9",
        "Four constants make a calculator that anybody can use.",
        kind="identity",
        source="abstract; project page",
        on="calculator",
        rule=Exact(
            "rounding",
            0.01,
            name="largest difference of a printed constant from the mean of the fits",
            why="the printed constants have two or three digits",
        ),
        note="`overparam tool step-law 7e9 1.4e12` is that calculator.",
    ),
)
