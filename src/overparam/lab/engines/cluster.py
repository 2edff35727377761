"""Runs tasks on a Ray cluster: the one at `RAY_ADDRESS`, else a local one, since the user asked for this engine."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from overparam.errors import MissingExtra, Unavailable
from overparam.lab.engines import Died, Message
from overparam.lab.engines.processes import THREADS
from overparam.lab.planner import Task
from overparam.lab.worker import run_task


class Cluster:
    """Ray tasks without retries of Ray's own: the ledger knows what was committed, so the driver retries.

    Args:
        workers: Tasks side by side; by default the CPUs of the cluster.
    """

    def __init__(self, workers: int | None = None) -> None:
        try:
            import ray
        except ImportError as error:
            raise MissingExtra('engine ray needs Ray; pip install "overparam[cluster]"') from error
        self._ray = ray
        address = os.environ.get("RAY_ADDRESS")
        self._ours = not ray.is_initialized()
        if self._ours:
            local: dict[str, Any] = {} if address else {"num_cpus": workers, "include_dashboard": False}
            try:
                environment = {"env_vars": dict.fromkeys(THREADS, "1") | _passed_on()}
                ray.init(
                    address=address, log_to_driver=False, logging_level=logging.ERROR, runtime_env=environment, **local
                )
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise Unavailable(f"no Ray cluster at {address}: {error}; check RAY_ADDRESS") from error
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        self.slots = workers or max(1, int(resources.get("CPU", 1)))
        self._remote = ray.remote(max_retries=0)(run_task)
        self._running: dict[Any, Task] = {}

    def submit(self, task: Task) -> None:
        """Hand a task to the cluster.

        Args:
            task: What to do.
        """
        self._running[self._remote.options(num_cpus=1, num_gpus=task.gpus).remote(task)] = task

    def poll(self, timeout: float) -> list[Message]:
        """Return what happened.

        Args:
            timeout: Seconds to wait for something.

        Returns:
            Results and deaths.
        """
        if not self._running:
            time.sleep(timeout)
            return []
        done, _ = self._ray.wait(list(self._running), num_returns=1, timeout=timeout)
        messages: list[Message] = []
        for reference in done:
            task = self._running.pop(reference)
            try:
                messages.append(self._ray.get(reference))
            except self._ray.exceptions.RayError as error:
                messages.append(Died(task.number, task.attempt, type(error).__name__))
        return messages

    def kill(self, number: int) -> None:
        """End the worker of a task at once.

        Args:
            number: The task.
        """
        for reference, task in self._running.items():
            if task.number == number:
                self._ray.cancel(reference, force=True)

    def close(self) -> None:
        """Cancel what runs, and leave the cluster."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._running.clear()
        if self._ours:
            self._ray.shutdown()


def _passed_on() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("OVERPARAM_")}
