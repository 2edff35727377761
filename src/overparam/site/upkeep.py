"""What a worker does now and then beside its runs: search index, counts against what they count, ended sessions."""

from __future__ import annotations

import logging
import threading

from overparam.errors import OverparamError
from overparam.feed import votes
from overparam.feed.search import index
from overparam.ledger import Ledger
from overparam.site import accounts

EVERY_SECONDS = 6 * 3600.0

log = logging.getLogger(__name__)


def keep_up(ledger: Ledger, stop: threading.Event) -> None:
    """Do it at once, then every six hours, until told to stop.

    Args:
        ledger: Where everything lies.
        stop: Set to end.
    """
    while True:
        try:
            index.update(ledger)
            accounts.tidy(ledger)
            wrong = votes.check_counts(ledger)
            if wrong:
                log.warning("%d counts of votes differed from the votes and were mended", wrong)
        except OverparamError as error:  # a database that is away now may be back next time
            log.warning("upkeep: %s", error)
        if stop.wait(EVERY_SECONDS):
            return
