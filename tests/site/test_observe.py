"""Health, figures and logs, as a machine that watches the site sees them."""

import json
import logging
import socket
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.datastructures import State
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from overparam.feed.secrets import fingerprint
from overparam.ledger import Ledger
from overparam.ledger.clock import now
from overparam.ledger.schema import HEAD, account, api_token, delivery, run_request, source_state, subscription
from overparam.site import observe, readiness
from overparam.site.problems import handlers
from overparam.site.readiness import readiness as look
from overparam.site.verdicts import Overview

AT = "2026-11-20T14:00:00.000000Z"
HERE = ("127.0.0.1", 50_000)
AWAY = ("203.0.113.7", 50_000)


def hello(request):
    return PlainTextResponse("hello")


def fault(request):
    raise RuntimeError("broken")


ROUTES = [
    Route("/papers/{key:path}", hello, methods=["GET", "POST"]),
    Route("/u/{token}", hello, methods=["GET", "POST"]),
    Route("/sign-in/{token}", hello),
    Route("/confirm/{token}", hello),
    Route("/fault", fault),
    Mount("/inner", routes=[Route("/things/{n}", hello)]),
]


def site(ledger):
    app = Starlette(
        routes=[*observe.routes, *ROUTES], middleware=[Middleware(observe.Observed)], exception_handlers=handlers
    )
    app.state = State({"ledger": ledger, "local": False, "overview": Overview(ledger)})
    return app


def client(ledger, address=HERE, **options):
    return TestClient(site(ledger), client=address, raise_server_exceptions=False, **options)


def figures(app):
    text = TestClient(app, client=HERE).get("/metrics").text
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    return {(s.name, *sorted(s.labels.items())): s.value for s in samples}


def ask(ledger, request_id, **more):
    row = {
        "id": request_id,
        "paper": "data-diet",
        "scale": "smoke",
        "claims_json": "[]",
        "requested_by": "ada",
        "attempt": 1,
    }
    with ledger.writing() as db:
        db.execute(sa.insert(run_request).values(**{**row, "created_at": AT, "state": "queued", **more}))


@pytest.fixture
def known(ledger):
    """A ledger that knows a paper."""
    from overparam.lab.registry import find
    from overparam.lab.runner import record_paper

    record_paper(find("data-diet"), ledger)
    return ledger


def test_a_new_site_is_live_and_ready(ledger):
    reader = client(ledger)
    assert reader.get("/health/live").json() == {"status": "live"}
    answer = reader.get("/health/ready")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["status"] == "ready"
    assert [c["name"] for c in body["checks"]] == ["database", "tables", "disk", "sources", "queue"]
    assert "none has been read yet" in body["checks"][3]["detail"]


def failing(ledger):
    answer = client(ledger).get("/health/ready")
    bad = [c["name"] for c in answer.json()["checks"] if not c["ok"]]
    assert answer.status_code == (503 if bad else 200)
    return bad


def test_each_check_can_fail(known, monkeypatch):
    with known.writing() as db:
        db.execute(sa.text("UPDATE alembic_version SET version_num = 'm000'"))
    assert failing(known) == ["tables"]
    with known.writing() as db:
        db.execute(sa.text(f"UPDATE alembic_version SET version_num = '{HEAD}'"))
    monkeypatch.setattr(readiness, "FREE_MEGABYTES", 10**12)
    assert failing(known) == ["disk"]
    monkeypatch.undo()
    row = {"source": "arxiv", "cursor_json": "{}", "next_allowed_at": ""}
    with known.writing() as db:
        db.execute(sa.insert(source_state).values(**row, succeeded_at=now(-timedelta(hours=60))))
    assert failing(known) == ["sources"]
    with known.writing() as db:
        db.execute(sa.update(source_state).values(succeeded_at=now()))
    ask(known, "R1", created_at=now(-timedelta(minutes=11)))
    assert failing(known) == ["queue"]
    held = {"state": "running", "lease_owner": "x", "lease_until": now(timedelta(seconds=30))}
    ask(known, "R0", **held)  # somebody is at work, so waiting is no fault
    assert failing(known) == []


