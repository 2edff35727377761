import pytest

from overparam.feed.merge import absorb
from overparam.feed.record import Record
from overparam.feed.search import update

SHELF = (
    (
        "Long tails and memorisation",
        "Rare kinds of example must be fitted. Noisy labels are fitted too.",
        "Vitaly Feldman",
    ),
    ("A diet for data", "Scores find wrong labels early in training; early stopping comes later.", "Mansheej Paul"),
    ("Coherent gradients", "Stopping early works. Gradients of noisy examples disagree.", "Satrajit Chatterjee"),
    ("Generalization of wide networks", "Kernels explain behavior of networks in the limit.", "José Núñez"),
    ("Sharpness for free", "Flat minima at no cost: 100% of the gain, C++ code_base included.", "Jiawei Du"),
    ("Adapters and prefixes", "Parameter efficient tuning of language models, one view.", "Junxian He"),
)


def shelf(texts=SHELF):
    for number, (title, abstract, author) in enumerate(texts):
        yield Record(
            source="arxiv",
            external_id=f"2611.{number:05}",
            arxiv=f"2611.{number:05}",
            title=title,
            abstract=abstract,
            authors=(author,),
            author_count=1,
            published_on=f"202{number % 10}-03-01",
            topics=("cs.LG", "language models") if number % 2 else ("stat.ML",),
        )


@pytest.fixture
def stocked(ledger):
    """A ledger of six papers, indexed; on either store."""
    absorb(ledger, shelf())
    update(ledger)
    return ledger


@pytest.fixture
def titles(stocked):
    import sqlalchemy as sa

    from overparam.ledger.schema import article

    with stocked.reading() as db:
        return dict(db.execute(sa.select(article.c.id, article.c.title)).all())
