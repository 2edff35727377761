"""Claims of arXiv 2310.02541: one step fits everything and learns nothing; later steps learn and still fit."""

from datetime import date

from overparam.lab import Above, AllOf, Below, Between, Claim, Contrast, Exact, Paper, Slope

PAPER = Paper(
    slug="xor-grokking",
    arxiv="2310.02541",
    published=date(2023, 10, 3),
    title="Benign Overfitting and Grokking in ReLU Networks for XOR Cluster Data",
    authors=("Zhiwei Xu", "Yutong Wang", "Spencer Frei", "Gal Vardi", "Wei Hu"),
    author_count=5,
    order=25,
    topics=("generalisation", "optimisation"),
    fidelity="reconstruction",
    summary=(
        "A two-layer network on clusters in the shape of XOR, with some labels flipped, fits all labels after a "
        "single step and is no better than chance on new data. Many steps later it generalises almost perfectly "
        "while still fitting the flipped labels: overfitting that turns benign, and grokking, both proved."
    ),
)

MODERATE = "the dimension is far below what the theorem asks for; C1t and C2t keep to its scaling"
RECALLED = "how p, the means, the start and the step scale with n is recalled, not read; all constants are 1"
HALF = "near random: five points around a half"
NEARLY = "near optimal: at most three errors in a hundred, where the optimum makes none"
UNFITTED = "training labels not fitted after step 1"
FLIPPED = "flipped labels not fitted at any step from 1 on"
FITS = "a label is fitted or not"
LINEAR = "three points around the half at which every linear rule through the origin is"
THREE_QUARTERS = "with an offset the best linear rule cuts off one cluster and is right on three quarters"
LEARNED = "the learned features, not the width, make the difference"
TENDS = "the probability of a good draw tends to one as n grows, so the mean error falls"
LATER = "seeds in which 90 % on new points did not come later than the fit"
INFINITY = float("inf")
EXPONENT = "an exponential has power 1, of a polynomial only a logarithm is left; a fifth for the finite range"

FIRST = AllOf(
    Exact("misfits_first", 0.0, name=UNFITTED, why=FITS),
    Between("test_first", 45.0, 55.0, name="test accuracy after step 1", unit="%", why=HALF),
)
LONG, LARGE = {"signal": 16.0, "n": (100, 400)}, {"start": 3e-3}
CLEARLY = "all or clearly not all: one label in a hundred makes the difference"
GENERALISES = "the level that counts as generalising"


def _sizes(flip: float) -> tuple[Slope, Below]:
    """The error after sqrt(n) steps falls with n, and is small for the most points."""
    change, last = f"change of the error with log n, {flip:.0%} flipped", f"error at n = 800, {flip:.0%} flipped"
    inside, where = (-INFINITY, 0.0), {"flip": flip}
    return (
        Slope("error_last", over="log_n", inside=inside, where=where, name=change, unit="points", why=TENDS),
        Below("error_last", 3.0, where={**where, "n": 800}, name=last, unit="%", why=NEARLY),
    )


