"""The driver: plans a run, feeds an engine, commits results one by one, judges, and survives whatever happens."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, Protocol

from ulid import ULID

from overparam.errors import OverparamError
from overparam.lab import planner
from overparam.lab.document import absent
from overparam.lab.engines import Died, Engine, Message, Said, make_engine
from overparam.lab.judge import as_row, judge
from overparam.lab.planner import Spec, Task
from overparam.lab.provenance import provenance
from overparam.lab.registry import Entry
from overparam.lab.worker import Result
from overparam.ledger import Ledger
from overparam.ledger.store import HEARTBEAT_SECONDS, Hold

CHUNK = 500
DEATHS = 3  # a task whose worker died so often is lost
GRACE_SECONDS = 15.0  # beyond a time limit, before the worker is ended from outside
LOOK_SECONDS = 1.0  # how often a wish to cancel is looked for
NOTE_SECONDS = 0.25  # notes of what runs are written no more often


class Listener(Protocol):
    """Hears how a run goes: the progress display."""

    def planned(self, counts: Mapping[str, Mapping[str, int]], *, resumed: bool) -> None:
        """Hear the plan: experiment to planned, done, cached."""

    def done(self, experiment: str, n: int) -> None:
        """Hear that trials ended."""

    def note(self, experiment: str, text: str) -> None:
        """Hear what runs now."""

    def left(self, seconds: float) -> None:
        """Hear the estimated time left."""


def execute(
    spec: Spec,
    ledger: Ledger,
    *,
    engine: str = "processes",
    workers: int | None = None,
    fresh: bool = False,
    max_seconds: float | None = None,
    listener: Listener | None = None,
    begun: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
) -> str:
    """Run a paper, or go on with the run that was interrupted.

    Args:
        spec: What is asked.
        ledger: Where everything is committed.
        engine: `processes`, `inline` or `ray`.
        workers: Tasks side by side; by default one for each core.
        fresh: Whether to leave the cache aside.
        max_seconds: Wall time after which the run stops; the same call goes on from there.
        listener: Hears progress.
        begun: Hears the id of the run as soon as there is one.
        stop: Set by somebody else, ends the run early; the same call goes on from there.

    Returns:
        Id of the run. Its state tells how it ended: succeeded, failed (a trial did), cancelled or, when stopped from
        outside, interrupted.

    Raises:
        KeyboardInterrupt: The user stopped it; the run is cancelled and everything committed is kept.
    """
    record_paper(spec.entry, ledger)
    digest = planner.spec_hash(spec, (key for task in planner.tasks(spec) for key in task.keys))
    made = make_engine(engine, workers)
    began = time.monotonic()
    try:
        hold, resumed = ledger.begin(_fields(spec, digest, engine, made.slots))
        driver = _Driver(spec, ledger, hold, made, listener, None if max_seconds is None else began + max_seconds)
        driver.halt = stop or driver.halt
        try:
            if begun:
                begun(hold.run_id)
            with driver.lease():
                driver.plan(fresh=fresh, resumed=resumed)
                ending = driver.loop()
            failed = any(counts["failed"] for counts in ledger.counts(hold.run_id).values())
            state = ("failed" if failed else "succeeded") if ending == "whole" else ending
            ledger.end(hold, state, time.monotonic() - began)
        except BaseException as error:
            made.close()
            state = "cancelled" if isinstance(error, KeyboardInterrupt) else "interrupted"
            with contextlib.suppress(OverparamError):
                ledger.end(hold, state, time.monotonic() - began)
            raise
    finally:
        made.close()
    return hold.run_id


def record_paper(entry: Entry, ledger: Ledger) -> None:
    """Write a paper and the present rules of its claims into the ledger.

    Args:
        entry: The paper.
        ledger: Where it goes.
    """
    paper = entry.paper
    claims = [
        {
            "paper": paper.slug,
            "claim": claim.id,
            "statement": claim.statement,
            "source": claim.source,
            "rule_json": json.dumps(claim.rule.as_data(), sort_keys=True, default=str),
            "rule_hash": claim.rule.hash,
        }
        for claim in entry.claims
        if claim.rule
    ]
    published = paper.published.isoformat()
    facts = {"slug": paper.slug, "arxiv": paper.arxiv, "title": paper.title, "published_on": published}
    ledger.record_paper(facts, claims)


def _fields(spec: Spec, digest: str, engine: str, workers: int) -> dict[str, Any]:
    return {
        "id": str(ULID()),
        "paper": spec.entry.paper.slug,
        "scale": spec.scale,
        "spec_hash": digest,
        "options_json": spec.options,
        "engine": engine,
        "workers": workers,
        "provenance_json": json.dumps({**provenance(), "data": _data(spec)}),
    }


def _data(spec: Spec) -> dict[str, str]:
    names = {n for e, grid in spec.experiments().values() for point in grid.points() for n in e.data_of(point)}
    return planner.checksums(sorted(names))


class _Driver:
    """State of one execution."""

    def __init__(
        self, spec: Spec, ledger: Ledger, hold: Hold, engine: Engine, listener: Listener | None, until: float | None
    ) -> None:
        self.spec, self.ledger, self.hold, self.engine = spec, ledger, hold, engine
        self.listener, self.until = listener, until
        chosen = spec.experiments()
        self.declared = {name: declared for name, (declared, _) in chosen.items()}
        self.varied = {name: grid.varied() for name, (_, grid) in chosen.items()}
        self.running: dict[int, tuple[Task, float]] = {}
        self.deaths: Counter[int] = Counter()
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.waiting: Counter[str] = Counter()
        self.judged: set[str] = set()
        self.note: dict[str, Any] = {}
        self.noted = 0.0, self.note
        self.stop = threading.Event()  # the run was cancelled, or is no longer ours
        self.halt = threading.Event()
        self.lost: OverparamError | None = None
        self.since = 0.0  # artefacts made before the run do not count in a fresh one

    @contextlib.contextmanager
    def lease(self) -> Iterator[None]:
        """Keep the run ours, from a thread, while the work goes on."""
        quiet = threading.Event()

        def beat() -> None:
            extended = time.monotonic()
            while not quiet.wait(LOOK_SECONDS):
                due = time.monotonic() - extended >= HEARTBEAT_SECONDS
                try:
                    if self.ledger.heartbeat(self.hold) if due else self.ledger.cancel_asked(self.hold.run_id):
                        self.stop.set()
                    extended = time.monotonic() if due else extended
                except OverparamError as error:
                    self.lost = error
                    self.stop.set()
                    return

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            quiet.set()
            thread.join()

    def plan(self, *, fresh: bool, resumed: bool) -> None:
        """Write the trials into the ledger, a chunk at a time; those that a resumed run has stay as they are."""
        run = self.ledger.run(self.hold.run_id)
        self.since = datetime.fromisoformat(run.created_at).timestamp() if fresh and run else 0.0
        rows = (
            {
                "trial_key": key,
                "task": task.number,
                "experiment": task.experiment,
                "params_json": json.dumps(dict(task.params), sort_keys=True),
                "seed": seed,
            }
            for task in planner.tasks(self.spec)
            for key, seed in zip(task.keys, task.seeds, strict=True)
        )
        numbered = ({**row, "position": i} for i, row in enumerate(rows))
        largest = max((len(e.seeds_at(self.spec.scale)) for e in self.declared.values()), default=1)
        if left_out := absent(self.spec):
            self.ledger.tell(self.hold, "absent", left_out)
        for chunk in _whole_tasks(numbered, max(CHUNK, largest)):
            self.ledger.plan(self.hold, chunk, fresh=fresh)
        counts = self.ledger.counts(self.hold.run_id)
        for name, count in counts.items():
            self.waiting[name] = count["queued"]
        self.judged = {row.claim for row in self.ledger.verdicts(self.hold.run_id)}
        if self.listener:
            self.listener.planned(counts, resumed=resumed)
        for name in counts:
            self._judge(name)

    def loop(self) -> Literal["whole", "cancelled", "interrupted"]:
        """Run what is queued.

        Returns:
            Whether everything ran, somebody cancelled the run or its time was up, or it was stopped from outside.
        """
        ready: list[Task] = []
        while True:
            late = self.until is not None and time.monotonic() > self.until
            if self.stop.is_set() or self.halt.is_set() or late:
                self.engine.close()
                if self.lost:
                    raise self.lost
                return "cancelled" if self.stop.is_set() or late else "interrupted"
            if len(self.running) < self.engine.slots and not ready:
                ready = self._next(4 * self.engine.slots)
            while ready and len(self.running) < self.engine.slots:
                self._start(ready.pop(0))
            if not self.running and not ready:
                return "whole"
            for message in self.engine.poll(0.2):
                self._take(message)
            self._tell()
            self._end_overdue()

    def _next(self, limit: int) -> list[Task]:
        found = []
        for rows in self.ledger.queued(self.hold, limit):
            experiment = self.declared[rows[0].experiment]
            found.append(
                Task(
                    number=rows[0].task,
                    package=self.spec.entry.package,
                    experiment=rows[0].experiment,
                    params=json.loads(rows[0].params_json),
                    seeds=tuple(row.seed for row in rows),
                    keys=tuple(row.trial_key for row in rows),
                    sabotage=self.spec.sabotage and bool(experiment.sabotage),
                    time_limit=experiment.time_limit,
                    memory_limit=experiment.memory_limit,
                    gpus=experiment.gpus,
                    since=self.since,
                )
            )
        return [task for task in found if task.number not in self.running]

    def _start(self, task: Task) -> None:
        task = replace(task, attempt=self.ledger.start(self.hold, task.keys))
        self.running[task.number] = task, time.monotonic()
        self.engine.submit(task)
        words = [f"{name} {task.params[name]}" for name in self.varied[task.experiment]]
        words += [f"seed {task.seeds[0]}"] if len(task.seeds) == 1 else [f"{len(task.seeds)} seeds"]
        self._now(task.experiment, ", ".join(words))

    def _now(self, experiment: str, text: str) -> None:
        """Remember what runs now."""
        self.note = {**self.note, "experiment": experiment, "text": text}
        if self.listener:
            self.listener.note(experiment, text)

    def _tell(self) -> None:
        """Write what runs now, if that is new and the last time was a moment ago."""
        at, said = self.noted
        if self.note != said and time.monotonic() - at >= NOTE_SECONDS:
            self.noted = time.monotonic(), self.note
            self.ledger.tell(self.hold, "note", self.note)

    def _take(self, message: Message) -> None:
        task, started = self.running.get(message.number, (None, 0.0))
        if task is None:
            return  # of a task that was given up
        if isinstance(message, Said):
            if message.note:
                self._now(task.experiment, message.note)
            return
        if message.attempt != task.attempt:
            return
        result: Message | None = message
        if isinstance(message, Died):
            result = self._after_death(task, message, time.monotonic() - started)
        if not isinstance(result, Result):
            return  # back in the queue
        del self.running[task.number]
        if self.ledger.commit(self.hold, task.attempt, _rows(task, result), result.made):
            self.seconds[task.experiment].append(result.wall_seconds / len(task.keys))
            self.waiting[task.experiment] -= len(task.keys)
            left = self._seconds_left()
            self.note = {**self.note, "left": round(left, 1)}
            if self.listener:
                self.listener.done(task.experiment, len(task.keys))
                self.listener.left(left)
            self._judge(task.experiment)

    def _judge(self, experiment: str) -> None:
        """Judge the claims that an experiment feeds, once, when it has all its trials."""
        claims = [c for c in self.spec.judged() if c.on == experiment and c.id not in self.judged]
        if claims and self.waiting[experiment] <= 0:
            verdicts, _ = judge(self.spec, self.ledger, self.hold.run_id, claims)
            slug = self.spec.entry.paper.slug
            self.ledger.judge(self.hold, [as_row(v, self.spec.entry.claim(v.claim), slug) for v in verdicts])
            self.judged |= {v.claim for v in verdicts}

    def _after_death(self, task: Task, died: Died, seconds: float) -> Result | None:
        """Put the task back, or name the failure if that was too often or too slow."""
        self.deaths[task.number] += 1
        if seconds > task.time_limit:
            return Result(task.number, task.attempt, "timed out", message=f"took longer than {task.time_limit:g} s")
        if self.deaths[task.number] >= DEATHS:
            message = f"its worker died {DEATHS} times ({died.how}); the system may have run out of memory"
            return Result(task.number, task.attempt, "lost", message=message)
        del self.running[task.number]
        self.ledger.requeue(self.hold, task.keys)
        return None

    def _end_overdue(self) -> None:
        for task, started in self.running.values():
            if time.monotonic() - started > task.time_limit + GRACE_SECONDS:
                self.engine.kill(task.number)

    def _seconds_left(self) -> float:
        """Estimate from the mean of finished trials; an experiment without any counts as the mean of the others."""
        every = [s for done in self.seconds.values() for s in done]
        overall = sum(every) / len(every)
        mean = {name: sum(s) / len(s) for name, s in self.seconds.items() if s}
        return sum(n * mean.get(name, overall) for name, n in self.waiting.items()) / self.engine.slots


def _rows(task: Task, result: Result) -> dict[str, dict[str, Any]]:
    share = 1 / len(task.keys)
    common = {
        "state": "done" if result.outcome == "done" else "failed",
        "wall_seconds": result.wall_seconds * share,
        "cpu_seconds": result.cpu_seconds * share,
        "peak_megabytes": result.peak_megabytes,
        "device": result.device,
    }
    if result.outcome != "done":
        failure = {"outcome": result.outcome, "message": result.message, "traceback": result.traceback}
        return {key: {**common, **failure} for key in task.keys}
    return {key: {**common, "metrics_json": text} for key, text in zip(task.keys, result.metrics, strict=True)}


def _whole_tasks(rows: Iterator[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    """Cut rows into chunks without splitting a task."""
    chunk: list[dict[str, Any]] = []
    for row in rows:
        if len(chunk) >= size and row["task"] != chunk[-1]["task"]:
            yield chunk
            chunk = []
        chunk.append(row)
    if chunk:
        yield chunk
