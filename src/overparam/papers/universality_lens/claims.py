"""Claims of arXiv 2506.07661: why even highly over-parametrised models learn well."""

from datetime import date

from overparam.lab import Above, AllOf, Below, Between, Claim, Equivalent, Exact, Paper

PAPER = Paper(
    slug="universality-lens",
    arxiv="2506.07661",
    published=date(2025, 6, 9),
    title="The Universality Lens: Why Even Highly Over-Parametrized Models Learn Well",
    author_count=3,
    order=3,
    topics=("generalisation",),
    fidelity="reconstruction",
    summary=(
        "A Bayesian mixture over a huge class of hypotheses predicts almost as well as the truth, and its regret "
        "depends on the prior weight near the truth instead of the size of the class. This gives one account of "
        "why very large models do not overfit, and suggests Langevin sampling and ensembles of probabilities in "
        "practice."
    ),
)

FINITE = "checked on a finite class of Boolean functions: it says nothing of itself about large language models"
OURS = "the paper has no experiment; the setting is ours"
EVERY = "in every case tried"

CLAIMS = (
    Claim(
        "C1",
        "The regret of a Bayesian mixture depends on the prior weight near the truth and not on the number of "
        "parameters.",
        kind="theorem",
        source="abstract, key result",
        on="networks",
        departs=(FINITE,),
        rule=AllOf(
            Exact("over_bound", 0.0, name="regret above the bound by more than 3 standard errors, nats", why=EVERY),
            Equivalent(
                "constant",
                margin=1.0,
                treat={"hidden": ("32-32", "256-256")},
                against={"hidden": "8"},
                unit="nats",
                where={"n": 200},
                name="constant target: regret of large minus small networks",
                why="parameters grow 20-fold and more; one nat is a factor of e in weight",
            ),
        ),
    ),
    Claim(
        "C1b",
        "For a smooth family the regret grows like half the logarithm of n times the dimension that data can "
        "identify, however many parameters describe it.",
        kind="identity",
        source="weight of smooth families, discussion of the key result",
        on="coin",
        rule=AllOf(
            Exact(
                "slope_gap", 0.02, name="distance of the slope in ln n from one half", why="one identifiable parameter"
            ),
            Exact("over_bound", 0.0, name="regret above the bound, nats", why=EVERY),
            Between(
                "dimension",
                0.95,
                1.05,
                across="copies",
                name="effective dimension",
                why="one, for one to three parameters whose product counts",
            ),
        ),
    ),
    Claim(
        "C2",
        "Targets of large weight need few examples and targets of small weight many.",
        source="abstract; non-uniform bound",
        on="networks",
        departs=(FINITE,),
        rule=AllOf(
            Above(
                "rank_correlation",
                0.95,
                where={"n": 200},
                name="rank correlation of regret and bound over targets",
                why="the bound orders targets almost without exception",
            ),
            Above(
                "range",
                20.0,
                where={"n": 200},
                name="regret of the hardest minus the easiest target",
                unit="nats",
                why="a prior that treats all functions alike would cost 22 nats for every target",
            ),
            Below(
                "control_spread",
                1.0,
                where={"n": 200},
                name="the same range under such a prior",
                unit="nats",
                why="the control: simplicity comes from the weights, not from the targets",
            ),
        ),
    ),
    Claim(
        "C3",
        "Data of a simple truth concentrate the posterior around it, although nearly all of the class is complex.",
        source="section on why over-parametrised models do not overfit",
        on="networks",
        departs=(FINITE,),
        rule=AllOf(
            Above(
                "ball_mass", 0.99, where={"n": 200}, name="posterior mass near the constant target", why="concentrated"
            ),
            Below(
                "prior_mass", 0.5, where={"n": 200}, name="prior mass near it", why="most of the class lies elsewhere"
            ),
        ),
    ),
    Claim(
        "C4a",
        "Langevin dynamics samples from the posterior as the step goes to zero.",
        kind="theorem",
        source="section on practice",
        on="langevin",
        departs=("linear regression, whose posterior is known",),
        rule=AllOf(
            Between(
                "sgld",
                0.97,
                1.03,
                name="variance over its closed form at the same step",
                why="three per cent for the noise of sampling; the closed form tends to the posterior",
            ),
            Between(
                "mala", 0.97, 1.03, name="variance with Metropolis over the posterior's", why="unbiased at every step"
            ),
        ),
    ),
    Claim(
        "C4b",
        "The ensemble of predictive probabilities has a log-loss of at most the mean of its members'.",
        kind="identity",
        source="section on practice; Jensen's inequality",
        on="digits",
        rule=Exact("jensen_excess", 1e-6, name="log-loss above the members' mean, nats", why="single precision"),
    ),
    Claim(
        "C4c",
        "An ensemble sampled by Langevin dynamics predicts better than one trained network and than an ensemble of "
        "them.",
        source="section on practice",
        on="digits",
        departs=(OURS, "8x8 digits, a perceptron with 64 hidden units, short chains"),
        rule=AllOf(
            *(
                Below(
                    f"minus_{name}",
                    0.0,
                    name=f"log-loss minus that of {words}",
                    unit="nats",
                    why="smaller, seed by seed",
                )
                for name, words in (
                    ("last", "one trained network"),
                    ("stopped", "one stopped early"),
                    ("deep_ensemble", "five trained networks"),
                )
            )
        ),
    ),
    Claim(
        "C5d",
        "The ensemble can be compressed into one network at a small loss.",
        source="section on distillation",
        on="digits",
        departs=(OURS, "500 digits without labels"),
        rule=Below(
            "student_minus_teacher",
            0.05,
            name="log-loss of the student minus the teacher's",
            unit="nats",
            why="small: five per cent in the mean probability of the right label",
        ),
    ),
    Claim(
        "C5f",
        "Functions of large weight lie in wide basins: flat minima are simple.",
        source="section on flat minima",
        on="flatness",
        departs=(OURS, FINITE, "volume of the region around a trained network that computes the same function"),
        rule=Above(
            "rank_correlation",
            0.3,
            name="rank correlation of log volume and log weight",
            why="a moderate correlation; the weight also counts how many basins there are",
        ),
    ),
    Claim(
        "C6",
        "Batch learners made from the mixture inherit the bound: their risk is at most the regret divided by n.",
        kind="theorem",
        source="online, batch and supervised learning",
        on="batch",
        departs=(FINITE,),
        rule=AllOf(
            Exact(
                "jensen",
                1e-12,
                name="risk of the averaged learner above the mean risk, nats",
                why="convexity, on every path, up to rounding",
            ),
            Exact("averaged_over_bound", 1.0, name="risk of the averaged learner over bound/n", why=EVERY),
        ),
    ),
)