CLAIMS = (
    Claim(
        "C1",
        "After one step of full-batch gradient descent the network fits all training labels, the flipped ones "
        "included, and is near random on new points.",
        kind="theorem",
        source="abstract; theorem on the first step",
        on="course",
        departs=(MODERATE,),
        rule=FIRST,
        note="One step fits a label where p outweighs |mu|² times the difference in labels between its cluster and the "
        "opposite one; at moderate p a rare draw of the clusters breaks that.",
    ),
    Claim(
        "C1t",
        "The same where dimension, means, start and step size scale with the number of points as the theorem assumes.",
        kind="theorem",
        source="theorem on the first step",
        on="scaling",
        departs=(RECALLED,),
        rule=FIRST,
    ),
    Claim(
        "C2",
        "Later it is near optimal on new points while it still fits the flipped labels: it has grokked, and its "
        "overfitting is benign.",
        kind="theorem",
        source="abstract; theorem on the later steps",
        on="course",
        departs=(MODERATE,),
        rule=AllOf(
            Above("test_last", 97.0, name="test accuracy after the last step", unit="%", why=NEARLY),
            Exact("flipped_misfits", 0.0, name=FLIPPED, why=FITS),
            Exact("not_later", 0.0, name=LATER, why="a seed has a delay or not"),
        ),
        note="Test labels are clean, so the optimum is 100 %.",
    ),
    Claim(
        "C2t",
        "In the scaling of the theorem this takes at most √n steps, with a probability that tends to one as n grows.",
        kind="theorem",
        source="theorem on the later steps",
        on="scaling",
        departs=(RECALLED,),
        rule=AllOf(Exact("flipped_misfits", 0.0, name=FLIPPED, why=FITS), *_sizes(0.02), *_sizes(0.1)),
    ),
    Claim(
        "C2e",
        "The error of the later network is exponentially small in n |mu|⁴ / p.",
        kind="theorem",
        source="theorem on the later steps",
        on="error_rate",
        departs=(MODERATE,),
        rule=Slope(
            "log_exponent",
            over="log_snr",
            inside=(0.8, INFINITY),
            name="power of n |mu|⁴ / p in −log(2 × error)",
            why=EXPONENT,
        ),
    ),
    Claim(
        "C3",
        "After the first step the network is close to a linear classifier, which cannot solve XOR.",
        kind="theorem",
        source="abstract; analysis of the first step",
        on="mechanism",
        departs=(MODERATE,),
        rule=AllOf(
            Above(
                "correlation_first",
                0.99,
                name="correlation of the network with (lr/8n) Σ y <x_i, x>",
                why="98 % of the variance is that of the linear function",
            ),
            Between("slope_first", 0.9, 1.1, name="its size / that of the closed form", why="a tenth either way"),
        ),
        note="The closed form is derived here; the even part of the network falls as one over its width.",
    ),
    Claim(
        "C3f",
        "Later steps learn features: units with a positive output weight turn to ±mu_1, those with a negative one to "
        "±mu_2, and the network becomes even, as XOR is.",
        kind="theorem",
        source="abstract; analysis of the later steps",
        on="mechanism",
        departs=(MODERATE,),
        rule=AllOf(
            Below("odd_last", 0.2, name="odd part of the last network", why="XOR has none; a linear rule nothing else"),
            Above("matched_gain", 0.0, name="gain of |cosine| with the unit's own mean since step 1"),
            Above("matched_lead", 0.0, name="|cosine| with the unit's own mean − with the other"),
        ),
    ),
    Claim(
        "C4",
        "The overfitting is benign although no linear classifier does better than chance on these data.",
        source="abstract",
        on="rivals",
        departs=(MODERATE, "linear classifiers through the origin, as the network has no biases; see the note"),
        rule=AllOf(
            Between("test", 47.0, 53.0, where={"arm": "logistic"}, name="logistic regression", unit="%", why=LINEAR),
            Exact("flipped_misfits", 0.0, where={"arm": ("network", "logistic")}, name=FLIPPED, why=FITS),
            Above("test", 75.0, where={"arm": "network"}, name="network", unit="%", why=THREE_QUARTERS),
            Contrast("test", treat={"arm": "network"}, against={"arm": "frozen gates"}, unit="points", why=LEARNED),
        ),
        note="x and −x have one label, so every linear rule through the origin is right on exactly half of the points.",
    ),
    Claim(
        "C4p",
        "This is the first result on benign overfitting of networks where the data are not linearly separable.",
        source="abstract",
        untestable="a statement about the literature, not about a measurement",
    ),
    Claim(
        "C5",
        "The assumptions matter: with means too long for the dimension one step does not fit all labels, and from a "
        "large start the labels are fitted without grokking in the same number of steps.",
        source="assumptions of the theorems, which are stated as sufficient; that they matter is our question",
        on="boundary",
        rule=AllOf(
            Exact("misfits_first", 0.0, where={"signal": 1.0}, name=f"short means: {UNFITTED}", why=FITS),
            Below("train_first", 99.0, where=LONG, name="long means: fitted after step 1", unit="%", why=CLEARLY),
            Above("train_last", 99.0, where=LARGE, name="large start: fitted in the end", unit="%", why=CLEARLY),
            Below("test_last", 90.0, where=LARGE, name="large start: test accuracy", unit="%", why=GENERALISES),
        ),
    ),
)
