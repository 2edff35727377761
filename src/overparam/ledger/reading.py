"""What the lab reads from the ledger."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from overparam.ledger.database import connect, in_words
from overparam.ledger.schema import artifact, event, figure, run, trial, verdict
from overparam.settings import database_url

CHUNK = 500


class Reader:
    """All reads.

    Args:
        url: Address of the database; by default from the settings.
    """

    def __init__(self, url: str | None = None) -> None:
        self.engine = connect(url or database_url())

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Open a connection that takes no lock; each statement sees what is committed.

        Yields:
            The connection.
        """
        with (
            in_words(self.engine.url),
            self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        ):
            yield connection

    def counts(self, run_id: str) -> dict[str, dict[str, int]]:
        """Count trials by experiment.

        Args:
            run_id: The run.

        Returns:
            Experiment to planned, done, cached, failed and queued.
        """
        flags = {
            "planned": sa.literal(1),
            "done": sa.case((trial.c.state == "done", 1), else_=0),
            "cached": sa.case((trial.c.cached, 1), else_=0),
            "failed": sa.case((trial.c.state == "failed", 1), else_=0),
            "queued": sa.case((trial.c.state == "queued", 1), else_=0),
        }
        columns = [sa.func.sum(flag).label(name) for name, flag in flags.items()]
        query = sa.select(trial.c.experiment, sa.func.min(trial.c.position), *columns).where(trial.c.run_id == run_id)
        with self.reading() as db:
            rows = db.execute(query.group_by(trial.c.experiment).order_by(sa.func.min(trial.c.position))).all()
        return {row.experiment: {name: int(getattr(row, name)) for name in flags} for row in rows}

    def trials(self, run_id: str, experiment: str | None = None) -> Iterator[sa.Row[Any]]:
        """Read trials in the order planned, a few at a time.

        Args:
            run_id: The run.
            experiment: Only those of one experiment.

        Yields:
            Rows of `trial`.
        """
        where = [trial.c.run_id == run_id] + ([trial.c.experiment == experiment] if experiment else [])
        last = -1
        while True:
            with self.reading() as db:
                query = sa.select(trial).where(*where, trial.c.position > last).order_by(trial.c.position).limit(CHUNK)
                rows = db.execute(query).all()
            yield from rows
            if len(rows) < CHUNK:
                return
            last = rows[-1].position

    def costs(self, run_id: str) -> list[sa.Row[Any]]:
        """Add up what the trials of a run cost, by experiment in the order planned.

        Args:
            run_id: The run.

        Returns:
            Rows of experiment, trials, new (done in this run), cpu_seconds, new_cpu_seconds, wall_seconds and
            peak_megabytes.
        """
        fresh = sa.and_(trial.c.state == "done", sa.not_(trial.c.cached))
        cpu = sa.func.coalesce(trial.c.cpu_seconds, 0.0)
        columns = {
            "trials": sa.func.count(),
            "new": sa.func.sum(sa.case((fresh, 1), else_=0)),
            "cpu_seconds": sa.func.sum(cpu),
            "new_cpu_seconds": sa.func.sum(sa.case((trial.c.cached, 0.0), else_=cpu)),
            "wall_seconds": sa.func.sum(sa.func.coalesce(trial.c.wall_seconds, 0.0)),
            "peak_megabytes": sa.func.coalesce(sa.func.max(trial.c.peak_megabytes), 0.0),
        }
        query = sa.select(trial.c.experiment, *(value.label(name) for name, value in columns.items()))
        query = query.where(trial.c.run_id == run_id).group_by(trial.c.experiment)
        with self.reading() as db:
            return list(db.execute(query.order_by(sa.func.min(trial.c.position))))

    def devices(self, run_id: str) -> list[str]:
        """List the devices that the trials of a run used.

        Args:
            run_id: The run.

        Returns:
            Their names, sorted.
        """
        used = (trial.c.run_id == run_id, trial.c.device.is_not(None))
        with self.reading() as db:
            return list(
                db.execute(sa.select(trial.c.device).distinct().where(*used).order_by(trial.c.device)).scalars()
            )

    def failures(self, run_id: str, limit: int) -> list[sa.Row[Any]]:
        """Read the first failed trials of a run.

        Args:
            run_id: The run.
            limit: How many at most.

        Returns:
            Rows of `trial` in the order planned.
        """
        failed = (trial.c.run_id == run_id, trial.c.state == "failed")
        with self.reading() as db:
            return list(db.execute(sa.select(trial).where(*failed).order_by(trial.c.position).limit(limit)))

    def states(self, run_id: str, limit: int) -> list[sa.Row[Any]]:
        """Read how the trials of a run stand, without their results.

        Args:
            run_id: The run.
            limit: How many at most.

        Returns:
            Rows of experiment, params_json, seed, state and cached, in the order planned.
        """
        columns = (trial.c.experiment, trial.c.params_json, trial.c.seed, trial.c.state, trial.c.cached)
        with self.reading() as db:
            query = sa.select(*columns).where(trial.c.run_id == run_id).order_by(trial.c.position)
            return list(db.execute(query.limit(limit)))

    def figures(self, run_id: str) -> list[sa.Row[Any]]:
        """Read the figures of a run.

        Args:
            run_id: The run.

        Returns:
            Rows of `figure` in the order of the paper.
        """
        with self.reading() as db:
            return list(db.execute(sa.select(figure).where(figure.c.run_id == run_id).order_by(figure.c.position)))

    def run(self, run_id: str) -> sa.Row[Any] | None:
        """Read one run.

        Args:
            run_id: The run.

        Returns:
            Its row, or None.
        """
        with self.reading() as db:
            return db.execute(sa.select(run).where(run.c.id == run_id)).first()

    def cancel_asked(self, run_id: str) -> bool:
        """Tell whether somebody asked for a run to be cancelled.

        Args:
            run_id: The run.

        Returns:
            Whether the wish stands.
        """
        with self.reading() as db:
            return db.execute(sa.select(run.c.cancel_requested_at).where(run.c.id == run_id)).scalar() is not None

    def latest_run(self, slug: str, *, scale: str | None = None, options: str | None = None) -> sa.Row[Any] | None:
        """Read the newest run of a paper.

        Args:
            slug: The paper.
            scale: Only runs at this scale.
            options: Only runs with these options.

        Returns:
            Its row, or None.
        """
        where = [run.c.paper == slug]
        where += [run.c.scale == scale] if scale else []
        where += [run.c.options_json == options] if options is not None else []
        with self.reading() as db:
            return db.execute(sa.select(run).where(*where).order_by(run.c.created_at.desc(), run.c.id.desc())).first()

    def verdicts(self, run_id: str) -> list[sa.Row[Any]]:
        """Read the verdicts of a run, each with status and time of the verdict it supersedes.

        Args:
            run_id: The run.

        Returns:
            Rows of `verdict` with `old_status`, `old_at` and `old_rule_hash`.
        """
        old = verdict.alias("old")
        joined = verdict.outerjoin(old, sa.and_(old.c.run_id == verdict.c.supersedes, old.c.claim == verdict.c.claim))
        columns = (
            old.c.status.label("old_status"),
            old.c.at.label("old_at"),
            old.c.rule_hash.label("old_rule_hash"),
        )
        with self.reading() as db:
            return list(db.execute(sa.select(verdict, *columns).select_from(joined).where(verdict.c.run_id == run_id)))

    def latest_verdicts(self, options: str) -> list[sa.Row[Any]]:
        """Read the newest verdict of every claim, at the largest scale at which it was judged.

        Args:
            options: Options of the runs that count: those without changes by hand.

        Returns:
            Rows with paper, claim, status, body_json, scale and at.
        """
        rank = sa.case((run.c.scale == "paper", 2), (run.c.scale == "laptop", 1), else_=0)
        order = sa.func.row_number().over(
            partition_by=(verdict.c.paper, verdict.c.claim), order_by=(rank.desc(), verdict.c.at.desc())
        )
        # ranked by key alone: bodies are long and need not be sorted along
        keys = sa.select(verdict.c.run_id, verdict.c.claim, run.c.scale, order.label("n"))
        inner = keys.join(run, run.c.id == verdict.c.run_id).where(run.c.options_json == options).subquery()
        newest = sa.and_(verdict.c.run_id == inner.c.run_id, verdict.c.claim == inner.c.claim, inner.c.n == 1)
        columns = (verdict.c[name] for name in ("paper", "claim", "status", "body_json", "at"))
        with self.reading() as db:
            return list(db.execute(sa.select(*columns, inner.c.scale).join(inner, newest)))

    def artefacts(self, run_id: str) -> list[sa.Row[Any]]:
        """Read the artefacts that a run computed.

        Args:
            run_id: The run.

        Returns:
            Rows of `artifact`.
        """
        with self.reading() as db:
            return list(db.execute(sa.select(artifact).where(artifact.c.made_by_run == run_id)))

    def events(self, run_id: str, after: int = 0, kind: str | None = None) -> list[sa.Row[Any]]:
        """Read what happened in a run.

        Args:
            run_id: The run.
            after: Only events with a larger number.
            kind: Only events of this kind.

        Returns:
            Rows of `event` in order.
        """
        where = [event.c.run_id == run_id, event.c.seq > after] + ([event.c.kind == kind] if kind else [])
        with self.reading() as db:
            return list(db.execute(sa.select(event).where(*where).order_by(event.c.seq)))
