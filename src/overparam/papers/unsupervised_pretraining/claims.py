"""Claims of arXiv 2303.01566: when pretraining on unlabelled data provably helps."""

from datetime import date

from overparam.lab import Above, AllOf, Below, Claim, Computed, Paper, Slope
from overparam.papers.unsupervised_pretraining.rates import exponents

PAPER = Paper(
    slug="unsupervised-pretraining",
    arxiv="2303.01566",
    published=date(2023, 3, 2),
    title="On the Provable Advantage of Unsupervised Pretraining",
    author_count=4,
    order=20,
    topics=(
        "pretraining",
        "generalisation",
    ),
    fidelity="paper",
    summary=(
        "When does pretraining on unlabelled data provably help? With a latent-variable model fitted first and a "
        "predictor fitted on top, the error splits into a part that shrinks with unlabelled and one that shrinks "
        "with labelled data. Factor models, mixtures and contrastive learning are worked out as cases."
    ),
)

CONSTANTS = "the bound is taken times the mean square of the response, without the constants and logarithms left open"
CHANCE = "the bound holds with high probability, not in every sample, so seeds are averaged"
SUPERVISED = {
    "least_squares": "least squares",
    "ridge": "ridge chosen by leaving one out",
    "best_ridge": "ridge chosen by the true risk",
    "labelled_only": "the same two phases on the labelled inputs alone",
}
CONTROLS = {"factor": "factor model", "mixture": "mixture", "pairs": "contrastive pairs"}


def _cheaper(n: int) -> tuple[Below, ...]:
    """Two-phase learning against every supervised route with n labels."""
    return tuple(
        Below(
            f"against_{name}", 0.0, where={"m": 20_000, "n": n}, name=f"log excess against {words}, {n} labels",
            why="the excess has to be smaller, seed by seed",
        )
        for name, words in SUPERVISED.items()
    )  # fmt: skip


