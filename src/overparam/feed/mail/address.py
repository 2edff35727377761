"""E-mail addresses: which are accepted, and in which form they are kept."""

from __future__ import annotations

import re
from email.errors import HeaderParseError
from email.headerregistry import Address

from overparam.errors import BadInput

EXAMPLE = "Example: you@example.org"
LONGEST, LONGEST_LOCAL, SHOWN = 254, 64, 60
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def parse(text: str) -> str:
    """Check an address as far as that is possible without asking its host.

    Comments, quoted names and numeric hosts are refused: no mailbox of a person needs them. A host with letters
    outside ASCII is kept in its encoded form.

    Args:
        text: As typed.

    Returns:
        The address, its host in lower case.

    Raises:
        BadInput: It cannot be right; the message says why.
    """
    text = text.strip()
    shown = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text)
    shown = f"“{shown if len(shown) <= SHOWN else shown[: SHOWN - 1] + '…'}”"
    if not text:
        raise BadInput(f"There is no address. {EXAMPLE}")
    if "@" not in text:
        raise BadInput(f"There is no @ in {shown}. {EXAMPLE}")
    if re.search(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]", text):
        raise BadInput(f"There is a space or a line break in {shown}. {EXAMPLE}")
    local, _, host = text.rpartition("@")
    if not local or not host:
        raise BadInput(f"Something is missing {'before' if not local else 'after'} the @ in {shown}. {EXAMPLE}")
    if not local.isascii() or '"' in local or "@" in local:
        raise BadInput(f"What stands before the @ in {shown} cannot be used. {EXAMPLE}")
    try:
        host = host.encode("idna").decode("ascii").lower()
        if Address(addr_spec=f"{local}@{host}").username != local:  # a comment was taken out
            raise ValueError(local)
    except (UnicodeError, HeaderParseError, ValueError, IndexError) as error:
        raise BadInput(f"{shown} is no address. {EXAMPLE}") from error
    labels = host.split(".")
    if len(labels) < 2 or not all(map(LABEL.fullmatch, labels)) or labels[-1].isdigit():
        raise BadInput(f"What follows the @ in {shown} is no host, such as example.org. {EXAMPLE}")
    if len(local) > LONGEST_LOCAL or len(f"{local}@{host}") > LONGEST:
        raise BadInput(f"{shown} is too long for an address. {EXAMPLE}")
    return f"{local}@{host}"


def key(address: str) -> str:
    """Hash an address for look-up; upper and lower case are the same.

    Args:
        address: As returned by `parse`.

    Returns:
        64 hexadecimal digits.
    """
    from overparam.feed.secrets import fingerprint

    return fingerprint(address.casefold(), "email")
