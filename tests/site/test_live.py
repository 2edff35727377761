"""Server-sent events, over a real server."""

import contextlib
import json
import threading
import time

import httpx2
import pytest
import sqlalchemy as sa
import uvicorn
from starlette.applications import Starlette

from overparam.lab.planner import Spec
from overparam.lab.runner import execute
from overparam.site import live, problems

FACTS = {"slug": "toy", "arxiv": "0000.00001", "title": "A Toy", "published_on": "2020-01-01"}
CLAIM = {"paper": "toy", "claim": "T1", "statement": "s", "source": "nowhere", "rule_json": "{}", "rule_hash": "r1"}
DONE = {"state": "done", "metrics_json": "{}", "wall_seconds": 0.1, "cpu_seconds": 0.1, "peak_megabytes": 1.0}
VERDICT = {"claim": "T1", "paper": "toy", "rule_hash": "r1", "status": "reproduced", "estimate": 1.0, "low": 0.5, "high": 1.5,
           "n": 4, "body_json": "{}"}  # fmt: skip


@pytest.fixture
def app(ledger, home, monkeypatch):
    monkeypatch.setenv("OVERPARAM_SECRET_FILE", str(home / "secret"))
    made = Starlette(routes=live.routes, exception_handlers=problems.handlers)
    made.state.ledger, made.state.local = ledger, False
    made.state.hub = live.Hub(ledger, each=100)
    return made


