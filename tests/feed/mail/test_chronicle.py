import pytest

from overparam.feed.mail.chronicle import Chronicle
from overparam.feed.mail.filters import Filter

BEFORE, SINCE, EARLY, LATE, UNTIL = (f"2026-11-{d}T06:00:00.000000Z" for d in ("10", "21", "22", "23", "24"))


@pytest.fixture
def tell(ledger):
    def ask(since=SINCE, from_=SINCE, until=UNTIL, **wanted):
        return Chronicle(ledger, from_, until).news(Filter.parse(wanted), since)

    return ask


def said(news):
    return [(each.slug, f.claim, f.status, f.was) for each in news.judged for f in each.findings]


def test_nothing_happened(tell):
    assert not tell()


def test_a_first_verdict_is_news_once(journal, tell):
    journal.verdict("toy", "T1", "reproduced", at=EARLY)
    assert said(tell()) == [("toy", "T1", "reproduced", "")]
    assert said(tell(since=EARLY)) == []
    assert said(tell(until=SINCE, from_=BEFORE, since=BEFORE)) == []


def test_repeating_a_run_is_no_news(journal, tell):
    journal.verdict("toy", "T1", "reproduced", at=BEFORE)
    journal.verdict("toy", "T1", "reproduced", at=EARLY)
    assert not tell()


def test_a_changed_verdict_says_what_it_was(journal, tell):
    journal.verdict("toy", "T1", "reproduced", at=BEFORE)
    journal.verdict("toy", "T1", "partly", at=EARLY, supersedes="x")
    journal.verdict("toy", "T2", "reproduced", at=BEFORE)
    journal.verdict("toy", "T2", "not reproduced", at=EARLY, rule="r2", supersedes="x")
    journal.verdict("toy", "T3", "reproduced", at=BEFORE)
    journal.verdict("toy", "T3", "reproduced", at=EARLY, rule="r2", supersedes="x")
    journal.verdict("toy", "T4", "reproduced", at=EARLY)
    changed = [
        ("toy", "T1", "partly", "Was reproduced."),
        ("toy", "T2", "not reproduced", "Was reproduced; the rule has changed since."),
        ("toy", "T3", "reproduced", "Was reproduced by an earlier rule, too."),
    ]
    assert said(tell()) == [*changed, ("toy", "T4", "reproduced", "")]
    assert said(tell(kinds=["changes"])) == changed


def test_a_repetition_after_a_change_does_not_hide_it(journal, tell):
    journal.verdict("toy", "T1", "reproduced", at=BEFORE)
    journal.verdict("toy", "T1", "partly", at=EARLY)
    journal.verdict("toy", "T1", "partly", at=LATE)
    assert said(tell()) == [("toy", "T1", "partly", "Was reproduced.")]
    assert said(tell(since=EARLY)) == []  # for who has heard of the change


def test_there_and_back_is_no_news(journal, tell):
    journal.verdict("toy", "T1", "reproduced", at=BEFORE)
    journal.verdict("toy", "T1", "partly", at=EARLY)
    journal.verdict("toy", "T1", "reproduced", at=LATE)
    assert not tell()
    assert said(tell(since=EARLY)) == [("toy", "T1", "reproduced", "Was partly.")]


def test_new_and_turned_in_one_window_counts_as_changed(journal, tell):
    journal.verdict("toy", "T1", "inconclusive", at=EARLY)
    journal.verdict("toy", "T1", "reproduced", at=LATE)
    assert said(tell(kinds=["changes"])) == [("toy", "T1", "reproduced", "Was inconclusive.")]


def test_the_larger_scale_counts_and_scales_are_not_compared(journal, tell):
    journal.verdict("toy", "T1", "inconclusive", at=BEFORE, scale="smoke")
    journal.verdict("toy", "T1", "reproduced", at=EARLY, scale="laptop")
    journal.verdict("toy", "T1", "inconclusive", at=LATE, scale="smoke")
    assert said(tell()) == [("toy", "T1", "reproduced", "")]


def test_runs_changed_by_hand_do_not_count(journal, tell):
    journal.verdict("toy", "T1", "reproduced", at=EARLY, options='{"custom": [], "sabotage": true}')
    assert not tell()


