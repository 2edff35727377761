"""The JSON API as programs meet it, on both stores."""

import csv
import io
import json
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from overparam.errors import Conflict
from overparam.feed.listings import encode_cursor
from overparam.feed.merge import absorb
from overparam.feed.record import Record
from overparam.feed.secrets import fingerprint
from overparam.lab.planner import REGULAR
from overparam.lab.registry import papers
from overparam.ledger.clock import now
from overparam.ledger.schema import (
    account,
    api_token,
    figure,
    idempotency,
    run,
    run_request,
    suppression,
    trial,
    verdict,
)
from overparam.settings import shipped
from overparam.site.api import description, make_api
from overparam.site.api.once import once
from overparam.site.verdicts import Overview

API = "/api/v1"
AT = "2026-11-20T14:00:00.000000Z"
PAPER = "data-diet"


@pytest.fixture
def client(visit):
    return visit()


@pytest.fixture
def token(seeded):
    """Make an account with a token; returns the headers."""

    def made(scope, name="ada", role="member"):
        text = f"op_{name}_{scope}"
        with seeded.writing() as db:
            person = seeded.insert(account).values(id=name, name=name, role=role, created_at=AT)
            db.execute(person.on_conflict_do_nothing())
            row = {"id": text, "token_hash": fingerprint(text, "api token"), "account_id": name, "scope": scope}
            db.execute(sa.insert(api_token).values(name="test", created_at=AT, **row))
        return {"Authorization": f"Bearer {text}"}

    return made


def add_run(ledger, run_id, *, scale="laptop", state="succeeded", options=REGULAR):
    row = {"id": run_id, "paper": PAPER, "scale": scale, "state": state, "options_json": options, "spec_hash": run_id}
    more = {
        "engine": "inline",
        "workers": 1,
        "attempt": 1,
        "created_at": AT,
        "wall_seconds": 1.0,
        "provenance_json": "{}",
    }
    with ledger.writing() as db:
        db.execute(sa.insert(run).values(**row, **more))


def walk(client, path):
    """Follow the links to the next page until there is none."""
    found = []
    while path:
        answer = client.get(path)
        assert answer.status_code == 200
        found += answer.json()["items"]
        link = answer.headers.get("link")
        path = link[1 : link.index(">")] if link else None
        assert (path is None) == (answer.json()["next"] is None)
    return found


@pytest.mark.parametrize("order", ["votes", "trending", "newest"])
def test_pages_hold_every_paper_once(client, order):
    keys = [paper["key"] for paper in walk(client, f"{API}/papers?limit=7&order={order}")]
    assert len(keys) == len(set(keys)) == len(papers())


def test_periods_narrow_the_list(client):
    for query in (
        "period=2025-12-26",
        "period=2025-W52",
        "period=2025-12",
        "from=2025-12-26&to=2025-12-26",
        "from=2025-12-26",
    ):
        assert len(client.get(f"{API}/papers?limit=100&{query}").json()["items"]) == 36, query
    assert len(client.get(f"{API}/papers?limit=100&to=2025-12-26").json()["items"]) == len(papers())
    for query in ("period=2025-12-27", "from=2025-12-27", "period=2024-01"):
        assert client.get(f"{API}/papers?{query}").json() == {"items": [], "next": None}


UNREADABLE = (
    "period=2025-13-01", "period=2025-W60", "period=x", "from=yesterday", "to=2025-02-30",
    "period=2025-12&from=2025-12-01", "from=2025-12-02&to=2025-12-01", "after=nonsense", "order=newest&after=WzFd", "after=",
    "limit=5&nothing=1", "after=" + encode_cursor([10**30, "x"]) + "&order=votes", "after=" + encode_cursor(["\ud800", "x"]),
    "after=" + encode_cursor(["2025-12-26", "a\x00"]), "topic=%00",
)  # fmt: skip


def test_what_cannot_be_read_is_400(client):
    for query in UNREADABLE:
        answer = client.get(f"{API}/papers?{query}")
        assert answer.status_code == 400, query
        assert answer.headers["content-type"] == "application/problem+json"
        body = answer.json()
        assert (body["status"], body["instance"]) == (400, f"{API}/papers")
        assert body["type"].endswith("/problems/bad-request")