@pytest.fixture
def site(app):
    config = uvicorn.Config(app, port=0, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def held(ledger):
    """A run of six trials that has just been planned."""
    ledger.record_paper(FACTS, [CLAIM])
    fields = {"id": "01A", "paper": "toy", "scale": "smoke", "spec_hash": "s", "options_json": "{}", "engine": "inline",
              "workers": 1, "provenance_json": "{}"}  # fmt: skip
    hold, _ = ledger.begin(fields)
    rows = [
        {"trial_key": f"k{i}", "position": i, "task": i, "experiment": "draws", "params_json": "{}", "seed": i}
        for i in range(6)
    ]
    ledger.plan(hold, rows, fresh=True)
    return hold


def finish(ledger, hold, i):
    ledger.commit(hold, ledger.start(hold, [f"k{i}"]), {f"k{i}": {**DONE, "device": "cpu"}})


class Reader(threading.Thread):
    """Collects the messages of one stream with the time of their arrival."""

    def __init__(self, address, **options):
        super().__init__(daemon=True)
        self.address, self.options = address, options
        self.messages, self.comments, self.response = [], 0, None
        self.opened = threading.Event()
        self.start()
        assert self.opened.wait(10)

    def run(self):
        with (
            contextlib.suppress(httpx2.TransportError),
            httpx2.stream("GET", self.address, timeout=30, **self.options) as r,
        ):
            self.response = r
            self.opened.set()
            found = {}
            for line in r.iter_lines():
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(": ")
                    found[name] = value
                elif found:
                    self.messages.append((
                        int(found["id"]),
                        found["event"],
                        json.loads(found["data"]),
                        time.monotonic(),
                    ))
                    found = {}
        self.opened.set()

    def wait_for(self, condition, seconds=10):
        until = time.monotonic() + seconds
        while not any(condition(*m[:3]) for m in list(self.messages)):
            assert time.monotonic() < until, self.messages
            time.sleep(0.01)

    def events(self):
        return [(kind, data) for _, kind, data, _ in self.messages]


def test_a_finished_run_is_told_and_the_stream_ends(site, ledger, toy):
    run = execute(Spec(toy, "smoke", ("T1", "T3")), ledger, engine="inline")
    address = f"{site}/api/v1/runs/{run}/events"
    reader = Reader(address)
    reader.join(10)
    assert not reader.is_alive()
    headers = reader.response.headers
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["cache-control"] == "no-cache, no-transform"
    assert headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in headers
    kinds = [kind for kind, _ in reader.events()]
    assert kinds == ["judged", "judged", "progress", "end"]
    assert reader.events()[0] == ("judged", {"claim": "T1", "status": "reproduced"})
    assert reader.events()[2] == (
        "progress",
        {"state": "succeeded", "done": 11, "planned": 11, "cached": 0, "failed": 0, "left": None, "experiment": "",
         "note": ""},
    )  # fmt: skip
    assert reader.events()[3] == ("end", {"state": "succeeded"})
    numbers = [m[0] for m in reader.messages]
    assert numbers == sorted(numbers)
    assert numbers[-1] == ledger.events(run)[-1].seq
    for options in ({"headers": {"Last-Event-ID": str(numbers[0])}}, {"params": {"after": numbers[0]}}):
        again = Reader(address, **options)
        again.join(10)
        assert again.events() == reader.events()[1:]
    late = Reader(address, params={"after": numbers[-1]})
    late.join(10)
    assert [kind for kind, _ in late.events()] == ["progress", "end"]


def test_what_happens_arrives_soon_and_progress_is_gathered(site, ledger, held):
    reader = Reader(f"{site}/api/v1/runs/01A/events")
    reader.wait_for(lambda _, kind, data: kind == "progress" and data["planned"] == 6)
    for i in range(5):
        finish(ledger, held, i)
    ledger.tell(held, "note", {"experiment": "draws", "text": "seed 5", "left": 1.5})
    told = time.monotonic()
    reader.wait_for(lambda _, kind, data: data.get("note") == "seed 5")
    (found,) = [m for m in reader.messages if m[2].get("note") == "seed 5"]
    assert found[3] - told < 1
    assert found[2] == {"state": "running", "done": 5, "planned": 6, "cached": 0, "failed": 0, "left": 1.5,
                        "experiment": "draws", "note": "seed 5"}  # fmt: skip
    assert len(reader.messages) <= 4  # six events, but not six messages
    ledger.judge(held, [VERDICT])
    finish(ledger, held, 5)
    ledger.end(held, "cancelled", 1.0)
    reader.join(5)
    assert reader.events()[-1] == ("end", {"state": "cancelled"})
    assert reader.events().count(("judged", {"claim": "T1", "status": "reproduced"})) == 1
    numbers = [m[0] for m in reader.messages]
    assert numbers == sorted(numbers)


def test_a_run_that_goes_on_after_it_was_cancelled_does_not_end_early(site, ledger, held):
    ledger.end(held, "cancelled", 1.0)
    again, _ = ledger.begin({"id": "01B", "spec_hash": "s", "engine": "inline", "workers": 1, "provenance_json": "{}"})
    reader = Reader(f"{site}/api/v1/runs/01A/events")
    reader.wait_for(lambda _, kind, data: kind == "progress")
    assert ("end", {"state": "cancelled"}) not in reader.events()
    ledger.end(again, "succeeded", 1.0)
    reader.join(5)
    assert reader.events()[-1] == ("end", {"state": "succeeded"})


@pytest.mark.slow
def test_many_streams_cost_as_much_as_one(site, ledger, held):
    asked = []

    def count(_connection, _cursor, statement, *_rest):
        asked.append(statement)

    readers = [Reader(f"{site}/api/v1/runs/01A/events")]
    time.sleep(0.5)
    sa.event.listen(ledger.engine, "before_cursor_execute", count)
    time.sleep(2)
    alone = len(asked)
    readers += [Reader(f"{site}/api/v1/runs/01A/events") for _ in range(39)]
    for reader in readers:
        reader.wait_for(lambda _, kind, data: kind == "progress")
    time.sleep(0.5)
    asked.clear()
    time.sleep(2)
    assert 4 <= alone <= 9  # one a poll
    assert len(asked) <= 9
    sa.event.remove(ledger.engine, "before_cursor_execute", count)
    ledger.end(held, "succeeded", 1.0)
    for reader in readers:
        reader.join(5)
        assert reader.events()[-1] == ("end", {"state": "succeeded"})


def test_streams_are_limited_and_seats_come_free(site, app, ledger, held):
    app.state.hub = live.Hub(ledger, each=2, total=3)
    address = f"{site}/api/v1/runs/01A/events"
    readers = [Reader(address), Reader(address)]
    for reader in readers:
        reader.wait_for(lambda _, kind, data: kind == "progress")
    refused = httpx2.get(address)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
    assert refused.json()["detail"] == "You watch 2 runs already; close one of them."
    app.state.hub.streams["somebody else"] = 1
    app.state.hub.each = 5
    assert httpx2.get(address).status_code == 503
    ledger.end(held, "succeeded", 1.0)
    for reader in readers:
        reader.join(5)
    until = time.monotonic() + 5
    while app.state.hub.streams.total() > 1 or app.state.hub.channels:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_reader_who_leaves_frees_the_seat(site, app, ledger, held):
    with httpx2.stream("GET", f"{site}/api/v1/runs/01A/events", timeout=5) as response:
        assert response.status_code == 200
        lines = response.iter_lines()  # kept, since it closes the response when it goes
        next(lines)
        assert app.state.hub.streams.total() == 1
    until = time.monotonic() + 5
    while app.state.hub.streams or app.state.hub.channels:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert httpx2.head(f"{site}/api/v1/runs/01A/events").status_code == 200
    assert not app.state.hub.streams


def test_a_quiet_stream_is_kept_open_by_comments(site, ledger, held, monkeypatch):
    monkeypatch.setattr(live, "PING_SECONDS", 0.2)
    reader = Reader(f"{site}/api/v1/runs/01A/events")
    time.sleep(0.9)
    assert reader.comments >= 2
    assert [kind for kind, _ in reader.events()] == ["progress"]


def test_what_cannot_be_streamed_is_said(site, held):
    missing = httpx2.get(f"{site}/api/v1/runs/01Z/events")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
    for text in ("-1", "x", "1e3", "9" * 30):
        assert httpx2.get(f"{site}/api/v1/runs/01A/events", params={"after": text}).status_code == 400


def test_readers_far_behind_are_told_from_the_ledger(site, ledger, held, monkeypatch):
    monkeypatch.setattr(live, "KEPT", 1)  # what is kept in memory holds next to nothing
    reader = Reader(f"{site}/api/v1/runs/01A/events")
    reader.wait_for(lambda _, kind, data: kind == "progress")
    for claim in ("T1", "T2", "T3"):
        ledger.record_paper(FACTS, [{**CLAIM, "claim": claim}])
        ledger.judge(held, [{**VERDICT, "claim": claim}])
    ledger.end(held, "succeeded", 1.0)
    reader.join(5)
    assert [d["claim"] for kind, d in reader.events() if kind == "judged"] == ["T1", "T2", "T3"]
