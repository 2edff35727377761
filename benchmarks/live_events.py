"""From a step of a run to its readers: 200 streams of server-sent events, one real server, all on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import Result, figure

STREAMS = 200
STEPS = 60
PAUSE = 0.3
SERVER = """
import sys, uvicorn
from starlette.applications import Starlette
from overparam.ledger import Ledger
from overparam.site import live
app = Starlette(routes=live.routes)
app.state.ledger, app.state.local = Ledger(), False
app.state.hub = live.Hub(app.state.ledger, each=10_000)
uvicorn.run(app, port=int(sys.argv[1]), log_level="error")
"""


async def _listen(port: int, run_id: str, latencies: list[float], ready: asyncio.Semaphore) -> None:
    """Read one stream; notes carry the time at which they were written."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /api/v1/runs/{run_id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    while line := await reader.readline():
        if not line.startswith(b"data: "):
            continue
        told = json.loads(line[6:])
        if note := told.get("note"):
            latencies.append(time.time() - float(note))
        elif "done" in told:
            ready.release()
        elif told.get("state") == "succeeded":
            break
    writer.close()


async def _measure(port: int) -> list[float]:
    from overparam.ledger import Ledger

    ledger = Ledger()
    ledger.record_paper({"slug": "toy", "arxiv": "1", "title": "A Toy", "published_on": "2020-01-01"}, [])
    fields = {"id": "01A", "paper": "toy", "scale": "smoke", "spec_hash": "s", "options_json": "{}", "engine": "inline",
              "workers": 1, "provenance_json": "{}"}  # fmt: skip
    hold, _ = ledger.begin(fields)
    latencies: list[float] = []
    ready = asyncio.Semaphore(0)
    listeners = [asyncio.create_task(_listen(port, hold.run_id, latencies, ready)) for _ in range(STREAMS)]
    for _ in range(STREAMS):
        await ready.acquire()
    for step in range(STEPS):
        note = {"experiment": "draws", "text": f"{time.time():.6f}", "left": float(step)}
        await asyncio.to_thread(ledger.tell, hold, "note", note)
        await asyncio.sleep(PAUSE + 0.01 * (step % 7))  # out of step with the poller
    await asyncio.to_thread(ledger.end, hold, "succeeded", 1.0)
    await asyncio.gather(*listeners)
    ledger.close()
    return latencies


def main() -> list[Result]:
    """Measure."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["OVERPARAM_DATABASE_URL"] = f"sqlite:///{folder}/ledger.sqlite3"
        os.environ["OVERPARAM_SECRET_FILE"] = str(Path(folder) / "secret")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = subprocess.Popen([sys.executable, "-c", SERVER, str(port)])
        try:
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            latencies = sorted(asyncio.run(_measure(port)))
            status = Path(f"/proc/{server.pid}/status").read_text().splitlines()
        finally:
            server.terminate()
            server.wait()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    p50, p95 = (latencies[int(q * len(latencies))] * 1e3 for q in (0.5, 0.95))
    assert len(latencies) >= 0.95 * STREAMS * STEPS, "streams lost steps"
    return [
        figure(f"step to reader, {STREAMS} streams, p50", p50, "ms"),
        figure(f"step to reader, {STREAMS} streams, p95", p95, "ms", at_most=500),
        figure("server memory at the peak", peak, "MB"),
    ]


if __name__ == "__main__":
    main()