def test_values_that_are_not_allowed_are_422_and_named(client):
    for query in ("limit=0", "limit=101", "limit=x", "order=best"):
        answer = client.get(f"{API}/papers?{query}")
        assert answer.status_code == 422
        assert [e["parameter"] for e in answer.json()["errors"]] == [query.split("=")[0]]


def test_every_operation_refuses_unknown_parameters(client, seeded):
    paths = description(make_api(client.app.state))["paths"]
    gets = [path for path, item in paths.items() if "get" in item]
    assert len(gets) > 10
    for path in gets:
        answer = client.get(API + path.replace("{key}", PAPER).replace("{claim}", "C1") + "?surprise=1")
        assert answer.status_code == 400, path
        assert "'surprise'" in answer.json()["detail"]
    assert client.post(f"{API}/subscriptions?surprise=1", json={"email": "a@example.org"}).status_code == 400


def test_a_paper_carries_its_claims_with_their_newest_verdicts(client, seeded):
    body = client.get(f"{API}/papers/{PAPER}").json()
    state = Overview(seeded).states()[PAPER]
    assert [(c["claim"], c["status"]) for c in body["claims"]] == [(c.claim, c.status) for c in state.claims]
    judged = [c["verdict"] for c in body["claims"] if c["verdict"]]
    assert judged
    assert {v["run"] for v in judged} <= {r["id"] for r in body["runs"]}
    assert sum(body["standing"].values()) == len(body["claims"])
    for v in judged:
        assert v["at"].endswith("Z")
        assert client.get(f"{API}/runs/{v['run']}").status_code == 200


