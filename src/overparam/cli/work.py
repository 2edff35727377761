"""`overparam work`: runs what readers of the site asked for."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Annotated, Any

import typer


def work(
    once: Annotated[bool, typer.Option("--once", help="Stop when nothing waits.")] = False,
    parent: Annotated[
        int | None, typer.Option(hidden=True, help="Process without which this one stops: the server.")
    ] = None,
    engine: Annotated[str, typer.Option(help="processes, inline or ray (RAY_ADDRESS names a cluster).")] = "processes",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Tasks side by side; by default one for each core.")
    ] = None,
) -> None:
    """Run what waits in the queue, one request after the other. `overparam serve` starts one of these by itself."""
    from overparam.feed import trending
    from overparam.lab.service import work as take_requests
    from overparam.ledger import Ledger
    from overparam.site.upkeep import keep_up

    logging.basicConfig(format="%(levelname)s %(message)s")
    stop = threading.Event()

    def end(_signal: int, _frame: Any) -> None:
        # from a thread: the main one may hold the lock of the event at this very moment
        threading.Thread(target=stop.set).start()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    if not once:
        threading.Thread(target=keep_up, args=(Ledger(), stop), daemon=True).start()
    take_requests(once=once, parent_pid=parent, stop=stop, engine=engine, workers=workers, after=trending.refresh)
