"""Runs tasks in this process, one after the other: for debugging."""

from __future__ import annotations

from overparam.lab.engines import Message, Said
from overparam.lab.planner import Task
from overparam.lab.worker import run_task


class Inline:
    """One slot, no workers. A task runs inside `poll`."""

    slots = 1

    def __init__(self) -> None:
        self._waiting: list[Task] = []

    def submit(self, task: Task) -> None:
        """Keep a task for the next poll.

        Args:
            task: What to do.
        """
        self._waiting.append(task)

    def poll(self, timeout: float) -> list[Message]:
        """Run what waits.

        Args:
            timeout: Not used.

        Returns:
            Progress and results.
        """
        messages: list[Message] = []
        while self._waiting:
            task = self._waiting.pop(0)
            messages.append(run_task(task, lambda f, note, n=task.number: messages.append(Said(n, f, note))))  # type: ignore[misc]
        return messages

    def kill(self, number: int) -> None:
        """Do nothing: a task in this process ends by its own alarm.

        Args:
            number: The task.
        """

    def close(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
