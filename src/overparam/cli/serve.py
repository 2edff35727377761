"""`overparam serve`: the site, with a worker beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

if TYPE_CHECKING:
    from overparam.ledger import Ledger

RESTART_SECONDS = 2.0


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    local: Annotated[
        bool, typer.Option("--local", help="You at this desk may vote and start runs without signing in.")
    ] = False,
    worker: Annotated[bool, typer.Option("--worker/--no-worker", help="Also run what readers ask for.")] = True,
    proxy: Annotated[
        str | None, typer.Option(help="Address of a reverse proxy whose X-Forwarded headers are believed.")
    ] = None,
) -> None:
    """Show the Daily Papers page. On the first start the 36 papers and the shipped evidence are brought in."""
    from overparam.feed.seed import seed
    from overparam.ledger import Ledger
    from overparam.settings import site_url
    from overparam.site.accounts import admin_link
    from overparam.site.security import require_loopback

    if local:
        require_loopback(host)
    os.environ.setdefault("OVERPARAM_SITE_URL", f"http://{host}:{port}")
    ledger = Ledger()
    seed(ledger)
    link = None if local else admin_link(ledger)
    typer.echo(f"overparam at {site_url()}{' for you alone' if local else ''}. Stop it with Ctrl-C.", err=True)
    if link:
        typer.echo(f"To become its admin, open this once within 24 hours: {link}", err=True)
    stop = threading.Event()
    keeper = threading.Thread(target=_keep_working, args=(stop,), daemon=True)
    if worker:
        keeper.start()
    try:
        _listen(ledger, host, port, local=local, proxy=proxy)
    finally:
        stop.set()
        if worker:
            keeper.join(timeout=10)


def _listen(ledger: Ledger, host: str, port: int, *, local: bool, proxy: str | None) -> None:
    import uvicorn

    from overparam.settings import site_url
    from overparam.site.app import make_app
    from overparam.site.observe import configure_logging

    configure_logging(json=not sys.stderr.isatty())
    address = urlsplit(site_url())
    hosts = [h for h in (address.hostname, host, "localhost") if h and h != "0.0.0.0"]  # localhost: for probes
    app = make_app(ledger, local=local, hosts=hosts, https=address.scheme == "https")
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=proxy is not None,
        forwarded_allow_ips=proxy or "",
        timeout_keep_alive=5,
        timeout_graceful_shutdown=5,
        limit_concurrency=500,
        backlog=256,
        h11_max_incomplete_event_size=16384,
    )


def _keep_working(stop: threading.Event) -> None:
    """Keep a worker alive; a new one goes on from what a dead one had committed."""
    command = [sys.executable, "-m", "overparam", "work", "--parent", str(os.getpid())]
    while not stop.is_set():
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while process.poll() is None and not stop.wait(0.5):
            pass
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=8)
            except subprocess.TimeoutExpired:
                process.kill()
            return
        time.sleep(RESTART_SECONDS)
