"""Where things lie: the cache, the ledger and the data, from the environment or the platform's defaults."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs


def cache_folder() -> Path:
    """Return the folder of artefacts and downloads: `OVERPARAM_CACHE`, else the user's cache."""
    return Path(os.environ.get("OVERPARAM_CACHE") or platformdirs.user_cache_dir("overparam"))


def database_url() -> str:
    """Return the address of the ledger: `OVERPARAM_DATABASE_URL`, else a SQLite file in the user's data folder."""
    url = os.environ.get("OVERPARAM_DATABASE_URL")
    return url or f"sqlite:///{data_folder() / 'ledger.sqlite3'}"


def data_folder() -> Path:
    """Return the folder of what must outlive the process: ledger file, secret, outbox."""
    return Path(platformdirs.user_data_dir("overparam"))


def site_url() -> str:
    """Return the address under which readers reach the site: `OVERPARAM_SITE_URL`, without a slash at the end."""
    return (os.environ.get("OVERPARAM_SITE_URL") or "http://127.0.0.1:8000").rstrip("/")


def smtp_url() -> str:
    """Return the mail relay: `OVERPARAM_SMTP_URL`, such as `smtp://user:password@host:587`; empty for none."""
    return os.environ.get("OVERPARAM_SMTP_URL", "")


def mail_from() -> str:
    """Return the sender of mail: `OVERPARAM_MAIL_FROM`, else an address at the host of the site."""
    return os.environ.get("OVERPARAM_MAIL_FROM") or f"overparam@{urlsplit(site_url()).hostname}"


def outbox_folder() -> Path:
    """Return where mail is written when there is no relay: `OVERPARAM_OUTBOX`, else a folder beside the ledger."""
    return Path(os.environ.get("OVERPARAM_OUTBOX") or data_folder() / "outbox")


def secret_file() -> Path:
    """Return the file of the site's secret: `OVERPARAM_SECRET_FILE`, else one beside the ledger."""
    return Path(os.environ.get("OVERPARAM_SECRET_FILE") or data_folder() / "secret")


def shipped(name: str) -> Path:
    """Return a folder that comes with the project, from the installed package or from a checkout.

    Args:
        name: `evidence`, `methods` or `guide`.

    Returns:
        The folder; it may be absent.
    """
    package = Path(__file__).parent
    installed = package / "shipped" / name
    checkout = package.parents[1]
    return installed if installed.is_dir() else checkout / name if name == "evidence" else checkout / "docs" / name


def embedder_folder() -> Path | None:
    """Return the folder of a sentence-transformers model for search: `OVERPARAM_EMBEDDER`, else None."""
    folder = os.environ.get("OVERPARAM_EMBEDDER")
    return Path(folder) if folder else None
