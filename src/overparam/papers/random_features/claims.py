"""Claims of arXiv 2311.14646: more features and data never hurt a tuned regression, and fitting closely often pays."""

from datetime import date

from overparam.lab import Claim, Departure, Paper
from overparam.papers.random_features import rules

PAPER = Paper(
    slug="random-features",
    arxiv="2311.14646",
    published=date(2023, 11, 24),
    title=(
        "More is Better in Modern Machine Learning: when Infinite Overparameterization is Optimal and "
        "Overfitting is Obligatory"
    ),
    author_count=4,
    order=14,
    topics=(
        "kernels",
        "generalisation",
    ),
    fidelity="official code",
    code="https://github.com/dkarkada/more-is-better",
    summary=(
        "Formulas predict train and test error of random-feature regression from the spectrum of a kernel. With "
        "the ridge well tuned, more features and more data never hurt, so an infinite number of features is best;"
        " for some power-law spectra and little noise the best ridge fits the training data perfectly."
    ),
)

POOL = Departure("3,000 images as the pool; the paper's curves reach 10,000 samples and features", pool=3000)
DIGITS = Departure("8 x 8 digits stand in for CIFAR-10", data="digits")
FASHION = Departure("Fashion-MNIST stands in for CIFAR-10", data="fashion")
SCALED = "images are centred and scaled to one length; the paper's scaling is not known to us"
DENSE = Departure(
    "kernel of a network with two hidden layers; the paper takes a convolutional one, Myrtle-10", kernel="fc2"
)
FEW = Departure("1,000 training images; the paper takes up to 30,000", n=1000)
TINY = Departure("200 training digits", n=200)
MODES = Departure("1,000 modes; the paper takes 10,000", modes=1000)

CLAIMS = (
    Claim(
        "C1",
        "Formulas in the spectrum of the kernel and the coefficients of the target predict train and test error of "
        "random-feature regression, here with Gaussian features on a power law.",
        source="eigenframework for random features, and its test on synthetic data",
        on="gaussian",
        departs=(MODES, Departure("300 modes; the paper takes 10,000", modes=300)),
        rule=rules.THEORY,
        note="Settings where samples and features agree in number and the ridge is small vary most between seeds.",
    ),
    Claim(
        "C1i",
        "They do so on images as well: ReLU features on two classes of CIFAR-10, with their own spectrum.",
        source="test of the eigenframework on CIFAR-10",
        on="images",
        departs=(POOL, DIGITS, FASHION, SCALED),
        rule=rules.THEORY,
    ),
    Claim(
        "C2",
        "With the best ridge, the predicted test error never increases with more samples or more features, so that "
        "infinitely many features are best. Without tuning there is a peak at as many features as samples.",
        kind="theorem",
        source="theorem on more data and features",
        on="tuned",
        rule=rules.NEVER_WORSE,
    ),
    Claim(
        "C2d",
        "Regressions on images show the peak of double descent when the ridge is small.",
        source="experiments on CIFAR-10",
        on="images",
        departs=(POOL, DIGITS, FASHION, SCALED),
        rule=rules.PEAK,
        note="256 training images, so that the peak is expected at 256 features.",
    ),
    Claim(
        "C2e",
        "With the ridge tuned, more features and more data never hurt on images either.",
        source="experiments on CIFAR-10",
        on="images",
        departs=(POOL, DIGITS, FASHION, SCALED),
        rule=rules.TUNED,
        note="The ridge is the best of eleven for each seed, judged on the test images.",
    ),
    Claim(
        "C3",
        "When eigenvalues and squared coefficients follow power laws, the ratio of train to test error at the best "
        "ridge has a closed form.",
        kind="theorem",
        source="theorem on the optimal fitting ratio",
        on="fitting",
        rule=rules.CLOSED_FORM,
        note="The best ratio at finite n is found in the eigenframework with all infinitely many modes.",
    ),
    Claim(
        "C3z",
        "If the target falls faster than the spectrum and noise is small, it is best to interpolate; otherwise not.",
        kind="theorem",
        source="corollary on obligatory overfitting",
        on="fitting",
        rule=rules.REGIME,
        note="Small: relative noise at most (beta − alpha) / (alpha (alpha − 1)).",
    ),
    Claim(
        "C3q",
        "Test error close to the best forces the fitting ratio close to the best one: the relative excess is at least "
        "a constant times the squared difference of their roots.",
        kind="theorem",
        source="theorem on near-optimal fitting; the constant is ours",
        on="fitting",
        rule=rules.STEEP,
    ),
    Claim(
        "C4",
        "Images under a neural tangent kernel have power-law structure.",
        source="experiments with convolutional kernels on image sets",
        on="noisy_images",
        reported="exponents alpha, beta of about 1.12, 1.36 on MNIST and 1.17, 1.14 on CIFAR-10, Myrtle-10",
        departs=(DENSE, FEW, TINY),
        rule=rules.POWER_LAWS,
        note="kappa is 1 / tr(K⁻¹) of n images, test the error of interpolating them.",
    ),
    Claim(
        "C4e",
        "Under the convolutional kernel Myrtle-10 the exponents are about (1.12, 1.36) on MNIST and (1.17, 1.14) on "
        "CIFAR-10.",
        source="experiments with convolutional kernels on image sets",
        on="exponents",
        departs=("SVHN, with (1.22, 1.20), is left out", "10,000 images; the paper takes up to 30,000"),
        rule=rules.EXPONENTS,
    ),
    Claim(
        "C4c",
        "Such tasks with clean labels call for almost no training error.",
        source="experiments with convolutional kernels on image sets",
        on="noisy_images",
        departs=(DENSE, FEW, TINY),
        rule=rules.CLEAN,
    ),
    Claim(
        "C4n",
        "Label noise moves the best fitting ratio up as the closed form predicts from the measured exponents.",
        source="experiments with convolutional kernels on image sets",
        on="noisy_images",
        departs=(DENSE, FEW, TINY, "noise is added to training labels; on test labels its variance is"),
        rule=rules.NOISE,
    ),
    Claim(
        "C5",
        "More data, larger models and lower training loss all lower the test error on images.",
        source="abstract",
        on="images",
        departs=(POOL, DIGITS, FASHION, SCALED, "ReLU kernel without convolutions"),
        rule=rules.MORE,
    ),
)
