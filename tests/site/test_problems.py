"""What readers and programs get when something cannot be done."""

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.datastructures import State
from starlette.exceptions import HTTPException
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from overparam.errors import BadInput, Conflict, MissingExtra, NotFound, OverparamError, Unavailable
from overparam.ledger import Ledger
from overparam.site import problems
from overparam.site.verdicts import Overview

SECRET = "/home/ada/ledger.sqlite3"
RAISED = {
    "bad": BadInput("period='x' is no day"),
    "absent": NotFound("no paper is called 'x'"),
    "clash": Conflict("somebody else holds it"),
    "down": Unavailable(f"ledger {SECRET}: it is locked"),
    "extra": MissingExtra(f"pip install something, said {SECRET}"),
    "odd": OverparamError(f"none of the others at {SECRET}"),
    "fault": RuntimeError(f"password in {SECRET}"),
    "forbidden": HTTPException(403, "Not yours."),
}
STATUS = {
    "bad": 400,
    "absent": 404,
    "clash": 409,
    "down": 503,
    "extra": 503,
    "odd": 500,
    "fault": 500,
    "forbidden": 403,
}


def fail(request):
    raise RAISED[request.path_params["how"]]


@pytest.fixture
def opened(home):
    ledgers = []

    def made(*, local=False):
        ledgers.append(Ledger())
        state = State({"ledger": ledgers[-1], "local": local, "overview": Overview(ledgers[-1])})
        raising = Route("/raise/{how}", fail, methods=["GET", "POST"])
        api = FastAPI(
            exception_handlers=problems.handlers, routes=[raising], openapi_url=None, docs_url=None, redoc_url=None
        )
        api.state = state
        app = Starlette(routes=[raising, *problems.routes, Mount("/api/v1", api)], exception_handlers=problems.handlers)
        app.state = state
        return TestClient(app, raise_server_exceptions=False)

    yield made
    for ledger in ledgers:
        ledger.close()


@pytest.mark.parametrize("how", RAISED)
def test_programs_get_problem_details(opened, how):
    client = opened()
    answer = client.get(f"/api/v1/raise/{how}")
    body = answer.json()
    assert answer.status_code == body["status"] == STATUS[how]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert set(body) == {"type", "title", "status", "detail", "instance"}
    assert client.get("/problems/" + body["type"].rsplit("/", 1)[1]).status_code == 200
    assert SECRET not in answer.text
    if STATUS[how] < 500:
        assert str(RAISED[how]).removeprefix("403: ").rstrip(".") in body["detail"]
    if STATUS[how] == 503:
        assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("how", RAISED)
def test_readers_get_a_page_with_a_way_out(opened, how):
    answer = opened().get(f"/raise/{how}?q=flat+minima")
    assert answer.status_code == STATUS[how]
    assert answer.headers["content-type"].startswith("text/html")
    assert 'type="search"' in answer.text
    assert 'value="flat minima"' in answer.text
    assert 'href="/"' in answer.text
    assert SECRET not in answer.text


def test_what_a_write_may_not_say_is_422(opened):
    client = opened()
    assert client.post("/api/v1/raise/bad").status_code == 422
    assert client.post("/raise/bad").status_code == 422


def test_the_owner_of_the_machine_is_told_more(opened):
    assert SECRET in opened(local=True).get("/api/v1/raise/down").json()["detail"]
    assert SECRET not in opened(local=True).get("/api/v1/raise/fault").text


def test_addresses_that_do_not_exist_and_methods_that_do_not_fit(opened):
    client = opened()
    for prefix in ("", "/api/v1"):
        assert client.get(f"{prefix}/nowhere").status_code == 404
        wrong = client.put(f"{prefix}/raise/bad")
        assert wrong.status_code == 405
        assert wrong.headers["allow"] == "GET, HEAD, OPTIONS, POST"
        assert client.options(f"{prefix}/raise/bad").status_code == 204
    assert client.get("/problems/nothing").status_code == 404


def test_words_of_an_error_are_escaped(opened, monkeypatch):
    monkeypatch.setitem(RAISED, "hostile", NotFound("no paper is called '<script>alert(1)</script>'"))
    text = opened().get("/raise/hostile").text
    assert "<script>alert" not in text
    assert "&lt;script&gt;" in text


def test_without_a_database_there_is_still_a_page(opened, home):
    client = opened()
    client.app.state.ledger.close()
    for file in home.glob("ledger.sqlite3*"):
        file.unlink()
    (home / "ledger.sqlite3").write_text("this is no database")
    answer = client.get("/raise/absent")
    assert answer.status_code == 404
    assert "Nothing stands here" in answer.text
    assert 'type="search"' in answer.text
    (home / "ledger.sqlite3").unlink()


def test_every_status_has_a_page_of_its_own():
    assert len(problems.BY_NAME) == len(problems.KINDS)
    for status, kind in problems.KINDS.items():
        assert kind.status == status
        assert kind.cause.endswith(".")
        assert kind.way_out.endswith(".")
