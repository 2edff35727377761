"""Claims of arXiv 1906.05271: with a long tail of rare kinds of example, good accuracy takes memorisation."""

from datetime import date

from overparam.lab import Above, AllOf, Below, Between, Claim, Contrast, Departure, Equivalent, Exact, Paper

PAPER = Paper(
    slug="long-tail",
    arxiv="1906.05271",
    published=date(2019, 6, 12),
    title="Does Learning Require Memorization? A Short Tale about a Long Tail",
    authors=("Vitaly Feldman",),
    author_count=1,
    order=1,
    topics=("memorisation", "generalisation"),
    fidelity="reconstruction",
    summary="Why do networks fit labels that look like noise? When many kinds of example are rare, a learner that "
    "refuses to fit the ones it saw once pays for each of them on new data, and it cannot tell a useful rarity from a "
    "mistake. Limiting memorisation, by privacy or by compression, therefore costs accuracy, and most on rare groups.",
)

WORLD = Departure("Gaussian clusters with frequencies that we chose; the paper measures no networks")
DIGITS = Departure("digits of 8 x 8 pixels and perceptrons; the companion takes larger images", data="digits")
CIFAR = Departure("CIFAR-10 and ResNet-18; the companion takes CIFAR-100 and ImageNet, ResNet-50", data="cifar10")
COMPANION = "companion paper, arXiv 2008.03703"
TWO_PER_CENT = "the theorem is an equality; 2 % leaves room for the Monte-Carlo form of tau and 400 data sets"
_LIMITS = ("privacy", "width", "pruning and tuning")
_LEARNERS = ("neighbours", "kernel", "mlp")
ALIKE = "more often alike than not"
FAR = {"kind": "two-level", "parameter": (20.0, 50.0, 200.0)}
TAIL = {"groups": "head and tail"}
SKIPPED = "change of error for each singleton not fitted, in units of tau"


def _hurt(limit: str, level: float, name: str) -> Contrast:
    """How much more a limit takes from the tail than from the head: the gap between groups, with and without it."""
    treat = {"limit": limit, "level": level}
    words = f"{name}: loss of the tail − loss of the head"
    return Contrast("gap", treat=treat, against={"limit": "none"}, where=TAIL, name=words, unit="points")


def _removed(share: float) -> Contrast:
    treat, against = {"arm": "random"}, {"arm": "memorised"}
    words = f"random − memorised, {share:.0%} removed"
    return Contrast("accuracy", treat=treat, against=against, where={"share": share}, name=words, unit="points")


def _agrees(where: dict[str, object], name: str) -> Between:
    return Between("relative_gap", -0.02, 0.02, where=where, name=name, why=TWO_PER_CENT)


def _skipping(noise: float) -> Above | Below:
    rule = Below if noise > 0.9 else Above
    return rule("slope", 0.0, where={"noise": noise}, name=f"{SKIPPED}, {noise:.0%} wrong labels")


