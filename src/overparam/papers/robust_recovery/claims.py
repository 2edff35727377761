"""Claims of arXiv 2202.08788: the sub-gradient method recovers low-rank matrices from a small start."""

from datetime import date

from overparam.lab import Above, AllOf, Below, Between, Claim, Departure, Paper, Ratio, Slope

PAPER = Paper(
    slug="robust-recovery",
    arxiv="2202.08788",
    published=date(2022, 2, 17),
    title=(
        "Global Convergence of Sub-gradient Method for Robust Matrix Recovery: Small Initialization, Noisy "
        "Measurements, and Over-parameterization"
    ),
    author_count=2,
    order=10,
    topics=(
        "matrix recovery",
        "optimisation",
    ),
    fidelity="reconstruction",
    summary=(
        "A low-rank matrix is recovered from measurements with gross errors by the sub-gradient method on the "
        "absolute loss, with factors wider than the rank. From a small start it converges fast, whatever the "
        "width, and reaches the truth even where the global minimum of the loss is elsewhere."
    ),
)

SMALL = Departure("10 x 10 matrices of rank 2, condition number 1", d=10)
MODERATE = Departure("20 x 20 matrices of rank 3, condition number 1", d=20)
FORMS = "the forms of the start and of the steps are reconstructed, their constants are ours"
GROSS = {"loss": "absolute", "kind": "outlier"}

