"""Claims of arXiv 2203.10036: networks generalise where the gradients of single examples agree."""

from datetime import date

from overparam.lab import Above, AllOf, Between, Claim, Contrast, Correlation, Departure, Exact, Paper, Ratio

PAPER = Paper(
    slug="gradient-coherence",
    arxiv="2203.10036",
    published=date(2022, 3, 18),
    title="On the Generalization Mystery in Deep Learning",
    authors=("Satrajit Chatterjee", "Piotr Zielinski"),
    author_count=2,
    order=2,
    topics=(
        "generalisation",
        "optimisation",
    ),
    fidelity="paper",
    summary=(
        "Gradient descent generalises, the argument goes, when the gradients of single examples agree. A cheap "
        "scalar measures the agreement; it is high on real labels and low on random ones, and explains early "
        "stopping and resistance to label noise. Robust averages that drop directions of few examples should then"
        " reduce memorisation."
    ),
)

DIGITS = Departure(
    "digits of 8 x 8 pixels and a perceptron; the paper trains large networks on ImageNet", data="digits"
)
MNIST = Departure("1,000 images of MNIST and a perceptron; the paper trains large networks on ImageNet", data="mnist")
PHOTOS = Departure("5,000 photographs and a network of three convolutions; the paper uses ImageNet", model="cnn")
CIFAR = Departure("CIFAR-10 and ResNet-18 without its augmentation; the paper uses ImageNet", model="resnet18")
STAND_INS = (DIGITS, MNIST, CIFAR)
HALF = {"share": 0.5}
FACTOR = "'very different' is taken as a factor of three at least"
REDRAWN = "labels are redrawn among all classes, so a tenth of them are right again by chance"


def _rule(rule: str, name: str, rate: float = 0.5) -> tuple[Contrast, Contrast]:
    treat, plain = {"rule": rule, "rate": rate, "noise": 0.5}, {"rule": "mean", "rate": rate, "noise": 0.5}
    return (
        Contrast("test", treat=treat, against=plain, name=f"{name}: test accuracy − descent", unit="points"),
        Contrast(
            "memorised", treat=treat, against=plain, below=0.0, name=f"{name}: memorised − descent", unit="points"
        ),
    )


