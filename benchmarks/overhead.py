"""The lab itself: start of the command line, cost of a trial, memory of a long run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import Result, figure

PACKS = Path(__file__).parents[1] / "tests" / "packs"
RUN = """
import json, pathlib, sys, time
from overparam.lab.planner import Spec, parse_override
from overparam.lab.registry import find
from overparam.lab.runner import execute
from overparam.ledger import Ledger
n = int(sys.argv[1])
spec = parse_override(Spec(find("toy"), "laptop", ("T1",)), "size=" + ",".join(str(2 + i) for i in range(n // 10)))
ledger = Ledger()
seconds = []
for _ in range(2):
    start = time.perf_counter()
    execute(spec, ledger, engine="inline")
    seconds.append((time.perf_counter() - start) / n * 1e3)
status = pathlib.Path("/proc/self/status").read_text().splitlines()
peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))  # ru_maxrss would count the parent
print(json.dumps([*seconds, peak / 1024]))
"""


def _environment(folder: str) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(PACKS),
        "OVERPARAM_CACHE": folder,
        "OVERPARAM_DATABASE_URL": f"sqlite:///{folder}/ledger.sqlite3",
    }


def _command(*words: str) -> float:
    """Best of seven, warm: seconds."""
    with tempfile.TemporaryDirectory() as folder:
        seconds = []
        for _ in range(8):
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "overparam", *words], check=True, capture_output=True, env=_environment(folder)
            )
            seconds.append(time.perf_counter() - start)
    return sorted(seconds[1:])[3]


def _trials(n: int) -> tuple[float, float, float]:
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-c", RUN, str(n)]
        done = subprocess.run(words, check=True, capture_output=True, text=True, env=_environment(folder))
    fresh, cached, megabytes = json.loads(done.stdout)
    return fresh, cached, megabytes


def main() -> list[Result]:
    """Measure."""
    small, large = _trials(1_000), _trials(10_000)
    return [
        figure("overparam --help", _command("--help"), "s", at_most=0.3),
        figure("overparam list", _command("list"), "s", at_most=0.6),
        figure("fresh trial, run of 10,000", large[0], "ms", at_most=30),
        figure("cached trial, run of 10,000", large[1], "ms", at_most=2),
        figure("memory of a run of 1,000 trials", small[2], "MB"),
        figure("memory of a run of 10,000 trials", large[2], "MB", at_most=round(small[2] * 1.25)),
    ]
