"""One test or more for each item of the site's security list, named after it; 8 and 9: test_security_limits."""

import json
import re

import pytest
import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from overparam.errors import BadInput, Unavailable
from overparam.feed.secrets import fingerprint
from overparam.ledger.schema import account, api_token, session
from overparam.site.pages import people
from overparam.site.problems import handlers
from overparam.site.security import local_path, protect, require_loopback

AT, FUTURE = "2026-11-20T14:00:00.000000Z", "2999-01-01T00:00:00.000000Z"
BASE = "http://testserver"


async def echo(request):
    return PlainTextResponse(f"{len(await request.body())} bytes")


def drawing(_request):
    return PlainTextResponse(
        "<svg/>",
        headers={"Content-Security-Policy": "default-src 'none'; sandbox", "Cache-Control": "public, max-age=60"},
    )


METHODS = ["GET", "POST", "PUT", "DELETE"]
ROUTES = [
    Route("/u/{token}", echo, methods=["GET", "POST"]),
    Route("/drawing", drawing),
    Route("/api/v1/thing", echo, methods=METHODS),
    Route("/search", echo),
    Route("/change", echo, methods=METHODS),
    Route("/", echo, methods=METHODS),
]


def site(ledger, *, https=False, local=False, hosts=("testserver",), middleware=None):
    chosen = protect(hosts=hosts, https=https) if middleware is None else middleware
    app = Starlette(routes=[*people.routes, *ROUTES], middleware=chosen, exception_handlers=handlers)
    app.state.ledger, app.state.local = ledger, local
    return app


@pytest.fixture
def known(ledger):
    with ledger.writing() as db:
        db.execute(sa.insert(account).values(id="ada", name="Ada", role="member", created_at=AT))
        db.execute(
            sa.insert(session).values(
                token_hash=fingerprint("ada", "session"), account_id="ada", created_at=AT, expires_at=FUTURE
            )
        )
        db.execute(
            sa.insert(api_token).values(
                id="t",
                token_hash=fingerprint("op_x", "api token"),
                account_id="ada",
                name="x",
                scope="vote",
                created_at=AT,
            )
        )
    return ledger


# 1. CSRF by Sec-Fetch-Site/Origin; SameSite=Lax, HttpOnly, Secure.
@pytest.mark.parametrize(
    ("headers", "cookie", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, True, 200),
        ({"sec-fetch-site": "none"}, True, 200),
        ({"sec-fetch-site": "same-origin", "origin": "null"}, True, 200),
        ({"sec-fetch-site": "same-site"}, True, 403),
        ({"sec-fetch-site": "cross-site"}, False, 403),
        ({"sec-fetch-site": "cross-site", "origin": BASE}, True, 403),
        ({"sec-fetch-site": "nonsense"}, True, 403),
        ({"origin": BASE}, True, 200),
        ({"origin": "HTTP://TESTSERVER"}, True, 200),
        ({"origin": "https://evil.org"}, False, 403),
        ({"origin": "http://testserver.evil.org"}, True, 403),
        ({"origin": "http://testserver:8000"}, True, 403),
        ({"origin": "null"}, True, 403),
        ({"origin": ""}, True, 403),
        ({}, True, 403),  # a browser says where a form comes from
        ({}, False, 200),  # a program
        ({"authorization": "Bearer op_x"}, False, 200),
        ({"authorization": "Bearer op_x", "sec-fetch-site": "cross-site"}, False, 200),
        ({"authorization": "Bearer op_x", "sec-fetch-site": "cross-site"}, True, 403),
    ],
)
def test_1_csrf(known, headers, cookie, status):
    here = TestClient(site(known), cookies={"session": "ada"} if cookie else None)
    for method in ("POST", "PUT", "DELETE"):
        assert here.request(method, "/change", headers=headers).status_code == status
    assert here.get("/change", headers=headers).status_code == 200


def test_1_csrf_over_https_wants_an_origin_of_https(known):
    here = TestClient(site(known, https=True), base_url="https://testserver", cookies={"session": "ada"})
    assert here.post("/change", headers={"origin": "https://testserver"}).status_code == 200
    assert here.post("/change", headers={"origin": "http://testserver"}).status_code == 403


