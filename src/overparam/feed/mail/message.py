"""Mail as bytes: headers, and a text and an HTML part with the same words in the same order."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from typing import Any
from urllib.parse import urlsplit

import jinja2

from overparam.errors import BadInput
from overparam.feed.mail import verp
from overparam.ledger.clock import now as clock
from overparam.settings import site_url

BODY = SMTP.clone(max_line_length=76)  # of quoted-printable lines, RFC 2045
WIRE = SMTP.clone(max_line_length=None)  # folding would break the addresses in List-Unsubscribe


@dataclass(frozen=True)
class Mail:
    """One mail for one reader.

    Attributes:
        message: Headers and parts.
        sender: Return path, where bounces go.
        recipient: Where it goes.
    """

    message: EmailMessage
    sender: str
    recipient: str

    @functools.cached_property
    def content(self) -> bytes:
        """What is sent."""
        return self.message.as_bytes(policy=WIRE)


def confirm_address(token: str) -> str:
    """Return where a subscription is confirmed.

    Args:
        token: Of purpose `confirm`.

    Returns:
        An address of the site.
    """
    return f"{site_url()}/confirm/{token}"


def manage_address(token: str) -> str:
    """Return where a subscription is changed or stopped; a POST to it stops at once.

    Args:
        token: Of purpose `manage`.

    Returns:
        An address of the site.
    """
    return f"{site_url()}/u/{token}"


def one_line(text: str) -> str:
    """Make foreign text safe for one line: no line breaks, control or direction characters.

    Args:
        text: Any text.

    Returns:
        Its words, one space apart.
    """
    return " ".join("".join(c for c in text if c.isspace() or unicodedata.category(c)[0] != "C").split())


def note(
    recipient: str,
    subject: str,
    paragraphs: Sequence[str],
    *,
    button: tuple[str, str] | None = None,
    closing: Sequence[str] = (),
    subscription: str | None = None,
    now: str | None = None,
) -> Mail:
    """Write a short mail about one thing, such as a link to confirm or to sign in.

    Args:
        recipient: An address that `address.parse` has returned.
        subject: One line; also the heading.
        paragraphs: What to say.
        button: Words and address of the one thing to do.
        closing: Small print.
        subscription: Id whose bounces it counts to.
        now: The time; by default the clock's.

    Returns:
        The mail.
    """
    context = {"title": subject, "paragraphs": paragraphs, "button": button, "closing": closing}
    return_path = verp.make(subscription, "bounce") if subscription else verp.sender().addr_spec
    headers = {"Message-ID": make_msgid(domain=verp.sender().domain)}
    return compose(recipient, subject, "note", context, headers, return_path=return_path, now=now)


def compose(
    recipient: str,
    subject: str,
    template: str,
    context: dict[str, Any],
    headers: dict[str, str],
    *,
    return_path: str,
    now: str | None = None,
) -> Mail:
    """Put a mail together.

    Args:
        recipient: An address that `address.parse` has returned.
        subject: One line.
        template: Name of a pair of templates.
        context: What they show.
        headers: Further headers.
        return_path: Where bounces go.
        now: The time; by default the clock's.

    Returns:
        The mail.

    Raises:
        BadInput: A header holds a line break or another control character.
    """
    message = EmailMessage(policy=BODY)
    fixed = {
        "Date": format_datetime(datetime.fromisoformat(now or clock())),
        "Subject": subject,
        "Auto-Submitted": "auto-generated",
    }
    for name, value in {**fixed, **headers}.items():
        if any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in value):
            raise BadInput(f"mail header {name} holds a line break or another control character; take it out")
        message[name] = value
    message["From"] = verp.sender()
    try:
        message["To"] = Address(addr_spec=recipient)
    except ValueError as error:
        raise BadInput("mail header To is no single address; check it with address.parse") from error
    message.set_content(_render(f"{template}.txt.jinja", context), cte="quoted-printable")
    message.add_alternative(_render(f"{template}.html.jinja", context), subtype="html", cte="quoted-printable")
    return Mail(message, return_path, recipient)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("overparam.feed.mail"),
        autoescape=lambda name: bool(name and ".html." in name),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["host"] = lambda: urlsplit(site_url()).netloc
    return environment


def _render(name: str, context: dict[str, Any]) -> str:
    return _environment().get_template(name).render(context)
