import re

import pytest
import sqlalchemy as sa

from overparam.ledger.schema import subscription
from overparam.settings import outbox_folder

FORM = {"email": "reader@example.org", "frequency": "weekly", "hour": "6", "kinds": ["papers", "verdicts"], "words": ""}


def rows(ledger):
    with ledger.reading() as db:
        return db.execute(sa.select(subscription)).all()


def link():
    """Return the path of the link in the newest mail of the outbox."""
    import email
    import email.policy

    newest = max(outbox_folder().rglob("*.eml"), key=lambda p: p.stat().st_mtime_ns)
    text = email.message_from_bytes(newest.read_bytes(), policy=email.policy.default)
    return re.search(r"http://[^/\s]+(/\S+)", text.get_body(("plain",)).get_content()).group(1)


@pytest.fixture
def reader(visit):
    return visit()


def test_from_the_form_to_the_last_click(reader, seeded):
    sent = reader.post("/subscribe", data=FORM)
    assert sent.status_code == 202
    assert "Check your mail" in sent.text
    asked = link()
    assert reader.get(asked).status_code == 200
    assert rows(seeded)[0].state == "pending"  # looking changes nothing
    page = reader.post(asked)
    assert "You are in" in page.text
    assert (rows(seeded)[0].state, rows(seeded)[0].frequency, rows(seeded)[0].hour) == ("active", "weekly", 6)
    manage = page.url.path
    changed = reader.post(f"{manage}/change", data={**FORM, "frequency": "daily", "topics": ["scaling"], "hour": "9"})
    assert "Changed" in changed.text
    assert (rows(seeded)[0].frequency, rows(seeded)[0].hour) == ("daily", 9)
    assert "scaling" in rows(seeded)[0].filter_json
    manage = changed.url.path
    assert "Paused" in reader.post(f"{manage}/pause").text
    assert "Going on" in reader.post(f"{manage}/resume").text
    reader.get(manage)
    assert rows(seeded)[0].state == "active"
    assert "You are off the list" in reader.post(manage).text
    assert rows(seeded)[0].state == "unsubscribed"
    again = reader.post(f"{manage}/undo")
    assert "You are in again" in again.text
    assert "Your address is deleted" in reader.post(f"{again.url.path}/erase").text
    assert rows(seeded) == []


def test_the_answer_is_the_same_whether_or_not_the_address_is_known(reader, seeded):
    first = reader.post("/subscribe", data=FORM)
    reader.post(link())
    second = reader.post("/subscribe", data=FORM)
    assert (first.status_code, first.text) == (second.status_code, second.text)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"email": "you.example.org"}, "There is no @"), ({"hour": "25"}, "0 to 23"), ({"frequency": "hourly"}, "daily"),
     ({"kinds": []}, "at least one"), ({"email": "a@b.org\r\nBcc: c@d.org"}, "")],
)  # fmt: skip
def test_what_is_wrong_is_said_and_what_was_typed_stays(reader, seeded, wrong, words):
    answer = reader.post("/subscribe", data={**FORM, "words": "noisy labels", **wrong})
    assert answer.status_code == 422
    assert words in answer.text
    assert 'value="noisy labels"' in answer.text
    assert rows(seeded) == []
    assert not list(outbox_folder().rglob("*.eml"))


def test_links_of_the_form_tick_what_they_name(reader):
    text = reader.get("/subscribe?paper=data-diet&topic=scaling&words=noisy+labels&paper=no-such-paper").text
    assert re.search(r'name="papers" value="data-diet" checked', text)
    assert re.search(r'name="topics" value="scaling" checked', text)
    assert 'value="noisy labels"' in text
    assert "no-such-paper" not in text


@pytest.mark.parametrize("path", ["/u/wrong", "/confirm/wrong", "/u/wrong/pause"])
def test_links_that_are_not_ours_are_refused(reader, path):
    answer = reader.post(path) if path.endswith("pause") else reader.get(path)
    assert answer.status_code in (400, 422)
    assert "not valid" in answer.text


def test_a_stale_link_still_stops(reader, seeded):
    reader.post("/subscribe", data=FORM)
    old = reader.post(link()).url.path
    reader.post(f"{old}/change", data={**FORM, "hour": "9"})
    for _ in range(2):
        answer = reader.post(old, data={"List-Unsubscribe": "One-Click"}, headers={"Accept": "*/*"})
        assert (answer.status_code, answer.text) == (200, "Nothing more will come.\n")
    assert rows(seeded)[0].state == "unsubscribed"
