"""Fetches from a source, and from nowhere else: time limits, size limits, public addresses of named hosts only.

The name of the host is resolved here, every address is checked, and the connection is made to a checked address (the
certificate is still checked against the name), so an answer of the name server that changes in between leads nowhere.
Proxies from the environment are not used, since they would resolve names by themselves.
"""

from __future__ import annotations

import email.utils
import ipaddress
import random
import socket
import ssl
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx2

import overparam
from overparam.errors import Unavailable
from overparam.feed.sources.gate import Gate
from overparam.settings import mail_from, site_url

REDIRECTS = 3
LONGEST_WAIT = 300.0


def is_public(address: str) -> bool:
    """Tell whether an address lies in the public network.

    Args:
        address: IPv4 or IPv6.

    Returns:
        False for loopback, private, link-local, multicast and reserved ones, also when wrapped in IPv6.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo or (None, None))[1]
        if inner is not None:
            return is_public(str(inner))
        if found in ipaddress.ip_network("64:ff9b::/96"):
            return is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
    return found.is_global and not found.is_multicast


@dataclass(frozen=True)
class Network:
    """What may be reached, and how patiently.

    Attributes:
        hosts: Names that may be asked, with the port where it is not the usual one.
        schemes: `https`; tests add `http`.
        allowed: Whether an address may be connected to.
        connect_seconds: For a connection.
        read_seconds: For the next piece of an answer.
        whole_seconds: For a whole answer.
        largest_bytes: Of a body.
        attempts: Times that a request is made before it counts as failed.
        resolve: Looks a name up, like `socket.getaddrinfo`.
        verify: Certificates that are trusted; True for those of the system.
        jitter: Returns a number between two.
    """

    hosts: frozenset[str]
    schemes: frozenset[str] = frozenset({"https"})
    allowed: Callable[[str], bool] = is_public
    connect_seconds: float = 5.0
    read_seconds: float = 20.0
    whole_seconds: float = 120.0
    largest_bytes: int = 10_000_000
    attempts: int = 5
    resolve: Callable[..., list[Any]] = socket.getaddrinfo
    verify: bool | ssl.SSLContext = True
    jitter: Callable[[float, float], float] = random.uniform


class _Failed(Exception):
    """One attempt failed; another may succeed."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Transport:
    """A client of one source.

    Args:
        network: What may be reached.
        gate: Of the source; each attempt takes a turn.
    """

    def __init__(self, network: Network, gate: Gate) -> None:
        self._network, self._gate = network, gate
        limits = httpx2.Timeout(network.read_seconds, connect=network.connect_seconds)
        agent = f"overparam/{overparam.__version__} (+{site_url()}; mailto:{mail_from()})"
        self._client = httpx2.Client(
            headers={"User-Agent": agent, "Accept-Encoding": "identity"},  # so that the limit on bytes is one on bytes
            timeout=limits,
            verify=network.verify,
            trust_env=False,
            limits=httpx2.Limits(max_keepalive_connections=0),  # two names at one address must each show a certificate
        )

    def __enter__(self) -> Transport:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, url: str, params: Mapping[str, str], *, empty: Collection[int] = ()) -> bytes:
        """Fetch a document.

        Args:
            url: Of a host that is allowed.
            params: Query.
            empty: Further statuses by which the source says that there is nothing.

        Returns:
            Its body; empty for such a status.

        Raises:
            Unavailable: It cannot be had now, or must not be had.
        """
        target = httpx2.URL(url, params=dict(params))
        for attempt in range(self._network.attempts):
            try:
                return self._once(target, empty)
            except _Failed as error:
                message, wait = str(error), self._network.jitter(0.0, min(LONGEST_WAIT, 3.0 * 2**attempt))
                if error.retry_after is not None:
                    self._gate.hold(error.retry_after)
                    wait = max(wait, error.retry_after)
            if wait > LONGEST_WAIT:
                raise Unavailable(f"{target.host}: {message}; it asks for {wait / 60:,.0f} minutes of rest")
            if attempt + 1 < self._network.attempts:
                self._gate.sleep(wait)
        raise Unavailable(f"{target.host}: {message}; given up after {self._network.attempts} attempts")

    def _once(self, url: httpx2.URL, empty: Collection[int]) -> bytes:
        for _ in range(REDIRECTS + 1):
            with self._gate.turn():
                answer = self._ask(url, empty)
            if isinstance(answer, bytes):
                return answer
            url = answer
        raise Unavailable(f"{url.host}: more than {REDIRECTS} redirects")

    def _ask(self, url: httpx2.URL, empty: Collection[int]) -> bytes | httpx2.URL:
        addresses = self._addresses(url)
        for address in addresses:
            try:
                return self._ask_at(url, address, empty)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                if address == addresses[-1]:
                    raise _Failed(_words(error)) from error
            except httpx2.TransportError as error:
                raise _Failed(_words(error)) from error
        raise _Failed("the name has no address")

    def _addresses(self, url: httpx2.URL) -> list[str]:
        if url.scheme not in self._network.schemes:
            raise Unavailable(f"{url.scheme}://{url.host} is not fetched; only {', '.join(self._network.schemes)} is")
        if url.netloc.decode() not in self._network.hosts or url.userinfo:
            raise Unavailable(f"{url.netloc.decode()} is none of the hosts that may be asked")
        try:
            found = self._network.resolve(url.host, url.port or 443, type=socket.SOCK_STREAM)
        except OSError as error:
            raise _Failed(f"the name cannot be resolved ({error.strerror})") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            if not self._network.allowed(address):
                raise Unavailable(f"{url.host} resolves to {address}, which is no public address")
        return addresses

    def _ask_at(self, url: httpx2.URL, address: str, empty: Collection[int]) -> bytes | httpx2.URL:
        end = time.monotonic() + self._network.whole_seconds
        request = self._client.build_request(
            "GET",
            url.copy_with(host=address),
            headers={"Host": url.netloc.decode()},
            extensions={"sni_hostname": url.host} if url.scheme == "https" else {},
        )
        response = self._client.send(request, stream=True)
        try:
            return b"" if response.status_code in empty else self._read(url, response, end)
        finally:
            response.close()

    def _read(self, url: httpx2.URL, response: httpx2.Response, end: float) -> bytes | httpx2.URL:
        status = response.status_code
        if response.has_redirect_location:
            try:
                return url.join(response.headers["Location"])
            except httpx2.InvalidURL as error:
                raise Unavailable(f"{url.host}: a redirect to no address ({error})") from error
        if status == 429 or status >= 500:
            raise _Failed(f"HTTP {status}", _retry_after(response.headers.get("Retry-After")))
        if status != 200:
            raise Unavailable(f"{url.host}: HTTP {status} for {url.path}")
        body = bytearray()
        for piece in response.iter_raw():
            body += piece
            if len(body) > self._network.largest_bytes:
                raise Unavailable(f"{url.host}: more than {self._network.largest_bytes:,} bytes for {url.path}")
            if time.monotonic() > end:
                raise _Failed(f"no end of the answer within {self._network.whole_seconds:g} s")
        return bytes(body)


def _retry_after(text: str | None) -> float | None:
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _words(error: Exception) -> str:
    if isinstance(error, httpx2.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, httpx2.TimeoutException):
        return "no answer in time"
    return " ".join(str(error).split()) or type(error).__name__