def test_1_csrf_at_the_desk(known):
    here = TestClient(site(known, local=True))
    assert here.post("/change", headers={"origin": "https://evil.org"}).status_code == 403
    assert here.post("/change", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert here.post("/change").status_code == 200


def test_1_one_click_needs_no_origin_but_only_there(known):
    here = TestClient(site(known), cookies={"session": "ada"})
    elsewhere = {"origin": "https://mail.example.org", "sec-fetch-site": "cross-site"}
    assert here.post("/u/token", headers=elsewhere).status_code == 200
    for path in ("/u/token/x", "/u/", "/change/u/x"):
        assert here.post(path, headers=elsewhere).status_code == 403


# 2. Headers.
@pytest.mark.parametrize("https", [False, True])
def test_2_headers_on_every_answer(known, https):
    here = TestClient(site(known, https=https), base_url="https://testserver" if https else BASE)
    answers = [
        here.get("/"), here.get("/nothing"), here.post("/change", headers={"origin": "https://evil.org"}),
        here.post("/change", content=b"x" * 70_000), here.get("/", headers={"host": "evil.org"}), here.put("/search"),
    ]  # fmt: skip
    assert [a.status_code for a in answers] == [200, 404, 403, 413, 400, 405]
    for answer in answers:
        assert answer.headers["content-security-policy"] == (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
            "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert ("strict-transport-security" in answer.headers) == https
    assert here.get("/").headers["cache-control"] == "private, no-cache"


# 3. Hostile text; Markdown and formulas: test_markup.
def test_3_hostile_text_is_escaped(known):
    with known.writing() as db:
        db.execute(sa.update(account).values(name="<script>alert(1)</script>\"'><img src=x>"))
    shown = TestClient(site(known), cookies={"session": "ada"}).get("/account").text
    assert "<script>alert" not in shown
    assert "<img" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&gt;" in shown


# 4. SSRF.
@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "192.168.1.1",
        "0.0.0.0",
        "::1",
        "::ffff:127.0.0.1",
        "fe80::1",
        "fc00::1",
        "64:ff9b::7f00:1",
        "224.0.0.1",
    ],
)
def test_4_sources_never_lead_into_a_private_network(address):
    from overparam.feed.sources.transport import is_public

    assert not is_public(address)
    assert is_public("151.101.1.42")


# 5. XML without DTD.
@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b'<!DOCTYPE a SYSTEM "http://127.0.0.1/x.dtd"><a/>',
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    ],
)
def test_5_xml_with_a_dtd_is_refused(body):
    from overparam.feed.sources.document import xml_of

    with pytest.raises(Unavailable):
        xml_of(body)
    assert xml_of(b"<a>b</a>").text == "b"


# 6. Artifacts bring a policy of their own.
def test_6_an_answer_may_bring_a_stricter_policy(known):
    answer = TestClient(site(known)).get("/drawing")
    assert answer.headers.get_list("content-security-policy") == ["default-src 'none'; sandbox"]
    assert answer.headers.get_list("cache-control") == ["public, max-age=60"]
    assert answer.headers["x-content-type-options"] == "nosniff"


# 7. Pickle.
def test_7_pickle_in_the_cache_is_not_read(tmp_path):
    import numpy as np

    from overparam.lab.artefacts import _read

    ran = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (ran.touch, ())

    path = tmp_path / "x.npz"
    np.savez(path, a=np.array([Evil()], dtype=object))
    assert _read(path) is None
    assert not ran.exists()


# 10. A run takes only what is declared.
@pytest.mark.parametrize(
    "body",
    [
        {"code": "import os"},
        {"scale": "huge"},
        {"scale": "smoke", "params": {"width": 10**9}},
        {"claims": ["../../x"]},
        {"claims": ["C1"] * 101},
    ],
)
def test_10_a_run_takes_only_declared_choices(body):
    from pydantic import ValidationError

    from overparam.site.api.models import RunWanted

    with pytest.raises(ValidationError):
        RunWanted.model_validate_json(json.dumps(body))
    assert RunWanted.model_validate_json('{"scale": "smoke", "claims": ["C1"]}').claims == ["C1"]


