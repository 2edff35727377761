"""Rules of the claims, written from the paper's sentences before the runs."""

from overparam.lab import Above, AllOf, Below, Between, Computed, Contrast, Exact, Slope
from overparam.papers.random_features.judging import agreement

Where = dict[str, object]
FEWER: Where = {"n": 64}
SOME: Where = {"n": 256}
MANY: Where = {"n": (400, 1024)}
NARROW: Where = {"k": 64}
SQUARE: Where = {"k": 256}
WIDE: Where = {"k": 2048}
KERNEL: Where = {"k": 0}
SETS = ((("mnist", "digits"), "handwriting"), ("cifar10", "CIFAR-10"))
NOISES = (0, 1, 5, 50)

THEORY = Computed(agreement)

_ROUNDING = "the theorem leaves no room; 1e-9 is what the search for the best ridge and rounding may add"
NEVER_WORSE = AllOf(
    Exact("rise_with_features", 1e-9, name="largest increase with more features", why=_ROUNDING),
    Exact("rise_with_samples", 1e-9, name="largest increase with more samples", why=_ROUNDING),
    Exact("finite_gain", 1e-9, name="largest gain of finitely over infinitely many features", why=_ROUNDING),
    Exact("valley", 0.0, name="ridge 1e-8: error beside the peak less error at the peak, where positive"),
)

PEAK = AllOf(
    Contrast("untuned", treat=SQUARE, against=NARROW, where=SOME, name="ridge 0.001: 256 − 64 features"),
    Contrast("untuned", treat=SQUARE, against=WIDE, where=SOME, name="ridge 0.001: 256 − 2,048 features"),
)


def _more(name: str, less: Where, more: Where, where: Where) -> Contrast:
    why = "no increase beyond a hundredth of the variance of the labels, which is 1"
    return Contrast("best", treat=more, against=less, where=where, below=0.01, name=f"tuned error, {name}", why=why)


TUNED = AllOf(
    _more("256 − 64 features", NARROW, SQUARE, SOME),
    _more("2,048 − 256 features", SQUARE, WIDE, SOME),
    _more("kernel − 2,048 features", WIDE, KERNEL, SOME),
    _more("256 − 64 images, kernel", FEWER, SOME, KERNEL),
    _more("most − 256 images, kernel", SOME, MANY, KERNEL),
    _more("256 − 64 images, 256 features", FEWER, SOME, SQUARE),
    _more("most − 256 images, 256 features", SOME, MANY, SQUARE),
)

CLOSED_FORM = AllOf(
    Slope(
        "log_gap",
        over="log_n",
        inside=(-1.2, -0.8),
        across="noise",
        name="exponent in n of |best ratio − closed form|",
        why="the limit of many samples, whose first correction is of order 1/n; a fifth either way for the next one",
    ),
    Exact("gap", 0.002, where={"n": 1000}, name="best ratio − closed form, 1,000 samples", why="a term of order 1/n"),
)
REGIME = Exact("mismatch", 0.0, name="cases in which the best ratio is 0 where it should not be, or the reverse")
STEEP = Exact(
    "shortfall",
    0.0,
    name="((alpha − 1) / alpha)² less the least constant, where positive",
    why="a bound holds in every case; this constant holds in the closed form on a dense grid of exponents",
)

_STRAIGHT = "a power law is a straight line on log axes; nineteen twentieths of the variance lie on it"
POWER_LAWS = AllOf(
    *(
        Above(f"line_{what}", 0.95, where={"data": data}, name=f"r² of log {what} on log n, {name}", why=_STRAIGHT)
        for data, name in SETS
        for what in ("kappa", "test")
    )
)

_PAPERS = (("mnist", (1.12, 1.36)), ("cifar10", (1.17, 1.14)))
_DECIMALS = "a tenth either way: the paper gives two decimals, and the pool is smaller"
EXPONENTS = AllOf(
    *(
        Between(key, value - 0.1, value + 0.1, where={"data": data}, name=f"{key}, {data}", why=_DECIMALS)
        for data, pair in _PAPERS
        for key, value in zip(("alpha", "beta"), pair, strict=True)
    )
)

_EDGE = "almost all of the training error gone"
CLEAN = AllOf(
    *(Below("ratio_0", 0.05, where={"data": d}, name=f"best train / test error, {name}", why=_EDGE) for d, name in SETS)
)

_TENTH = "a tenth of the range from 0 to 1, near an optimum that is flat"


def _off(noise: int, data: object, name: str) -> Between:
    words = f"best ratio measured − predicted, {name}, noise {noise}"
    return Between(f"gap_{noise}", -0.1, 0.1, where={"data": data}, name=words, why=_TENTH)


NOISE = AllOf(*(_off(noise, data, name) for data, name in SETS for noise in NOISES))

MORE = AllOf(
    Contrast("best", treat=MANY, against=FEWER, where=KERNEL, below=0.0, name="tuned error, most − 64 images"),
    Contrast("best", treat=KERNEL, against=NARROW, where=SOME, below=0.0, name="tuned error, kernel − 64 features"),
    Above(
        "loss_correlation",
        0.5,
        where={**MANY, **KERNEL},
        name="rank correlation of train and test error",
        why="over the ridges of the kernel with most images; more agreement than not",
    ),
    Below(
        "interpolation_cost",
        0.05,
        where={**MANY, **KERNEL},
        name="error at the least training loss / best − 1",
        why="within a twentieth of the best over all ridges",
    ),
)
