import re

from overparam.lab.registry import papers

OURS = [e.paper for e in papers().values() if e.package.startswith("overparam.")]


def test_there_are_36_papers_in_their_order():
    assert sorted(p.order for p in OURS) == list(range(1, 37))


def test_identifiers_are_well_formed_and_agree_with_the_dates():
    assert len({p.arxiv for p in OURS}) == len({p.title for p in OURS}) == 36
    for p in OURS:
        assert re.fullmatch(r"\d{4}\.\d{5}", p.arxiv), p.slug
        months = (p.published.year - 2000) * 12 + p.published.month
        assert abs(int(p.arxiv[:2]) * 12 + int(p.arxiv[2:4]) - months) <= 1, p.slug


def test_summaries_are_sentences_of_our_own():
    for p in OURS:
        assert 80 <= len(p.summary) <= 480, (p.slug, len(p.summary))
        assert p.summary.endswith(".")
        assert "!" not in p.summary
        words = p.title.lower().split()
        runs = {" ".join(words[i : i + 8]) for i in range(len(words) - 7)}
        assert not any(run in p.summary.lower() for run in runs), p.slug
