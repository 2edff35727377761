"""Where things lie: the cache, the ledger and the data, from the environment or the platform's defaults."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Return the folder of artefacts and downloads: `OVERPARAM_CACHE`, else the user's cache."""
    return Path(os.environ.get("OVERPARAM_CACHE") or platformdirs.user_cache_dir("overparam"))


def database_url() -> str:
    """Return the address of the ledger: `OVERPARAM_DATABASE_URL`, else a SQLite file in the user's data folder."""
    url = os.environ.get("OVERPARAM_DATABASE_URL")
    return url or f"sqlite:///{Path(platformdirs.user_data_dir('overparam')) / 'ledger.sqlite3'}"
