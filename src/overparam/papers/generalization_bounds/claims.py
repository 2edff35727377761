"""Claims of arXiv 2309.13658: bounds on generalisation cannot be tight without assumptions."""

from datetime import date

from overparam.lab import Above, AllOf, Below, Between, Claim, Computed, Departure, Exact, Paper, Slope
from overparam.papers.generalization_bounds.judging import no_measure_is_uniform

PAPER = Paper(
    slug="generalization-bounds",
    arxiv="2309.13658",
    published=date(2023, 9, 24),
    title="Fantastic Generalization Measures are Nowhere to be Found",
    author_count=4,
    order=15,
    topics=("generalisation",),
    fidelity="reconstruction",
    summary=(
        "Can any measure of a trained network predict its error on new data? Bounds that look at the data and the"
        " network alone cannot be tight for over-parameterised models, and those that know the algorithm face a "
        "trade-off between learning well and being estimable. Assumptions on data and algorithm are needed."
    ),
)

OURS = "a construction of ours in the spirit of the proof; a demonstration in cases, no proof"
DIGITS = Departure("perceptrons on the 8 x 8 digits; the paper speaks of any overparameterised network", data="digits")
GRID = (
    "perceptrons, with label noise among the axes; the study behind the premise has thousands of convolutional "
    "networks on CIFAR-10 and SVHN"
)
QUARTER = "the theorem's constant, up to terms that vanish with the size of the domain"
STATISTICS = ("balance", "balance on sample", "changes", "low frequencies", "agreement with the nearest",
              "logistic regression", "perceptron")  # fmt: skip
STABLE = {"algorithm": ("constant", "memorise", "nearest")}
RICH = {"q": 101, "slack": 0}

CLAIMS = (
    Claim(
        "C1",
        "A bound that sees only the training set and the hypothesis is off by a quarter or more in one of two "
        "populations, whatever the bound.",
        kind="theorem",
        source="abstract; theorem on bounds that do not depend on the algorithm",
        on="worlds",
        departs=(OURS, DIGITS),
        rule=AllOf(
            Above("least_error", 0.25, name="larger error of the best measure over both worlds", why=QUARTER),
            Above("least_affine_error", 0.25, name="the same after the best affine map of each measure", why=QUARTER),
            Exact("short_of_half_gap", 1e-9, name="best affine error short of half the gap", why="an identity"),
        ),
        note="Both worlds share inputs, sample and network; in one the network is right everywhere, in the other "
        "labels off the sample are uniform. The figure adds three networks that all fit their sample: measures order "
        "them differently from their errors.",
    ),
    Claim(
        "C1b",
        "With a random target and an algorithm whose bias may or may not fit it, nothing in hypothesis and sample "
        "tells which is the case, and any estimate is off by a quarter or more half of the time.",
        kind="theorem",
        source="theorem on bounds that do not depend on the algorithm, distributional form",
        on="coin",
        departs=(OURS,),
        rule=AllOf(
            *(
                Between(f"area {s}", 0.45, 0.55, name=f"area under the curve, {s}", why="chance, within a twentieth")
                for s in STATISTICS
            ),
            Above(
                "failure",
                0.45,
                name="share of trials that the best trained estimator misses by 0.23 or more",
                why="a half, less a twentieth for the choice of estimator; 0.23 is a quarter less four standard "
                "deviations of the error of a random interpolator, since an estimate of exactly a quarter is "
                "otherwise right about both cases half of the time",
            ),
        ),
    ),
    Claim(
        "C2",
        "A bound that knows the algorithm does not escape: where the algorithm learns a rich class well, there are "
        "targets on which it fails and looks the same.",
        kind="theorem",
        source="theorems on algorithm-dependent bounds, finite-field linear functions",
        on="finite_field",
        departs=(OURS, Departure("40 coordinates and 20 examples; any dimension will do", d=40)),
        rule=AllOf(
            Below("loss_inside", 0.1, where=RICH, name="error inside the class, as many coordinates as examples",
                  why="learns the class: a tenth of what guessing costs"),
            Above("loss_uniform", 0.9, where=RICH, name="error on uniform targets", why="fails outside"),
            Above("failure", 0.4, where=RICH, name="failures of the best estimator, as many coordinates as examples",
                  why="near the half of a coin"),
            Below("estimator_error", 0.02, where={"q": 101, "slack": 4}, name="error of the estimator, four fewer",
                  why="control: an inconsistent sample shows, with chance 101⁻⁴ of a miss"),
            Above("excess", -0.05, name="failures − half the share that looks alike",
                  why="never below 0 in theory; less five standard errors of a share over 2,500 trials"),
            Slope("failure", over="k", inside=(0.0, 1.0), name="failures per coordinate", why="the trade-off"),
            Between("loss_minus_formula", -0.03, 0.03, name="error inside the class − closed form",
                    why="the simulation is the construction: more than three standard errors over 5,000 trials"),
            Between("share_minus_formula", -0.03, 0.03, name="share that looks alike − closed form", why="as above"),
        ),
    ),
    Claim(
        "C3",
        "A bound can be tight only under stated assumptions on the population and the algorithm.",
        source="abstract; discussion",
        untestable="an interpretation of the theorems; no measurement could speak against it",
    ),
    Claim(
        "C4",
        "Of more than a dozen measures none is uniformly tight, and none ranks networks well under every intervention.",
        source="introduction, on the measures of arXiv 1912.02178",
        on="networks",
        departs=(GRID, DIGITS),
        rule=Computed(
            no_measure_is_uniform,
            why="0.8 is nine pairs of ten in order; a tenth of error is the least that makes a bound of use; the gap "
            "of another seed has to do both, and wide intervals count as unclear",
        ),
        note="A pair of networks counts if other seeds leave no doubt about the order of its gaps.",
    ),
    Claim(
        "C5",
        "Where the error moves little when one example is left out it can be estimated from the sample; the parity "
        "learner is not stable and cannot.",
        source="follow-up by the same authors, Which Algorithms Have Tight Generalization Bounds?",
        on="stability",
        departs=("a check in four cases", DIGITS),
        rule=AllOf(
            Below("instability", 0.02, where=STABLE, name="move of the error, stable learners",
                  why="a tenth of what the parity learner moves by"),
            Below("failure", 0.05, where=STABLE, name="estimates off by a quarter, stable learners",
                  why="estimable nearly always"),
            Above("instability", 0.1, where={"algorithm": "parity"}, name="move of the error, parity",
                  why="a fifth of the error at stake"),
            Above("failure", 0.25, where={"algorithm": "parity"}, name="estimates off by a quarter, parity",
                  why="the closed form gives 0.32, over all estimators"),
        ),
    ),
)  # fmt: skip