CLAIMS = (
    Claim(
        "C1",
        "One cheap scalar, m-coherence, says on how many examples a step on one of them helps; where examples share a "
        "feature it is large and descent generalises, where they share none it is one and descent memorises.",
        kind="identity",
        source="section on an illustrative example",
        on="shared_feature",
        rule=AllOf(
            Exact("alpha_error", 1e-9, name="measured alpha − (c² + 1/m)/(c² + 1)"),
            Exact("growth_error", 1e-9, name="shared weight / own weight over c m, after one step, − 1"),
            Between("random_m_coherence", 0.9, 1.1, name="mean m-coherence without a shared feature",
                    why="its expectation is exactly 1; a tenth either way covers the finite number of draws"),
            Above("accuracy_gap", 40.0, name="test accuracy with − without a shared feature", unit="points",
                  why="100 % against 50 % in expectation, less a fifth"),
        ),
    ),
    Claim(
        "C2",
        "Early in training m-coherence is far higher on real labels than on random ones, where it starts near one, "
        "the value of orthogonal gradients.",
        source="abstract; section on measuring coherence",
        on="noise",
        departs=STAND_INS,
        rule=AllOf(
            Ratio("peak", treat={"share": 0.0}, against={"share": 1.0}, above=3.0, why=FACTOR,
                  name="highest m-coherence of epochs 0 to 5, real / random labels"),
            Between("start", 1 / 3, 3.0, where={"share": 1.0}, name="m-coherence before training, random labels",
                    why="near one: within the factor of three that separates real from random"),
        ),
        note="Networks start undecided, with a small last layer: the error that all examples share under a decided "
        "start makes gradients agree whatever the labels. On random labels it may rise later; the paper says so.",
    ),
    Claim(
        "C2p",
        "The same holds for a convolutional network on photographs.",
        source="abstract; section on measuring coherence",
        on="photographs",
        departs=(PHOTOS, CIFAR),
        rule=Ratio("peak", treat={"share": 0.0}, against={"share": 1.0}, above=3.0, why=FACTOR,
                   name="highest m-coherence of epochs 0 to 5, real / random labels"),
    ),
    Claim(
        "C3",
        "The expected generalisation gap is bounded by a sum over the steps that grows as coherence falls.",
        kind="theorem",
        source="the stability bound",
        untestable="the constants of the bound, Lipschitz and smoothness of the loss, are unknown for a network, and "
        "with safe values it says nothing; C3t tries its trend",
    ),
    Claim(
        "C3t",
        "The trend of the bound: the lower the coherence along the way, the larger the generalisation gap.",
        source="the stability bound",
        on="noise",
        departs=STAND_INS,
        rule=Correlation("disagreement", "gap", above=0.5, name="rank correlation of mean 1 − alpha and gap",
                         why="five levels of noise make it coarse: more than half the agreement that is possible"),
        note="A trend over levels of label noise, not the bound. The gap is train minus test accuracy, on labels with "
        "equal noise. Once examples are fitted their gradients vanish and coherence is low for real labels, too, which "
        "a plain mean over time counts in full: see C3n.",
    ),
    Claim(
        "C3n",
        "The same trend with the measured gradient norm in place of the Lipschitz constant: the sum over the steps of "
        "√(2 (1 − alpha)) times the norm orders the gaps.",
        source="our reading of the stability bound",
        on="noise",
        departs=STAND_INS,
        rule=Correlation("displacement", "gap", above=0.5, name="rank correlation of the sum and gap",
                         why="as for C3t"),
        note="This is how far replacing one example moves a run at most, to first order. The rule was written after "
        "C3t had failed with the plain mean.",
    ),
    Claim(
        "C4",
        "Examples that are learned early are mutually coherent and hard ones are not, and they are reliably the same "
        "ones from run to run.",
        source="section on easy and hard examples",
        on="easy_hard",
        departs=STAND_INS,
        rule=AllOf(
            Above("agreement", 0.5, name="rank correlation of learning times, one run against the others",
                  why="reliably: more than half of the correlation that is possible"),
            Above("log2_ratio", 0.0, name="log₂ m-coherence of the easy third / the hard third, after epoch 1"),
            Above("gap_difference", 0.0, name="gap on held-out examples of the same kind, hard − easy", unit="points"),
        ),
        note="Easy and hard are told by the other runs, never by the one that is measured. The gap is that of a "
        "network trained on half of a third and tested on the other half.",
    ),
    Claim(
        "C5",
        "Early stopping works because coherent directions are learned first: test accuracy peaks before the wrong "
        "labels are fitted, and then falls.",
        source="abstract; section on early stopping",
        on="noise",
        departs=(*STAND_INS, REDRAWN),
        rule=AllOf(
            Above("late_memory", 0.0, where=HALF, name="half of the wrong labels fitted − best epoch",
                  unit="epochs"),
            Above("decline", 0.0, where=HALF, name="best − final test accuracy", unit="points"),
        ),
    ),
    Claim(
        "C6",
        "Learning from noisy labels works because right examples agree and wrong ones do not: coherence falls with "
        "the share of noise, and right labels are learned first.",
        source="abstract; section on label noise",
        on="noise",
        departs=(*STAND_INS, REDRAWN),
        rule=AllOf(
            Correlation("share", "peak", below=-0.9, name="rank correlation of noise and m-coherence",
                        why="of five levels: falls at nearly every step"),
            Above("agreement_gap", 0.0, where=HALF, name="alpha of right − of wrong examples, epochs 1 to 5"),
            Above("right_first", 0.0, where=HALF, name="fitted at the best epoch, right − wrong labels", unit="points"),
        ),
    ),
    Claim(
        "C7",
        "Robust averages that drop what only few examples say, winsorised gradients and M3, reduce the memorisation of "
        "wrong labels and the loss of test accuracy that comes with it.",
        source="section on suppressing weak directions; arXiv 2002.10657, 2003.07422",
        on="robust",
        departs=(Departure("digits of 8 x 8 pixels; the paper trains on MNIST and ImageNet", data="digits"), REDRAWN),
        rule=AllOf(*_rule("winsor-4", "winsorised, c = 4"), *_rule("m3", "M3")),
        note="At matched training accuracy an early stopped descent does nearly as well: the figure shows it, with the "
        "cost on clean labels.",
    ),
    Claim(
        "C7r",
        "RM3, the rolling median of the last three gradients, does the same at the cost of plain descent.",
        source="arXiv 2003.07422",
        on="robust",
        departs=(Departure("digits of 8 x 8 pixels; the paper trains on ImageNet", data="digits"), REDRAWN),
        rule=AllOf(*_rule("rm3", "RM3"), *_rule("rm3", "RM3, smaller rate", 0.1)),
    ),
    Claim(
        "C8",
        "Coherence is the most promising line of attack on the mystery of generalisation.",
        source="discussion",
        untestable="an opinion about research, not a statement about data",
    ),
)  # fmt: skip