def test_how_a_verdict_reads(journal, tell, part):
    parts = (part(), part(name="slope", unit="", estimate=-0.27, low=-0.42, high=-0.2, state="fails"))
    journal.verdict("toy", "T1", "partly", at=EARLY, parts=parts, proxy=False)
    journal.verdict("toy", "T2", "reproduced", at=EARLY)
    journal.verdict("toy", "T3", "inconclusive", at=EARLY, parts=())
    journal.verdict("toy", "T4", "reproduced", at=EARLY, parts=(part(across="case", unit="", n=400),))
    (toy,) = tell().judged
    assert toy.about == "1 author · arXiv 0000.00001 · 17\u202fmin of CPU".replace(
        "17\u202fmin", "16\u202fmin 48\u202fs"
    )
    assert [(f.proxy, f.estimate, f.interval) for f in toy.findings] == [
        (False, "slope −0.27 [−0.42, −0.20]", True),
        (True, "+2.04 points [1.71, 2.37]", True),
        (True, "", False),
        (True, "half kept − random 2.04 in 400 cases", False),
    ]


def test_papers_with_bad_news_come_first_then_the_order_of_the_listing(journal, tell):
    for slug, status in (("data-diet", "reproduced"), ("step-law", "reproduced"), ("toy", "not reproduced")):
        journal.verdict(slug, "C1", status, at=EARLY)
    order = [each.slug for each in tell().judged]
    assert order[0] == "toy"
    assert sorted(order) == ["data-diet", "step-law", "toy"]


def test_new_papers_are_told_once_the_most_noted_first(journal, tell):
    journal.article("2611.1", title="Less\n noted", abstract="A thing. More.", at=EARLY)
    journal.article("2611.2", title="Noted", abstract="", at=LATE)
    journal.article("2611.3", title="Withdrawn", at=LATE, withdrawn=True)
    journal.article("2611.4", title="Filled in later", at=LATE, listed_on="2025-09-02")
    found = tell().listed
    assert [(p.key, p.title, p.about) for p in found] == [("2611.2", "Noted", ""), ("2611.1", "Less noted", "A thing.")]
    assert [p.key for p in tell(since=EARLY).listed] == ["2611.2"]
    assert not tell(kinds=["verdicts"])


def test_a_paper_of_ours_is_told_with_our_summary(journal, tell):
    journal.verdict("toy", "T1", "reproduced", at=BEFORE)
    journal.article("toy", slug="toy", abstract="Theirs.", at=EARLY)
    (found,) = tell().listed
    assert (found.about, found.judged) == ("A paper that the tests run. 7 claims.", True)


def test_long_abstracts_are_cut_between_words(journal, tell):
    journal.article("2611.1", abstract="word " * 200, at=EARLY)
    about = tell().listed[0].about
    assert len(about) <= 220
    assert about.endswith("word…")


@pytest.fixture
def scene(journal):
    journal.verdict("toy", "T1", "reproduced", at=EARLY)
    journal.verdict("unknown", "C1", "reproduced", at=EARLY)  # its pack is gone, and it was never listed
    journal.article("2611.1", title="Noisy labels", abstract="Of many.", topics=["cs.LG"], at=EARLY)
    journal.article("toy", slug="toy", title="A Toy", abstract="Of toys.", topics=["theory"], at=EARLY)
    journal.article("2611.2", title="Else", abstract="Nothing.", at=EARLY)


@pytest.mark.parametrize(
    ("wanted", "slugs", "keys"),
    [
        ({}, ["toy", "unknown"], ["2611.2", "toy", "2611.1"]),
        ({"topics": ["cs.LG"]}, [], ["2611.1"]),
        ({"topics": ["generalisation"]}, ["toy"], []),
        ({"topics": ["theory", "cs.LG"]}, ["toy"], ["toy", "2611.1"]),
        ({"papers": ["toy"]}, ["toy"], ["toy"]),
        ({"papers": ["toy"], "topics": ["cs.LG"]}, [], []),
    ],
)
def test_filters(scene, tell, wanted, slugs, keys):
    news = tell(**wanted)
    assert sorted(each.slug for each in news.judged) == slugs
    assert [each.key for each in news.listed] == keys


@pytest.mark.slow  # the index of meaning is fitted
def test_words_are_those_of_the_search(scene, ledger, tell):
    from overparam.feed.search import update

    update(ledger)
    assert [each.key for each in tell(words="noisy labels").listed] == ["2611.1"]
    toys = tell(words="toys")
    assert ([each.slug for each in toys.judged], [each.key for each in toys.listed]) == (["toy"], ["toy"])
    assert not tell(words='"; DROP TABLE article; -- *')
