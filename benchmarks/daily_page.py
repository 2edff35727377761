"""The site under load: day page beside a bare Starlette page, start, weight, digest; the load shares the two cores."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness import Result, figure

ROUNDS = 5
SECONDS = 6
CONNECTIONS = 16
SUBSCRIBERS = 1_000


def _port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def _running(command: list[str], address: str, environment: dict[str, str]) -> Iterator[float]:
    """Start a server; the value is how long it took until it answered."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                with urllib.request.urlopen(address, timeout=2):
                    break
            except OSError:
                assert process.poll() is None, command
                time.sleep(0.01)
        yield time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def _load(address: str, *headers: str) -> tuple[float, float]:
    """Return requests a second and the 99th percentile in milliseconds."""
    command = [
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{SECONDS}s",
        "--latency",
        *(w for h in headers for w in ("-H", h)),
        address,
    ]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in text, text
    assert "Socket errors" not in text, text
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()
    return rate, float(value) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]


def _papers(environment: dict[str, str]) -> str:
    """Bring in 10,000 real papers; return the day with most of them."""
    source = Path(os.environ["OVERPARAM_DATA"]) / "arxiv-ml" / "arxiv_ml.jsonl.gz"
    some = Path(environment["OVERPARAM_CACHE"]) / "papers.jsonl"
    some.parent.mkdir(parents=True, exist_ok=True)
    days: dict[str, int] = {}
    with gzip.open(source, "rt", encoding="utf-8") as lines, some.open("w", encoding="utf-8") as out:
        for _, line in zip(range(10_000), lines, strict=False):
            out.write(line)
            day = json.loads(line)["listed"]
            days[day] = days.get(day, 0) + 1
    subprocess.run(
        [sys.executable, "-m", "overparam", "fetch", "--from-file", str(some)],
        env=environment,
        check=True,
        capture_output=True,
    )
    return max(days, key=lambda day: days[day])


def _digest(environment: dict[str, str]) -> float:
    """Send a digest to many subscribers through a real mail server; return the seconds."""
    from aiosmtpd.controller import Controller

    class Count:
        taken = 0

        async def handle_DATA(self, _server: object, _session: object, _envelope: object) -> str:
            self.taken += 1
            return "250 taken"

    from overparam.feed.mail.digest import send_due
    from overparam.feed.mail.filters import Filter
    from overparam.feed.mail.subscriptions import confirm, subscribe
    from overparam.feed.seed import seed
    from overparam.ledger import Ledger

    os.environ.update(environment)
    box = Count()
    controller = Controller(box, hostname="127.0.0.1", port=_port())
    controller.start()
    os.environ["OVERPARAM_SMTP_URL"] = f"smtp://127.0.0.1:{controller.port}"
    ledger = Ledger(environment["OVERPARAM_DATABASE_URL"].replace("ledger", "digest"))
    before = (datetime.now(UTC) - timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    for n in range(SUBSCRIBERS):
        mail = subscribe(
            ledger,
            f"reader{n}@example.org",
            Filter(),
            frequency="daily",
            hour=n % 24,
            network=f"10.0.{n // 250}.{n}",
            now=before,
        )
        token = re.search(r"/confirm/(\S+)", mail.message.get_body(("plain",)).get_content()).group(1)
        confirm(ledger, token, now=before)
    seed(ledger)
    began = time.perf_counter()
    report = send_due(ledger)
    seconds = time.perf_counter() - began
    controller.stop()
    assert report.sent == box.taken == SUBSCRIBERS, report
    return seconds


def main() -> list[Result]:
    """Measure."""
    assert shutil.which("wrk"), "the load generator is missing: apt-get install wrk"
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "OVERPARAM_DATABASE_URL": f"sqlite:///{folder}/ledger.sqlite3",
            "OVERPARAM_CACHE": f"{folder}/cache",
            "OVERPARAM_SECRET_FILE": f"{folder}/secret",
            "OVERPARAM_OUTBOX": f"{folder}/outbox",
        }
        environment.pop("OVERPARAM_SMTP_URL", None)
        day = _papers(environment)
        ours, bare = _port(), _port()
        serve = [sys.executable, "-m", "overparam", "serve", "--no-worker", "--port", str(ours)]
        plain = [sys.executable, "-m", "uvicorn", "--app-dir", str(Path(__file__).parent / "bare"), "page:app"]
        plain += ["--port", str(bare), "--log-level", "critical", "--no-access-log"]
        environment["BARE_DATABASE"] = f"{folder}/ledger.sqlite3"
        path = f"/days/{day}"
        at, peer = f"http://127.0.0.1:{ours}{path}", f"http://127.0.0.1:{bare}{path}"
        starts = []
        for _ in range(3):
            with _running(serve, f"http://127.0.0.1:{ours}/health/live", environment) as seconds:
                starts.append(seconds)
        with _running(serve, at, environment), _running(plain, peer, environment):
            _load(at), _load(peer)
            rounds = [(_load(at), _load(peer)) for _ in range(ROUNDS)]
            anew = [_load(at, "Cookie: session=unknown") for _ in range(ROUNDS)]
            request = urllib.request.Request(f"http://127.0.0.1:{ours}/", headers={"Accept-Encoding": "gzip"})
            with urllib.request.urlopen(request) as answer:
                weight = len(answer.read())
            style = re.search(
                r"/static/\w+/style.css", gzip.decompress(urllib.request.urlopen(request).read()).decode()
            )
            request = urllib.request.Request(
                f"http://127.0.0.1:{ours}{style.group()}", headers={"Accept-Encoding": "gzip"}
            )
            with urllib.request.urlopen(request) as answer:
                weight += len(answer.read())
        return [
            figure("server answers after", statistics.median(starts), "s", at_most=1.5),
            figure(
                "day page of 30 among 10,000 papers",
                statistics.median(r[0][0] for r in rounds),
                "requests/s",
                at_least=400,
            ),
            figure("the same, 99th percentile", statistics.median(r[0][1] for r in rounds), "ms", at_most=60),
            figure("the same, made anew for each request", statistics.median(r[0] for r in anew), "requests/s"),
            figure("bare Starlette page", statistics.median(r[1][0] for r in rounds), "requests/s"),
            figure("day page / bare page", statistics.median(r[0][0] / r[1][0] for r in rounds), "x", at_least=0.35),
            figure("first view, page and style, compressed", weight / 1000, "kB", at_most=60),
            figure(f"digest to {SUBSCRIBERS:,} subscribers", _digest(environment), "s", at_most=30),
        ]
