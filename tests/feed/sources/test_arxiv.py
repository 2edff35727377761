from datetime import date
from pathlib import Path

import pytest

from overparam.errors import BadInput, Unavailable
from overparam.feed.record import tidied
from overparam.feed.sources.arxiv import Arxiv
from overparam.feed.sources.document import is_withdrawn, xml_of

ATOM = (Path(__file__).parents[1] / "fixtures" / "query.atom").read_bytes()
TODAY = date(2026, 11, 23)
ENTRY = "<entry><id>http://arxiv.org/abs/2611.{:05d}v1</id><published>2026-11-20T00:00:00Z</published><title>T{}</title></entry>"
BOMB = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;">]><feed xmlns="http://www.w3.org/2005/Atom">&d;</feed>"""


def page(numbers, total):
    body = "".join(ENTRY.format(n, n) for n in numbers)
    count = f'<o:totalResults xmlns:o="http://a9.com/-/spec/opensearch/1.1/">{total}</o:totalResults>'
    return f'<feed xmlns="http://www.w3.org/2005/Atom">{count}{body}</feed>'.encode()


def test_entries_of_the_query_api():
    asked = []

    def get(url, params, **_):
        asked.append((url, params))
        return ATOM

    records, problems = Arxiv().by_ids(get, ["2611.00001", "quant-ph/0201082", "2611.00005"])
    first, old, withdrawn = map(tidied, records)
    assert problems == []
    assert asked[0][0] == "https://export.arxiv.org/api/query"
    assert asked[0][1]["id_list"] == "2611.00001,quant-ph/0201082,2611.00005"
    assert first.title == "Wide networks memorise $x < y$"
    assert first.abstract == "They do, for a < b & c. They do so often."
    assert (first.arxiv, first.version, first.published_on) == ("2611.00001", 2, "2026-11-19")
    assert (first.doi, first.topics) == ("10.1103/physrevx.1", ("cs.LG", "stat.ML"))
    assert first.authors == ("Ada Lovelace", "Max Noether")
    assert (first.listed_on, first.withdrawn) == (None, False)
    assert (old.arxiv, old.topics) == ("quant-ph/0201082", ("quant-ph",))
    assert withdrawn.withdrawn
    assert withdrawn.title == "<script>alert(1)</script> taken back"


def test_a_day_is_read_page_by_page_in_order():
    def get(url, params, **_):
        assert params["search_query"] == "(cat:cs.LG OR cat:stat.ML) AND submittedDate:[202611230000 TO 202611232359]"
        assert (params["sortBy"], params["sortOrder"]) == ("submittedDate", "ascending")
        start = int(params["start"])
        return page(range(start, min(start + 100, 230)), 230)

    records, _ = Arxiv().by_day(get, TODAY)
    assert [(r.rank, r.listed_on) for r in records] == [(n, "2026-11-23") for n in range(1, 231)]
    assert [r.title for r in records] == [f"T{n}" for n in range(230)]


def test_an_empty_page_in_the_middle_is_asked_for_again():
    script = [page(range(100), 150), page([], 150), page(range(100, 150), 150)]
    records, _ = Arxiv().by_day(lambda *_, **__: script.pop(0), TODAY)
    assert len(records) == 150
    with pytest.raises(Unavailable, match="0 of 150 papers of 2026-11-23, then empty pages"):
        Arxiv().by_day(lambda *_, **__: page([], 150), TODAY)


def test_papers_with_code_come_first_then_the_days():
    source = Arxiv(ids=tuple(f"2611.{n:05d}" for n in range(130)))
    labels = [s.label for s in source.steps(lambda *_, **__: page([], 0), {}, TODAY, 2)]
    assert labels == ["100 papers with code here", "30 papers with code here", "2026-11-22", "2026-11-23"]


def test_an_error_of_the_api_is_an_error():
    entry = "<entry><id>http://arxiv.org/api/errors#x</id><title>Error</title><summary>incorrect id format</summary></entry>"
    body = f'<feed xmlns="http://www.w3.org/2005/Atom">{entry}</feed>'.encode()
    with pytest.raises(Unavailable, match="arxiv: incorrect id format"):
        Arxiv().by_ids(lambda *_, **__: body, ["x"])


def test_a_bad_entry_loses_nothing_else():
    bad = b"<entry><id>http://arxiv.org/abs/nonsense</id><title>T</title></entry></feed>"
    records, problems = Arxiv().by_ids(lambda *_, **__: ATOM.replace(b"</feed>", bad), [])
    assert len(records) == 3
    assert problems == ["an entry without identifier, title or date: 'http://arxiv.org/abs/nonsense'"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (ATOM[:-200], "malformed or truncated"),
        (b"", "malformed or truncated"),
        (b"<html><br></html>", "malformed or truncated"),
        (BOMB, "with a DTD or entities is refused"),
        (b'<!DOCTYPE f SYSTEM "http://169.254.169.254/x"><f/>', "with a DTD or entities is refused"),
        (b'<!DOCTYPE f [<!ENTITY x SYSTEM "file:///etc/passwd">]><f>&x;</f>', "with a DTD or entities is refused"),
        (b'<?xml version="1.0" encoding="martian"?><f/>', "malformed or truncated"),
    ],
)
def test_bad_xml_is_refused(body, message):
    with pytest.raises(Unavailable, match=message):
        Arxiv().by_ids(lambda *_, **__: body, [])
    with pytest.raises(Unavailable, match=message):
        xml_of(body)


def test_bad_categories_never_reach_the_query():
    with pytest.raises(BadInput, match="none of arXiv"):
        Arxiv(("cs.LG) OR (all:x",))


def test_withdrawn_in_words():
    assert is_withdrawn("This paper has been withdrawn", "")
    assert is_withdrawn("Withdrawn.", "")
    assert is_withdrawn("", "This submission was withdrawn by arXiv")
    assert not is_withdrawn("12 pages", "We study money that people withdraw")
