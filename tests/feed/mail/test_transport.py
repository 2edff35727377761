import asyncio
import datetime
import ssl
import stat

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from overparam.errors import BadInput, Unavailable
from overparam.feed.mail.message import note
from overparam.feed.mail.transport import Outbox, Relay, transport
from overparam.feed.mail.transport import post as send_one
from overparam.settings import outbox_folder


def letter(to="you@example.org", words="Hello."):
    return note(to, "Hello", [words])


def send(*mails, url=None, timeout=10.0, begin=lambda: True):
    async def work():
        async with transport(url, timeout=timeout) as way:
            return [await way.send(mail, begin) for mail in mails]

    return asyncio.run(work())


def once(answer, then=None):
    """Answer like this the first time."""
    answers = [answer]
    return lambda *_: answers.pop() if answers else then


def test_many_mails_go_over_one_connection(post):
    outcomes = send(*(letter(f"you{i}@example.org", ".\r\n..\n.") for i in range(20)))
    assert {(o.state, o.code) for o in outcomes} == {("sent", 250)}
    assert len(set(post.recipients)) == 20
    assert post.connections == 1
    assert ".\n..\n." in post.received[0].mail.get_body(("plain",)).get_content().replace("\r\n", "\n")


def test_a_mail_of_its_own(post):
    outcome = asyncio.run(send_one(letter()))
    assert (outcome.state, post.recipients) == ("sent", ["you@example.org"])


def test_no_relay_writes_whole_files_for_the_owner_alone():
    mails = [letter(), letter("me@example.org")]
    assert {o.state for o in send(*mails)} == {"sent"}
    files = sorted(outbox_folder().iterdir())
    assert [f.suffix for f in files] == [".eml", ".eml"]
    assert sorted(f.read_bytes() for f in files) == sorted(m.content for m in mails)
    assert {stat.S_IMODE(f.stat().st_mode) for f in files} == {0o600}


def test_what_begin_stops_is_not_sent(post):
    sent = send(letter(), letter("me@example.org"), begin=once(False, then=True))
    assert [o and o.state for o in sent] == [None, "sent"]
    assert post.recipients == ["me@example.org"]
    assert send(letter(), url="", begin=lambda: False) == [None]
    assert list(outbox_folder().iterdir()) == []


def test_an_outbox_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OVERPARAM_OUTBOX", str(tmp_path / "file" / "outbox"))
    with pytest.raises(Unavailable, match="set OVERPARAM_OUTBOX"):
        send(letter())


@pytest.mark.parametrize("stage", ["on_mail", "on_rcpt"])
def test_421_and_a_closed_connection_are_followed_by_a_new_one(post, stage):
    begun = []

    def busy(server, _):
        asyncio.get_running_loop().call_later(0.01, server.transport.close)
        return "421 closing"

    answers = [busy]
    setattr(post, stage, lambda *a: answers.pop()(*a) if answers else None)
    sent = send(letter(), letter("me@example.org"), begin=lambda: begun.append(1) or True)
    assert [o.state for o in sent] == ["sent", "sent"]
    assert (len(post.received), post.connections, len(begun)) == (2, 2, 2)


def test_421_after_the_mail_was_handed_over_is_a_refusal_too(post):
    begun = []
    post.on_data = once("421 closing")
    (outcome,) = send(letter(), begin=lambda: begun.append(1) or True)
    assert (outcome.state, len(post.received), len(begun)) == ("sent", 1, 1)


def test_a_connection_lost_before_the_mail_was_handed_over_is_opened_again(post):
    dropped = [True]

    def drop(server, _):
        if dropped and dropped.pop():
            server.transport.abort()

    post.on_rcpt = drop
    (outcome,) = send(letter())
    assert (outcome.state, len(post.received)) == ("sent", 1)


def test_a_relay_that_always_closes_is_left_for_later(post):
    post.on_mail = lambda server, _: server.transport.abort()
    (outcome,) = send(letter())
    assert outcome.state == "temporary"


