"""How mail leaves: through an SMTP relay, or as files in the outbox folder where there is none.

A mail may have been accepted from the moment at which its body is sent until the relay answers. `begin` is called right
before that moment: what it writes down is all that is known if the process dies. Before it, nothing was accepted.
"""

from __future__ import annotations

import logging
import os
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Literal, Protocol
from urllib.parse import unquote, urlsplit

import aiosmtplib
from aiosmtplib import (
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)

from overparam.errors import BadInput, Unavailable
from overparam.feed.mail import verp
from overparam.feed.mail.message import Mail
from overparam.settings import outbox_folder, smtp_url

CLOSING = 421
LOOPBACK = ("127.0.0.1", "::1", "localhost")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of a mail.

    Attributes:
        state: `sent`; `temporary` or `permanent`: refused for now or for good; `unknown`: the connection was lost
            while the relay may have been accepting it.
        code: Answer of the relay, if there was one.
        words: Its words, or ours.
        about_recipient: Whether a refusal is about the mailbox, not about the mail or its sender.
    """

    state: Literal["sent", "temporary", "permanent", "unknown"]
    code: int | None = None
    words: str = ""
    about_recipient: bool = False


class Transport(Protocol):
    """A way out for mail, used as `async with`."""

    async def __aenter__(self) -> Transport:
        """Open it."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""

    async def send(self, mail: Mail, begin: Callable[[], bool] = lambda: True) -> Outcome | None:
        """Send one mail.

        Args:
            mail: What and to whom.
            begin: Called right before the relay may accept it; False stops the mail.

        Returns:
            What became of it; None if `begin` stopped it.
        """


def transport(url: str | None = None, *, timeout: float = 60.0) -> Transport:
    """Choose the way out.

    Args:
        url: Relay, `smtp://user:password@host:587` or `smtps://…`; by default from the settings, empty for the outbox.
        timeout: Seconds to wait for an answer.

    Returns:
        A relay or the outbox.
    """
    url = smtp_url() if url is None else url
    return Relay(url, timeout=timeout) if url else Outbox()


async def post(mail: Mail) -> Outcome:
    """Send one mail that nobody waits for, such as a link to confirm; failures go to the log.

    Args:
        mail: What and to whom.

    Returns:
        What became of it.
    """
    try:
        async with transport() as way:
            outcome = await way.send(mail)
    except Unavailable as error:
        outcome = Outcome("temporary", words=str(error))
    assert outcome is not None  # nothing stops it
    if outcome.state != "sent":
        log.warning("a mail was not sent (%s): %s", outcome.state, outcome.words)
    return outcome