def test_a_database_that_is_gone_fails_and_nothing_raises(home):
    ledger = Ledger()
    ledger.close()
    for file in home.glob("ledger.sqlite3*"):
        file.unlink()
    (home / "ledger.sqlite3").write_text("this is no database")
    assert {c.name for c in look(ledger) if not c.ok} == {"database", "tables", "sources", "queue"}
    assert client(ledger).get("/health/ready").status_code == 503
    assert client(ledger).get("/health/live").status_code == 200
    assert figures(site(ledger))[("overparam_database_up",)] == 0
    ledger.close()


def test_strangers_learn_only_whether_it_works(ledger):
    body = client(ledger, AWAY).get("/health/ready").json()
    assert all(set(c) == {"name", "ok"} for c in body["checks"])


def test_figures_go_to_this_machine_or_an_admin(ledger):
    with ledger.writing() as db:
        for name, role, scope in (("ada", "admin", "admin"), ("bob", "admin", "run"), ("eve", "member", "admin")):
            db.execute(sa.insert(account).values(id=name, name=name, role=role, created_at=AT))
            row = {"id": name, "account_id": name, "name": name, "scope": scope, "created_at": AT}
            db.execute(sa.insert(api_token).values(token_hash=fingerprint(f"op_{name}", "api token"), **row))
    assert client(ledger, HERE).get("/metrics").status_code == 200
    assert client(ledger, ("::1", 1)).get("/metrics").status_code == 200
    away = client(ledger, AWAY)
    assert away.get("/metrics").status_code == 403
    status = {
        n: away.get("/metrics", headers={"Authorization": f"Bearer op_{n}"}).status_code for n in ("ada", "bob", "eve")
    }
    assert status == {"ada": 200, "bob": 403, "eve": 403}


def test_requests_are_counted_by_route_and_class(ledger):
    app = site(ledger)
    reader = TestClient(app, client=HERE, raise_server_exceptions=False)
    for path in ("/papers/a", "/papers/b/c", "/papers/d", "/inner/things/4", "/nowhere", "/nowhere/else", "/fault"):
        reader.get(path)
    reader.request("BREW", "/papers/a")
    found = {
        tuple(v for _, v in key[1:]): n
        for key, n in figures(app).items()
        if key[0] == "overparam_request_seconds_count"
    }
    assert found == {
        ("GET", "/papers/{key:path}", "2xx"): 3,
        ("GET", "/inner/things/{n}", "2xx"): 1,
        ("GET", "none", "4xx"): 2,
        ("GET", "/fault", "5xx"): 1,
        ("other", "/papers/{key:path}", "4xx"): 1,
    }
    assert figures(app)[("overparam_faults_total",)] == 1
    assert figures(app)[("overparam_requests_in_flight",)] == 1  # the one that asks


def test_figures_of_two_applications_are_apart(ledger):
    one, two = site(ledger), site(ledger)
    TestClient(one).get("/papers/a")
    assert not [key for key in figures(two) if "/papers/{key:path}" in str(key)]


def test_the_ledger_is_measured_when_asked(known):
    ask(known, "R1", created_at=now(-timedelta(seconds=100)))
    ask(known, "R2", attempt=2)
    ask(known, "R3", state="running", lease_owner="x", lease_until=now(timedelta(seconds=30)), attempt=3)
    row = {
        "id": "S",
        "email_encrypted": "x",
        "email_hash": "x",
        "filter_json": "{}",
        "filter_key": "x",
        "frequency": "daily",
        "hour": 7,
    }
    mails = [("sent", 250), ("sent", 251), ("sent", None), ("failed", 550), ("failed", 421), ("queued", None)]
    with known.writing() as db:
        db.execute(sa.insert(subscription).values(**row, state="active", token_version=1, created_at=AT, changed_at=AT))
        for n, (state, code) in enumerate(mails):
            mail = {"subscription_id": "S", "digest_key": str(n), "body_json": "[]", "message_id": str(n)}
            db.execute(sa.insert(delivery).values(**mail, state=state, smtp_code=code, at=now()))
        db.execute(sa.insert(delivery).values(**{**mail, "digest_key": "old"}, state="sent", smtp_code=250, at=AT))
        since = now(-timedelta(hours=2))
        db.execute(
            sa.insert(source_state).values(source="arxiv", cursor_json="{}", next_allowed_at="", succeeded_at=since)
        )
    found = figures(site(known))
    assert found["overparam_queue_waiting",] == 2
    assert found["overparam_queue_oldest_seconds",] > 100
    assert found["overparam_queue_at_work",] == 1
    assert found["overparam_leases_lost", ("what", "request")] == 2
    assert found["overparam_leases_lost", ("what", "run")] == 0
    assert 7200 <= found["overparam_source_age_seconds", ("source", "arxiv")] < 7300
    mail = {tuple(v for _, v in key[1:]): n for key, n in found.items() if key[0] == "overparam_mail_day"}
    assert mail == {
        ("2xx", "sent"): 2,
        ("none", "sent"): 1,
        ("5xx", "failed"): 1,
        ("4xx", "failed"): 1,
        ("none", "queued"): 1,
    }