@pytest.mark.parametrize(
    ("stage", "answer", "state", "about_recipient"),
    [
        ("on_rcpt", "450 4.2.1 mailbox busy", "temporary", True),
        ("on_rcpt", "550 5.1.1 no such user", "permanent", True),
        ("on_mail", "451 try later", "temporary", False),
        ("on_data", "452 4.3.1 no space", "temporary", False),
        ("on_data", "554 5.7.1 looks like spam", "permanent", False),
        ("on_data", "550 5.1.1 no such user", "permanent", True),
    ],
)
def test_refusals(post, stage, answer, state, about_recipient):
    setattr(post, stage, once(answer))
    first, second = send(letter(), letter("me@example.org"))
    assert (first.state, first.code, first.about_recipient) == (state, int(answer[:3]), about_recipient)
    assert answer[4:] in first.words
    assert second.state == "sent"
    assert post.recipients == ["me@example.org"]
    assert post.connections == 1


def test_what_a_relay_says_is_kept_without_the_address(post):
    post.on_rcpt = lambda _, address: f"550 5.1.1 <{address.upper()}>: no such user"
    assert send(letter())[0].words == "5.1.1 <this address>: no such user"


def test_a_sender_refused_for_good_stops_everything(post):
    post.on_mail = lambda *_: "530 authentication required"
    with pytest.raises(Unavailable, match="refuses the sender: 530 authentication required; check OVERPARAM_MAIL_FROM"):
        send(letter())


def test_dropped_after_the_mail_was_handed_over_is_unknown(post):
    def drop(server, kept):
        server.transport.abort()
        return "250 OK"

    post.on_data = drop
    (outcome,) = send(letter())
    assert (outcome.state, outcome.code, len(post.received)) == ("unknown", None, 1)
    post.on_data = lambda *_: None
    assert send(letter("me@example.org"))[0].state == "sent"


def test_no_answer_in_time_is_unknown_and_the_next_mail_gets_its_own_answer(post):
    async def slow():
        await asyncio.sleep(0.5)

    answers = [slow]
    post.on_data = lambda *_: answers.pop()() if answers else None
    first, second = send(letter(), letter("me@example.org"), timeout=0.2)
    assert (first.state, second.state, post.connections) == ("unknown", "sent", 2)


def test_a_slow_answer_is_waited_for(post):
    async def slow():
        await asyncio.sleep(0.3)

    post.on_data = lambda *_: slow()
    assert send(letter(), timeout=5)[0].state == "sent"


def test_an_answer_that_makes_no_sense_is_unknown(post):
    post.on_data = once("299 perhaps")
    assert send(letter())[0].state == "unknown"


@pytest.mark.parametrize("url", ["http://host", "smtp://", "smtp://user:secret@host:port", "mail.example.org"])
def test_an_address_that_is_no_relay_is_refused_without_its_password(url):
    with pytest.raises(BadInput, match="OVERPARAM_SMTP_URL") as caught:
        Relay(url)
    assert "secret" not in str(caught.value)


def test_a_relay_that_is_not_there_is_named(unused_port):
    with pytest.raises(Unavailable, match="nothing is lost"):
        send(letter(), url=f"smtp://127.0.0.1:{unused_port}")


@pytest.fixture
def certificate(tmp_path):
    """A certificate for localhost that signs itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    made = (
        x509
        .CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def guarded(certificate, unused_port):
    """A relay that takes mail only after STARTTLS and a password."""
    seen = []

    class Keep:
        async def handle_DATA(self, server, session, envelope):
            seen.append((session.auth_data.login, session.auth_data.password, session.ssl is not None))
            return "250 OK"

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    controller = Controller(
        Keep(),
        hostname="localhost",
        port=unused_port,
        server_hostname="localhost",
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=lambda server, session, envelope, mechanism, data: AuthResult(success=True, auth_data=data),
    )
    controller.start()
    yield unused_port, seen
    controller.stop()


def test_starttls_and_password_with_a_certificate_that_is_trusted(guarded, certificate, monkeypatch):
    port, seen = guarded
    url = f"smtp://me%40example.org:hush%2Fhush@localhost:{port}"
    with pytest.raises(Unavailable, match="certificate") as caught:
        send(letter(), url=url)
    assert "hush" not in str(caught.value)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert send(letter(), url=url)[0].state == "sent"
    assert seen == [(b"me@example.org", b"hush/hush", True)]


def test_the_outbox_is_what_an_empty_setting_means():
    assert isinstance(transport(), Outbox)
    assert isinstance(transport("smtps://mail.example.org"), Relay)
