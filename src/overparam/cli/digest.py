"""Command `digest`: sends what is due, takes what comes back, previews."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overparam.errors import BadInput, Unavailable

if TYPE_CHECKING:
    from overparam.cli.meter import Meter
    from overparam.feed.mail.digest import Report
    from overparam.ledger import Ledger

QUIET_SECONDS = 2.0
PREVIEW_DAYS = 7


def send_digest(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would be sent, and send nothing.")] = False,
    preview: Annotated[
        Path | None, typer.Option(help="Write the digest of the last seven days to this HTML file, and send nothing.")
    ] = None,
    bounce: Annotated[
        str | None, typer.Option(metavar="FILE", help="Take one mail that came back, from a file or from stdin (-).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
    now: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Send the digests that are due. Run it every few minutes; a mail goes out at most once."""
    from overparam.ledger import Ledger

    if sum((dry_run, preview is not None, bounce is not None)) > 1:
        raise BadInput("--dry-run, --preview and --bounce exclude each other; give one of them")
    now = _moment(now)
    ledger = Ledger()
    if bounce is not None:
        taken = _bounce(ledger, bounce, now)
        _print({"taken": taken}, f"Taken for: {taken}", as_json)
    elif preview is not None:
        found = _preview(ledger, preview, now)
        words = f"Preview {preview}" if found else f"There was no news in the last {PREVIEW_DAYS} days."
        _print({"preview": str(preview) if found else None}, words, as_json)
    elif dry_run:
        from overparam.feed.mail.digest import waiting
        from overparam.lab.wording import count

        counts = waiting(ledger, now=now)
        words = f"{count(counts['due'], 'subscriber')} due, {count(counts['queued'], 'mail')} left over from before"
        _print(counts, words, as_json)
    else:
        _send(ledger, now, as_json)


def _send(ledger: Ledger, now: str | None, as_json: bool) -> None:
    from dataclasses import asdict

    from overparam.feed.mail.digest import send_due
    from overparam.settings import outbox_folder, smtp_url

    with _Display() as display:
        report = send_due(ledger, now=now, progress=display.tell)
    words = _words(report)
    if report.sent and not smtp_url():
        words += f"\nWritten to {outbox_folder()}; set OVERPARAM_SMTP_URL to send them"
    _print(asdict(report), words, as_json)


def _words(report: Report) -> str:
    from overparam.lab.wording import count

    parts = [
        f"{report.sent:,} sent",
        f"{report.empty:,} without news" if report.empty else "",
        f"{report.postponed:,} refused for now, tried again later" if report.postponed else "",
        f"{report.failed:,} refused for good" if report.failed else "",
        f"{report.unknown:,} lost from sight while being sent, not sent again" if report.unknown else "",
    ]
    return f"{count(report.due, 'subscriber')} due: {', '.join(filter(None, parts))}"


def _bounce(ledger: Ledger, name: str, now: str | None) -> str:
    from overparam.feed.mail.bounces import take

    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise Unavailable(f"--bounce {name}: {error.strerror}; give the file of one mail, or - for stdin") from error
    return take(ledger, content, now=now)


def _preview(ledger: Ledger, path: Path, now: str | None) -> bool:
    from datetime import timedelta

    from overparam.feed.mail.chronicle import Chronicle
    from overparam.feed.mail.edition import edition
    from overparam.feed.mail.filters import Filter
    from overparam.feed.mail.subscriber import Subscription
    from overparam.ledger.clock import now as clock
    from overparam.ledger.clock import shift

    until = now or clock()
    since = shift(until, -timedelta(days=PREVIEW_DAYS))
    news = Chronicle(ledger, since, until).news(Filter(), since)
    if not news:
        return False
    reader = Subscription("0" * 26, "you@example.org", Filter(), "daily", 7, "active", None, 1)
    part = edition(reader, news, until[:10], now=until).message.get_body(("html",))
    assert part is not None  # every mail has one
    try:
        path.write_text(part.get_content(), encoding="utf-8")
    except OSError as error:
        raise Unavailable(f"--preview {path}: {error.strerror}; choose another place") from error
    return True


def _moment(given: str | None) -> str | None:
    if given is None:
        return None
    from datetime import datetime

    from overparam.ledger.clock import written

    try:
        return written(datetime.fromisoformat(given))
    except ValueError as error:
        raise BadInput(f"--now {given}: write it like 2026-11-23T07:00:00Z") from error


def _print(document: dict[str, Any], words: str, as_json: bool) -> None:
    typer.echo(json.dumps(document, indent=2) if as_json else words)


class _Display:
    """Progress, from the third second on."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._meter: Meter | None = None
        self._shown = 0

    def __enter__(self) -> _Display:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._meter:
            self._meter.__exit__(None, None, None)

    def tell(self, done: int, total: int) -> None:
        """Show how far it is; see `send_due`."""
        if self._meter is None:
            if time.monotonic() - self._started < QUIET_SECONDS:
                return
            from overparam.cli import screen
            from overparam.cli.meter import Meter

            hint = "Ctrl-C stops after the mails at hand; the same command goes on from there."
            console = screen.console(stderr=True)
            self._meter = Meter("Sending digests", "", {"mails": total}, console, unit="mails", hint=hint)
            self._meter.__enter__()
        self._meter.done("mails", done - self._shown)
        self._shown = done
