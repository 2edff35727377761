"""Pages of runs and requests, on both stores."""

import json
import re

import pytest
import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.testclient import TestClient

from overparam.lab.planner import REGULAR, Spec
from overparam.lab.provenance import provenance
from overparam.lab.runner import execute
from overparam.lab.service import work
from overparam.ledger import requests, schema
from overparam.ledger.clock import now
from overparam.ledger.owner import owner_of_this_process
from overparam.site import panels, problems
from overparam.site.pages import runs
from overparam.site.tokens import create
from overparam.site.viewer import Viewer

DONE = {
    "state": "done",
    "metrics_json": "{}",
    "wall_seconds": 0.1,
    "cpu_seconds": 0.1,
    "peak_megabytes": 1.0,
    "device": "cpu",
}
MADE = json.dumps({**provenance(), "data": {"digits": "0" * 64}})


@pytest.fixture
def site(ledger, home, monkeypatch):
    monkeypatch.setenv("OVERPARAM_SECRET_FILE", str(home / "secret"))
    made = Starlette(routes=runs.routes, exception_handlers=problems.handlers)
    made.state.ledger, made.state.local = ledger, False
    return TestClient(made, follow_redirects=False, headers={"Accept": "text/html"})


@pytest.fixture
def desk(site):
    site.app.state.local = True
    return site


def token(ledger, name, role="runner", scope="run"):
    with ledger.writing() as db:
        db.execute(ledger.insert(schema.account).values(id=name, name=name, role=role, created_at=now()))
    return {"Authorization": f"Bearer {create(ledger, Viewer(name, name, role), 'test', scope)}"}


