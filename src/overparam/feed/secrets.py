"""Keys of the site: signed links, encrypted and hashed addresses. All derive from one secret on disk.

The file holds one secret a line. The first signs and encrypts; the others still verify and decrypt, so a new line
on top rotates the keys. Hashes use the last line: they must stay the same for look-up.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

import itsdangerous
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from overparam.errors import BadInput, Unavailable
from overparam.settings import secret_file

SHORTEST = 32


@functools.lru_cache(maxsize=4)
def _lines(path: Path) -> tuple[bytes, ...]:
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, new = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)  # mode 0600, a name of its own
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(48) + "\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(new, path)  # fails if another process or thread was first: then its secret counts
            except FileExistsError:
                pass
            finally:
                os.unlink(new)
        lines = tuple(line.strip().encode() for line in path.read_text().splitlines() if line.strip())
    except OSError as error:
        raise Unavailable(f"secret {path}: {error.strerror}; set OVERPARAM_SECRET_FILE to a file of yours") from error
    if not lines or min(map(len, lines)) < SHORTEST:
        raise Unavailable(f"secret {path} needs lines of at least {SHORTEST} characters; write a longer one")
    return lines


def _key(secret: bytes, purpose: str) -> bytes:
    return hmac.digest(secret, f"overparam {purpose}".encode(), "sha256")


def sign(payload: Any, purpose: str) -> str:
    """Make a token that goes into an address.

    Args:
        payload: Plain data.
        purpose: Salt: a token of one purpose is worth nothing for another.

    Returns:
        URL-safe text.
    """
    return _signer(purpose).dumps(payload)


def verify(token: str, purpose: str, *, max_age: int | None = None) -> Any:
    """Read a token.

    Args:
        token: As made by `sign`.
        purpose: As given there.
        max_age: Seconds for which it is good; None for ever.

    Returns:
        The payload.

    Raises:
        BadInput: It was altered, is of another purpose or too old.
    """
    try:
        return _signer(purpose).loads(token, max_age=max_age)
    except itsdangerous.SignatureExpired as error:
        raise BadInput("this link has expired; ask for a new one") from error
    except itsdangerous.BadData as error:
        raise BadInput("this link is not valid; copy it whole, or ask for a new one") from error


def _signer(purpose: str) -> itsdangerous.URLSafeTimedSerializer:
    keys = [_key(line, f"sign {purpose}") for line in reversed(_lines(secret_file()))]
    return itsdangerous.URLSafeTimedSerializer(keys, salt=purpose)


def _fernet() -> MultiFernet:
    keys = [base64.urlsafe_b64encode(_key(line, "encrypt")) for line in _lines(secret_file())]
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(text: str) -> str:
    """Encrypt an address.

    Args:
        text: Plain text.

    Returns:
        URL-safe text.
    """
    return _fernet().encrypt(text.encode()).decode()


def decrypt(text: str) -> str:
    """Decrypt what `encrypt` made.

    Args:
        text: Its result.

    Returns:
        Plain text.

    Raises:
        Unavailable: No line of the secret fits.
    """
    try:
        return _fernet().decrypt(text.encode()).decode()
    except InvalidToken as error:
        raise Unavailable(f"an address cannot be decrypted; restore the old line of {secret_file()}") from error


def fingerprint(text: str, purpose: str) -> str:
    """Hash a text with a key, so that the same text can be found again but not guessed.

    Args:
        text: An e-mail address, a token, a network address.
        purpose: Separates the kinds.

    Returns:
        64 hexadecimal digits.
    """
    return hmac.new(_key(_lines(secret_file())[-1], f"hash {purpose}"), text.encode(), hashlib.sha256).hexdigest()