# 11. Hosts; with them DNS rebinding.
@pytest.mark.parametrize(
    "host",
    [
        "evil.org",
        "testserver.evil.org",
        "eviltestserver",
        "127.0.0.1",
        "testserver@evil.org",
        "testserver:80:80",
        "",
        "testserver:port",
        "TESTSERVER.",
    ],
)
def test_11_other_hosts_are_refused_in_words(known, host):
    answer = TestClient(site(known)).get("/", headers={"host": host})
    assert (answer.status_code, "does not answer under that name" in answer.text) == (400, True)


def test_11_names_of_this_machine_go_together(known):
    here = TestClient(site(known, local=True, hosts=["::1", "Papers.Example.org"]))
    for host in ("localhost:8000", "127.0.0.1", "[::1]:8000", "papers.example.ORG"):
        assert here.get("/", headers={"host": host}).status_code == 200
    assert here.get("/", headers={"host": "rebound.evil.org:8000"}).status_code == 400


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "papers.example.org", "", "127.0.0.1.evil.org"])
def test_11_the_desk_is_not_served_to_a_network(host):
    with pytest.raises(BadInput, match="--local"):
        require_loopback(host)
    for fine in ("127.0.0.1", "::1", "localhost", "127.0.0.2"):
        require_loopback(fine)


# 12. Line breaks in mail headers.
@pytest.mark.parametrize(
    "evil",
    ["a@example.org\r\nBcc: b@example.org", "a@example.org\nX: y", "a\r@example.org", "a@example.org,b@example.org"],
)
def test_12_no_line_break_reaches_a_mail(home, known, evil):
    answer = TestClient(site(known)).post("/sign-in", data={"email": evil})
    assert answer.status_code == 422
    assert not list(home.glob("outbox/*"))


# 13. Constant time: secrets are looked up by keyed hash, signatures compared by itsdangerous.
def test_13_a_hash_from_the_ledger_opens_nothing(known):
    with known.reading() as db:
        hashes = [
            *db.execute(sa.select(session.c.token_hash)).scalars(),
            *db.execute(sa.select(api_token.c.token_hash)).scalars(),
        ]
    for hashed in hashes:
        assert (
            TestClient(site(known), cookies={"session": hashed}).get("/account", follow_redirects=False).status_code
            == 303
        )
        bearer = {"authorization": f"Bearer {hashed}"}
        assert TestClient(site(known)).get("/api/v1/thing", headers=bearer).status_code == 401


# 14. No secret in logs: the access log names routes. What is left is what goes out with a request.
def test_14_links_with_tokens_do_not_leak_by_referrer(known):
    from overparam.site import accounts

    token = accounts.admin_link(known).rsplit("/", 1)[1]
    page = TestClient(site(known)).get(f"/sign-in/{token}")
    assert page.headers["referrer-policy"] == "same-origin"
    assert not re.search(r'(src|href)="(https?:)?//', page.text)


def test_14_the_log_of_a_sign_in_holds_no_token(known, caplog):
    from overparam.site import accounts
    from overparam.site.observe import Observed

    caplog.set_level(0)
    token = accounts.admin_link(known).rsplit("/", 1)[1]
    app = site(known, middleware=[Middleware(Observed), *protect(hosts=["testserver"], https=False)])
    here = TestClient(app)
    here.get(f"/sign-in/{token}?next=/secret")
    here.post("/sign-in", data={"email": "ada@example.org"})
    lines = repr([(r.getMessage(), r.__dict__) for r in caplog.records if r.name.startswith("overparam")])
    assert "/sign-in/{token}" in lines
    for secret in (token, "ada@example.org", "/secret", "testclient"):
        assert secret not in lines


# Where to go afterwards.
def test_a_path_of_ours_stays_and_others_do_not():
    for fine in ("/", "/papers/x?a=1&b=2#c", "/days/2026-11-20"):
        assert local_path(fine) == fine
    for evil in ("//e.org", "/\\e.org", "https://e.org", "x", "", None, "/a b", "/a\n", "/\x00", "/a\\b"):
        assert local_path(evil, "/home") == "/home"
