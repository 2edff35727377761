"""Claims of arXiv 2310.01769: how over-parameterisation slows gradient descent in matrix sensing."""

from datetime import date

from overparam.lab import Above, AllOf, Below, Between, Claim, Departure, Exact, Paper, Ratio, Slope

PAPER = Paper(
    slug="matrix-sensing",
    arxiv="2310.01769",
    published=date(2023, 10, 2),
    title="How Over-Parameterization Slows Down Gradient Descent in Matrix Sensing: "
    "The Curses of Symmetry and Initialization",
    author_count=3,
    order=13,
    topics=("matrix recovery", "optimisation"),
    fidelity="reconstruction",
    summary="A low-rank matrix is recovered by gradient descent on factors that are wider than need be. With a "
    "symmetric factorisation the extra width makes convergence sublinear; with an asymmetric one it stays linear, at a "
    "rate set by the scale of the start. Rebalancing the factors once removes that dependence.",
)

SMALL = Departure("20 x 20 matrices of rank 2, 3,000 steps; the paper shows 50 x 50 of rank 3", n=20)
SENSING = Departure("30 x 30 matrices from 1,500 measurements; the paper shows 50 x 50", n=30)
TRIGGER = "the rebalancing is set off by the training loss, its scale is half the root of the smallest singular value"
WIDER = {"k": (4, 5, 10)}

CLAIMS = (
    Claim(
        "C1",
        "With a symmetric factorisation that is wider than the rank, the squared error of gradient descent falls no "
        "faster than one over the square of the number of steps.",
        kind="theorem",
        source="theorem on the curse of symmetry; abstract",
        on="symmetric",
        departs=(SMALL,),
        rule=AllOf(
            Between(
                "power_slope",
                -2.2,
                -1.8,
                where=WIDER,
                name="slope of log error² over log steps",
                why="the lower bound is of order -2; a tenth either way covers the finite window",
            ),
            Above(
                "bound_ratio",
                0.5,
                where=WIDER,
                name="steps² times error², over its limit",
                why="bounded below along the path: half of the limit (k - r)/(4 lr²) of the scalar recursion",
            ),
            Below(
                "exponential_better",
                0.0,
                where=WIDER,
                name="AIC gain of an exponential over a power law",
                why="no linear convergence: the power law must fit better",
            ),
        ),
        note="The limit of steps² times error² follows from the scalar recursion x − lr x³.",
    ),
    Claim(
        "C2",
        "With factors of exactly the right width the same descent converges linearly.",
        kind="theorem",
        source="contrast in the introduction",
        on="symmetric",
        departs=(SMALL,),
        rule=AllOf(
            Above("exponential_better", 0.0, where={"k": (2, 3)}, name="AIC gain of an exponential over a power law"),
            Below(
                "log10_error",
                -20.0,
                where={"k": (2, 3)},
                name="log10 of the last error²",
                why="a linear rate reaches the floor of double precision",
            ),
        ),
    ),
    Claim(
        "C3",
        "With an asymmetric factorisation of the right width, random starts converge globally and linearly, whatever "
        "their scale.",
        kind="theorem",
        source="theorem on exact parameterisation",
        on="asymmetric",
        departs=(SMALL,),
        rule=AllOf(
            Below(
                "log10_error",
                -20.0,
                where={"case": "exact", "step": "plain"},
                name="log10 of the last error²",
                why="a linear rate reaches the floor of double precision",
            ),
            Slope(
                "log_rate",
                over="log_alpha",
                inside=(-0.3, 0.3),
                where={"case": "exact", "step": "plain"},
                name="exponent of the rate in the scale of the start",
                why="no dependence on the scale; a third of the way to the first power is the largest seen as none",
            ),
        ),
    ),
    Claim(
        "C4",
        "With an asymmetric factorisation that is too wide, convergence is still linear, at a rate that grows as the "
        "square of the scale of the start.",
        kind="theorem",
        source="theorem on asymmetric over-parameterisation; curse of initialisation",
        on="asymmetric",
        departs=(SMALL,),
        rule=AllOf(
            Above(
                "exponential_better",
                0.0,
                where={"case": "wide", "step": "plain"},
                name="AIC gain of an exponential over a power law",
            ),
            Slope(
                "log_rate",
                over="log_alpha",
                inside=(1.8, 2.2),
                where={"case": "wide", "step": "plain"},
                name="exponent of the rate in the scale of the start",
                why="the theorem's exponent is 2; a tenth either way covers the finite window",
            ),
        ),
    ),
    Claim(
        "C4b",
        "Without imbalance between the factors the asymmetric descent is the symmetric one, slow rate included.",
        kind="identity",
        source="remark on the conserved imbalance F'F − G'G",
        on="balanced",
        departs=(Departure("20 x 20 matrices of rank 2", n=20),),
        rule=Exact(
            "difference",
            1e-9,
            name="largest entry of |FG' − XX'|",
            why="both recursions are the same in exact arithmetic; rounding leaves far less than 1e-9",
        ),
    ),
    Claim(
        "C5",
        "One rebalancing step near the solution makes the linear rate independent of the scale of the start, and "
        "faster for small starts.",
        source="section 5, equation 5.1",
        on="asymmetric",
        departs=(SMALL, TRIGGER),
        rule=AllOf(
            Slope(
                "log_rate",
                over="log_alpha",
                inside=(-0.065, 0.065),
                where={"case": "wide", "step": "rebalanced"},
                name="exponent of the rate in the scale of the start",
                why="rates within a factor 1.2 over the 17-fold range of scales",
            ),
            Ratio(
                "rate",
                treat={"step": "rebalanced"},
                against={"step": "plain"},
                above=3.0,
                where={"case": "wide", "alpha": 0.1},
                name="rate after the step / rate without it, scale 0.1",
                why="the gain must be large where the start is small",
            ),
        ),
    ),
    Claim(
        "C6",
        "All of this holds from near-isotropic measurements as well: slow if symmetric, linear if asymmetric, fast "
        "after rebalancing.",
        source="theorems are stated under restricted isometry; figure 1",
        on="sensing",
        departs=(SENSING, TRIGGER, Departure("16 x 16 matrices from 400 measurements", n=16)),
        rule=AllOf(
            Between(
                "power_slope",
                -2.2,
                -1.5,
                where={"kind": "symmetric"},
                name="symmetric: slope of log error² over log steps",
                why="of order -2; at the fewer steps that dense sensing affords, the slope is still on its way",
            ),
            Above(
                "exponential_better", 0.0, where={"kind": "asymmetric"}, name="asymmetric: AIC gain of an exponential"
            ),
            Below(
                "log10_error",
                -15.0,
                where={"kind": "rebalanced"},
                name="rebalanced: log10 of the last error²",
                why="far below what the slow rates reach in the same number of steps",
            ),
        ),
    ),
)