def begin(ledger, toy, run_id="01A", n=6, experiment="draws"):
    from overparam.lab.runner import record_paper

    record_paper(toy, ledger)
    fields = {"id": run_id, "paper": "toy", "scale": "smoke", "spec_hash": run_id, "options_json": REGULAR, "engine": "inline",
              "workers": 1, "provenance_json": MADE}  # fmt: skip
    hold, _ = ledger.begin(fields)
    rows = [
        {"trial_key": f"{run_id}{i}", "position": i, "task": i, "experiment": experiment, "seed": i % 3,
         "params_json": json.dumps({"shift": 1.0 + i // 3, "size": 8})}
        for i in range(n)
    ]  # fmt: skip
    ledger.plan(hold, rows, fresh=True)
    return hold


def finish(ledger, hold, i, **changed):
    key = f"{hold.run_id}{i}"
    ledger.commit(hold, ledger.start(hold, [key]), {key: {**DONE, **changed}})


def counts(text):
    return {
        key: text.count(f'href="#{key}"/></svg><span class="vh">')
        for key in ("trial-done", "running", "queued", "failed")
    }


def well_formed(text):
    assert " style=" not in text
    assert "<script>" not in text
    assert not re.search(r"\son\w+=", text)
    assert "None" not in re.sub("None is discarded|None is left", "", text)
    return text


def test_a_finished_run_is_shown_whole(site, ledger, toy):
    run = execute(Spec(toy, "smoke"), ledger, engine="inline")
    text = well_formed(site.get(f"/runs/{run}").text)
    assert "<b>Done at smoke scale</b>" in text
    assert "15 of 15 trials done, in " in text
    assert text.count("<b>Reproduced</b>") == 4
    assert "T4: not part of this run; it is tried at paper scale." in text
    assert "T7: there is nothing to measure." in text
    assert "shift 1.0</th>" in text
    assert counts(text) == {"trial-done": 15, "running": 0, "queued": 0, "failed": 0}
    assert 'Draws (T1, T2)</th><td class="num">8</td>' in text
    assert f"Python {provenance()['python']}" in text
    assert "http-equiv" not in text
    assert "data-active" not in text
    assert "Run again" not in text  # nobody is signed in


def test_a_run_that_goes_on_shows_how_far_it_is(desk, ledger, toy):
    hold = begin(ledger, toy)
    for i in range(2):
        finish(ledger, hold, i)
    ledger.start(hold, ["01A2"])
    ledger.tell(hold, "note", {"experiment": "draws", "text": "shift 1.0, seed 2", "left": 50.2})
    text = well_formed(desk.get("/runs/01A").text)
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in text
    assert "<b>Running at smoke scale, 3 seeds</b>" in text
    assert "about 50\u202fs left" in text
    assert '<progress value="2" max="6"' in text
    assert re.search(r"2 of 6 trials done\. \d\.\d\u202fs so far\.", text)
    assert "Now: draws, shift 1.0, seed 2" in text
    assert "seeds 0 to 2" in text
    panel = well_formed(desk.get("/runs/01A/panel").text)
    assert panel.startswith('<div class="panel"')
    assert counts(panel) == {"trial-done": 2, "running": 1, "queued": 3, "failed": 0}
    last = ledger.events("01A")[-1].seq
    assert f'data-run="01A" data-request="" data-after="{last}" data-active' in panel
    assert '<form action="/runs/01A/cancel" method="post">' in panel
    assert desk.post("/runs/01A/cancel").headers["location"] == "/runs/01A"
    assert ledger.cancel_asked("01A")


def test_a_dead_run_does_not_look_alive(site, ledger, toy):
    hold = begin(ledger, toy)
    finish(ledger, hold, 0)
    dead = owner_of_this_process().rsplit(":", 2)[0] + ":4194304:1.00"
    with ledger.writing() as db:
        db.execute(sa.update(schema.run).values(lease_owner=dead))
    text = site.get("/runs/01A").text
    assert "<b>Interrupted</b>" in text
    assert "Its process is gone, with 1 of 6 trials done. They are kept. The run can go on from there." in text
    assert "http-equiv" not in text
    assert "<b>Interrupted</b>" in site.get("/runs").text
    assert ledger.run("01A").state == "running"  # looking changes nothing


def test_failures_have_names_and_messages(desk, ledger, toy):
    hold = begin(ledger, toy)
    failed = {
        "state": "failed",
        "metrics_json": None,
        "outcome": "out of memory",
        "message": "<script>x</script> 500 MB",
    }
    for i in range(4):
        finish(ledger, hold, i)
    finish(ledger, hold, 4, **failed)
    finish(ledger, hold, 5, **{**failed, "outcome": "raised"})
    ledger.end(hold, "failed", 1.0)
    text = well_formed(desk.get("/runs/01A").text)
    assert "Of 6 trials, 1 ran out of memory and 1 raised an error. The other 4 are kept;" in text
    assert "&lt;script&gt;x&lt;/script&gt; 500 MB" in text
    assert "shift 2.0, size 8, seed 1</td><td>out of memory</td>" in text
    assert counts(text)["failed"] == 2
    assert "Run the 2 again" in text


def test_a_cancelled_run_says_what_is_kept(desk, ledger, toy):
    hold = begin(ledger, toy)
    finish(ledger, hold, 0)
    ledger.end(hold, "cancelled", 1.0)
    text = desk.get("/runs/01A").text
    assert "Cancelled after 1 of 6 trials. It is kept." in text
    assert "Go on" in text


def test_a_large_run_shows_its_first_settings(site, ledger, toy):

    begin(ledger, toy, n=3 * 250)
    text = site.get("/runs/01A").text
    assert counts(text)["queued"] == 3 * panels.SETTINGS_ON_PAGE
    assert "The first 200 settings are shown." in text
    assert counts(site.get("/runs/01A/panel").text)["queued"] == 0


def asked(desk, ledger, headers=None, **data):
    """Ask for a run with the form of the paper's page; return the page of the request."""
    answer = desk.post("/papers/toy/runs", data=data, headers=headers)
    assert (answer.status_code, answer.headers["location"]) == (303, "/papers/toy#live")
    with ledger.reading() as db:
        return f"/requests/{db.execute(sa.select(sa.func.max(schema.run_request.c.id))).scalar()}"


def test_from_the_button_to_the_run(desk, ledger):
    place = asked(desk, ledger, scale="smoke", claim="T1")
    assert re.fullmatch(r"/requests/[0-9A-Z]{26}", place)
    assert asked(desk, ledger, scale="smoke", claim=["T1"]) == place
    text = well_formed(desk.get(place).text)
    assert "<b>Queued</b>" in text
    assert "Next in the queue." in text
    assert "http-equiv" in text
    assert f'href="{place}"' in desk.get("/runs").text
    assert "<b>Queued</b>" in desk.get(f"{place}/panel").text
    second = asked(desk, ledger, scale="smoke")
    assert "Second in the queue." in desk.get(second).text
    assert desk.post(f"{second}/cancel").headers["location"] == second
    assert "Cancelled before it began." in desk.get(second).text
    work(ledger.engine.url.render_as_string(False), once=True, engine="inline")
    there = desk.get(place)
    run = requests.find(ledger, place.rpartition("/")[2]).run_id
    assert (there.status_code, there.headers["location"]) == (303, f"/runs/{run}")
    assert "8 of 8 trials done" in desk.get(f"{place}/panel").text
    assert "Run again" in desk.get(f"/runs/{run}").text
    assert "1 reproduced" in desk.get("/runs").text


def test_what_waits_says_when_it_starts_if_that_is_known(desk, ledger, toy):
    with ledger.writing() as db:
        db.execute(sa.insert(schema.paper).values(slug="toy", arxiv="1", title="A Toy", published_on="2020-01-01"))
        db.execute(sa.insert(schema.run).values(_finished("01A", wall_seconds=90.0)))
    desk.post("/papers/toy/runs", data={"scale": "smoke"})
    place = asked(desk, ledger, scale="laptop")
    assert "Second in the queue. Starts in about 1\u202fmin 30\u202fs." in desk.get(place).text


def test_a_request_that_came_to_nothing_says_why(desk, ledger):
    place = asked(desk, ledger, scale="smoke", claim="T4")
    work(ledger.engine.url.render_as_string(False), once=True, engine="inline")
    text = desk.get(place).text
    assert "<b>Run failed</b>" in text
    assert "Toy has nothing to run at smoke scale; try another scale." in text
    assert panels.panel(ledger, "toy")["title"] == "Run failed"


def test_the_panel_of_a_paper_is_that_of_its_newest_run(ledger, toy):
    assert panels.panel(ledger, "toy") is None
    first = begin(ledger, toy, "01A")
    assert panels.panel(ledger, "toy")["run"] == "01A"
    ledger.end(first, "succeeded", 1.0)
    assert panels.panel(ledger, "toy") is None
    ledger.end(begin(ledger, toy, "01B"), "cancelled", 1.0)
    assert panels.panel(ledger, "toy")["title"] == "Cancelled"
    key = requests.submit(ledger, "toy", "smoke", requested_by="local")
    assert panels.panel(ledger, "toy")["request"] == key
    held = requests.claim_next(ledger, "elsewhere:1:1.0")
    assert panels.panel(ledger, "toy")["title"] == "Starting"
    begin(ledger, toy, "01C")
    requests.begun(ledger, held, "01C")
    assert panels.panel(ledger, "toy")["run"] == "01C"
    assert panels.panel(ledger, "toy")["active"]


def test_who_may_start_and_stop(site, ledger, toy):
    answer = site.post("/papers/toy/runs", data={"scale": "smoke"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/papers/toy")
    reads = token(ledger, "carl", "member", "read")
    refused = site.post("/papers/toy/runs", data={"scale": "smoke"}, headers=reads)
    assert refused.status_code == 403
    assert "not start or stop runs" in refused.text
    ann, bob, eve = token(ledger, "ann"), token(ledger, "bob", "member"), token(ledger, "eve", "admin", "admin")
    place = asked(site, ledger, headers=bob, scale="smoke")
    assert "Cancel</button>" in site.get(place, headers=bob).text
    assert "Cancel</button>" not in site.get(place, headers=ann).text
    assert site.post(f"{place}/cancel", headers=ann).status_code == 403
    assert site.post(f"{place}/cancel").headers["location"] == f"/sign-in?next={place}"
    assert requests.find(ledger, place.rpartition("/")[2]).state == "queued"
    assert site.post(f"{place}/cancel", headers=eve).status_code == 303
    assert requests.find(ledger, place.rpartition("/")[2]).state == "cancelled"
    with ledger.writing() as db:
        db.execute(sa.insert(schema.run).values(_finished("01Z", wall_seconds=700.0)))
    first = site.post("/papers/toy/runs", data={"scale": "smoke", "claim": "T1"}, headers=bob)
    assert first.status_code == 303
    second = site.post("/papers/toy/runs", data={"scale": "smoke", "claim": "T2"}, headers=bob)
    assert second.status_code == 409
    assert "600 s for today are used up; there are more from 00:00 UTC" in second.text
    for claim in ("T2", "T3"):  # a runner has no such limit
        assert site.post("/papers/toy/runs", data={"scale": "smoke", "claim": claim}, headers=ann).status_code == 303
    begin(ledger, toy)
    assert site.post("/runs/01A/cancel", headers=bob).status_code == 403  # started in a terminal
    assert not ledger.cancel_asked("01A")
    assert site.post("/runs/01A/cancel", headers=eve).status_code == 303
    assert ledger.cancel_asked("01A")


def test_nonsense_is_refused_in_words(desk):
    assert desk.get("/runs/01Z").status_code == 404
    assert desk.get("/runs/01Z/panel").status_code == 404
    assert desk.get("/requests/01Z").status_code == 404
    assert desk.post("/runs/01Z/cancel").status_code == 404
    assert desk.post("/papers/no-such/runs").status_code == 404
    assert "choose smoke, laptop or paper" in desk.post("/papers/toy/runs", data={"scale": "huge"}).text
    refused = desk.post("/papers/toy/runs", data={"scale": "smoke", "claim": "T7"})
    assert refused.status_code == 422
    for i in range(5):
        desk.post("/papers/toy/runs", data={"scale": "smoke", "claim": f"T{i + 1}"})
    full = desk.post("/papers/toy/runs", data={"scale": "smoke"})
    assert full.status_code == 409
    assert "5 of your runs are waiting" in full.text


def _finished(run_id, **changed):
    row = {"id": run_id, "paper": "toy", "scale": "smoke", "spec_hash": run_id, "options_json": REGULAR, "state": "succeeded",
           "engine": "inline", "workers": 1, "attempt": 1, "created_at": now(), "wall_seconds": 1.0, "provenance_json": MADE}  # fmt: skip
    return row | changed


def test_pages_of_the_list_are_complete_in_both_directions(site, ledger):
    states = ("succeeded", "failed", "cancelled")
    ids = [f"{i:05d}" for i in range(1, 121)]
    with ledger.writing() as db:
        db.execute(sa.insert(schema.paper).values(slug="toy", arxiv="1", title="A Toy", published_on="2020-01-01"))
        rows = [_finished(key, state=states[i % 3], scale=("smoke", "laptop")[i % 2]) for i, key in enumerate(ids)]
        db.execute(sa.insert(schema.run), rows)

    def shown(text):
        return re.findall(r'href="/runs/(\d+)"', text)

    def link(text, word):
        found = re.search(rf'<a href="(/runs\?[^"]*)">{word}</a>', text)
        return found and found[1].replace("&amp;", "&")

    first = site.get("/runs").text
    pages, text = [shown(first)], first
    while (older := link(text, "Older")) is not None:
        text = site.get(older).text
        pages.append(shown(text))
    assert [key for page in pages for key in page] == ids[::-1]
    assert [len(page) for page in pages] == [50, 50, 20]
    assert link(first, "Newer") is None
    back = site.get(link(text, "Newer")).text
    assert shown(back) == pages[1]
    assert shown(site.get(link(back, "Newer")).text) == pages[0]
    last = site.get(link(first, "Oldest")).text
    assert shown(last) == ids[:50][::-1]
    assert link(last, "Older") is None
    failed = site.get("/runs", params={"state": "failed", "scale": "laptop", "paper": "toy"}).text
    assert shown(failed) == [key for i, key in enumerate(ids) if i % 3 == 1 and i % 2 == 1][::-1]
    assert "No run fits this choice" in site.get("/runs", params={"state": "running"}).text
    assert site.get("/runs", params={"before": "' OR 1=1 --", "after": "x"}).status_code == 200


def test_an_empty_ledger_says_so(site):
    assert "Nothing has been run on this ledger yet" in site.get("/runs").text