CLAIMS = (
    Claim(
        "C1",
        "Two-phase learning has an excess risk of order 1/sqrt(m) + 1/sqrt(n) or less in m unlabelled and n labelled "
        "examples.",
        kind="theorem",
        source="abstract, main theorem",
        on="factor",
        rule=Computed(
            exponents,
            name="exponents of m and n in the excess, fitted together where m is at least 200 and n at least 20, each "
            "at least 1/2",
            why="an upper bound: a faster decay agrees with it, a slower one contradicts it",
        ),
        note="For the squared loss of a factor model the closed form gives 1/m + 1/n, faster than the bound.",
    ),
    Claim(
        "C2",
        "With many more unlabelled than labelled examples, two-phase learning beats supervised learning on the "
        "labelled examples alone.",
        source="abstract, comparison with supervised learning",
        on="factor",
        rule=AllOf(*_cheaper(20), *_cheaper(80), *_cheaper(320)),
    ),
    Claim(
        "C2d",
        "The labels that two-phase learning needs do not grow with the number of inputs; those of supervised learning "
        "do.",
        kind="theorem",
        source="comparison of sqrt(r/n) with sqrt(d/n)",
        on="dimension",
        rule=AllOf(
            Slope(
                "log_two_phase",
                over="log_d",
                inside=(-0.25, 0.25),
                where={"r": (2, 3)},
                name="two phases: exponent of the inputs",
                why="none in the bound; half of the supervised 1/2 is allowed",
            ),
            Slope(
                "log_least_squares",
                over="log_d",
                inside=(0.5, 3.0),
                where={"r": (2, 3)},
                name="least squares: exponent of the inputs",
                why="at least that of the bound; d/(n - d - 1) is steeper",
            ),
        ),
    ),
    Claim(
        "C3g",
        "The same holds for Gaussian mixtures: with unlabelled data in plenty, two phases beat supervised learning.",
        source="section on Gaussian mixtures",
        on="mixture",
        rule=AllOf(
            *(
                Below(
                    f"minus_{name}",
                    0.0,
                    where={"m": (2_000, 4_000), "n": 20},
                    name=f"excess minus that of {words}",
                    why="smaller excess error, seed by seed, with 20 labels",
                )
                for name, words in (
                    ("logistic", "logistic regression"),
                    ("neighbours", "nearest neighbours"),
                    ("labelled_only", "the same phases on labelled inputs alone"),
                )
            )
        ),
    ),
    Claim(
        "C3c",
        "For contrastive learning the number of pairs decides: with few of them supervised learning is better, with "
        "many pretraining is.",
        source="section on contrastive learning; the first term of the bound",
        on="contrastive",
        rule=AllOf(
            Above(
                "against_ridge",
                0.0,
                where={"m": (100, 500), "n": (20, 60)},
                name="few pairs: log excess against ridge",
                why="the sign has to turn along m",
            ),
            Below(
                "against_ridge",
                0.0,
                where={"m": (2_000, 8_000), "n": (20, 60)},
                name="many pairs: log excess against ridge",
                why="the sign has to turn along m",
            ),
        ),
    ),
    Claim(
        "C4",
        "Without the condition that the latent variable informs about the label, pretraining does not help however "
        "many labels there are.",
        source="informative condition, section 3",
        on="condition",
        rule=AllOf(
            *(
                rule
                for case, words in CONTROLS.items()
                for rule in (
                    Above(
                        "two_phase",
                        0.5,
                        where={"case": case, "n": 6_400},
                        name=f"{words}: share lost",
                        why="more than half of what a constant prediction loses, at the most labels tried",
                    ),
                    Below(
                        "supervised",
                        0.1,
                        where={"case": case, "n": 6_400},
                        name=f"{words}: supervised, lost",
                        why="the same labels suffice for supervised learning, so they are learnable",
                    ),
                )
            )
        ),
    ),
    Claim(
        "C5",
        "Factor models: the excess is at most of order sqrt(d r/m) + sqrt(r/n).",
        kind="theorem",
        source="theorem on factor models",
        on="factor",
        departs=(CONSTANTS,),
        rule=AllOf(
            *(
                Below("over_bound", 1.0, where={"n": n}, name=f"{n} labels: mean excess over the bound", why=CHANCE)
                for n in (20, 80, 320)
            )
        ),
        note="First judged case by case: of 2,100 data sets one, with 10 labels, lay above (1.9 times).",
    ),
    Claim(
        "C5g",
        "Gaussian mixtures: the excess error is at most of order sqrt(d K/m) + sqrt(K/n).",
        kind="theorem",
        source="theorem on Gaussian mixtures",
        on="mixture",
        departs=(CONSTANTS,),
        rule=Below("over_bound", 1.0, name="mean excess over the bound", why=CHANCE),
    ),
    Claim(
        "C5c",
        "Contrastive learning: the excess is at most of order sqrt(d r/m) + sqrt(r/n).",
        kind="theorem",
        source="theorem on contrastive learning",
        on="contrastive",
        departs=(CONSTANTS,),
        rule=Below("over_bound", 1.0, name="mean excess over the bound", why=CHANCE),
    ),
    Claim(
        "C6",
        "On real digits with 20 labels, pretraining on 1,000 unlabelled ones beats the best of three supervised "
        "learners.",
        source="our test of the abstract's advantage on real data",
        on="digits",
        departs=("no latent model describes digits exactly", "8x8 digits; the paper shows no data"),
        rule=AllOf(
            *(
                Above(
                    f"gain_{name}",
                    0.0,
                    where={"n": 20},
                    name=f"{words}: gain in accuracy",
                    unit="points",
                    why="the best supervised learner is chosen on the test images, which favours it",
                )
                for name, words in (
                    ("factor", "factor model"),
                    ("mixture", "mixture"),
                    ("pairs", "pairs of moved digits"),
                )
            )
        ),
    ),
)
