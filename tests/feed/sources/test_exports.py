import gzip
import json
import os
from datetime import date

import pytest

from overparam.errors import BadInput, NotFound
from overparam.feed.sources.exports import Export

PAPER = {
    "id": "2503.11794",
    "title": "Semantic clipping",
    "authors": ["Bangzheng Li", "Fei Wang"],
    "abstract": "Vision.",
    "categories": ["cs.CV", "cs.LG"],
    "listed": "2025-03-18",
    "comment": None,
    "abs_url": "https://arxiv.org/abs/2503.11794",
}


def write(path, content):
    if isinstance(content, str):
        content = content.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def read(path, **options):
    export = Export(path, **options)
    return list(export.records()), export.problems


def lines(*entries):
    return "\n".join(json.dumps(e) if not isinstance(e, str) else e for e in entries)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.ndjson", "a.json", "a.json.gz"])
def test_an_export_in_every_form(tmp_path, name):
    content = (
        json.dumps({"papers": [PAPER, PAPER]}) if ".json." in name or name.endswith(".json") else lines(PAPER, PAPER)
    )
    [first, second], problems = read(write(tmp_path / name, content))
    assert problems == []
    assert (first.source, first.external_id, first.arxiv) == ("file", "2503.11794", "2503.11794")
    assert (first.authors, first.author_count) == (("Bangzheng Li", "Fei Wang"), 2)
    assert (first.published_on, first.listed_on, first.rank, second.rank) == ("2025-03-18", "2025-03-18", 1, 2)
    assert first.topics == ("cs.CV", "cs.LG")
    assert (first.votes, first.comments, first.withdrawn) == (None, None, False)


def test_a_table(tmp_path):
    text = (
        "\ufefftitle,abstract,authors,published,categories,arxiv_id,upvotes,withdrawn\n"
        '"Wide, very",One,"Ada Lovelace; Noether, Max",2026-11-20,cs.LG stat.ML,2611.00001v3,12,true\n'
        "Short\n"
        'Next,Two,"Ada Lovelace, Max Noether and Carl Gauss",2026-11-20,,,,\n'
    )
    [first, second], problems = read(write(tmp_path / "a.csv", text))
    assert (first.title, first.authors, first.version) == ("Wide, very", ("Ada Lovelace", "Noether, Max"), 3)
    assert (first.topics, first.votes, first.withdrawn) == (("cs.LG", "stat.ML"), 12, True)
    assert second.authors == ("Ada Lovelace", "Max Noether", "Carl Gauss")
    assert problems == ["line 3: not as many fields as the header has"]


def test_a_page_with_dates_of_its_kind(tmp_path):
    page = [
        {"title": "Implicit actor", "abstract": "A.", "authors": 8, "date": "Sep 2 6"},
        {"title": "Long tail", "abstract": "B.", "authors": "1 author", "date": "Jun 12, 2019"},
        {"title": "Traces", "abstract": "C.", "author_count": 5, "date": "June 17, 2024 2"},
        {"title": "Plain", "abstract": "D.", "authors": "· 3 authors", "date": "Jul 17"},
        {"title": "Odd", "abstract": "E.", "authors": 1, "date": "Feb 30"},
        {"title": "Odder", "abstract": "E.", "authors": 1, "date": "soon"},
    ]
    records, problems = read(write(tmp_path / "page.json", json.dumps(page)), listed=date(2025, 12, 26))
    assert [(r.published_on, r.comments, r.author_count) for r in records] == [
        ("2025-09-02", 6, 8),
        ("2019-06-12", None, 1),
        ("2024-06-17", 2, 5),
        ("2025-07-17", None, 3),
    ]
    assert {(r.listed_on, r.authors, r.arxiv) for r in records} == {("2025-12-26", (), None)}
    assert [r.rank for r in records] == [1, 2, 3, 4]
    assert len({r.external_id for r in records}) == 4
    assert problems == [
        "entry 5: date 'Feb 30' is not in the calendar of 2025",
        "entry 6: date 'soon' is none; write 2025-09-02, or Sep 2 as on the page",
    ]


def test_the_year_is_given_or_that_of_the_file(tmp_path):
    path = write(tmp_path / "page.jsonl", lines({"title": "T", "date": "Sep 2 6"}))
    os.utime(path, (1_600_000_000, 1_600_000_000))
    assert [r.published_on for r in read(path)[0]] == ["2020-09-02"]
    [record], _ = read(path, year=2024)
    assert (record.published_on, record.listed_on) == ("2024-09-02", None)


def test_bad_lines_are_named_and_lose_nothing_else(tmp_path):
    content = lines(
        PAPER, "{broken", "", "[1]", {"title": "no date"}, {"date": "2026-01-01"}, {**PAPER, "title": "Last"}
    )
    records, problems = read(write(tmp_path / "a.jsonl", content))
    assert [r.title for r in records] == ["Semantic clipping", "Last"]
    assert [p.partition(":")[0] for p in problems] == ["line 2", "line 4", "line 5", "line 6"]
    assert "no JSON" in problems[0]
    assert problems[2:] == ["line 5: no date; give published_on, date or listed", "line 6: no title"]
    records, problems = read(write(tmp_path / "b.jsonl", b"\xff\xfe\n" + lines(PAPER).encode()))
    assert (len(records), len(problems)) == (1, 1)


def test_a_file_cut_off_gives_what_it_has(tmp_path):
    body = gzip.compress("\n".join(json.dumps({**PAPER, "title": os.urandom(40).hex()}) for _ in range(200)).encode())
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(body[: len(body) // 2])
    records, problems = read(path)
    assert 10 < len(records) < 200
    assert len(problems) == 1
    assert "damaged from here on" in problems[0]


def test_an_endless_line_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr("overparam.feed.sources.exports.LONGEST_LINE", 1_000)
    records, problems = read(write(tmp_path / "a.jsonl", "x" * 5_500 + "\n" + lines(PAPER)))
    assert [r.title for r in records] == ["Semantic clipping"]
    assert problems == ["line 1: longer than 1,000 bytes"]


def test_our_own_articles_come_back(tmp_path):
    ours = {
        "id": "01K",
        "key": "hessian-spectrum",
        "slug": "hessian-spectrum",
        "arxiv": "1706.04454",
        "title": "Spectrum",
        "abstract": "A.",
        "authors_json": '["Levent Sagun", "Utku Evci"]',
        "published_on": "2017-06-14",
        "listed_on": "2025-12-26",
        "version": 3,
        "votes": 5,
        "votes_elsewhere": 7,
        "comments": 2,
        "topics": ["loss landscape"],
        "code_url": "https://github.com/a/b",
    }
    [record], _ = read(write(tmp_path / "a.jsonl", lines(ours)))
    assert (record.external_id, record.slug, record.version) == ("1706.04454", None, 3)
    assert record.authors == ("Levent Sagun", "Utku Evci")
    assert (record.votes, record.comments) == (None, 2)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(NotFound, match="no file"):
        read(tmp_path / "none.jsonl")
    with pytest.raises(BadInput, match="its name ends in .jsonl, .ndjson, .json, .csv"):
        read(write(tmp_path / "a.pdf", "x"))
    with pytest.raises(BadInput, match="is no JSON"):
        read(write(tmp_path / "a.json", '{"a": '))
