"""Addresses of ours that tell on whose behalf mail comes back: bounces, and requests to stop.

`overparam+b-<subscription>-<tag>@host` is the return path of every mail; `+u-` stands in its List-Unsubscribe. The tag
is keyed, so nobody who has not seen the mail can get somebody else taken off.
"""

from __future__ import annotations

import functools
import hmac
import re
from email.headerregistry import Address
from email.utils import parseaddr
from typing import Literal

from overparam.errors import BadInput
from overparam.feed.secrets import fingerprint
from overparam.settings import mail_from

Purpose = Literal["bounce", "unsubscribe"]
LETTER: dict[Purpose, str] = {"bounce": "b", "unsubscribe": "u"}
PATTERN = re.compile(r"\+(b|u)-([0-9a-z]{26})-([0-9a-f]{12})@", re.IGNORECASE)


def sender() -> Address:
    """Return the sender of all mail.

    Returns:
        The address with a name to show.
    """
    return _parsed(mail_from())


@functools.lru_cache(maxsize=4)
def _parsed(given: str) -> Address:
    name, address = parseaddr(given)
    try:
        if not given.isprintable():
            raise ValueError("control characters")
        parsed = Address(display_name=name or "overparam", addr_spec=address)
        if not parsed.username or not parsed.domain:
            raise ValueError("incomplete")
    except (ValueError, IndexError) as error:
        raise BadInput(f"OVERPARAM_MAIL_FROM={given!r} is no address; write name@example.org") from error
    return parsed


def tag(text: str, purpose: str) -> str:
    """Return twelve hexadecimal digits that only this site can make.

    Args:
        text: What they vouch for.
        purpose: Separates the kinds.

    Returns:
        The digits.
    """
    return fingerprint(text, f"verp {purpose}")[:12]


def make(subscription: str, purpose: Purpose) -> str:
    """Make an address of ours for a subscription.

    Args:
        subscription: Its id.
        purpose: What mail to it means.

    Returns:
        An address at the sender's host.
    """
    home = sender()
    local = home.username.partition("+")[0]
    return f"{local}+{LETTER[purpose]}-{subscription.lower()}-{tag(subscription, purpose)}@{home.domain}"


def read(text: str) -> tuple[Purpose, str] | None:
    """Find an address of ours in a header.

    Args:
        text: Any text.

    Returns:
        Its purpose and the id of the subscription; None if there is none with a valid tag.
    """
    for letter, found, given in PATTERN.findall(text):
        subscription = found.upper()
        for purpose, own in LETTER.items():
            if own == letter.lower() and hmac.compare_digest(tag(subscription, purpose), given.lower()):
                return purpose, subscription
    return None
