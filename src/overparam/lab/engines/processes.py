"""Runs tasks in worker processes on this machine. A worker that dies or falls silent costs only its own task."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from overparam.lab.engines import Died, Message, Said
from overparam.lab.planner import Task
from overparam.lab.worker import Result, run_task

BEAT_SECONDS = 5.0
SILENCE_SECONDS = 30.0  # a worker that has not been heard for so long is given up
SAID_SECONDS = 0.25
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    task: Task | None = None
    heard: float = 0.0


class Processes:
    """A fixed number of worker processes, started when first needed and replaced when they die.

    Args:
        workers: How many; by default one for each core that this process may use.
    """

    def __init__(self, workers: int | None = None) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.slots = workers or cores
        self._spawn = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []

    def submit(self, task: Task) -> None:
        """Hand a task to an idle worker, starting one if need be.

        Args:
            task: What to do.
        """
        idle = next((w for w in self._workers if w.task is None and w.process.is_alive()), None) or self._start()
        idle.task, idle.heard = task, time.monotonic()
        with contextlib.suppress(BrokenPipeError, OSError):  # it died just now: the next poll sees that
            idle.pipe.send(task)

    def _start(self) -> _Worker:
        ours, theirs = self._spawn.Pipe()
        with _environment(dict.fromkeys(THREADS, "1")):
            process = self._spawn.Process(target=_main, args=(theirs, os.getpid()), daemon=True)
            process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def poll(self, timeout: float) -> list[Message]:
        """Return what happened.

        Args:
            timeout: Seconds to wait for something.

        Returns:
            Progress, results and deaths.
        """
        wait([w.pipe for w in self._workers] + [w.process.sentinel for w in self._workers], timeout)
        messages: list[Message] = []
        for worker in list(self._workers):
            messages += self._read(worker)
            silent = time.monotonic() - worker.heard > SILENCE_SECONDS
            if worker.task is not None and silent and worker.process.is_alive():
                worker.process.kill()  # works on a stopped process too
                worker.process.join()
            if not worker.process.is_alive():
                messages += self._read(worker)  # what it said before it died still counts
                if worker.task is not None:
                    how = "fell silent" if silent else f"exit code {worker.process.exitcode}"
                    messages.append(Died(worker.task.number, worker.task.attempt, how))
                worker.pipe.close()
                self._workers.remove(worker)
        return messages

    def _read(self, worker: _Worker) -> list[Message]:
        messages: list[Message] = []
        with contextlib.suppress(EOFError, OSError):
            while worker.pipe.poll():
                message = worker.pipe.recv()
                worker.heard = time.monotonic()
                if isinstance(message, Result):
                    worker.task = None
                if message is not None:
                    messages.append(message)
        return messages

    def kill(self, number: int) -> None:
        """End the worker of a task at once.

        Args:
            number: The task.
        """
        for worker in self._workers:
            if worker.task is not None and worker.task.number == number:
                worker.process.kill()

    def close(self) -> None:
        """End all workers: ask, then insist."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(1.0)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()
        self._workers.clear()


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _main(pipe: Connection, parent: int) -> None:
    """Serve tasks until the driver goes away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver, which then ends us
    sys.stdout = sys.stderr
    lock = threading.Lock()

    def send(message: object) -> None:
        with lock:
            pipe.send(message)

    def beat() -> None:
        while os.getppid() == parent:
            with contextlib.suppress(OSError):
                send(None)
            time.sleep(BEAT_SECONDS)
        os._exit(1)  # nobody is left to take a result

    threading.Thread(target=beat, daemon=True).start()
    while True:
        try:
            task: Task = pipe.recv()
        except (EOFError, OSError):
            return
        last = 0.0

        def listen(fraction: float, note: str, number: int = task.number) -> None:
            nonlocal last
            if time.monotonic() - last > SAID_SECONDS:
                last = time.monotonic()
                send(Said(number, fraction, note))

        send(run_task(task, listen))
