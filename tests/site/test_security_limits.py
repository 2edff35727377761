"""Items 8 and 9 of the site's security list: how often and how much."""

import re
import socket
import threading
import time

import pytest
import sqlalchemy as sa
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from overparam.feed.secrets import fingerprint
from overparam.ledger import Ledger
from overparam.ledger.schema import account, api_token, rate
from overparam.site import security
from overparam.site.pages import people
from overparam.site.problems import handlers
from overparam.site.security import LIMITS, network_of, protect

AT = "2026-11-20T14:00:00.000000Z"


async def echo(request):
    return PlainTextResponse(f"{len(await request.body())} bytes")


ROUTES = [
    Route("/", echo),
    Route("/api/v1/thing", echo, methods=["GET", "POST"]),
    Route("/search", echo),
    Route("/change", echo, methods=["GET", "POST"]),
]


def site(ledger, *, local=False, hosts=("testserver",)):
    middleware = protect(hosts=hosts, https=False)
    app = Starlette(routes=[*people.routes, *ROUTES], middleware=middleware, exception_handlers=handlers)
    app.state.ledger, app.state.local = ledger, local
    return app


@pytest.fixture
def known(ledger):
    token = {"id": "t", "account_id": "ada", "name": "x", "scope": "vote", "created_at": AT}
    with ledger.writing() as db:
        db.execute(sa.insert(account).values(id="ada", name="Ada", role="member", created_at=AT))
        db.execute(sa.insert(api_token).values(token_hash=fingerprint("op_x", "api token"), **token))
    return ledger


@pytest.fixture
def sqlite(home):
    opened = Ledger()
    yield opened
    opened.close()


@pytest.fixture
def served(sqlite):
    """The site behind a real socket."""
    config = uvicorn.Config(site(sqlite, hosts=["127.0.0.1"]), port=0, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]

    def talk(*pieces, wait=0.0):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
            for piece in pieces:
                try:
                    s.sendall(piece.replace(b"\n", b"\r\n") if isinstance(piece, str) else piece)
                except (BrokenPipeError, ConnectionResetError):
                    break
                time.sleep(wait)
            answer = b""
            try:
                while chunk := s.recv(65_536):
                    answer += chunk
            except (ConnectionResetError, TimeoutError):
                pass
            return answer

    talk.port = port
    yield talk
    server.should_exit = True
    thread.join(timeout=10)


# 8. Limits.
def test_8_two_processes_agree_on_a_limit(known, monkeypatch):
    monkeypatch.setattr(security, "now", lambda: "2080-11-20T14:00:10.000000Z")
    other = Ledger(known.engine.url.render_as_string(hide_password=False).replace("+psycopg", ""))
    here, there = (TestClient(site(ledger)) for ledger in (known, other))
    answers = [(here, there)[i % 2].post("/sign-in", data={"email": f"a{i}@example.org"}) for i in range(11)]
    assert [a.status_code for a in answers] == [202] * 10 + [429]
    assert answers[-1].headers["retry-after"] == str(3600 - 10)
    assert "At most 10 in" in answers[-1].text
    assert answers[-1].headers["content-type"].startswith("text/html")
    assert here.get("/sign-in").status_code == 200
    other.close()


def test_8_each_account_and_network_has_its_own(known, monkeypatch):
    monkeypatch.setattr(security, "now", lambda: "2080-11-20T14:00:00.000000Z")
    monkeypatch.setattr(security, "LIMITS", (security.Limit("api", "/api/.*", 2, 300, changing=False),))
    app = site(known)
    first, second = TestClient(app, client=("192.0.2.1", 1)), TestClient(app, client=("192.0.2.2", 1))
    assert [first.get("/api/v1/thing").status_code for _ in range(3)] == [200, 200, 429]
    problem = first.get("/api/v1/thing")
    assert problem.headers["content-type"] == "application/problem+json"
    assert (problem.json()["status"], problem.headers["retry-after"]) == (429, "300")
    assert second.get("/api/v1/thing").status_code == 200
    bearer = {"authorization": "Bearer op_x"}
    assert [first.get("/api/v1/thing", headers=bearer).status_code for _ in range(3)] == [200, 200, 429]
    monkeypatch.setattr(security, "now", lambda: "2080-11-20T14:05:00.000000Z")
    assert first.get("/api/v1/thing").status_code == 200