CLAIMS = (
    Claim(
        "C1",
        "Each example that was seen once and whose label is not fitted costs tau on the population: the error exceeds "
        "the optimum by tau times their number.",
        kind="theorem",
        source="theorem on the cost of not fitting, section 2",
        on="price",
        rule=AllOf(
            Above("excess", 0.0, name="error of a learner that guesses singletons, above the optimum"),
            *(_agrees({"size": (500, k)}, f"measured / predicted − 1, {k:,} kinds") for k in (1000, 5000)),
        ),
    ),
    Claim(
        "C1z",
        "Under Zipf's law with as many kinds as examples this matters: a large part of the sample was seen once, and "
        "guessing those labels adds much to the error that nobody can avoid.",
        source="illustration in the introduction; its figures are recomputed here, not quoted",
        on="illustration",
        rule=AllOf(
            Above("singleton_share", 0.1, name="part of the sample that was seen once", why="large: above a tenth"),
            Above("cost_ratio", 1 / 3, name="cost / unavoidable error", why="much: more than a third on top"),
        ),
    ),
    Claim(
        "C1i",
        "Natural images are long-tailed in this sense, which is why networks that do well on them memorise.",
        source="introduction",
        untestable="the frequencies of the kinds in natural images are not known, so tau cannot be computed for them; "
        "C7r is the nearest test, and a proxy",
    ),
    Claim(
        "C2",
        "If kinds are either frequent or far rarer than one over the size of the sample, singletons stand for little "
        "and need not be fitted; with mass in between, tau is at least that mass over five times the size.",
        kind="theorem",
        source="lemma on tau and the weight of the prior, section 2; constants derived by us",
        on="middle_mass",
        rule=AllOf(
            Exact("shortfall", 0.0, name="floor − tau where positive, times n", why="a bound holds in every case"),
            Exact("off_gap", 0.1, where=FAR, name="n tau times the gap − 1", why="a tenth for the finite sample"),
            Exact("cost", 0.01, where=FAR, name="cost of guessing singletons", why="not needed: under one point"),
        ),
    ),
    Claim(
        "C3",
        "As long as a label tells anything, it pays to fit all singletons, wrong ones included; only when nearly all "
        "labels are wrong does it pay to skip them.",
        kind="theorem",
        source="discussion of outliers and mislabelled examples",
        on="wrong_labels",
        rule=AllOf(*(_skipping(noise) for noise in (0.0, 0.1, 0.3, 0.5, 0.95))),
        note="Ten labels: the slope is 0.9 less the share of wrong labels, so it turns at 90 %.",
    ),
    Claim(
        "C4",
        "The bound carries over to continuous features for learners that treat fresh points of a cluster like the "
        "training point: the excess error is at least the coupling times tau times the unfitted singletons.",
        source="theorem for mixtures of subpopulations, section 4",
        on="coupling",
        departs=(WORLD, "coupling measured as agreement between training point and fresh points of its cluster"),
        rule=AllOf(
            *(Above("margin", 0.0, where={"learner": k}, name=f"excess − bound, {k}") for k in _LEARNERS),
            *(Above("coupling", 0.5, where={"learner": k}, name=f"coupling, {k}", why=ALIKE) for k in _LEARNERS),
        ),
    ),
    Claim(
        "C5",
        "A learner whose memorisation is bounded, as privacy does, pays tau for each singleton times the part of the "
        "label that it may not memorise.",
        kind="theorem",
        source="corollaries on memorisation and on differential privacy",
        on="bounded",
        rule=AllOf(
            _agrees({"limit": "memorisation"}, "measured / predicted − 1, bounded memorisation"),
            Above("margin", 0.0, where={"limit": "privacy"}, name="excess − bound, privacy of labels"),
        ),
    ),
    Claim(
        "C5n",
        "Networks under such limits pay at least that much.",
        source="the same, in practice",
        on="groups",
        departs=(WORLD,),
        rule=AllOf(
            *(Above("margin", 0.0, where={**TAIL, "limit": k}, name=f"excess − bound, {k}") for k in _LIMITS),
        ),
    ),
    Claim(
        "C6",
        "Privacy and compression hurt groups with a long tail more than groups without, at equal mass.",
        source="section on disparate effects",
        on="groups",
        departs=(WORLD,),
        rule=AllOf(
            _hurt("privacy", 1.0, "DP-SGD"),
            _hurt("width", 8.0, "width 8"),
            _hurt("pruning and tuning", 0.9, "90 % pruned"),
            Equivalent(
                "gap",
                treat={"limit": "privacy"},
                against={"limit": "none"},
                where={"groups": "alike"},
                margin=5.0,
                name="control, DP-SGD on two groups alike",
                unit="points",
                why="groups of one kind must not differ by more than five points",
            ),
        ),
        note="The figure shows all levels of pruning, also those at which both groups collapse, clipping without "
        "noise, and the same steps without clipping.",
    ),
    Claim(
        "C7",
        "Networks trained on random subsets measure the memorisation of all examples at once.",
        source=COMPANION,
        on="mistakes",
        departs=(DIGITS, CIFAR),
        rule=AllOf(
            Above("split_correlation", 0.5, name="correlation of two halves", why="more signal than noise in a half"),
            Below("error_ratio", 1.0, name="squared error of a half / its bound", why="the bound of the estimator"),
        ),
    ),
    Claim(
        "C7m",
        "Mislabelled and atypical examples have high values.",
        source=COMPANION,
        on="mistakes",
        departs=(DIGITS, CIFAR),
        rule=AllOf(
            Above("area", 0.85, name="area under the curve, wrong labels", why="17 of 20 pairs in the right order"),
            Above("atypical", 0.0, name="memorisation of atypical − of other right labels"),
        ),
        note="Atypical: the tenth of right labels that the nearest neighbours most contradict, by the exact formula.",
    ),
    Claim(
        "C7r",
        "Removing clean examples that are memorised costs more test accuracy than removing as many at random.",
        source=COMPANION,
        on="removal",
        departs=(DIGITS, CIFAR),
        rule=AllOf(*(_removed(share) for share in (0.02, 0.05, 0.1))),
    ),
)
