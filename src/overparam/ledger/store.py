"""What the lab asks of the ledger: begin or resume a run, commit trials one by one, read tables back.

Fencing: a driver holds a run by (owner, attempt) and every write names both. When the lease was lost to somebody
else the write matches no row and raises `Conflict`. A trial carries an attempt of its own, so the result of a
worker that was given up is not taken.
"""

from __future__ import annotations

import contextlib
import importlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from overparam.errors import Conflict
from overparam.ledger.clock import now
from overparam.ledger.database import in_words
from overparam.ledger.owner import is_gone, owner_of_this_process
from overparam.ledger.reading import Reader
from overparam.ledger.schema import artifact, cache, claim, event, paper, run, trial, verdict

LEASE = timedelta(seconds=30)
HEARTBEAT_SECONDS = 5.0
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Hold:
    """A run that this process holds."""

    run_id: str
    owner: str
    attempt: int


class Ledger(Reader):
    """All writes, and the reads.

    Args:
        url: Address of the database; by default from the settings.

    Attributes:
        insert: `INSERT` of the store in use, which knows `on_conflict_do_nothing` and `on_conflict_do_update`.
    """

    def __init__(self, url: str | None = None) -> None:
        super().__init__(url)
        name = self.engine.dialect.name  # both dialects know ON CONFLICT; only the one in use is imported
        self.insert: Any = importlib.import_module(f"sqlalchemy.dialects.{name}").insert

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Open a transaction; it is committed at the end, or rolled back if something is raised.

        Yields:
            The connection.
        """
        with in_words(self.engine.url), self.engine.begin() as connection:
            yield connection

    def record_paper(self, facts: Row, claims: Sequence[Row]) -> None:
        """Write a paper and the present revision of its claims.

        Args:
            facts: Columns of `paper`.
            claims: Columns of `claim`; a rule with a new hash adds a row.
        """
        with self.writing() as db:
            update = {k: v for k, v in facts.items() if k != "slug"}
            db.execute(self.insert(paper).values(**facts).on_conflict_do_update(index_elements=["slug"], set_=update))
            for row in claims:
                db.execute(self.insert(claim).values(first_seen_at=now(), **row).on_conflict_do_nothing())

    def reap(self) -> None:
        """Mark runs as interrupted whose process is gone or whose lease has ended."""
        with self.reading() as db:
            held = db.execute(
                sa.select(run.c.id, run.c.attempt, run.c.lease_owner, run.c.lease_until).where(run.c.state == "running")
            )
            dead = [row for row in held if row.lease_until < now() or is_gone(row.lease_owner)]
        for row in dead:
            with self.writing() as db:
                same = (run.c.id == row.id, run.c.attempt == row.attempt, run.c.state == "running")
                done = db.execute(
                    sa.update(run).where(*same, run.c.lease_until == row.lease_until).values(state="interrupted")
                )
                if done.rowcount:
                    self._event(db, row.id, "interrupted", {"owner": row.lease_owner})

    def begin(self, fields: Row) -> tuple[Hold, bool]:
        """Take over the unfinished run of the same specification, or begin a new one.

        Args:
            fields: Columns of `run`: id, paper, scale, spec_hash, options_json, engine, workers, provenance_json.

        Returns:
            The hold, and whether a run was resumed.

        Raises:
            Conflict: A living process is at it.
        """
        self.reap()
        owner = owner_of_this_process()
        lease = {"lease_owner": owner, "lease_until": now(LEASE)}
        with self.writing() as db:
            old = db.execute(
                sa
                .select(run.c.id, run.c.state, run.c.attempt, run.c.lease_owner, run.c.lease_until)
                .where(
                    run.c.spec_hash == fields["spec_hash"],
                    run.c.state.in_(["running", "interrupted", "cancelled"]),
                )
                .order_by(run.c.id.desc())
            ).first()
            if old is not None and old.state == "running":
                raise Conflict(
                    f"run {old.id} of the same trials is alive ({old.lease_owner}, lease until {old.lease_until}); "
                    "wait for it to end, or stop it and run this again"
                )
            if old is None:
                created = {
                    **fields,
                    **lease,
                    "state": "running",
                    "attempt": 1,
                    "created_at": now(),
                    "wall_seconds": 0.0,
                }
                db.execute(sa.insert(run).values(**created))
                self._event(db, fields["id"], "started", {})
                return Hold(fields["id"], owner, 1), False
            changed = {k: fields[k] for k in ("engine", "workers", "provenance_json")}
            values = {
                **changed,
                **lease,
                "state": "running",
                "attempt": old.attempt + 1,
                "cancel_requested_at": None,
                "ended_at": None,
            }
            db.execute(sa.update(run).where(run.c.id == old.id).values(**values))
            db.execute(
                sa.update(trial).where(trial.c.run_id == old.id, trial.c.state == "running").values(state="queued")
            )
            self._event(db, old.id, "resumed", {"attempt": old.attempt + 1})
            return Hold(old.id, owner, old.attempt + 1), True

    def heartbeat(self, hold: Hold) -> bool:
        """Extend the lease.

        Args:
            hold: The run.

        Returns:
            Whether somebody asked for the run to be cancelled.

        Raises:
            Conflict: The run is no longer ours.
        """
        with self.writing() as db:
            self._fence(db, hold, lease_until=now(LEASE))
            asked = db.execute(sa.select(run.c.cancel_requested_at).where(run.c.id == hold.run_id)).scalar()
            return asked is not None

    def request_cancel(self, run_id: str) -> None:
        """Ask the process that holds a run to stop.

        Args:
            run_id: The run.
        """
        with self.writing() as db:
            db.execute(sa.update(run).where(run.c.id == run_id).values(cancel_requested_at=now()))

    def end(self, hold: Hold, state: str, wall_seconds: float) -> None:
        """Close a run.

        Args:
            hold: The run.
            state: succeeded, failed, cancelled or interrupted.
            wall_seconds: Time that this attempt took.
        """
        with self.writing() as db:
            wall = run.c.wall_seconds + wall_seconds
            self._fence(db, hold, state=state, ended_at=now(), lease_owner=None, lease_until=None, wall_seconds=wall)
            under_way = sa.update(trial).where(trial.c.run_id == hold.run_id, trial.c.state == "running")
            db.execute(under_way.values(state="queued"))
            self._event(db, hold.run_id, state, {})

    def _fence(self, db: sa.Connection, hold: Hold, **values: Any) -> None:
        """Touch the run only while it is ours. On PostgreSQL this also locks its row against a second driver."""
        mine = (run.c.id == hold.run_id, run.c.attempt == hold.attempt, run.c.lease_owner == hold.owner)
        if not db.execute(sa.update(run).where(*mine).values(**(values or {"attempt": hold.attempt}))).rowcount:
            raise Conflict(
                f"run {hold.run_id} was taken over by another process; this one stops and writes nothing more"
            )

    def tell(self, hold: Hold, kind: str, body: Row) -> None:
        """Say something about a run; it takes the place of what was said before under the same kind.

        Args:
            hold: The run.
            kind: `note` for what runs now, `absent` for what the run leaves out.
            body: Plain data.
        """
        with self.writing() as db:
            self._fence(db, hold)
            same = (event.c.run_id == hold.run_id, event.c.kind == kind)
            old = list(db.execute(sa.select(event.c.seq).where(*same)).scalars())
            self._event(db, hold.run_id, kind, body)  # before the old ones go, so that no number is used twice
            if old:
                db.execute(sa.delete(event).where(*same, event.c.seq.in_(old)))

    def _event(self, db: sa.Connection, run_id: str, kind: str, body: Row) -> None:
        last = sa.select(sa.func.coalesce(sa.func.max(event.c.seq), 0) + 1).where(event.c.run_id == run_id)
        db.execute(
            sa.insert(event).values(
                run_id=run_id, seq=last.scalar_subquery(), at=now(), kind=kind, body_json=json.dumps(body)
            )
        )

    def plan(self, hold: Hold, rows: Sequence[Row], *, fresh: bool) -> int:
        """Add planned trials; those that the cache knows are done at once.

        Args:
            hold: The run.
            rows: Columns of `trial`: trial_key, position, task, experiment, params_json, seed.
            fresh: Whether to leave the cache aside.

        Returns:
            How many came from the cache.
        """
        keys = [row["trial_key"] for row in rows]
        kept = ("metrics_json", "wall_seconds", "cpu_seconds", "peak_megabytes", "device")
        with self.writing() as db:
            self._fence(db, hold)
            known = (
                {}
                if fresh
                else {r.cache_key: r for r in db.execute(sa.select(cache).where(cache.c.cache_key.in_(keys)))}
            )
            full = {row["task"] for row in rows} - {row["task"] for row in rows if row["trial_key"] not in known}
            added = []
            for row in rows:
                hit = known.get(row["trial_key"]) if row["task"] in full else None
                values = {name: getattr(hit, name) if hit else None for name in kept}
                state = "done" if hit else "queued"
                added.append({
                    **row,
                    **values,
                    "run_id": hold.run_id,
                    "state": state,
                    "cached": hit is not None,
                    "attempt": 0,
                })
            if added:
                db.execute(self.insert(trial).on_conflict_do_nothing(), added)
            cached = sum(bool(row["cached"]) for row in added)
            self._event(db, hold.run_id, "planned", {"trials": len(added), "cached": cached})
        return cached

    def queued(self, hold: Hold, limit: int) -> list[list[sa.Row[Any]]]:
        """Return the next tasks that wait, in the order planned.

        Args:
            hold: The run.
            limit: How many trials to look at; the last task is left out unless it is complete.

        Returns:
            Trials grouped by task.
        """
        with self.reading() as db:
            waiting = (trial.c.run_id == hold.run_id, trial.c.state == "queued")
            first = sa.select(trial.c.task).where(*waiting).order_by(trial.c.task).distinct().limit(limit)
            rows = db.execute(
                sa.select(trial).where(*waiting, trial.c.task.in_(first)).order_by(trial.c.task, trial.c.position)
            ).all()
        tasks: dict[int, list[sa.Row[Any]]] = {}
        for row in rows:
            tasks.setdefault(row.task, []).append(row)
        return list(tasks.values())

    def start(self, hold: Hold, keys: Sequence[str]) -> int:
        """Mark the trials of a task as running.

        Args:
            hold: The run.
            keys: Their keys.

        Returns:
            The attempt that a result must carry.
        """
        with self.writing() as db:
            self._fence(db, hold)
            mine = (trial.c.run_id == hold.run_id, trial.c.trial_key.in_(keys))
            db.execute(sa.update(trial).where(*mine).values(state="running", attempt=trial.c.attempt + 1))
            return int(db.execute(sa.select(sa.func.max(trial.c.attempt)).where(*mine)).scalar_one())

    def requeue(self, hold: Hold, keys: Sequence[str]) -> None:
        """Put the trials of a lost worker back into the queue.

        Args:
            hold: The run.
            keys: Their keys.
        """
        with self.writing() as db:
            self._fence(db, hold)
            mine = (trial.c.run_id == hold.run_id, trial.c.trial_key.in_(keys), trial.c.state == "running")
            db.execute(sa.update(trial).where(*mine).values(state="queued"))

    def commit(self, hold: Hold, attempt: int, rows: Mapping[str, Row], made: Iterable[Row] = ()) -> bool:
        """Commit the results of one task in one transaction, with their cache entries.

        Args:
            hold: The run.
            attempt: The attempt under which the task was started.
            rows: Trial key to columns of `trial`; state `done` also fills the cache.
            made: Columns of `artifact` for artefacts that were computed.

        Returns:
            Whether the results were taken; False when the attempt is not the present one.
        """
        stored = ("metrics_json", "wall_seconds", "cpu_seconds", "peak_megabytes", "device")
        with self.writing() as db:
            self._fence(db, hold)
            for key, values in rows.items():
                mine = (trial.c.run_id == hold.run_id, trial.c.trial_key == key)
                current = (*mine, trial.c.attempt == attempt, trial.c.state == "running")
                if not db.execute(sa.update(trial).where(*current).values(**values)).rowcount:
                    return False
                if values["state"] == "done":
                    entry = {k: values[k] for k in stored} | {"made_by_run": hold.run_id, "made_at": now()}
                    experiment = sa.select(trial.c.experiment).where(*mine).scalar_subquery()
                    insert = self.insert(cache).values(cache_key=key, experiment=experiment, **entry)
                    db.execute(insert.on_conflict_do_update(index_elements=["cache_key"], set_=entry))
            for item in made:
                db.execute(self.insert(artifact).values(made_by_run=hold.run_id, **item).on_conflict_do_nothing())
            self._event(
                db,
                hold.run_id,
                "trial",
                {"keys": list(rows), "states": sorted({r["state"] for r in rows.values()})},
            )
        return True

    def judge(self, hold: Hold, rows: Sequence[Row]) -> None:
        """Write the verdicts of a run; one that changed names the one it supersedes.

        Args:
            hold: The run.
            rows: Columns of `verdict` without `run_id`, `supersedes` and `at`.
        """
        with self.writing() as db:
            self._fence(db, hold)
            scale = sa.select(run.c.scale).where(run.c.id == hold.run_id).scalar_subquery()
            for row in rows:
                last = db.execute(
                    sa
                    .select(verdict.c.run_id, verdict.c.status, verdict.c.rule_hash)
                    .join(run, run.c.id == verdict.c.run_id)
                    .where(verdict.c.paper == row["paper"], verdict.c.claim == row["claim"], run.c.scale == scale)
                    .where(verdict.c.run_id != hold.run_id, run.c.options_json == self._options(hold))
                    .order_by(verdict.c.at.desc())
                ).first()
                changed = last is not None and (last.status, last.rule_hash) != (
                    row["status"],
                    row["rule_hash"],
                )
                values = {
                    **row,
                    "supersedes": last.run_id if last is not None and changed else None,
                    "at": now(),
                }
                insert = self.insert(verdict).values(run_id=hold.run_id, **values)
                db.execute(insert.on_conflict_do_update(index_elements=["run_id", "claim"], set_=values))
                self._event(db, hold.run_id, "judged", {"claim": row["claim"], "status": row["status"]})

    def _options(self, hold: Hold) -> Any:
        return sa.select(run.c.options_json).where(run.c.id == hold.run_id).scalar_subquery()
