import email
import email.policy
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from overparam.errors import BadInput
from overparam.feed.mail import message, verp
from overparam.feed.mail.edition import FINDINGS_SHOWN, LISTED_SHOWN, edition
from overparam.feed.mail.filters import Filter
from overparam.feed.mail.news import Finding, Judged, Listed, News
from overparam.feed.mail.subscriber import Subscription
from overparam.feed.secrets import verify

READER = Subscription("01KASJ3V5M3W0000000000000Z", "you@example.org", Filter(), "daily", 7, "active", None, 3)
GOOD = Finding("C1", "reproduced", True, "Half of it will do.", "", "+2.04 points [1.71, 2.37]", True)
BAD = Finding("C2", "not reproduced", False, "All of it is needed.", "", "−0.16 points [−0.29, −0.03]", True)
TURNED = Finding("C3", "partly", False, "It grows.", "Was reproduced.", "slope 0.5 [0.4, 0.6]", True)
EXACT = Finding("C4", "inconclusive", False, "It is exact.", "", "", False)
DIET = Judged("data-diet", "On a Diet", "Paul, Ganguli · arXiv 2107.07075 · 4 min of CPU", (GOOD, BAD))
LAW = Judged("step-law", "A Law", "10 authors · 2.1 s of CPU", (TURNED,))
PAPER = Listed("2611.01234", "A new paper", "It says something.", "2026-11-22", False)
FULL = News((DIET, LAW), (PAPER, replace(PAPER, key="2611.1", day="2026-11-21")))
HOSTILE = "<script>alert('x')</script> & “{{ 7*7 }}” </p>"
NOW = "2026-11-23T07:00:00.000000Z"


def write(news=FULL, reader=READER, day="2026-11-23"):
    mail = edition(reader, news, day, now=NOW)
    return mail, email.message_from_bytes(mail.content, policy=email.policy.default)


class Shown(HTMLParser):
    """The words that a reader of the HTML part sees, and the addresses of its links."""

    def __init__(self, html):
        super().__init__()
        self.words, self.links, self.tags, self._hidden = "", [], set(), 0
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.add(tag)
        if tag == "head" or "display:none" in attrs.get("style", ""):
            self._hidden += 1
        if tag in ("p", "br", "h1", "h2", "div"):
            self.words += "\n"
        if tag == "a":
            self.links.append(attrs["href"])

    def handle_endtag(self, tag):
        if tag in ("head", "div") and self._hidden:
            self._hidden -= 1

    def handle_data(self, data):
        self.words += "" if self._hidden else data


def parts(mail):
    text = mail.get_body(("plain",)).get_content()
    return text.replace("\r\n", "\n"), mail.get_body(("html",)).get_content()