def test_tags_answer_304_until_something_changes(client, token):
    first = client.get(f"{API}/papers/{PAPER}")
    tag = first.headers["etag"]
    assert tag.startswith('"')
    for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = client.get(f"{API}/papers/{PAPER}", headers={"If-None-Match": given})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    client.put(f"{API}/papers/{PAPER}/vote", headers=token("vote"))
    changed = client.get(f"{API}/papers/{PAPER}", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


def test_head_is_get_without_a_body(client):
    for path in ("/papers", f"/papers/{PAPER}", "/runs", "/board"):
        got, head = client.get(API + path), client.head(API + path)
        assert head.status_code == 200
        assert head.content == b""
        for name in ("etag", "content-type", "cache-control"):
            assert head.headers[name] == got.headers[name]
    assert client.head(f"{API}/papers?limit=0").status_code == 422


def test_every_address_names_its_methods(client):
    for path, item in description(make_api(client.app.state))["paths"].items():
        address = API + path.replace("{key}", PAPER).replace("{claim}", "C1")
        methods = {m.upper() for m in item} | {"OPTIONS"} | ({"HEAD"} if "get" in item else set())
        options = client.options(address)
        assert options.status_code == 204
        assert set(options.headers["allow"].split(", ")) == methods
        wrong = client.request("PATCH", address)
        assert wrong.status_code == 405
        assert set(wrong.headers["allow"].split(", ")) == methods
        assert wrong.json()["type"].endswith("/problems/method-not-allowed")
    assert client.options(f"{API}/nowhere").status_code == 404


def test_old_arxiv_identifiers_hold_a_slash(client, seeded, token):
    old = Record(
        source="arxiv",
        external_id="quant-ph/0201082",
        arxiv="quant-ph/0201082",
        title="Old",
        abstract="Old.",
        published_on="2002-01-17",
    )
    absorb(seeded, [old])
    for key in ("quant-ph/0201082", "quant-ph%2F0201082"):
        body = client.get(f"{API}/papers/{key}").json()
        assert (body["key"], body["standing"], body["claims"]) == ("quant-ph/0201082", None, [])
        assert client.put(f"{API}/papers/{key}/vote", headers=token("vote", key)).status_code == 200
        assert client.get(f"{API}/papers/{key}/claims/C1").status_code == 404
        refused = client.post(f"{API}/papers/{key}/runs", json={}, headers=token("run", key))
        assert refused.status_code == 422
        assert "no code here" in refused.json()["detail"]


def test_history_keeps_superseded_verdicts(client, seeded):
    before = client.get(f"{API}/papers/{PAPER}/claims/c1").json()
    assert [past["present"] for past in before["history"]] == [True]
    old = before["history"][0]
    for run_id, scale, at, status in (("R1", "laptop", "2999-01-01T00:00:00.000000Z", "partly"),
                                      ("R2", "smoke", "2999-01-02T00:00:00.000000Z", "inconclusive")):  # fmt: skip
        add_run(seeded, run_id, scale=scale)
        body = {name: old[name] for name in old if name not in ("run", "scale", "at", "present", "supersedes")}
        row = {"run_id": run_id, "claim": "C1", "paper": PAPER, "rule_hash": old["rule_hash"], "status": status, "n": 3}
        with seeded.writing() as db:
            db.execute(
                sa.insert(verdict).values(
                    **row, body_json=json.dumps(body | {"status": status}), supersedes=old["run"], at=at
                )
            )
    add_run(seeded, "R3", options='{"custom": ["epochs=1"], "sabotage": false}')
    after = client.get(f"{API}/papers/{PAPER}/claims/C1").json()
    assert [(past["run"], past["present"]) for past in after["history"]] == [
        ("R2", False),
        ("R1", True),
        (old["run"], False),
    ]
    assert (after["status"], after["verdict"]["run"]) == ("partly", "R1")  # smoke never outdoes laptop
    assert after["history"][1]["supersedes"] == old["run"]
    assert client.get(f"{API}/papers/{PAPER}/claims/C99").status_code == 404


def test_votes_need_a_token_of_their_scope(client, token):
    path = f"{API}/papers/{PAPER}/vote"
    nobody = client.put(path)
    assert nobody.status_code == 401
    assert nobody.headers["www-authenticate"].startswith("Bearer")
    assert client.put(path, headers=token("read")).status_code == 403
    vote, run_scope = token("vote", "bob"), token("run", "eve")
    assert client.put(path, headers=vote).json() == {"key": PAPER, "votes": 1, "voted": True}
    assert client.put(path, headers=vote).json()["votes"] == 1
    assert client.put(path, headers=run_scope).json()["votes"] == 2
    assert client.delete(path, headers=vote).json() == {"key": PAPER, "votes": 1, "voted": False}
    assert client.delete(path, headers=vote).json()["votes"] == 1
    assert client.put(f"{API}/papers/nothing/vote", headers=vote).status_code == 404


def test_a_run_is_asked_for_once_under_one_key(client, token):
    path, headers = f"{API}/papers/{PAPER}/runs", token("run") | {"Idempotency-Key": "abc"}
    first = client.post(path, json={"scale": "smoke"}, headers=headers)
    assert first.status_code == 202
    assert first.headers["location"] == f"{API}/requests/{first.json()['id']}"
    assert (first.json()["state"], first.json()["position"]) == ("queued", 1)
    assert client.delete(first.headers["location"], headers=headers).json()["state"] == "cancelled"
    again = client.post(path, json={"scale": "smoke"}, headers=headers)
    assert again.json() == first.json()  # the answer of then, though the request was cancelled since
    other = client.post(path, json={"scale": "laptop"}, headers=headers)
    assert other.status_code == 422
    assert "Idempotency-Key" in other.json()["detail"]
    assert (
        client.post(path, json={"scale": "smoke"}, headers=headers | {"Idempotency-Key": "abd"}).json()["id"]
        != first.json()["id"]
    )


def test_keys_are_forgotten_after_a_day_and_after_a_failure(seeded):
    def fail():
        raise Conflict("no")

    done = []

    def act():
        done.append(1)
        return {"n": len(done)}

    for _ in range(2):
        with pytest.raises(Conflict, match="no"):
            once(seeded, "ada", "k", {"a": 1}, fail)
    assert [once(seeded, "ada", "k", {"a": 1}, act), once(seeded, "ada", "k", {"a": 1}, act)] == [{"n": 1}] * 2
    assert once(seeded, "bob", "k", {"a": 1}, act) == {"n": 2}  # a key belongs to an account

    def nested():
        return once(seeded, "ada", "slow", {}, act)

    with pytest.raises(Conflict, match="still being served"):
        once(seeded, "ada", "slow", {}, nested)
    with seeded.writing() as db:
        db.execute(sa.update(idempotency).values(at=now(-timedelta(hours=25))))
    assert once(seeded, "ada", "k", {"b": 2}, act) == {"n": 3}


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BODIES = (
    ({"json": {"scale": "huge"}}, 422), ({"json": {"claims": ["C99"]}}, 422), ({"json": {"surprise": 1}}, 422),
    ({"json": [1]}, 422), ({"json": {"claims": ["\x00"]}}, 422), ({"content": b"{}"}, 415),
    ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400),
    ({"content": b"scale=smoke", "headers": FORM}, 415), ({"json": {"claims": ["x" * 70_000]}}, 413),
)  # fmt: skip


