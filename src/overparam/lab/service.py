"""The worker: takes requests from the queue and runs them, one at a time, until it is told to stop.

It may die at any moment: the lease of its request ends, another worker takes the request over, and the run goes on
from its last committed trial.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from overparam.errors import BadInput, Conflict, NotFound, OverparamError
from overparam.lab.registry import Entry, find
from overparam.ledger import Ledger, requests
from overparam.ledger.clock import now
from overparam.ledger.owner import owner_of_this_process
from overparam.ledger.requests import Request
from overparam.ledger.store import HEARTBEAT_SECONDS

IDLE_SECONDS = 0.5  # between looks at an empty queue
REAP_SECONDS = 10.0
LOOK_SECONDS = 1.0  # how often a worker asks whether it should stop
PATIENCE_SECONDS = 45.0  # for a run of the same trials whose process is, or seems to be, alive
log = logging.getLogger(__name__)


def ask(
    ledger: Ledger,
    slug: str,
    scale: str,
    claims: Sequence[str] = (),
    *,
    requested_by: str,
    seconds_a_day: float | None = None,
) -> str:
    """Ask for a run of a paper, as far as it can be checked without loading torch.

    Args:
        ledger: Where the request goes.
        slug: The paper.
        scale: At which scale.
        claims: Ids of the claims to judge, in any case; all if empty.
        requested_by: Account id, or `local`.
        seconds_a_day: What the requester's runs of a day (UTC) may take; None for no limit.

    Returns:
        Id of the request; that of an open one for the same, if there is one.

    Raises:
        BadInput: None of the paper's claims has a rule, or a chosen one has none.
        NotFound: No such paper, scale or claim.
        Conflict: The requester has as many runs waiting as one may have, or has used the day up.
    """
    from overparam.lab.experiment import require_scale
    from overparam.lab.runner import record_paper

    entry = find(slug)
    require_scale(scale)
    if not entry.runnable:
        raise BadInput(f"{slug} is not runnable yet: none of its claims has a rule")
    chosen = [entry.claim(key) for key in claims]
    for claim in chosen:
        if claim.rule is None:
            raise BadInput(f"{slug} {claim.id} has no rule: {claim.untestable}")
    midnight = f"{now()[:10]}T00:00:00.000000Z"
    if seconds_a_day is not None and requests.spent(ledger, requested_by, midnight) >= seconds_a_day:
        raise Conflict(
            f"your {seconds_a_day:g} s for today are used up; there are more from 00:00 UTC, "
            f"or run it on your own machine: overparam run {slug}"
        )
    record_paper(entry, ledger)
    return requests.submit(ledger, slug, scale, [claim.id for claim in chosen], requested_by=requested_by)


def work(
    ledger_url: str | None = None,
    *,
    once: bool = False,
    parent_pid: int | None = None,
    stop: threading.Event | None = None,
    engine: str = "processes",
    workers: int | None = None,
    after: Callable[[Ledger, str], None] = lambda _ledger, _slug: None,
) -> None:
    """Take requests and run them. Call it in the main thread of a process.

    Args:
        ledger_url: Address of the ledger; by default from the settings.
        once: Whether to return when nothing waits.
        parent_pid: A process without which this one should stop.
        stop: Set by somebody else, ends the work; a run under way stays resumable and its request waits again.
        engine: `processes`, `inline` or `ray`.
        workers: Tasks side by side; by default one for each core.
        after: Called with ledger and slug when a request has ended.

    Raises:
        NotFound: No such engine.
    """
    from overparam.lab.engines import ENGINES

    if engine not in ENGINES:
        raise NotFound(f"engine {engine!r} is unknown; choose {', '.join(ENGINES)}")
    ledger = Ledger(ledger_url)
    worker = _Worker(ledger, stop or threading.Event(), parent_pid, engine, workers)
    try:
        while not worker.should_stop():
            worker.reap()
            request = requests.claim_next(ledger, worker.owner)
            if request is not None:
                worker.do(request)
                after(ledger, request.paper)
            elif once:
                return
            else:
                worker.stop.wait(IDLE_SECONDS)
    finally:
        ledger.close()


class _Worker:
    """What a worker knows while it runs a request."""

    def __init__(
        self, ledger: Ledger, stop: threading.Event, parent_pid: int | None, engine: str, workers: int | None
    ) -> None:
        import psutil

        self.ledger, self.stop, self.engine, self.workers = ledger, stop, engine, workers
        self.owner = owner_of_this_process()
        self.reaped = -REAP_SECONDS
        self.parent = None
        if parent_pid is not None:
            try:
                self.parent = psutil.Process(parent_pid)
            except psutil.NoSuchProcess:
                stop.set()

    def should_stop(self) -> bool:
        """Whether somebody asked for it, or the parent is gone."""
        import psutil

        if self.parent is not None:
            try:
                alive = self.parent.is_running() and self.parent.status() != psutil.STATUS_ZOMBIE
            except psutil.NoSuchProcess:
                alive = False
            if not alive:
                self.stop.set()
        return self.stop.is_set()

    def reap(self) -> None:
        """Free what dead workers held, every ten seconds."""
        if time.monotonic() - self.reaped >= REAP_SECONDS:
            self.reaped = time.monotonic()
            requests.reap(self.ledger)
            self.ledger.reap()

    def do(self, request: Request) -> None:
        """Run a request and close it, whatever happens."""
        try:
            with self._lease(request) as halt:
                state, message = self._result(request, halt)
            if state == "interrupted":
                requests.release(self.ledger, request)
            else:
                requests.finish(self.ledger, request, state, message)
        except Conflict as error:  # somebody else has it by now
            log.warning("%s", error)

    def _result(self, request: Request, halt: threading.Event) -> tuple[str, str | None]:
        """Return the state in which a request ends, with one line on what went wrong."""
        try:
            entry = find(request.paper)
            run_id = self._ended_before(request) or self._execute(entry, request, halt)
            run = self.ledger.run(run_id)
            assert run is not None
            if run.state in ("succeeded", "failed"):
                self._keep_figures(entry, run_id)
            return run.state, None
        except OverparamError as error:
            if halt.is_set():
                return "interrupted", None
            return "failed", str(error)
        except Exception as error:
            log.exception("request %s", request.id)
            text = " ".join(str(error).split())
            return "failed", f"{type(error).__name__}: {text}"

    def _ended_before(self, request: Request) -> str | None:
        """Return the run of an earlier attempt, if only its figures can be missing."""
        run = self.ledger.run(request.run_id) if request.run_id else None
        return run.id if run is not None and run.state in ("succeeded", "failed") else None

    def _execute(self, entry: Entry, request: Request, halt: threading.Event) -> str:
        from overparam.lab.experiment import require_scale
        from overparam.lab.planner import Spec
        from overparam.lab.runner import execute

        spec = Spec(entry, require_scale(request.scale), request.claims)
        options = {"engine": self.engine, "workers": self.workers}
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return execute(
                    spec,
                    self.ledger,
                    begun=lambda run_id: requests.begun(self.ledger, request, run_id),
                    stop=halt,
                    **options,  # type: ignore[arg-type]
                )
            except Conflict:  # the run's process is alive, or its lease has not ended yet
                if time.monotonic() > until or halt.wait(HEARTBEAT_SECONDS):
                    raise

    def _keep_figures(self, entry: Entry, run_id: str) -> None:
        from overparam.lab import figures

        try:
            figures.keep(entry, self.ledger, run_id)
        except Exception:  # a figure that cannot be drawn takes nothing from the verdicts
            log.exception("figures of run %s", run_id)

    @contextlib.contextmanager
    def _lease(self, request: Request) -> Iterator[threading.Event]:
        """Keep a request ours, from a thread.

        Yields:
            An event that is set when the run must stop: the worker should, or has lost the request.
        """
        halt, quiet = threading.Event(), threading.Event()

        def beat() -> None:
            extended = time.monotonic()
            while not quiet.wait(LOOK_SECONDS):
                if self.should_stop():
                    halt.set()
                if time.monotonic() - extended < HEARTBEAT_SECONDS:
                    continue
                extended = time.monotonic()
                try:
                    requests.heartbeat(self.ledger, request)
                    self.reap()
                except Conflict:
                    halt.set()
                    return
                except OverparamError as error:  # a busy database; the lease outlives some of these
                    log.warning("%s", error)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield halt
        finally:
            quiet.set()
            thread.join()
