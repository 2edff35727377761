import re
from datetime import date
from pathlib import Path

import pytest

from overparam.errors import Unavailable
from overparam.feed.sources.arxiv import Arxiv
from overparam.feed.sources.harvest import set_of

PAGE = (Path(__file__).parents[1] / "fixtures" / "harvest.xml").read_bytes()
LAST = re.sub(rb"<resumptionToken.*</resumptionToken>", b"<resumptionToken/>", PAGE)
TODAY = date(2026, 11, 23)
SOURCE = Arxiv(("cs.LG",))


def error(code):
    return f'<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><error code="{code}">why</error></OAI-PMH>'.encode()


class Service:
    """Two pages in each window; tokens in `expired` are refused once."""

    def __init__(self, expired=()):
        self.asked, self.expired = [], list(expired)

    def __call__(self, url, params, **_):
        self.asked.append(params)
        token = params.get("resumptionToken")
        if token in self.expired:
            self.expired.remove(token)
            return error("badResumptionToken")
        return LAST if token else PAGE


def test_records_carry_versions_names_and_withdrawal():
    first, gone = next(iter(SOURCE.steps(Service(), {}, TODAY, 30))).records
    assert first.authors == ("Ada Lovelace", "Max Noether", "Bernhard Riemann")
    assert (first.version, first.version_at, first.published_on) == (2, "2026-11-22T09:00:00Z", "2026-11-19")
    assert (first.doi, first.topics, first.listed_on) == ("10.1103/physrevx.1", ("cs.LG", "stat.ML"), None)
    assert not first.withdrawn
    assert (gone.arxiv, gone.withdrawn, gone.published_on) == ("math/0601001", True, "2005-12-31")


def test_a_span_is_read_month_by_month_and_token_by_token():
    service = Service()
    steps = list(SOURCE.steps(service, {}, TODAY, 45))
    assert [s.label for s in steps] == ["cs.LG changed 2026-10-10 to 2026-11-08"] * 2 + [
        "cs.LG changed 2026-11-09 to 2026-11-23"
    ] * 2
    first, second = service.asked[:2]
    assert first == {
        "verb": "ListRecords",
        "metadataPrefix": "arXivRaw",
        "set": "cs:cs:LG",
        "from": "2026-10-10",
        "until": "2026-11-08",
    }
    assert second == {"verb": "ListRecords", "resumptionToken": "next page/2"}
    assert steps[-1].cursor["harvest"] is None


def test_a_stopped_harvest_goes_on_with_its_token():
    every = list(SOURCE.steps(Service(), {}, TODAY, 45))
    service = Service()
    rest = list(SOURCE.steps(service, every[0].cursor, TODAY, 45))
    assert [s.label for s in rest] == [s.label for s in every[1:]]
    assert service.asked[0] == {"verb": "ListRecords", "resumptionToken": "next page/2"}


def test_an_expired_token_begins_its_window_again():
    service = Service(expired=["next page/2"])
    steps = list(SOURCE.steps(service, {}, TODAY, 20))
    assert len(steps) == 3
    assert steps[-1].cursor["harvest"] is None
    with pytest.raises(Unavailable, match="tokens expire at once"):
        list(SOURCE.steps(Service(expired=["next page/2"] * 9), {}, TODAY, 20))


def test_nothing_changed_is_no_error_but_a_refusal_is():
    steps = list(SOURCE.steps(lambda *_, **__: error("noRecordsMatch"), {}, TODAY, 20))
    assert [s.records for s in steps] == [[]]
    with pytest.raises(Unavailable, match="refused: badArgument why"):
        list(SOURCE.steps(lambda *_, **__: error("badArgument"), {}, TODAY, 20))


def test_truncated_and_odd_records():
    with pytest.raises(Unavailable, match="truncated"):
        list(SOURCE.steps(lambda *_, **__: PAGE[:-50], {}, TODAY, 20))
    odd = PAGE.replace(b"<id>2611.00001</id>", b"<id>?</id>").replace(b"Sat, 31 Dec 2005 10:00:00 GMT", b"long ago")
    step = next(iter(SOURCE.steps(lambda *_, **__: odd, {}, TODAY, 20)))
    assert [r.published_on for r in step.records] == ["2006-01-01"]
    assert step.problems == ["a record without identifier, title or dated version: '?'"]


def test_sets():
    assert [set_of(c) for c in ("cs.LG", "stat.ML", "quant-ph", "cond-mat.dis-nn")] == [
        "cs:cs:LG",
        "stat:stat:ML",
        "physics:quant-ph",
        "physics:cond-mat:dis-nn",
    ]
