import re

import pytest

from overparam.lab.registry import papers

OURS = [e.paper for e in papers().values() if e.package.startswith("overparam.")]
TOPICS = {
    "adaptation",
    "algorithms",
    "attention",
    "curriculum",
    "diffusion models",
    "distillation",
    "federated learning",
    "few-shot learning",
    "generalisation",
    "hyper-parameters",
    "interpretability",
    "kernels",
    "language models",
    "loss landscape",
    "matrix recovery",
    "memorisation",
    "numerical linear algebra",
    "optimisation",
    "pretraining",
    "pruning",
    "reasoning",
    "regularisation",
    "reinforcement learning",
    "scaling",
    "unlearning",
    "vision-language",
}


def words(text):
    return re.findall(r"[\w'-]+", text.lower())


def test_there_are_36_papers_in_their_order():
    assert len(OURS) == 36
    assert sorted(p.order for p in OURS) == list(range(1, 37))


def test_identifiers_and_titles_are_unique():
    assert len({p.arxiv for p in OURS}) == 36
    assert len({p.title for p in OURS}) == 36


def test_identifiers_are_well_formed_and_agree_with_the_dates():
    for p in OURS:
        assert re.fullmatch(r"\d{4}\.\d{4,5}", p.arxiv), p.slug
        assert p.arxiv[:4] == f"{p.published:%y%m}", p.slug


@pytest.mark.parametrize("paper", OURS, ids=lambda p: p.slug)
def test_topics_are_from_the_list(paper):
    assert 1 <= len(paper.topics) <= 3
    assert len(set(paper.topics)) == len(paper.topics)
    assert set(paper.topics) <= TOPICS


def test_summaries_are_sentences_of_our_own():
    for p in OURS:
        assert 80 <= len(p.summary) <= 420, (p.slug, len(p.summary))
        assert p.summary.endswith(".")
        assert "!" not in p.summary
        title, summary = words(p.title), f" {' '.join(words(p.summary))} "
        runs = [f" {' '.join(title[i : i + 8])} " for i in range(len(title) - 7)]
        assert not any(run in summary for run in runs), p.slug
