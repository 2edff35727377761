"""Claims of arXiv 2011.14522: which ways of growing a network keep it learning features, and what the limits do."""

from datetime import date

from overparam.lab import Above, AllOf, Claim, Contrast, Departure, Exact, Paper, Ratio, Slope
from overparam.papers.feature_learning.task_claims import TASK_CLAIMS

PAPER = Paper(
    slug="feature-learning",
    arxiv="2011.14522",
    published=date(2020, 11, 29),
    title="Feature Learning in Infinite-Width Neural Networks",
    authors=("Greg Yang", "Edward J. Hu"),
    author_count=2,
    order=16,
    topics=(
        "scaling",
        "kernels",
    ),
    fidelity="official code",
    code="https://github.com/edwardjhu/TP4",
    summary=(
        "As networks grow wide, the usual parametrisations end up as kernel machines that learn no features. "
        "Scaling initialisation and learning rates layer by layer in another way, called maximal update, keeps "
        "every layer learning in the limit. The limits can be computed, and beat kernels on word vectors and "
        "few-shot images."
    ),
)

FINITE = Departure("two hidden tanh layers (one in the mean field), finite widths, three steps on 16 random inputs")
SCANNED = Departure("two hidden tanh layers, finite widths, three steps on 8 random inputs, exponents clear of edges")
DIGITS = Departure("digits of 8 x 8 pixels, 100 steps of SGD")
FOLLOW_UP = Departure("an extension: a consequence that a later paper of the same authors develops")
TENTH = "the exponent that theory gives; a tenth either way for finite widths"
HALF = "halfway between a kernel that stays O(1) away from constant and the slowest rate, n^(-1/2)"
INFINITY = float("inf")


def _moves(which: str, metric: str, exponent: float, words: str) -> Slope:
    inside = (exponent - 0.1, exponent + 0.1)
    where = {"parametrisation": which}
    return Slope(metric, over="log_width", inside=inside, where=where, name=f"{words}, {which}", why=TENTH)


def _agree(regime: str, least: float) -> Above:
    name = "regime as predicted" + (f", {regime} points" if regime != "all" else ", all points")
    why = "one point in twenty may be blurred by finite width" if regime == "all" else "one in ten within a regime"
    return Above(f"agreement_{regime}", least, name=name, why=why)


CLAIMS = (
    Claim(
        "C1",
        "Standard and neural tangent parametrisations have no limit that learns features: at a learning rate that is "
        "stable as the width grows, features move by one over the root of the width while the function trains on.",
        kind="theorem",
        source="abstract; corollary of the dichotomy on SP and NTK",
        on="movement",
        departs=(FINITE,),
        rule=AllOf(
            *(_moves(k, "log_features", -0.5, "exponent of feature change") for k in ("SP", "NTK")),
            *(_moves(k, "log_outputs", 0.0, "exponent of output change") for k in ("SP", "NTK")),
            Slope(
                "log_outputs",
                over="log_width",
                inside=(0.25, INFINITY),
                where={"parametrisation": "SP, rate fixed"},
                name="exponent of output change, SP at a fixed rate",
                why="unstable: it grows; exponents are multiples of a half",
            ),
        ),
        note="SP at a fixed learning rate is what is used in practice; its changes blow up with width.",
    ),
    Claim(
        "C2",
        "Under the maximal update parametrisation every layer, and the function, moves at a rate that does not "
        "depend on the width.",
        kind="theorem",
        source="abstract; theorem on muP",
        on="movement",
        departs=(FINITE,),
        rule=AllOf(
            _moves("muP", "log_first", 0.0, "exponent of change, first layer"),
            _moves("muP", "log_features", 0.0, "exponent of change, last hidden layer"),
            _moves("muP", "log_outputs", 0.0, "exponent of output change"),
            _moves("mean field", "log_features", 0.0, "exponent of feature change"),
        ),
    ),
    Claim(
        "C3",
        "A stable and nontrivial parametrisation of the abc family either learns features or follows a kernel, never "
        "both; a formula in its exponents says which, and which are unstable or trivial.",
        kind="theorem",
        source="theorem on stability and nontriviality; dynamical dichotomy",
        on="dichotomy",
        departs=(SCANNED,),
        rule=AllOf(_agree("all", 0.95), *(_agree(k, 0.90) for k in ("feature", "kernel", "trivial", "unstable"))),
        note="Points are drawn regime by regime: stability is an equality, so that uniform draws are all unstable.",
    ),
    Claim(
        "C3k",
        "In the kernel regime the tangent kernel stays as it was at the start; where features are learned it moves at "
        "a rate that does not depend on the width.",
        kind="theorem",
        source="dynamical dichotomy",
        on="movement",
        departs=(FINITE,),
        rule=AllOf(
            *(
                Slope(
                    "log_kernel",
                    over="log_width",
                    inside=(-INFINITY, -0.25),
                    where={"parametrisation": k},
                    name=f"exponent of kernel change, {k}",
                    why=HALF,
                )
                for k in ("SP", "NTK")
            ),
            _moves("muP", "log_kernel", 0.0, "exponent of kernel change"),
        ),
    ),
    Claim(
        "C3g",
        "Moving any power of the width from all multipliers to all initial weights, with a matching change of the "
        "learning rate, leaves the function as it is at every step.",
        kind="identity",
        source="symmetry of abc-parametrisations",
        on="gauge",
        rule=Exact("gap", 1e-10, name="largest relative gap of outputs", why="rounding in double precision"),
    ),
    Claim(
        "C4",
        "The feature-learning limit of a linear network with one hidden layer is itself a finite network: networks "
        "drawn from it follow it along SGD, the closer the wider.",
        kind="theorem",
        source="section on the muP limit of linear networks",
        on="limit",
        departs=(DIGITS,),
        rule=Slope(
            "log_gap",
            over="log_width",
            inside=(-0.6, -0.4),
            name="exponent of the largest gap of logits",
            why="averages of n independent terms: -1/2; a tenth either way for finite widths",
        ),
    ),
    Claim(
        "C4g",
        "The limit of any architecture, trained by SGD in any stable parametrisation of the family, can be computed.",
        kind="theorem",
        source="abstract; Tensor Programs master theorem",
        untestable="the general form is a recursion of expectations over ever more Gaussian variables, which the "
        "authors state but evaluate only where it is linear, as C4 does",
    ),
    *TASK_CLAIMS,
    Claim(
        "X5",
        "Under maximal updates the loss as a function of the learning rate hardly depends on the width, so that a "
        "rate found on a narrow network serves a wide one; in the standard parametrisation it does not.",
        source="a consequence; developed in Tensor Programs V, arXiv 2203.03466",
        on="transfer",
        departs=(FOLLOW_UP, "digits, two hidden ReLU layers, 25 full-batch steps"),
        rule=AllOf(
            Ratio(
                "gap",
                treat={"parametrisation": "muP"},
                against={"parametrisation": "SP"},
                below=0.2,
                name="gap of losses between widths, muP / SP",
                why="hardly: four fifths of the gap have to go",
            ),
            Contrast(
                "drift",
                treat={"parametrisation": "SP"},
                against={"parametrisation": "muP"},
                name="drift of the best rate, SP − muP",
                unit="octaves",
            ),
        ),
        note="The gap is taken over learning rates below the best one of the narrow network, where the whole curve "
        "counts and not its shallow minimum alone.",
    ),
)