def test_bodies_are_checked(client, token):
    mine = token("run")
    for sent, status in BODIES:
        answer = client.post(f"{API}/papers/{PAPER}/runs", **{**sent, "headers": mine | sent.get("headers", {})})
        assert answer.status_code == status, sent
        assert answer.headers["content-type"] == "application/problem+json"


def test_only_the_one_who_asked_or_an_admin_cancels(client, token):
    mine, yours, admin = token("run"), token("run", "bob"), token("admin", "eve", role="admin")
    asked = client.post(f"{API}/papers/{PAPER}/runs", json={}, headers=mine).json()
    path = f"{API}/requests/{asked['id']}"
    assert client.get(path).json() == asked
    assert client.get(path).headers["cache-control"] == "no-store"
    assert client.delete(path).status_code == 401
    assert client.delete(path, headers=yours).status_code == 403
    assert client.delete(path, headers=admin).json()["state"] == "cancelled"
    assert client.delete(path, headers=mine).json()["state"] == "cancelled"
    assert client.delete(f"{API}/requests/nothing", headers=mine).status_code == 404


def test_members_have_a_budget_and_runners_have_none(client, seeded, token):
    spent = {"id": "R1", "paper": PAPER, "scale": "smoke", "claims_json": "[]", "state": "succeeded", "run_id": "R1"}
    add_run(seeded, "R1")
    with seeded.writing() as db:
        db.execute(sa.update(run).where(run.c.id == "R1").values(wall_seconds=601.0))
        for name in ("ada", "bob"):
            row = {**spent, "id": name, "requested_by": name, "attempt": 1, "created_at": now(), "ended_at": now()}
            db.execute(sa.insert(run_request).values(**row))
    path = f"{API}/papers/{PAPER}/runs"
    refused = client.post(path, json={}, headers=token("run"))
    assert refused.status_code == 409
    assert "used up" in refused.json()["detail"]
    assert client.post(path, json={}, headers=token("run", "bob", role="runner")).status_code == 202


def test_too_many_waiting_runs_are_a_conflict(client, token):
    mine = token("run", role="runner")
    claims = [{"claims": [f"C{n}"]} for n in range(1, 7)]
    states = [client.post(f"{API}/papers/{PAPER}/runs", json=body, headers=mine).status_code for body in claims]
    assert states == [202] * 5 + [409]


def test_runs_are_listed_newest_first_and_filtered(client, seeded):
    add_run(seeded, "00000000000000000000000001", scale="smoke", state="failed")
    every = walk(client, f"{API}/runs?limit=3")
    ids = [found["id"] for found in every]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 1 + len(list(shipped("evidence").glob("*/laptop.json")))
    assert {r["paper"] for r in walk(client, f"{API}/runs?paper={PAPER}")} == {PAPER}
    assert [r["id"] for r in walk(client, f"{API}/runs?scale=smoke&state=failed")] == ["00000000000000000000000001"]
    assert client.get(f"{API}/runs/nothing").status_code == 404


def test_the_document_of_a_run_is_the_evidence(client):
    evidence = json.loads((Path(__file__).parents[2] / "evidence" / PAPER / "laptop.json").read_text())
    body = client.get(f"{API}/runs/{evidence['run']}").json()
    assert [(v["claim"], v["estimate"]) for v in body["verdicts"]] == [
        (v["claim"], v["estimate"]) for v in evidence["verdicts"]
    ]
    assert body["trials"] == evidence["trials"]
    assert body["cost"]["cpu_seconds"] == evidence["cost"]["cpu_seconds"]


def test_trials_come_in_pages(client, seeded):
    add_run(seeded, "R1")
    metrics = {"loss": float("nan"), "curve": [1.0, 2.0]}
    rows = [
        {"run_id": "R1", "trial_key": f"k{n}", "position": n, "task": n, "experiment": "e", "params_json": '{"a": 1}', "seed": n,
         "state": "done", "cached": False, "attempt": 1, "metrics_json": json.dumps(metrics)}
        for n in range(25)
    ]  # fmt: skip
    with seeded.writing() as db:
        db.execute(sa.insert(trial), rows)
    found = walk(client, f"{API}/runs/R1/trials?limit=10")
    assert [t["seed"] for t in found] == list(range(25))
    assert found[0]["metrics"] == {"loss": None, "curve": [1.0, 2.0]}
    assert "traceback" not in found[0]
    assert client.get(f"{API}/runs/R2/trials").status_code == 404


