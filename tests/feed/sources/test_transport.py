import datetime
import ipaddress
import socket
import ssl
import threading
import time

import pytest

from overparam.errors import Unavailable
from overparam.feed.sources.gate import Gate
from overparam.feed.sources.transport import Network, Transport, is_public
from overparam.ledger import Ledger


@pytest.fixture
def waits():
    return []


@pytest.fixture
def gate(home, waits):
    ledger = Ledger()
    clock = [datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC)]

    def sleep(seconds):
        waits.append(seconds)
        clock[0] += datetime.timedelta(seconds=seconds)

    yield Gate(ledger, "test", 0.0, clock=lambda: clock[0], sleep=sleep)
    ledger.close()


def get(server, gate, path="/", **fields):
    with Transport(server.network(**fields), gate) as transport:
        return transport.get(server.address + path, {"q": "a b&c"})


def answers(*script):
    """Give one answer after the other; the last for ever."""
    script = list(script)
    return lambda query: script.pop(0) if len(script) > 1 else script[0]


def test_a_document_with_its_query_and_who_asks(server, gate, waits):
    server.routes["/"] = lambda query: query["q"].encode()
    assert get(server, gate) == b"a b&c"
    [agent] = server.agents
    assert agent.startswith("overparam/")
    assert "mailto:" in agent
    assert "+http" in agent
    assert waits == []


def test_retry_after_is_obeyed_by_everybody(server, gate, waits):
    server.routes["/"] = answers((429, {"Retry-After": "7"}, b""), b"fine")
    assert get(server, gate) == b"fine"
    assert sum(waits) == pytest.approx(7)
    assert gate.closed_until().second >= 7


def test_retry_after_may_be_a_date(server, gate, waits):
    from email.utils import format_datetime

    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=30)
    server.routes["/"] = answers((503, {"Retry-After": format_datetime(later, usegmt=True)}, b""), b"fine")
    assert get(server, gate) == b"fine"
    assert 25 < sum(waits) <= 31


def test_a_pause_of_an_hour_is_not_waited_for_but_kept(server, gate, waits):
    server.routes["/"] = answers((429, {"Retry-After": "3600"}, b""))
    with pytest.raises(Unavailable, match="60 minutes of rest"):
        get(server, gate)
    with pytest.raises(Unavailable, match="may not be asked before 2026-11-23 01:00 UTC"):
        get(server, gate)
    assert len(server.asked) == 1
    assert waits == []


def test_errors_of_the_server_are_retried_with_growing_jitter(server, gate, waits):
    bounds = []
    server.routes["/"] = answers((500, {}, b""), (502, {}, b""), (503, {}, b""), b"fine")
    assert get(server, gate, jitter=lambda low, high: bounds.append((low, high)) or high) == b"fine"
    assert bounds == [(0.0, 3.0), (0.0, 6.0), (0.0, 12.0)]
    assert waits == [3.0, 6.0, 12.0]


def test_a_server_that_never_recovers_is_given_up(server, gate):
    server.routes["/"] = answers((500, {}, b""))
    with pytest.raises(Unavailable, match="HTTP 500; given up after 5 attempts"):
        get(server, gate)
    assert len(server.asked) == 5


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_is_not_repeated(server, gate, status):
    server.routes["/x"] = answers((status, {}, b""))
    with pytest.raises(Unavailable, match=f"HTTP {status} for /x"):
        get(server, gate, "/x")
    assert len(server.asked) == 1


def test_some_refusals_mean_nothing_there(server, gate):
    server.routes["/"] = answers((400, {}, b"no such day"))
    with Transport(server.network(), gate) as transport:
        assert transport.get(server.address, {}, empty={400}) == b""


def test_an_endless_body_is_cut(server, gate):
    sent = []

    def pour(handler):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(5_000):  # five gigabytes
            handler.wfile.write(b"x" * 1_000_000)
            sent.append(1)

    server.routes["/"] = lambda query: pour
    with pytest.raises(Unavailable, match="more than 200,000 bytes"):
        get(server, gate, largest_bytes=200_000)
    assert len(server.asked) == 1
    assert len(sent) < 50


def test_a_cut_off_body_is_retried(server, gate):
    def cut(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"short")
        handler.close_connection = True

    server.routes["/"] = answers(cut, b"fine")
    assert get(server, gate) == b"fine"


def test_a_hang_ends(server, gate):
    done = threading.Event()
    server.routes["/"] = lambda query: lambda handler: done.wait(5)
    started = time.monotonic()
    with pytest.raises(Unavailable, match="no answer in time; given up after 2 attempts"):
        get(server, gate, read_seconds=0.1, attempts=2)
    assert time.monotonic() - started < 2
    done.set()


