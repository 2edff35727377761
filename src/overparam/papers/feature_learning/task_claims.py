"""Claims of arXiv 2011.14522 on what the limits are good for: word vectors, and characters from one example each."""

from overparam.lab import AllOf, Below, Claim, Contrast, Departure

LIMIT = "limit"
BATCHES = Departure("five negatives, batches of positions, a first learning rate chosen for each width")
PLANTED = Departure(
    "a text of 240 words with planted analogies, widths 8 to 128; the paper takes text8 and fil9, 64 to 1,024"
)
WIKIPEDIA = Departure(
    "WikiText-2's two small parts, the 1,500 most frequent words and the questions that they cover",
    data="wikitext2-small",
)
OMNIGLOT = Departure(
    "Omniglot's two small sets: 136 characters to train on, 106 of other alphabets to test on", data="omniglot-small"
)
DIGITS = Departure("digits 0 to 4 to train on, 5 to 9 to test on", data="digits")
SHORT = Departure("600 steps at most, with learning rates chosen for that; the paper takes 10,000", rates="short")
ABOUT = "read off a figure of the authors' code"
NEAR = "the paper's widest network stays less than a point below the limit"
ERROR = "two standard errors of 1,000 tasks; in the paper widths from 128 on cannot be told from the limit"
CHANCE = "chance is 0.4 % among 240 words; a twentieth leaves room for start vectors that happen to lie well"


def _over(treat: str, against: str, above: float | None = None, why: str = "") -> Contrast:
    return Contrast(
        "accuracy", treat={"model": treat}, against={"model": against}, above=above, name=f"{treat} − {against}",
        unit="points", why=why,
    )  # fmt: skip


TASK_CLAIMS = (
    Claim(
        "C5",
        "Word vectors of the feature-learning limit answer more analogies than those of finite networks, and finite "
        "ones approach it as they widen.",
        source="section on Word2Vec, figure of accuracy by width",
        on="words",
        departs=(PLANTED, BATCHES),
        reported=f"about 33, 42, 43 and 43 % at width 64, 256, 1,024 and in the limit on text8, {ABOUT}",
        rule=AllOf(
            _over("width 32", "width 8"),
            _over("width 128", "width 32"),
            _over(LIMIT, "width 32"),
            _over(LIMIT, "width 128", -1.0, NEAR),
        ),
    ),
    Claim(
        "C5r",
        "The same on English text.",
        source="section on Word2Vec, figure of accuracy by width",
        on="encyclopedia",
        departs=(WIKIPEDIA, BATCHES),
        reported=f"about 44, 54, 56 and 57 % at width 64, 256, 1,024 and in the limit on fil9, {ABOUT}",
        rule=AllOf(_over("width 128", "width 32"), _over(LIMIT, "width 32"), _over(LIMIT, "width 128", -1.0, NEAR)),
    ),
    Claim(
        "C5k",
        "In a kernel limit word vectors stay where they start, and answer analogies no better than chance.",
        source="section on Word2Vec",
        on="words",
        departs=(PLANTED,),
        rule=AllOf(
            *(
                Below(
                    "accuracy_start", 5.0, where={"model": k}, name=f"accuracy at the start, {k}", unit="%", why=CHANCE
                )
                for k in ("width 8", "width 32", "width 128", LIMIT)
            )
        ),
    ),
    Claim(
        "C6",
        "Learning characters from one example each by MAML, networks get better as they widen, up to the "
        "feature-learning limit.",
        source="section on MAML, table of accuracies on Omniglot",
        on="omniglot",
        departs=(OMNIGLOT, DIGITS, SHORT),
        reported=f"about 55, 65, 66, 66 and 66 % at width 2, 8, 32, 128 and in the limit, {ABOUT}",
        rule=AllOf(
            _over("width 8", "width 2"),
            _over("width 32", "width 8"),
            _over("width 128", "width 32"),
            _over(LIMIT, "width 128", -1.5, ERROR),
        ),
        note="At the rates chosen first, twice as high for widths 2, 128 and the limit, width 128 "
        "reached 50.1 % and four limits 49.8 %, but the fifth broke down in training. Rates since keep a "
        "factor of two from breakdown.",
    ),
    Claim(
        "C6k",
        "The feature-learning limit beats the kernel limits there.",
        source="section on MAML, table of accuracies on Omniglot",
        on="omniglot",
        departs=(OMNIGLOT, DIGITS, SHORT),
        reported=f"about 66 % against 48 % (ReLU NTK and GP) and 42 % (linear), {ABOUT}",
        rule=AllOf(*(_over(LIMIT, k) for k in ("linear kernel", "ReLU GP", "ReLU NTK"))),
        note="Kernels adapt at a rate of their own, chosen on the alphabet that was left out; training their start can "
        "hardly help, as any class may have any label.",
    ),
)