def test_logs_name_routes_and_no_secrets(ledger, caplog):
    caplog.set_level(logging.INFO, "overparam.access")
    reader = client(ledger, headers={"Authorization": "Bearer op_secret", "Cookie": "session=secret"})
    for path in (
        "/u/secret",
        "/sign-in/secret?next=/secret",
        "/confirm/secret",
        "/papers/x?email=secret@example.org",
        "/secret",
    ):
        reader.get(path)
    lines = [json.loads(observe.JsonLines().format(record)) for record in caplog.records]
    assert [line["route"] for line in lines] == [
        "/u/{token}",
        "/sign-in/{token}",
        "/confirm/{token}",
        "/papers/{key:path}",
        "none",
    ]
    assert "secret" not in json.dumps(lines)
    for line in lines:
        assert {"at", "level", "logger", "route", "method", "status", "ms", "id"} == set(line)
        assert line["ms"] >= 0
    assert "secret" not in " ".join(observe.PlainLines().format(record) for record in caplog.records)


def test_a_request_keeps_its_number(ledger, caplog):
    caplog.set_level(logging.INFO, "overparam.access")
    reader = client(ledger)
    assert reader.get("/papers/a", headers={"X-Request-ID": "abc-12345.6_7"}).headers["x-request-id"] == "abc-12345.6_7"
    for bad in ("short", "x" * 65, "with space 1", 'quote"quote1', "<script>1234"):
        number = reader.get("/papers/a", headers={"X-Request-ID": bad}).headers["x-request-id"]
        assert number != bad
        assert len(number) == 26
    numbers = [record.facts["id"] for record in caplog.records]
    assert len(set(numbers)) == 6


SERVER = """
import sys, uvicorn
sys.path.insert(0, sys.argv[1])
import test_observe
from overparam.ledger import Ledger
from overparam.site.observe import configure_logging
configure_logging(json=True)
uvicorn.run(test_observe.site(Ledger()), port=int(sys.argv[2]), log_config=None)
"""


@pytest.mark.slow
def test_a_real_server_logs_a_fault_once_with_its_number(home, tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    words = [sys.executable, "-c", SERVER, str(Path(__file__).parent), str(port)]
    server = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(200):
            try:
                httpx2.get(f"http://127.0.0.1:{port}/health/live")
                break
            except httpx2.TransportError:
                time.sleep(0.1)
        answer = httpx2.get(f"http://127.0.0.1:{port}/fault?token=secret", headers={"X-Request-ID": "number-of-fault"})
        assert answer.status_code == 500
        assert "number-of-fault" in answer.text
        assert "broken" not in answer.text
    finally:
        server.terminate()
        text = server.communicate(timeout=20)[1]
    lines = [json.loads(line) for line in text.splitlines()]
    mine = [line for line in lines if line.get("id") == "number-of-fault"]
    assert [("traceback" in line, line.get("route")) for line in mine] in (
        [[False, "/fault"], [True, None]],
        [(False, "/fault"), (True, None)],
    )
    assert "RuntimeError: broken" in mine[1]["traceback"]
    assert "secret" not in text


def test_requests_that_run_at_the_same_time_are_seen(ledger):
    arrived, leave = threading.Event(), threading.Event()

    def slow(request):
        arrived.set()
        leave.wait(10)
        return PlainTextResponse("done")

    app = site(ledger)
    app.router.routes.append(Route("/slow", slow))
    thread = threading.Thread(target=lambda: TestClient(app).get("/slow"))
    thread.start()
    assert arrived.wait(10)
    assert figures(app)["overparam_requests_in_flight",] == 2
    leave.set()
    thread.join()
    assert figures(app)["overparam_requests_in_flight",] == 1
