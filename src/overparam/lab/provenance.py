"""What a result was made with: version, commit, libraries, machine."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import overparam

LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "pandas", "ray")


@functools.cache
def provenance() -> dict[str, Any]:
    """Describe this installation and machine.

    Returns:
        version, commit (empty outside a checkout), dirty, python, libraries, machine, cores, threads.
    """
    commit = _git("rev-parse", "--short=10", "HEAD")
    return {
        "version": overparam.__version__,
        "commit": commit,
        "dirty": bool(commit and _git("status", "--porcelain", "--untracked-files=no", "--", "src")),
        "python": platform.python_version(),
        "libraries": {name: v for name in LIBRARIES if (v := _version(name))},
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": 1,
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _git(*command: str) -> str:
    top = Path(overparam.__file__).parents[2]
    if not (top / ".git").exists():
        return ""
    try:
        done = subprocess.run(["git", "-C", str(top), *command], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
