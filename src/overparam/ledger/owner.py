"""Who holds a lease: a process, named so that others on its machine can tell whether it lives."""

from __future__ import annotations

import os
import socket


def owner_of_this_process() -> str:
    """Name this process: host, pid, start time."""
    import psutil

    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.2f}"


def is_gone(owner: str) -> bool:
    """Tell whether an owner on this machine has died; False for other machines.

    Args:
        owner: As written by `owner_of_this_process`.

    Returns:
        True only when it is certain.
    """
    import psutil

    host, pid, started = owner.rsplit(":", 2)
    if host != socket.gethostname():
        return False
    try:
        process = psutil.Process(int(pid))
        return bool(abs(process.create_time() - float(started)) > 0.05 or process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
