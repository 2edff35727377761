"""Claims of arXiv 2107.07075: scores taken early in training find the examples that matter."""

from datetime import date

from overparam.lab import Above, AllOf, Below, Claim, Contrast, Departure, Paper

PAPER = Paper(
    slug="data-diet",
    arxiv="2107.07075",
    published=date(2021, 7, 14),
    title="Deep Learning on a Data Diet: Finding Important Examples Early in Training",
    authors=("Mansheej Paul", "Surya Ganguli", "Gintare Karolina Dziugaite"),
    author_count=3,
    order=27,
    topics=("pruning", "generalisation"),
    fidelity="official code",
    code="https://github.com/mansheej/data_diet",
    summary="Two scores rate single training examples a few epochs into training: the norm of the error (EL2N) and the "
    "norm of the gradient of the loss (GraNd), each averaged over several networks. Training on the highest scored "
    "half is said to lose nothing. The published result for GraNd before any training did not survive a check by "
    "others (arXiv 2303.14753), and this page tries it as it stands.",
)

DIGITS = Departure("1,200 digits of 8 x 8 pixels, a perceptron; the paper trains ResNet-18 on CIFAR-10", data="digits")
MNIST = Departure("6,000 images of MNIST, a perceptron; the paper trains ResNet-18 on CIFAR-10", data="mnist")
SMALL = Departure("10,000 images and a network of three convolutions; the paper trains ResNet-18 on all", model="cnn")
STAND_INS = (DIGITS, MNIST)
MARGIN = "no loss means less than half a point: a third of what dropping half at random costs in a prototype (1.7)"


def _gap(treat: dict[str, object], against: dict[str, object], name: str, above: float = 0.0) -> Contrast:
    why = MARGIN if above else ""
    return Contrast("accuracy", treat=treat, against=against, above=above, name=name, unit="points", why=why)


def _scores(first: str, second: str, keep: float, name: str, above: float = 0.0) -> Contrast:
    where = {"keep": keep, "times": 1}
    return _gap({"score": first, **where}, {"score": second, **where}, f"{name}, {keep:.0%} kept", above)


SOURCES = {
    "el2n:mlp-64": "half the width",
    "el2n:mlp-512": "four times the width",
    "el2n:cnn": "a convolutional network",
    "el2n:rate-2": "twice the learning rate",
}
ALL, DROP = {"keep": 1.0, "offset": 0.0, "score": "el2n"}, {"keep": 0.9, "offset": 0.0, "score": "el2n"}
MIDDLE, TOP = {"keep": 0.4, "offset": 0.5, "score": "el2n"}, {"keep": 0.4, "offset": 0.6, "score": "el2n"}
NOISE_RULE = AllOf(
    _gap(MIDDLE, TOP, "40 % kept: window 50 to 90 % − highest scores"),
    _gap(DROP, ALL, "highest tenth dropped − all"),
)

CLAIMS = (
    Claim(
        "C1",
        "Both scores, averaged over several networks, find early in training the examples that matter for "
        "generalisation: training on the highest scored beats training on as many random ones.",
        source="abstract",
        on="pruning",
        departs=STAND_INS,
        rule=AllOf(
            *(_scores("el2n", "random", keep, "EL2N − random") for keep in (0.5, 0.3)),
            *(_scores("grand", "random", keep, "GraNd − random") for keep in (0.5, 0.3)),
        ),
    ),
    Claim(
        "C2",
        "With EL2N a few epochs into training, half of the data can be dropped and test accuracy slightly improves.",
        source="abstract",
        on="half",
        departs=STAND_INS,
        rule=AllOf(
            _gap({"arm": "el2n"}, {"arm": "random"}, "EL2N half − random half"),
            _gap({"arm": "el2n"}, {"arm": "all"}, "EL2N half − all, no loss", above=-0.5),
            _gap({"arm": "el2n"}, {"arm": "all"}, "EL2N half − all, improvement"),
        ),
        reported="half of CIFAR-10 pruned while slightly improving test accuracy",
        note="At a short budget a part of a gain over the full data may be faster fitting: a figure also "
        "shows training three times as long.",
    ),
    Claim(
        "C3",
        "GraNd of networks before any training already finds examples to drop at no loss against chance.",
        source="section on pruning at initialisation",
        on="pruning",
        departs=STAND_INS,
        rule=_scores("grand-init", "random", 0.5, "GraNd at initialisation − random"),
        note="Kirsch (arXiv 2303.14753) found this no better than random pruning and close to the norm of the input, "
        "and traced the published result to a checkpoint restore that returned trained weights. Here step 0 is checked "
        "to hold exactly the initial weights.",
    ),
    Claim(
        "C4",
        "EL2N from another architecture or learning rate selects data that also beat random data.",
        source="abstract",
        on="transfer",
        departs=(*STAND_INS, Departure("scores of the other networks averaged over three", model="mlp-128")),
        rule=AllOf(*(_gap({"source": s}, {"source": "random"}, f"scores of {n} − random") for s, n in SOURCES.items())),
    ),
    Claim(
        "C5",
        "EL2N, which sees only the start of training, selects as well as or better than forgetting events, which need "
        "the whole training, as long as much is kept.",
        source="abstract; comparison with forgetting scores",
        on="pruning",
        departs=(
            *STAND_INS,
            Departure("forgetting counted over two trainings; the paper averages more", model="mlp-128"),
        ),
        rule=AllOf(*(_scores("el2n", "forget", keep, "EL2N − forgetting", above=-0.5) for keep in (0.7, 0.5))),
    ),
    Claim(
        "C6",
        "The very highest scores hold the wrong labels: with a tenth of the labels shuffled, leaving out the top of "
        "the ranking beats keeping it.",
        source="abstract; experiments with randomised labels",
        on="wrong_labels",
        departs=STAND_INS,
        rule=NOISE_RULE,
        note="The window was fixed beforehand; it is not the best one on the test set.",
    ),
    Claim(
        "C6h",
        "The same holds for the mistakes of human annotators (CIFAR-10N, the set with most errors).",
        source="our extension of C6; labels from CIFAR-10N",
        on="human_labels",
        departs=(SMALL, "CIFAR-10N appeared after the paper, and a shared JPEG copy of CIFAR-10 may stand in for it"),
        rule=NOISE_RULE,
    ),
    Claim(
        "C7",
        "High scores drive the dynamics: the tangent kernel turns faster on them, and runs become linearly connected "
        "earlier as seen by examples with low scores.",
        source="abstract; section on training dynamics",
        on="dynamics",
        departs=STAND_INS,
        rule=AllOf(
            Above("velocity_gap", 0.0, name="kernel velocity, highest − lowest 50"),
            Below(
                "onset_gap",
                0.0,
                name="first spawn with a barrier under 1 point, lowest − highest",
                unit="epochs",
                why="earlier for low scores means a negative difference",
            ),
        ),
        note="Spawns are tried at few epochs, so the second difference is coarse and may be the same for all seeds.",
    ),
)
