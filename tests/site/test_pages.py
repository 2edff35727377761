"""What readers get from the pages, on both stores."""

import csv
import io
import json
import re

import feedparser
import pytest

from overparam.feed.merge import absorb
from overparam.feed.record import Record

HOSTILE = '<script>alert(1)</script> "quoted" & \x00\x1f ‮backwards $\\href{javascript:x}{y}$ ' + "x" * 2000


def hostile(n=1):
    return Record(
        source="arxiv",
        external_id=f"2611.{n:05d}",
        title=HOSTILE,
        abstract=HOSTILE,
        published_on="2026-11-20",
        authors=('<img src=x onerror="alert(1)">',),
        author_count=1,
        arxiv=f"2611.{n:05d}",
        listed_on="2026-11-21",
        rank=1,
        code_url="javascript:alert(1)",
        discussion_url="data:text/html,x",
        comments=3,
        topics=("cs.LG",),
    )


def test_the_first_visitor_sees_a_full_page(visit):
    text = visit().get("/").text
    assert "Friday 26 December 2025" in text
    assert text.count("<article>") == 30
    assert re.search(r"36 papers, \d+ claims", text)
    more = re.search(r'href="(/\?after=[^"]+)">More papers', text).group(1)
    rest = visit().get(more).text
    assert rest.count("<article>") == 6


def test_days_without_papers_name_the_last_with_some(visit):
    text = visit().get("/days/2025-12-28").text
    assert "Nothing was listed on Sunday 28 December 2025" in text
    assert 'href="/days/2025-12-26"' in text


@pytest.mark.parametrize(
    ("path", "status"),
    [("/days/2025-13-40", 400), ("/weeks/x", 400), ("/?order=best", 400), ("/?after=nonsense", 400),
     ("/papers/nothing", 404), ("/methods/nothing", 404), ("/topics/nothing", 404), ("/nowhere", 404)],
)  # fmt: skip
def test_what_cannot_be_shown_is_explained_in_a_page(visit, path, status):
    answer = visit().get(path)
    assert answer.status_code == status
    assert "<h1" in answer.text
    assert 'role="search"' in answer.text


def test_a_paper_page_says_what_held_by_which_rule_and_at_what_cost(visit):
    text = visit().get("/papers/data-diet").text
    for words in ("Not reproduced", "Rule", "Departures", "outside the region", "of CPU", "sha256", "Use the method"):
        assert words in text, words
    assert text.count('class="claim"') == 8
    assert "overparam run data-diet" in text
    assert "score_ensemble" in text


def test_a_paper_without_code_says_so(visit):
    text = visit().get("/papers/t1").text
    assert "Not runnable yet" in text
    assert "Reproduced" not in text


def test_an_arxiv_address_leads_to_the_paper(visit):
    answer = visit().get("/papers/2107.07075", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (308, "/papers/data-diet")


def test_the_board_has_every_claim_with_its_word(visit):
    from overparam.lab.registry import papers

    text = visit().get("/board").text
    cells = re.findall(r'<span class="vh">(\w+): ([a-z ]+)', text)
    assert len(cells) == sum(len(e.claims) for e in papers().values() if e.runnable)
    rows = list(csv.DictReader(io.StringIO(visit().get("/board.csv").text)))
    judged = {(r["paper"], r["claim"]): r["verdict"] for r in rows}
    assert judged["data-diet", "C3"] == "not reproduced"


def test_hostile_text_stays_text_everywhere(visit, seeded):
    absorb(seeded, [hostile()])
    reader = visit()
    for path in ("/", "/days/2026-11-21", "/trending", "/topics/cs.LG", "/papers/2611.00001", "/search?q=backwards",
                 "/feed.atom", "/days/2026-11-21/feed.json", "/api/v1/papers/2611.00001"):  # fmt: skip
        answer = reader.get(path)
        assert answer.status_code == 200, path
        if "html" in answer.headers["content-type"]:
            assert "<script>alert" not in answer.text
            assert "<img src=x" not in answer.text
            assert 'href="javascript:' not in answer.text
            assert 'href="data:' not in answer.text
            assert "‮" not in answer.text


def test_feeds_are_read_by_a_feed_reader(visit, seeded):
    absorb(seeded, [hostile()])
    reader = visit()
    for path in ("/feed.atom", "/trending/feed.atom", "/days/2025-12-26/feed.atom", "/weeks/2025-W52/feed.atom",
                 "/topics/generalisation/feed.atom", "/search/feed.atom?q=memorization"):  # fmt: skip
        answer = reader.get(path)
        assert answer.headers["content-type"].startswith("application/atom+xml")
        read = feedparser.parse(answer.content)
        assert not read.bozo, (path, read.get("bozo_exception"))
        assert read.entries, path
        other = json.loads(reader.get(path.replace("feed.atom", "feed.json")).text)
        assert [i["id"] for i in other["items"]] == [e.id for e in read.entries]
        assert other["version"].endswith("/1.1")
    entry = next(e for e in feedparser.parse(reader.get("/trending/feed.atom").content).entries if "data-diet" in e.id)
    assert "C3 not reproduced" in entry.summary


def test_trending_shows_its_score_and_how_it_is_made(visit, seeded):
    import sqlalchemy as sa

    from overparam.feed import trending
    from overparam.ledger.clock import now
    from overparam.ledger.schema import article

    with seeded.writing() as db:
        found = db.execute(sa.select(article.c.id).where(article.c.slug == "t1")).scalar()
        for _ in range(40):
            trending.add(db, found, 3.0, now())
    text = visit().get("/trending").text
    assert "Each counts half as much after 36 hours" in text
    shown = [float(score) for score in re.findall(r"· score ([\d.]+)", text)]
    assert shown == sorted(shown, reverse=True)
    assert shown[0] == pytest.approx(120, abs=0.5)
    assert "· score" not in visit().get("/").text


def test_bibtex_names_the_paper(visit):
    text = visit().get("/papers/data-diet/paper.bib").text
    assert "2107.07075" in text
    assert "Mansheej Paul and Surya Ganguli" in text


@pytest.mark.slow
def test_anonymous_pages_are_made_once_a_second_and_never_shared_with_those_signed_in(visit, seeded):
    reader, desk = visit(), visit(local=True)
    before = reader.get("/days/2026-11-21").text
    absorb(seeded, [hostile()])
    assert reader.get("/days/2026-11-21").text == before  # within the second
    assert "backwards" in desk.get("/days/2026-11-21").text
    import time

    time.sleep(1.05)
    assert "backwards" in reader.get("/days/2026-11-21").text