class Outbox:
    """Writes each mail to a file that appears whole."""

    async def __aenter__(self) -> Outbox:
        """Make the folder.

        Returns:
            Itself.

        Raises:
            Unavailable: It cannot be made.
        """
        try:
            outbox_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise Unavailable(
                f"outbox {outbox_folder()}: {error.strerror}; set OVERPARAM_OUTBOX or OVERPARAM_SMTP_URL"
            ) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open."""

    async def send(self, mail: Mail, begin: Callable[[], bool] = lambda: True) -> Outcome | None:
        """Write one mail, as `Transport.send` says.

        Args:
            mail: What and to whom.
            begin: Called before the file appears.

        Returns:
            What became of it.

        Raises:
            Unavailable: The folder cannot be written.
        """
        name = "".join(c if c.isalnum() or c in "-." else "_" for c in mail.message["Message-ID"].strip("<>"))
        path = outbox_folder() / f"{name.partition('_')[0]}.eml"
        new = path.with_suffix(f".{os.getpid()}.part")
        try:
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(mail.content)
            if not begin():
                new.unlink()
                return None
            new.replace(path)
        except OSError as error:
            raise Unavailable(f"outbox {path.parent}: {error.strerror}; free it, or set OVERPARAM_OUTBOX") from error
        return Outcome("sent", words=f"written to {path}")


class Relay:
    """An SMTP relay; one connection for many mails, opened again when the relay closes it.

    Args:
        url: `smtp://` takes STARTTLS when it is offered, `smtps://` speaks TLS from the start.
        timeout: Seconds to wait for an answer.
    """

    def __init__(self, url: str, *, timeout: float = 60.0) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError as error:
            raise BadInput("OVERPARAM_SMTP_URL has a port that is no number; write smtp://host:587") from error
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise BadInput("OVERPARAM_SMTP_URL is no relay; write smtp://user:password@host:587 or smtps://…")
        self._tls = parts.scheme == "smtps"
        self._host, self._port = parts.hostname, port or (465 if self._tls else 25)
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        self._timeout = timeout
        self._client: aiosmtplib.SMTP | None = None

    async def __aenter__(self) -> Relay:
        """Connect at the first mail.

        Returns:
            Itself.
        """
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say good-bye."""
        if self._client and self._client.is_connected:
            try:
                await self._client.quit(timeout=5)
            except (SMTPException, OSError):
                self._drop()

    async def send(self, mail: Mail, begin: Callable[[], bool] = lambda: True) -> Outcome | None:
        """Send one mail, as `Transport.send` says.

        Args:
            mail: What and to whom.
            begin: Called right before DATA, once.

        Returns:
            What became of it.
        """
        begun = False
        outcome = Outcome("temporary", words="the relay closed the connection twice")
        for _ in range(2):  # a connection that the relay closed is opened once more
            client = await self._connected()
            try:
                refusal = await self._envelope(client, mail)
                if refusal is None and not begun:
                    if not begin():
                        await self._reset(client)
                        return None
                    begun = True
            except (SMTPServerDisconnected, SMTPTimeoutError, OSError):
                self._drop()
                continue
            outcome = refusal or await self._data(client, mail)
            outcome = replace(outcome, words=_without(mail.recipient, outcome.words))
            if outcome.code != CLOSING:
                return outcome
            self._drop()
        return outcome

    async def _envelope(self, client: aiosmtplib.SMTP, mail: Mail) -> Outcome | None:
        try:
            await client.mail(mail.sender)
        except SMTPResponseException as error:
            if error.code >= 500:  # it would refuse every other mail, too
                raise Unavailable(
                    f"mail relay {self._host} refuses the sender: {error.code} {error.message}; "
                    "check OVERPARAM_MAIL_FROM and OVERPARAM_SMTP_URL"
                ) from error
            return await self._refused(client, error)
        try:
            await client.rcpt(mail.recipient)
        except SMTPResponseException as error:
            return await self._refused(client, error)
        return None

    async def _data(self, client: aiosmtplib.SMTP, mail: Mail) -> Outcome:
        try:
            answer = await client.data(mail.content)
        except SMTPResponseException as error:
            if 400 <= error.code < 600:
                return await self._refused(client, error)
            self._drop()
            return Outcome("unknown", words=f"the relay's answer makes no sense: {error.code} {error.message}")
        except (SMTPServerDisconnected, SMTPTimeoutError, OSError) as error:
            self._drop()
            return Outcome("unknown", words=f"the relay did not answer after the mail was handed over ({error})")
        return Outcome("sent", answer.code, answer.message)

    async def _refused(self, client: aiosmtplib.SMTP, error: SMTPResponseException) -> Outcome:
        if error.code != CLOSING:
            await self._reset(client)
        mailbox = isinstance(error, SMTPRecipientRefused) or error.message[:4] in ("5.1.", "5.2.", "4.2.")
        state: Literal["temporary", "permanent"] = "permanent" if error.code >= 500 else "temporary"
        return Outcome(state, error.code, error.message, mailbox and error.code != CLOSING)

    async def _reset(self, client: aiosmtplib.SMTP) -> None:
        try:
            await client.rset()
        except (SMTPException, OSError):
            self._drop()

    async def _connected(self) -> aiosmtplib.SMTP:
        if self._client and self._client.is_connected:
            return self._client
        client = aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            use_tls=self._tls,
            timeout=self._timeout,
            local_hostname=_name(verp.sender().domain),  # looking up the machine's own name can take half a minute
        )
        try:
            await client.connect()
            if self._user:
                if not self._secure(client) and self._host not in LOOPBACK:
                    client.close()
                    raise Unavailable(
                        f"mail relay {self._host} offers no TLS, and the password is not sent in the clear; use smtps://"
                    )
                await client.login(self._user, self._password)
        except (SMTPException, OSError, ssl.SSLError) as error:
            client.close()
            raise Unavailable(
                f"mail relay {self._host}:{self._port}: {' '.join(str(error).split())}; check OVERPARAM_SMTP_URL, "
                "then send again: nothing is lost"
            ) from error
        self._client = client
        return client

    @staticmethod
    def _secure(client: aiosmtplib.SMTP) -> bool:
        return client.transport is not None and client.transport.get_extra_info("sslcontext") is not None

    def _drop(self) -> None:
        if self._client:
            self._client.close()
        self._client = None


def _without(recipient: str, words: str) -> str:
    """The words of a relay without the address, which is kept encrypted only."""
    return re.sub(re.escape(recipient), "this address", words, flags=re.IGNORECASE)


def _name(host: str) -> str:
    """The host as a greeting names it: numbers in brackets."""
    return f"[{host}]" if host.replace(".", "").isdigit() else host
