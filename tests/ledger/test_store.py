import json
import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from overparam.errors import Conflict
from overparam.ledger import store
from overparam.ledger.clock import now
from overparam.ledger.owner import is_gone, owner_of_this_process
from overparam.ledger.schema import cache, run, trial
from overparam.ledger.store import Hold, Ledger

FACTS = {"slug": "toy", "arxiv": "0000.00001", "title": "A Toy", "published_on": "2020-01-01"}
CLAIM = {"paper": "toy", "claim": "T1", "statement": "s", "source": "nowhere", "rule_json": "{}", "rule_hash": "r1"}
DONE = {
    "state": "done",
    "metrics_json": '{"x": 1.5}',
    "wall_seconds": 0.1,
    "cpu_seconds": 0.1,
    "peak_megabytes": 10.0,
    "device": "cpu",
}


def fields(run_id="01A", spec="s1", options="{}"):
    return {
        "id": run_id,
        "paper": "toy",
        "scale": "smoke",
        "spec_hash": spec,
        "options_json": options,
        "engine": "inline",
        "workers": 1,
        "provenance_json": "{}",
    }


def rows(n, start=0, per_task=1):
    return [
        {
            "trial_key": f"k{i}",
            "position": i,
            "task": i // per_task,
            "experiment": "draws",
            "params_json": "{}",
            "seed": i,
        }
        for i in range(start, start + n)
    ]


@pytest.fixture
def held(ledger):
    ledger.record_paper(FACTS, [CLAIM])
    hold, resumed = ledger.begin(fields())
    assert not resumed
    return hold


def test_a_trial_goes_from_queued_to_done_and_fills_the_cache(ledger, held):
    assert ledger.plan(held, rows(3), fresh=False) == 0
    first = ledger.queued(held, 2)
    assert [[r.trial_key for r in task] for task in first] == [["k0"], ["k1"]]
    attempt = ledger.start(held, ["k0"])
    assert ledger.commit(held, attempt, {"k0": DONE}, [{"key": "a", "name": "n", "sha256": "s", "bytes": 1}])
    assert ledger.counts("01A")["draws"] == {"planned": 3, "done": 1, "cached": 0, "failed": 0, "queued": 2}
    assert [a.key for a in ledger.artefacts("01A")] == ["a"]
    ledger.end(held, "cancelled", 1.0)
    again, resumed = ledger.begin(fields("01B"))
    assert (again.run_id, again.attempt, resumed) == ("01A", 2, True)
    other, _ = ledger.begin(fields("01C", spec="s2"))
    assert ledger.plan(other, rows(3), fresh=False) == 1
    fresh, _ = ledger.begin(fields("01D", spec="s3"))
    assert ledger.plan(fresh, rows(3), fresh=True) == 0


def test_tasks_come_from_the_cache_whole_or_not_at_all(ledger, held):
    ledger.plan(held, rows(2, per_task=2), fresh=False)
    attempt = ledger.start(held, ["k0", "k1"])
    ledger.commit(
        held, attempt, {"k0": DONE, "k1": {**DONE, "state": "failed", "metrics_json": None, "outcome": "raised"}}
    )
    other, _ = ledger.begin(fields("01B", spec="s2"))
    assert ledger.plan(other, rows(2, per_task=2), fresh=False) == 0


def test_a_stale_attempt_writes_nothing(ledger, held):
    ledger.plan(held, rows(2), fresh=False)
    stale = ledger.start(held, ["k0"])
    ledger.requeue(held, ["k0"])
    present = ledger.start(held, ["k0"])
    assert present == stale + 1
    assert not ledger.commit(held, stale, {"k0": {**DONE, "metrics_json": '{"x": 666}'}})
    assert ledger.commit(held, present, {"k0": DONE})
    assert not ledger.commit(held, present, {"k0": {**DONE, "metrics_json": '{"x": 666}'}})
    assert [r.metrics_json for r in ledger.trials("01A")] == ['{"x": 1.5}', None]


def test_a_driver_that_lost_its_run_writes_nothing(ledger, held, monkeypatch):
    ledger.plan(held, rows(2), fresh=False)
    attempt = ledger.start(held, ["k0"])
    with ledger.engine.begin() as db:
        db.execute(sa.update(run).values(lease_until=now(timedelta(seconds=-1))))
    thief, resumed = ledger.begin(fields("01B"))
    assert resumed
    assert thief.run_id == held.run_id
    for write in (
        lambda: ledger.commit(held, attempt, {"k0": DONE}),
        lambda: ledger.heartbeat(held),
        lambda: ledger.plan(held, rows(1, 5), fresh=False),
        lambda: ledger.start(held, ["k1"]),
        lambda: ledger.requeue(held, ["k0"]),
        lambda: ledger.judge(held, []),
        lambda: ledger.end(held, "succeeded", 1.0),
    ):
        with pytest.raises(Conflict, match="taken over by another process"):
            write()
    with ledger.engine.connect() as db:
        assert db.execute(sa.select(sa.func.count()).select_from(cache)).scalar() == 0
        assert set(db.execute(sa.select(trial.c.state)).scalars()) == {"queued"}