CASES = {
    "full": FULL,
    "verdicts": News((DIET,)),
    "papers": News((), (PAPER,)),
    "no estimate": News((Judged("glad", "Glad", "1 author", (EXACT,)),)),
    "hostile": News((replace(DIET, title=HOSTILE, findings=(replace(GOOD, statement=HOSTILE),)),),
                    (replace(PAPER, title=HOSTILE, about=HOSTILE, judged=True),)),
    "many": News((replace(DIET, findings=(GOOD,) * 70), LAW), (PAPER,) * 33),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_both_parts_say_the_same_words_in_the_same_order(case):
    text, html = parts(write(CASES[case])[1])
    shown = Shown(html)
    addresses = re.findall(r"^<(https://\S+)>$", text, flags=re.MULTILINE)
    assert re.sub(r"^<https://\S+>$", "", text, flags=re.MULTILINE).split() == shown.words.split()
    assert addresses == shown.links
    assert shown.tags <= {"html", "head", "meta", "title", "body", "div", "p", "h1", "h2", "a", "br", "span"}


def test_the_news_stand_in_subject_and_first_line():
    _, mail = write()
    text, html = parts(mail)
    assert mail["Subject"] == "3 verdicts, 2 papers: Monday 23 November"
    lines = [line for line in text.splitlines() if line]
    assert lines[:3] == [
        "overparam · Monday 23 November 2026",
        "3 verdicts, 2 new papers",
        "One claim was not reproduced. One verdict changed since you last heard from us.",
    ]
    assert "One claim was not reproduced, one verdict changed since you last heard from us.</div>" in html
    assert "You asked for new papers and verdicts, daily. Change or stop" in text


@pytest.mark.parametrize(
    ("news", "subject", "first", "place"),
    [
        (News((DIET,)), "2 verdicts: ", "One claim was not reproduced.", "/papers/data-diet"),
        (News((DIET, LAW)), "3 verdicts: ", "One claim was not reproduced. One verdict changed", "/board"),
        (News((), (PAPER,)), "1 paper: ", "", "/papers/2611.01234"),
        (News((replace(DIET, findings=(GOOD, GOOD, EXACT)),)), "3 verdicts: ",
         "Of 3 claims, two were reproduced and one was left open.", "/papers/data-diet"),
        (FULL, "3 verdicts, 2 papers: ", "One claim was not reproduced.", "/days/2026-11-22"),
    ],
)  # fmt: skip
def test_each_kind_of_news_has_its_words_and_place(news, subject, first, place):
    _, mail = write(news)
    text, html = parts(mail)
    assert mail["Subject"].startswith(subject)
    assert first in text
    assert Shown(html).links[-2] == f"https://overparam.example{place}"


def test_a_weekly_digest_leads_to_the_week_that_ended():
    _, mail = write(reader=replace(READER, frequency="weekly"))
    assert Shown(parts(mail)[1]).links[-2] == "https://overparam.example/weeks/2026-W47"


def test_the_subject_fits_whatever_happened():
    most = News((replace(DIET, findings=(GOOD,) * 12_345),), (PAPER,) * 12_345)
    assert len(write(most, day="2026-09-30")[1]["Subject"]) <= 60


def test_long_news_are_cut_and_counted():
    text, _ = parts(write(CASES["many"])[1])
    assert text.count("Half of it will do.") == FINDINGS_SHOWN
    assert "And 31 verdicts more." in text
    assert text.count("A new paper") == LISTED_SHOWN
    assert "And 13 papers more." in text
    assert len(write(CASES["many"])[0].content) < 100_000  # mail programs cut longer ones


def test_hostile_text_is_shown_not_obeyed():
    mail, parsed = write(CASES["hostile"])
    text, html = parts(parsed)
    assert HOSTILE in text
    assert "<script" not in html
    assert HOSTILE in Shown(html).words
    assert b"script" not in mail.content.partition(b"\r\n\r\n")[0]


def test_the_headers_let_a_reader_stop_with_one_click():
    mail, parsed = write()
    web, by_mail = re.fullmatch(
        r"<(https://\S+)>, <mailto:(\S+)\?subject=unsubscribe>", parsed["List-Unsubscribe"]
    ).groups()
    assert verify(web.removeprefix("https://overparam.example/u/"), "manage") == [READER.id, 3]
    assert verp.read(by_mail) == ("unsubscribe", READER.id)
    assert verp.read(mail.sender) == ("bounce", READER.id)
    assert parsed["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert parsed["List-Id"] == "overparam digest <digest.overparam.example>"
    assert (parsed["Precedence"], parsed["Auto-Submitted"]) == ("bulk", "auto-generated")
    assert parsed["Date"] == "Mon, 23 Nov 2026 07:00:00 +0000"
    assert parsed["Message-ID"] == write(News((LAW,)))[1]["Message-ID"] != write(day="2026-11-24")[1]["Message-ID"]
    assert (parsed["To"], parsed["From"]) == ("you@example.org", "overparam <overparam@overparam.example>")


def test_the_bytes_keep_to_the_standards():
    mail, parsed = write(CASES["many"])
    assert mail.content.isascii()
    assert b"\n" not in mail.content.replace(b"\r\n", b"")
    head, _, body = mail.content.partition(b"\r\n\r\n")
    assert max(map(len, head.splitlines())) < 998
    assert max(map(len, body.splitlines())) <= 76
    assert [part.get_content_type() for part in parsed.iter_parts()] == ["text/plain", "text/html"]
    assert not parsed.defects


@pytest.mark.parametrize("bad", ["a\r\nBcc: all@example.org", "a\nb", "a\rb", "a\x00b", "a\x85b", "a\u2028b"])
def test_no_header_takes_a_line_break(bad, monkeypatch):
    with pytest.raises(BadInput, match="mail header Subject"):
        message.note("you@example.org", bad, ["Hello."])
    with pytest.raises(BadInput, match="mail header X-Thing"):
        message.compose("you@example.org", "s", "note", {}, {"X-Thing": bad}, return_path="a@b.c")
    with pytest.raises(BadInput, match="mail header To"):
        message.note(f"{bad}@example.org", "Hello", ["Hello."])
    if "\x00" not in bad:  # the environment cannot hold it
        monkeypatch.setenv("OVERPARAM_MAIL_FROM", f"{bad}@example.org")
        with pytest.raises(BadInput, match="OVERPARAM_MAIL_FROM"):
            message.note("you@example.org", "Hello", ["Hello."])


def test_a_name_may_stand_before_the_sender(monkeypatch):
    monkeypatch.setenv("OVERPARAM_MAIL_FROM", "Daily Papers <papers@mail.example.org>")
    mail, parsed = write()
    assert parsed["From"] == "Daily Papers <papers@mail.example.org>"
    assert mail.sender.startswith("papers+b-")
    assert mail.sender.endswith("@mail.example.org")


def test_one_line_drops_what_can_disguise_text():
    assert message.one_line("a\r\n\tb \u202e c\u200bd\x00e\u2028f") == "a b cde f"


def test_news_survive_being_frozen():
    assert News.parse(FULL.as_json()) == FULL
    assert not News.parse(News().as_json())