def test_8_plain_pages_write_nothing_and_networks_are_kept_as_hashes(known):
    here = TestClient(site(known), client=("192.0.2.1", 1))
    for path in ("/", "/sign-in", "/account", "/change"):
        here.get(path)
    here.options("/api/v1/thing")
    with known.reading() as db:
        assert db.execute(sa.select(rate)).all() == []
    here.get("/search")
    with known.reading() as db:
        ((bucket, n),) = db.execute(sa.select(rate.c.bucket, rate.c.n)).all()
    assert (bucket.split()[0], n) == ("search", 1)
    assert "192.0.2.1" not in bucket


def test_8_the_desk_is_not_limited(known, monkeypatch):
    monkeypatch.setattr(security, "LIMITS", (security.Limit("all", ".*", 1, 60, changing=False),))
    here = TestClient(site(known, local=True))
    assert {here.get("/").status_code for _ in range(3)} == {200}


def test_8_without_a_ledger_nothing_changes(sqlite, home):
    app = site(sqlite)
    sqlite.close()
    (home / "ledger.sqlite3").write_bytes(b"broken" * 1000)
    answer = TestClient(app).get("/api/v1/thing")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")


def test_8_a_token_that_is_not_valid_is_said_to_be(known):
    answer = TestClient(site(known)).get("/api/v1/thing", headers={"authorization": "Bearer op_unknown"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert TestClient(site(known)).get("/", headers={"authorization": "Bearer op_unknown"}).status_code == 200


@pytest.mark.parametrize(
    ("client", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("testclient", "testclient"),
        (None, "unknown"),
    ],
)
def test_8_what_a_network_is(client, network):
    scope = {"type": "http", "headers": [(b"x-forwarded-for", b"203.0.113.9")], "client": client and (client, 1)}
    assert network_of(Request(scope)) == network


def test_8_every_change_is_limited():
    for method, path in (("POST", "/sign-in"), ("POST", "/papers/a/b/vote"), ("DELETE", "/api/v1/x"), ("PUT", "/\n")):
        assert any(limit.covers({"method": method, "path": path}) for limit in LIMITS)


# 9. Bodies, headers, slow clients.
def test_9_a_body_has_64_kilobytes(known):
    here = TestClient(site(known))
    assert here.post("/change", content=b"x" * 65_536).text == "65536 bytes"
    assert here.post("/change", content=b"x" * 65_537).status_code == 413
    assert here.post("/api/v1/thing", content=b"x" * 65_537).json()["status"] == 413
    assert here.request("GET", "/change", content=b"x" * 65_537).status_code == 413


def test_9_a_chunked_body_is_cut_off(served):
    head = b"POST /change HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"2000\r\n" + b"x" * 0x2000 + b"\r\n"
    assert b"16384 bytes" in served(head, chunk, chunk, b"0\r\n\r\n")
    began = time.monotonic()
    assert served(head, *[chunk] * 20).startswith(b"HTTP/1.1 413")  # the end never comes
    assert time.monotonic() - began < 5


def test_9_a_slow_body_is_given_up(served, monkeypatch):
    monkeypatch.setattr(security, "BODY_SECONDS", 0.2)
    head = b"POST /change HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 100\r\n\r\n"
    began = time.monotonic()
    assert served(head, b"a").startswith(b"HTTP/1.1 408")
    assert time.monotonic() - began < 5


def test_9_a_client_that_leaves_disturbs_nobody(served):
    with socket.create_connection(("127.0.0.1", served.port)) as s:
        s.sendall(b"POST /change HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nabc")
    assert b"0 bytes" in served(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("length", ["-1", "1e9", "99999999999999999999"])
def test_9_a_strange_length_is_refused(served, length):
    request = f"POST /change HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    assert re.match(rb"HTTP/1.1 (400|413)", served(request.encode()))