def test_a_drip_ends(server, gate):
    def drip(handler):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b"x")
            time.sleep(0.02)

    server.routes["/"] = lambda query: drip
    with pytest.raises(Unavailable, match="no end of the answer"):
        get(server, gate, whole_seconds=0.1, attempts=1)


def test_nobody_listens(gate):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    network = Network(frozenset({host}), frozenset({"http"}), allowed=lambda a: True, jitter=lambda a, b: 0.0)
    with Transport(network, gate) as transport, pytest.raises(Unavailable, match="given up after 5 attempts"):
        transport.get(f"http://{host}/", {})


def moved(to):
    return (302, {"Location": to}, b"")


def test_redirects_within_the_allowed_hosts_are_followed(server, gate):
    server.routes |= {"/": answers(moved("/a")), "/a": answers(moved(server.address + "/b")), "/b": answers(b"fine")}
    assert get(server, gate) == b"fine"


def test_three_redirects_at_most(server, gate):
    server.routes["/"] = answers(moved("/"))
    with pytest.raises(Unavailable, match="more than 3 redirects"):
        get(server, gate)
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("http://localhost:9/x", "localhost:9 is none of the hosts"),
        ("http://169.254.169.254/latest/meta-data", "none of the hosts"),
        ("http://[::1]/", "none of the hosts"),
        ("file:///etc/passwd", "file:// is not fetched"),
        ("https://evil.example/", "https://evil.example is not fetched"),
        ("gopher://x/", "not fetched"),
        ("http://user@HOST/", "none of the hosts"),
        ("http://HOST@evil.example/", "none of the hosts"),
    ],
)
def test_redirects_to_elsewhere_are_refused(server, gate, to, message):
    server.routes["/"] = answers(moved(to.replace("HOST", server.host)))
    with pytest.raises(Unavailable, match=message.replace("[", r"\[")):
        get(server, gate)
    assert len(server.asked) == 1


def resolver(**names):
    def resolve(host, port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (names[host], port))]

    return resolve


def test_a_redirect_to_an_allowed_name_at_a_private_address_is_refused(server, gate):
    port = server.server_address[1]
    server.routes["/"] = answers(moved(f"http://inside:{port}/secret"))
    names = resolver(outside="127.0.0.1", inside="127.0.0.2")
    network = server.network(f"outside:{port}", f"inside:{port}", resolve=names)
    with Transport(network, gate) as transport, pytest.raises(Unavailable, match="inside resolves to 127.0.0.2"):
        transport.get(f"http://outside:{port}/", {})
    assert [path for path, _ in server.asked] == ["/"]


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.1"])
def test_private_addresses_are_refused_unless_a_test_says_otherwise(gate, address):
    def resolve(host, port, **_):
        good = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", port))
        return [good, (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    network = Network(frozenset({"papers.example"}), resolve=resolve)
    with Transport(network, gate) as transport, pytest.raises(Unavailable, match="which is no public address"):
        transport.get("https://papers.example/", {})


def test_plain_http_is_refused_by_default(gate):
    refused = pytest.raises(Unavailable, match="http://arxiv.org is not fetched; only https")
    with Transport(Network(frozenset({"arxiv.org"})), gate) as transport, refused:
        transport.get("http://arxiv.org/", {})


def test_the_checked_address_is_the_one_connected_to(server, gate):
    """A name server that gives another answer the second time changes nothing."""
    given = iter(["127.0.0.1"])  # a second look-up would fail the test
    port = server.server_address[1]

    def resolve(host, port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(given), port))]

    server.routes["/"] = answers(b"fine")
    network = server.network(f"papers.invalid:{port}", resolve=resolve)
    with Transport(network, gate) as transport:
        assert transport.get(f"http://papers.invalid:{port}/", {}) == b"fine"


def certificate(tmp_path, name):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    made = (
        x509
        .CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=3))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / f"{name}.pem"
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_the_certificate_is_checked_against_the_name(server, gate, tmp_path):
    path = certificate(tmp_path, "papers.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.routes["/"] = answers(b"fine")
    port = server.server_address[1]
    names = resolver(**{"papers.test": "127.0.0.1", "other.test": "127.0.0.1"})
    trust = ssl.create_default_context(cafile=str(path))
    hosts = frozenset({f"papers.test:{port}", f"other.test:{port}"})
    network = Network(hosts, allowed=lambda a: True, resolve=names, verify=trust, attempts=1)
    with Transport(network, gate) as transport:
        assert transport.get(f"https://papers.test:{port}/", {}) == b"fine"
        with pytest.raises(Unavailable, match="other.test.*certificate"):
            transport.get(f"https://other.test:{port}/", {})


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("2606:4700:4700::1111", True),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("ff02::1", False),
        ("fe80::1%eth0", False),
        ("2002:7f00:1::", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::808:808", True),
    ],
)
def test_public_addresses(address, expected):
    assert is_public(address) is expected
    assert ipaddress.ip_address(address.partition("%")[0])