def test_a_living_holder_keeps_its_run(ledger, held):
    with pytest.raises(Conflict, match="01A of the same trials is alive"):
        ledger.begin(fields("01B"))


def test_heartbeat_extends_the_lease_and_brings_the_wish_to_cancel(ledger, held):
    before = ledger.run("01A").lease_until
    assert not ledger.heartbeat(held)
    assert ledger.run("01A").lease_until > before
    ledger.request_cancel("01A")
    assert ledger.heartbeat(held)


def test_reaper_knows_dead_processes_and_ended_leases(ledger, held):
    assert not is_gone(owner_of_this_process())
    host, pid, started = owner_of_this_process().rsplit(":", 2)
    assert is_gone(f"{host}:{pid}:{float(started) - 100:.2f}")
    assert not is_gone(f"elsewhere:{pid}:{started}")
    ledger.reap()
    assert ledger.run("01A").state == "running"
    with ledger.engine.begin() as db:
        db.execute(sa.update(run).values(lease_owner=f"{host}:4194304:1.00"))
    ledger.reap()
    assert ledger.run("01A").state == "interrupted"
    assert [e.kind for e in ledger.events("01A")] == ["started", "interrupted"]


def test_verdicts_name_what_they_supersede(ledger, held):
    verdict = {"claim": "T1", "paper": "toy", "rule_hash": "r1", "status": "reproduced", "estimate": 1.0, "low": 0.5,
               "high": 1.5, "n": 4, "body_json": "{}"}  # fmt: skip
    ledger.judge(held, [verdict])
    ledger.end(held, "succeeded", 1.0)
    same, _ = ledger.begin(fields("01B"))
    ledger.judge(same, [verdict])
    assert ledger.verdicts("01B")[0].supersedes is None
    ledger.end(same, "succeeded", 1.0)
    ledger.record_paper(FACTS, [{**CLAIM, "rule_hash": "r2"}])
    other, _ = ledger.begin(fields("01C"))
    ledger.judge(other, [{**verdict, "rule_hash": "r2", "status": "partly"}])
    row = ledger.verdicts("01C")[0]
    assert (row.supersedes, row.old_status, row.old_rule_hash) == ("01B", "reproduced", "r1")
    assert [v.status for v in ledger.latest_verdicts("{}")] == ["partly"]
    assert ledger.verdicts("01B")[0].status == "reproduced"


def test_only_regular_runs_count_and_larger_scales_win(ledger, held):
    verdict = {"claim": "T1", "paper": "toy", "rule_hash": "r1", "status": "partly", "estimate": None, "low": None,
               "high": None, "n": 0, "body_json": "{}"}  # fmt: skip
    laptop, _ = ledger.begin({**fields("01B", spec="s2"), "scale": "laptop"})
    ledger.judge(laptop, [{**verdict, "status": "reproduced"}])
    ledger.judge(held, [verdict])
    custom, _ = ledger.begin({**fields("01C", spec="s3", options='{"custom": 1}'), "scale": "paper"})
    ledger.judge(custom, [{**verdict, "status": "not reproduced"}])
    (found,) = ledger.latest_verdicts("{}")
    assert (found.scale, found.status) == ("laptop", "reproduced")


def test_events_are_numbered_without_gaps(ledger, held):
    ledger.plan(held, rows(2), fresh=False)
    ledger.commit(held, ledger.start(held, ["k0"]), {"k0": DONE})
    assert [e.seq for e in ledger.events("01A")] == [1, 2, 3]
    assert [e.kind for e in ledger.events("01A", after=1)] == ["planned", "trial"]


def test_trials_are_read_in_order_across_pages(ledger, held, monkeypatch):
    monkeypatch.setattr("overparam.ledger.reading.CHUNK", 7)
    ledger.plan(held, rows(30), fresh=False)
    assert [r.position for r in ledger.trials("01A")] == list(range(30))


def test_two_writers_never_interleave(url, ledger, held):
    ledger.plan(held, rows(40), fresh=False)
    taken = []

    def work(keys):
        mine = Ledger(url)
        for key in keys:
            attempt = mine.start(held, [key])
            taken.append(mine.commit(held, attempt, {key: {**DONE, "metrics_json": json.dumps({"k": key})}}))
        mine.close()

    threads = [threading.Thread(target=work, args=([f"k{i}" for i in range(part, 40, 2)],)) for part in (0, 1)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert taken == [True] * 40
    assert [json.loads(r.metrics_json)["k"] for r in ledger.trials("01A")] == [f"k{i}" for i in range(40)]
    assert len({e.seq for e in ledger.events("01A")}) == len(ledger.events("01A")) == 42


def test_hold_is_what_fencing_compares():
    assert Hold("r", "o", 1) != Hold("r", "o", 2)
    assert store.LEASE.total_seconds() > 2 * store.HEARTBEAT_SECONDS