CLAIMS = (
    Claim(
        "C1",
        "From a small start the sub-gradient method recovers the matrix whatever the width of the factor; the error "
        "that is left is a power of the scale of the start and does not depend on the width.",
        kind="theorem",
        source="abstract; main theorem",
        on="scale",
        departs=(SMALL, MODERATE, FORMS),
        rule=AllOf(
            Ratio(
                "error_smallest", treat={"width": "full"}, against={"width": "exact"}, where={"start": "spectral"},
                below=3.0, name="error of full width / of exact width, alpha 1e-8",
                why="both have to sit on the floor that the last step leaves, which scatters by a small factor",
            ),
            Ratio(
                "error_typical", treat={"width": "full"}, against={"width": "double"}, where={"start": "random"},
                above=1 / 3, below=3.0, name="error of full width / of twice the rank, all scales",
                why="the same small factor, where errors span orders of magnitude",
            ),
            Above(
                "exponent", 0.3, where={"width": ("double", "full")}, name="exponent of the error in alpha",
                why="a power of alpha has a positive exponent; 0.3 takes three orders of alpha for one of error",
            ),
        ),
    ),
    Claim(
        "C2",
        "A small start makes convergence exponentially faster: the number of steps grows as log(1/alpha) for an error "
        "that is a power of alpha, where an ordinary start of a wide factor converges sublinearly.",
        kind="theorem",
        source="abstract; theorems on both step sizes",
        on="speed",
        departs=(SMALL, MODERATE, FORMS),
        rule=AllOf(
            Slope(
                "log_steps_to_root", over="log_log", inside=(0.75, 1.25),
                where={"step": "polyak", "start": "spectral"},
                name="exact measurements: exponent of the steps to error alpha^(1/2) in log(1/alpha)",
                why="one is linear in log(1/alpha); a quarter either way covers the constant term",
            ),
            Slope(
                "log_steps_to_tenth", over="log_log", inside=(0.75, 1.25),
                where={"step": "geometric", "start": "spectral"},
                name="gross errors: exponent of the steps to error 0.1 in log(1/alpha)", why="as above",
            ),
            Below(
                "linear_gain", 0.0, where={"start": "random"},
                name="ordinary start: AIC gain of an exponential over a power law",
                why="sublinear: the power law has to fit better",
            ),
            Between(
                "power_slope", -1.5, -0.5, where={"start": "random"},
                name="ordinary start: exponent of the error in the steps",
                why="surplus columns shrink as 1/sqrt(steps), so their product as 1/steps; half a power either way",
            ),
        ),
        note="With geometric steps an error that is a power of alpha takes of the order of log(1/alpha) squared steps, "
        "since a smaller start asks for a slower decay.",
    ),
    Claim(
        "C3",
        "The same method works for gross errors of any size and density, and for dense Gaussian noise.",
        kind="theorem",
        source="abstract; section on noise models",
        on="noise",
        departs=(
            SMALL, MODERATE, FORMS, Departure("densities up to one half", d=10),
            Departure("densities up to 0.7; nine tenths need ten times the measurements", d=20),
        ),
        rule=AllOf(
            *(
                Below(
                    "relative_error", 0.01, where={**GROSS, "p": p, "size": size},
                    name=f"relative error, {p:.0%} of measurements off by N(0, {size:g}²)",
                    why="exact recovery up to the start; far below the noise in a measurement",
                )
                for p, size in ((0.1, 10.0), (0.5, 10.0), (0.5, 1e4), (0.7, 100.0))
            ),
            Ratio(
                "relative_error", treat={"size": 1e4}, against={"size": 10.0}, where={**GROSS, "p": 0.5},
                above=1 / 3, below=3.0, name="error for errors a thousand times larger",
                why="arbitrary magnitude: a thousandfold larger one changes the error by a small factor",
            ),
            Below(
                "over_rate", 3.0, where={"kind": "gaussian", "loss": "absolute"},
                name="Gaussian noise: error over sigma sqrt(d r / m)", why="the paper's rate up to a small constant",
            ),
        ),
    ),
    Claim(
        "C4",
        "The method approaches the truth although global minima of the loss lie elsewhere: the path does the work.",
        source="abstract; section on Gaussian noise",
        on="dense",
        departs=(SMALL, MODERATE, FORMS),
        rule=AllOf(
            Above(
                "loss_below_truth", 0.0, name="loss of the truth − loss reached from a small start",
                why="a point of lower loss than the truth shows that the truth is no global minimum",
            ),
            Above(
                "loss_below_small", 0.0, name="loss from a small start − loss from an ordinary start",
                why="points of still lower loss exist",
            ),
            Above(
                "times_error", 1.0, name="error from an ordinary start / from a small start",
                why="and they lie farther from the truth",
            ),
            Slope(
                "log_error", over="log_m", inside=(-0.65, -0.35),
                name="exponent of the error in the number of measurements",
                why="the statistical rate is -1/2, so that the truth is approached as measurements grow",
            ),
        ),
        note="At a fixed number of noisy measurements no method reaches the truth exactly.",
    ),
    Claim(
        "C5",
        "Signs of residuals point to the error: averaged with their matrices they stay uniformly close to a positive "
        "multiple of the normalised error, whatever the noise.",
        kind="theorem",
        source="definition of Sign-RIP and its proposition; arXiv 2102.02969",
        on="directions",
        departs=(SMALL, MODERATE, "the largest deviation over low-rank matrices is searched for: a lower estimate"),
        rule=AllOf(
            *(
                Between(
                    "phi_gap", -2.0, 2.0, where={"kind": kind}, unit="%",
                    name=f"scaling function against theory, {words}",
                    why="an average over thousands of signs leaves a per cent",
                )
                for kind, words in (("none", "no noise"), ("outlier", "30 % outliers"), ("gaussian", "Gaussian noise"))
            ),
            Slope(
                "log_delta", over="log_m", inside=(-0.6, -0.4),
                name="exponent of the largest deviation in the number of measurements",
                why="a uniform deviation of averages falls as the inverse root; a tenth either way for the search",
            ),
        ),
    ),
    Claim(
        "C6",
        "With Gaussian measurements a number of order d r is enough, whatever the width of the factor.",
        kind="theorem",
        source="abstract; theorem on sample complexity",
        on="samples",
        departs=(MODERATE, FORMS, "enough: a relative error below 1 % from alpha = 1e-6, on numbers 15 % apart"),
        rule=AllOf(
            Ratio(
                "needed", treat={"width": "full"}, against={"width": "double"}, where={"d": 20, "p": 0.1},
                above=0.8, below=1.25, name="measurements needed by full width / by twice the rank",
                why="a quarter at most, where the width grows more than threefold",
            ),
            Slope(
                "log_needed", over="log_d", inside=(0.0, 1.5), where={"width": "full", "p": 0.1},
                name="exponent of the measurements needed in d",
                why="order d r with logarithms is one; as many as the free entries would be two",
            ),
        ),
    ),
)  # fmt: skip
