"""Engines: where tasks run. All share one protocol, one worker function and one ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from overparam.errors import NotFound
from overparam.lab.planner import Task
from overparam.lab.worker import Result

ENGINES = ("processes", "inline", "ray")


@dataclass(frozen=True)
class Said:
    """A running task reported progress."""

    number: int
    fraction: float
    note: str


@dataclass(frozen=True)
class Died:
    """The worker of a task is gone, and the task with it."""

    number: int
    attempt: int
    how: str


Message = Said | Died | Result


class Engine(Protocol):
    """Runs tasks somewhere and reports."""

    slots: int

    def submit(self, task: Task) -> None:
        """Start a task; at most `slots` may be under way."""

    def poll(self, timeout: float) -> list[Message]:
        """Return what happened, waiting at most `timeout` seconds for something."""

    def kill(self, number: int) -> None:
        """End the worker of a task at once; a `Died` follows."""

    def close(self) -> None:
        """End all workers."""


def make_engine(name: str, workers: int | None) -> Engine:
    """Start an engine.

    Args:
        name: `processes`, `inline` or `ray`.
        workers: Tasks side by side; by default one for each core.

    Returns:
        The engine.

    Raises:
        NotFound: No such engine.
    """
    if name == "inline":
        from overparam.lab.engines.inline import Inline

        return Inline()
    if name == "processes":
        from overparam.lab.engines.processes import Processes

        return Processes(workers)
    if name == "ray":
        from overparam.lab.engines.cluster import Cluster

        return Cluster(workers)
    raise NotFound(f"engine {name!r} is unknown; choose {', '.join(ENGINES)}")