def test_figures_come_as_drawing_and_as_numbers(client, seeded):
    add_run(seeded, "R1")
    row = {
        "run_id": "R1",
        "name": "curve",
        "position": 0,
        "svg": '<svg xmlns="http://www.w3.org/2000/svg"><path/></svg>',
    }
    with seeded.writing() as db:
        db.execute(
            sa.insert(figure).values(
                **row, caption="A curve", table_json='{"columns": ["x", "y"], "rows": [["1", "2,5"]]}'
            )
        )
    links = client.get(f"{API}/runs/R1").json()["figures"]
    assert [(f["name"], f["caption"]) for f in links] == [("curve", "A curve")]
    drawing = client.get(links[0]["svg"])
    assert drawing.headers["content-type"] == "image/svg+xml"
    assert drawing.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert drawing.headers["content-disposition"] == 'inline; filename="curve.svg"'
    assert drawing.text.endswith("<path/></svg>")
    table = client.get(links[0]["csv"])
    assert table.headers["content-type"].startswith("text/csv")
    assert list(csv.reader(io.StringIO(table.text))) == [["x", "y"], ["1", "2,5"]]
    assert client.get(f"{API}/runs/R1/figures/none.svg").status_code == 404


def test_the_board_is_that_of_the_command_line(client, seeded):
    from overparam.cli.read import _rows

    latest = {}
    for row in seeded.latest_verdicts(REGULAR):
        latest.setdefault(row.paper, []).append({**json.loads(row.body_json), "scale": row.scale, "at": row.at})
    assert client.get(f"{API}/board").json() == {"papers": _rows(papers().values(), latest)}


@pytest.mark.slow
def test_search_goes_on_page_by_page(client, seeded):
    from overparam.feed.search import update

    update(seeded)
    hit = client.get(f"{API}/search", params={"q": "memorization long tail"}).json()["items"][0]
    assert hit["paper"]["key"] == "long-tail"
    for start, end in hit["marks"]:
        assert hit["snippet"][start:end].strip()
    keys = [h["paper"]["key"] for h in walk(client, f"{API}/search?q=networks&limit=5")]
    assert len(keys) == len(set(keys)) > 5


def test_topics_and_status(client):
    assert client.get(f"{API}/search").status_code == 422
    assert client.get(f"{API}/search?q=%00").status_code == 400
    topics = client.get(f"{API}/topics").json()["items"]
    assert [t["papers"] for t in topics] == sorted((t["papers"] for t in topics), reverse=True)
    status = client.get(f"{API}/status").json()
    assert (status["papers"], status["sources"]) == (len(papers()), [])


def test_subscribing_says_the_same_to_everybody(client, seeded, home):
    from overparam.feed.mail import address

    with seeded.writing() as db:
        db.execute(
            sa.insert(suppression).values(
                email_hash=address.key(address.parse("gone@example.org")), reason="bounced", at=AT
            )
        )
    emails = ("new@example.org", "new@example.org", "gone@example.org")
    answers = [client.post(f"{API}/subscriptions", json={"email": e, "topics": ["cs.LG"]}) for e in emails]
    assert {(a.status_code, a.text) for a in answers} == {(202, answers[0].text)}
    assert len(list((home / "outbox").iterdir())) == 2
    assert client.post(f"{API}/subscriptions", json={"email": "nobody"}).status_code == 422
    assert client.post(f"{API}/subscriptions", json={"email": "a@example.org", "hour": 24}).status_code == 422
    assert client.post(f"{API}/subscriptions", json={"email": "a@example.org", "kinds": []}).status_code == 422


def test_the_page_of_the_api_lists_every_operation(client):
    page = client.get(f"{API}/docs")
    assert page.status_code == 200
    for path in description(make_api(client.app.state))["paths"]:
        assert f"{API}{path}" in page.text
    assert page.text.count("<script") == 1  # that of every page
    assert "https://" not in page.text.split("<main")[1].split("</main")[0]
    described = client.get(f"{API}/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    assert "choices" not in json.dumps(described)
