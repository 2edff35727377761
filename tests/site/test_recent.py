import threading
import time

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from overparam.site import recent


def reader(handler, *, local=False):
    app = Starlette(routes=[Route("/{path:path}", recent.recent(handler))])
    app.state.ledger, app.state.local = object(), local
    return TestClient(app)


def counting():
    calls = []

    def handler(request):
        calls.append(request.url.path)
        return PlainTextResponse(f"{len(calls)}", 404 if "missing" in request.url.path else 200)

    return handler, calls


def test_a_crowd_costs_as_much_as_one_reader_and_each_address_has_its_own():
    handler, calls = counting()
    client = reader(handler)
    assert {client.get("/a").text for _ in range(20)} == {"1"}
    assert client.get("/a?order=newest").text == "2"
    assert client.get("/a", headers={"Cookie": "theme=dark"}).text == "3"
    assert len(calls) == 3


def test_whoever_is_known_gets_a_page_of_their_own():
    handler, calls = counting()
    client = reader(handler)
    client.get("/a")
    client.get("/a", headers={"Cookie": "session=x"})
    client.get("/a", headers={"Authorization": "Bearer x"})
    assert len(calls) == 3
    desk = reader(handler, local=True)
    assert desk.get("/a").text != desk.get("/a").text


def test_errors_are_not_kept():
    handler, calls = counting()
    client = reader(handler)
    client.get("/missing"), client.get("/missing")
    assert len(calls) == 2


def test_while_one_makes_a_page_again_the_others_see_the_old_one(monkeypatch):
    monkeypatch.setattr(recent, "SECONDS", 0.05)
    slow = threading.Event()
    calls = []

    def handler(_request):
        calls.append(1)
        if len(calls) > 1:
            slow.wait(5)
        return PlainTextResponse(str(len(calls)))

    with reader(handler) as client:
        assert client.get("/").text == "1"
        time.sleep(0.06)
        first = []
        thread = threading.Thread(target=lambda: first.append(client.get("/").text))
        thread.start()
        while len(calls) < 2:
            time.sleep(0.001)
        assert client.get("/").text == "1"
        slow.set()
        thread.join()
    assert first == ["2"]


def test_readers_of_a_new_page_wait_for_the_one_who_makes_it():
    calls = []

    def handler(_request):
        calls.append(1)
        time.sleep(0.05)
        return PlainTextResponse("made")

    found = []
    with reader(handler) as client:
        threads = [threading.Thread(target=lambda: found.append(client.get("/").text)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (found, len(calls)) == (["made"] * 6, 1)


def test_the_number_of_pages_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(recent, "PAGES", 3)
    handler, calls = counting()
    client = reader(handler)
    for name in "abcda":
        client.get(f"/{name}")
    assert len(calls) == 5
