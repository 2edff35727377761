"""Times two implementations alternately in one process, and single figures against their targets."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """One row of the table.

    Attributes:
        name: What was measured.
        value: The figure, in words.
        against: The peer with its time, or empty.
        ratio: Peer's time over ours with the range of the middle nine tenths of pairs, or empty.
        target: What was aimed at, in words.
        met: Whether it was reached; None without a target.
    """

    name: str
    value: str
    against: str
    ratio: str
    target: str
    met: bool | None

    def __str__(self) -> str:
        met = {True: "met", False: "missed", None: ""}[self.met]
        return "  ".join(word for word in (self.name, self.value, self.against, self.ratio, self.target, met) if word)


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def compare(
    name: str,
    ours: Callable[[], object],
    peer: Callable[[], object],
    *,
    peer_name: str,
    repeats: int = 7,
    target: float | None = None,
) -> Result:
    """Time ours and a peer in turn, after one warm-up of each; the ratio is taken pair by pair."""
    ours()
    peer()
    pairs = [(_seconds(ours), _seconds(peer)) for _ in range(repeats)]
    ratios = sorted(b / a for a, b in pairs)
    ratio = statistics.median(ratios)
    cut = len(ratios) // 20
    result = Result(
        name,
        f"ours {_time(statistics.median(a for a, _ in pairs))}",
        f"{peer_name} {_time(statistics.median(b for _, b in pairs))}",
        f"{ratio:.3g}x [{ratios[cut]:.3g}, {ratios[-1 - cut]:.3g}]",
        "" if target is None else f"at least {target:g}x",
        None if target is None else ratio >= target,
    )
    print(result, flush=True)
    return result


def figure(
    name: str, value: float, unit: str, *, at_most: float | None = None, at_least: float | None = None
) -> Result:
    """Record a single figure against its target."""
    target, met = "", None
    if at_most is not None:
        target, met = f"at most {at_most:g} {unit}", value <= at_most
    elif at_least is not None:
        target, met = f"at least {at_least:g} {unit}", value >= at_least
    result = Result(name, f"{value:.3g} {unit}", "", "", target, met)
    print(result, flush=True)
    return result


def cpu_seconds(call: Callable[[], object]) -> float:
    """Return the least CPU time of three calls, after one to warm up."""
    call()
    times = []
    for _ in range(3):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def growth(name: str, calls: Mapping[int, Callable[[], object]], *, at_most: float) -> Result:
    """Record how CPU time grows per doubling, from calls by size, each twice the one before."""
    seconds = {size: cpu_seconds(call) for size, call in calls.items()}
    words = ", ".join(f"{size:,}: {s * 1e3:.3g} ms" for size, s in seconds.items())
    spent = list(seconds.values())
    ratio = (spent[-1] / spent[0]) ** (1 / (len(spent) - 1))
    return figure(f"{name} ({words}), per doubling", ratio, "times", at_most=at_most)
