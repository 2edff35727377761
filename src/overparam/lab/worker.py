"""Does one task, within its limits, and names what went wrong. The same code runs under every engine."""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from overparam.errors import BadInput
from overparam.lab import artefacts
from overparam.lab.experiment import Experiment, Progress
from overparam.lab.planner import Task

Outcome = Literal["done", "raised", "not finite", "out of memory", "timed out", "lost"]
LIMIT_OF_CURVE = 10_000


@dataclass(frozen=True)
class Result:
    """What came of a task.

    Attributes:
        number: The task.
        attempt: Its fencing number.
        outcome: `done`, or the name of the failure.
        metrics: One JSON text a seed; empty unless done.
        message: One line on the failure.
        traceback: The whole of it.
        wall_seconds: Wall time.
        cpu_seconds: CPU time of all threads.
        peak_megabytes: Highest resident memory.
        device: `cpu`, or the name of the accelerator.
        made: Artefacts that were computed on the way.
    """

    number: int
    attempt: int
    outcome: Outcome
    metrics: tuple[str, ...] = ()
    message: str = ""
    traceback: str = ""
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_megabytes: float = 0.0
    device: str = "cpu"
    made: tuple[Mapping[str, Any], ...] = field(default=())


class _TimeUp(BaseException):
    """Raised by the alarm; no `except Exception` of a trial catches it."""


class _NotFinite(Exception):
    """A metric is NaN or infinite."""


def run_task(task: Task, listen: Callable[[float, str], None] | None = None) -> Result:
    """Do one task.

    Args:
        task: What to do.
        listen: Hears fraction done and a note.

    Returns:
        Result with metrics, or with a named failure. Nothing is raised but KeyboardInterrupt.
    """
    _reset_peak()
    wall, cpu = time.perf_counter(), time.process_time()
    outcome: Outcome = "done"
    metrics: tuple[str, ...] = ()
    message = trace = ""
    with artefacts.recording(task.since) as made:
        try:
            with (
                _one_thread(),
                _memory(task.memory_limit),
                _alarm(task.time_limit),
                contextlib.redirect_stdout(sys.stderr),
            ):
                metrics = tuple(encode(row, task) for row in _call(task, Progress(listen)))
        except _TimeUp:
            outcome, message = "timed out", f"took longer than {task.time_limit:g} s"
        except _NotFinite as error:
            outcome, message = "not finite", str(error)
        except Exception as error:
            short = isinstance(error, MemoryError) or "not enough memory" in str(error)  # the second is torch's
            outcome = "out of memory" if short else "raised"
            message = f"more than {task.memory_limit:,.0f} MB" if short else _line(error)
            trace = traceback.format_exc()
    return Result(
        number=task.number,
        attempt=task.attempt,
        outcome=outcome,
        metrics=metrics,
        message=message,
        traceback=trace,
        wall_seconds=time.perf_counter() - wall,
        cpu_seconds=time.process_time() - cpu,
        peak_megabytes=_peak(),
        device=_device(),
        made=tuple(made),
    )


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _call(task: Task, progress: Progress) -> list[Mapping[str, Any]]:
    function = getattr(importlib.import_module(f"{task.package}.experiments"), task.experiment)
    declared: Experiment = function.experiment
    extra: dict[str, Any] = {
        "progress": progress,
        "sabotage": task.sabotage,
        "seed": task.seeds[0],
        "seeds": list(task.seeds),
    }
    rows = function(**task.params, **{name: extra[name] for name in declared.takes})
    rows = list(rows) if declared.batched else [rows]
    if len(rows) != len(task.seeds):
        raise BadInput(f"{task.experiment} returned {len(rows)} results for {len(task.seeds)} seeds; return one a seed")
    return rows


def encode(row: Mapping[str, Any], task: Task) -> str:
    """Check the metrics of one trial and write them as JSON.

    Args:
        row: Name to number, None, or a short list of numbers.
        task: Names the parameters, which no metric may shadow.

    Returns:
        JSON with sorted names; floats keep every bit.

    Raises:
        BadInput: Something else than numbers, or a metric named like a parameter.
    """
    plain: dict[str, Any] = {}
    for name, value in row.items():
        if name in task.params or name in ("seed", "experiment"):
            raise BadInput(f"metric {name!r} of {task.experiment} has the name of a parameter; rename it")
        listed = value.tolist() if hasattr(value, "tolist") else value
        numbers = listed if isinstance(listed, list | tuple) else [listed]
        if len(numbers) > LIMIT_OF_CURVE:
            raise BadInput(f"metric {name!r} has {len(numbers)} numbers; keep curves to {LIMIT_OF_CURVE}")
        for number in numbers:
            if number is not None and not isinstance(number, int | float):
                raise BadInput(f"metric {name!r} holds {type(number).__name__}; return numbers, None or flat lists")
            if isinstance(number, float) and not math.isfinite(number):
                raise _NotFinite(f"{name} is {number}")
        plain[name] = listed
    return json.dumps(plain, sort_keys=True, allow_nan=False)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for all numerics, so that results do not depend on how many workers share the machine."""
    from threadpoolctl import threadpool_limits

    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 1
    with threadpool_limits(limits=1):
        if torch:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)


@contextlib.contextmanager
def _memory(megabytes: float) -> Iterator[None]:
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):  # no such limit on this system: the driver still sees the worker die
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    room = pages * resource.getpagesize() + int(megabytes * 1e6)
    resource.setrlimit(resource.RLIMIT_AS, (room if hard == resource.RLIM_INFINITY else min(room, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield  # the driver keeps the time instead
        return

    def ring(_signal: int, _frame: Any) -> None:
        raise _TimeUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def _reset_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> float:
    try:
        line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    except (OSError, StopIteration):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _device() -> str:
    torch = sys.modules.get("torch")
    return str(torch.cuda.get_device_name()) if torch and torch.cuda.is_available() else "cpu"
