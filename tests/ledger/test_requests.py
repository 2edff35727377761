import threading
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from overparam.errors import Conflict, NotFound
from overparam.ledger import Ledger, requests
from overparam.ledger.owner import owner_of_this_process
from overparam.ledger.schema import run, run_request

FACTS = {"arxiv": "0000.00001", "title": "A Toy", "published_on": "2020-01-01"}
START = datetime(2026, 11, 25, 12, tzinfo=UTC)
ELSEWHERE = "another-machine:1:1.00"  # nobody here can tell whether it lives
DEAD = owner_of_this_process().rsplit(":", 2)[0] + ":4194304:1.00"


def at(seconds):
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@pytest.fixture
def queue(ledger):
    for slug in ("toy", "other"):
        ledger.record_paper({"slug": slug, **FACTS}, [])
    return ledger


def ask(ledger, paper="toy", scale="smoke", claims=(), by="ann", now=None):
    return requests.submit(ledger, paper, scale, claims, requested_by=by, now=now)


def add_run(ledger, run_id):
    with ledger.writing() as db:
        db.execute(
            sa.insert(run).values(
                id=run_id,
                paper="toy",
                scale="smoke",
                spec_hash=run_id,
                options_json="{}",
                state="running",
                engine="inline",
                workers=1,
                attempt=1,
                created_at=at(0),
                wall_seconds=0.0,
                provenance_json="{}",
            )
        )


def test_the_same_wish_is_one_request_until_it_has_ended(queue):
    first = ask(queue, claims=("T2", "T1"))
    assert ask(queue, claims=("T1", "T2", "T1"), by="bob") == first
    assert ask(queue) != first
    assert ask(queue, scale="laptop") != first
    held = requests.claim_next(queue, ELSEWHERE)
    assert (held.id, held.claims, held.attempt) == (first, ("T1", "T2"), 1)
    assert ask(queue, claims=("T1", "T2")) == first
    requests.finish(queue, held, "succeeded")
    assert ask(queue, claims=("T1", "T2")) != first


def test_a_requester_may_have_five_waiting(queue):
    ids = [ask(queue, scale=f"s{i}") for i in range(5)]
    with pytest.raises(Conflict, match="5 of your runs are waiting"):
        ask(queue, scale="s5")
    assert ask(queue, scale="s3") == ids[3]  # one that is known is no new one
    ask(queue, scale="s5", by="bob")
    requests.cancel(queue, ids[0])
    ask(queue, scale="s6")


def test_first_come_first_served_with_places(queue):
    ids = sorted([ask(queue), ask(queue, "other"), ask(queue, scale="laptop")])
    assert [requests.position(queue, key) for key in ids] == [1, 2, 3]
    assert requests.claim_next(queue, ELSEWHERE).id == ids[0]
    assert [requests.position(queue, key) for key in ids] == [None, 1, 2]
    assert [row.id for row in requests.unfinished(queue)] == ids
    assert requests.position(queue, "nobody") is None


def test_cancel_is_at_once_for_what_waits_and_a_wish_for_what_runs(queue):
    waits = ask(queue)
    assert requests.cancel(queue, waits) == "cancelled"
    assert requests.claim_next(queue, ELSEWHERE) is None
    runs = ask(queue)
    held = requests.claim_next(queue, ELSEWHERE)
    assert requests.cancel(queue, runs) == "running"
    add_run(queue, "01A")
    assert not queue.cancel_asked("01A")
    requests.begun(queue, held, "01A")  # the wish came before there was a run
    assert queue.cancel_asked("01A")
    requests.finish(queue, held, "cancelled")
    assert requests.cancel(queue, runs) == "cancelled"
    assert requests.newest(queue, run_id="01A").id == runs
    with pytest.raises(NotFound, match="no request has the id 'x'"):
        requests.cancel(queue, "x")


def test_a_wish_to_cancel_reaches_the_run(queue):
    key = ask(queue)
    held = requests.claim_next(queue, ELSEWHERE)
    add_run(queue, "01A")
    requests.begun(queue, held, "01A")
    requests.cancel(queue, key)
    assert queue.cancel_asked("01A")


def test_leases_end_owners_die_and_the_third_loss_is_the_last(queue):
    key = ask(queue, now=at(0))
    first = requests.claim_next(queue, ELSEWHERE, now=at(0))
    requests.heartbeat(queue, first, now=at(20))
    assert requests.reap(queue, now=at(49)) == 0
    assert requests.reap(queue, now=at(51)) == 1
    second = requests.claim_next(queue, DEAD, now=at(52))
    assert (second.id, second.attempt) == (key, 2)
    assert requests.reap(queue, now=at(53)) == 1  # its process is known to be gone: no need to wait
    third = requests.claim_next(queue, ELSEWHERE, now=at(54))
    requests.release(queue, third)  # an orderly stop costs no attempt
    third = requests.claim_next(queue, ELSEWHERE, now=at(55))
    assert third.attempt == 3
    assert requests.reap(queue, now=at(200)) == 1
    row = requests.find(queue, key)
    assert row.state == "failed"
    assert row.message.startswith("lost: its worker died 3 times")
    assert row.started_at == at(0)
    assert requests.claim_next(queue, ELSEWHERE) is None


def test_a_lost_request_that_should_be_cancelled_is(queue):
    key = ask(queue)
    requests.claim_next(queue, ELSEWHERE, now=at(0))
    requests.cancel(queue, key)
    requests.reap(queue, now=at(31))
    assert requests.find(queue, key).state == "cancelled"


def test_a_worker_that_lost_its_request_writes_nothing(queue):
    ask(queue)
    zombie = requests.claim_next(queue, ELSEWHERE, now=at(0))
    requests.reap(queue, now=at(31))
    requests.claim_next(queue, ELSEWHERE, now=at(32))  # by the same owner, under the next attempt
    for write in (
        lambda: requests.heartbeat(queue, zombie),
        lambda: requests.begun(queue, zombie, "01A"),
        lambda: requests.finish(queue, zombie, "succeeded"),
        lambda: requests.release(queue, zombie),
    ):
        with pytest.raises(Conflict, match="was given to another worker"):
            write()
    assert requests.find(queue, zombie.id).attempt == 2


def test_two_askers_at_once_make_one_request_and_two_workers_never_share_one(url, queue):
    made, taken = [], []

    def asks():
        mine = Ledger(url)
        made.extend(ask(mine, scale=f"s{i}", by=f"p{i % 4}") for i in range(8))
        mine.close()

    def takes():
        mine = Ledger(url)
        while (held := requests.claim_next(mine, ELSEWHERE)) is not None:
            taken.append(held.id)
        mine.close()

    for job in (asks, takes):
        threads = [threading.Thread(target=job) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(made) == 32
    assert len(set(made)) == 8
    assert sorted(taken) == sorted(set(made))


class Queue(RuleBasedStateMachine):
    """The queue against a model in plain Python."""

    ledger: Ledger

    def __init__(self):
        super().__init__()
        with self.ledger.writing() as db:
            db.execute(sa.delete(run_request))
        self.time = 0.0
        self.model = {}  # id to state, paper, by, attempt, until, wish
        self.held = []  # everything that was ever handed out

    def alive(self, state=("queued", "running")):
        return {k: m for k, m in self.model.items() if m["state"] in state}

    def holds(self, held):
        m = self.model[held.id]
        return m["state"] == "running" and (m["attempt"], m["owner"]) == (held.attempt, held.owner)

    @rule(paper=st.sampled_from(["toy", "other"]), scale=st.sampled_from("abcd"), by=st.sampled_from(["ann", "bob"]))
    def submit(self, paper, scale, by):
        same = [k for k, m in self.alive().items() if m["wish"] == (paper, scale)]
        waiting = sum(m["by"] == by for m in self.alive(("queued",)).values())
        if not same and waiting >= 5:
            with pytest.raises(Conflict):
                ask(self.ledger, paper, scale, by=by, now=at(self.time))
            return
        key = ask(self.ledger, paper, scale, by=by, now=at(self.time))
        if same:
            assert key == same[0]
        else:
            assert key not in self.model
            self.model[key] = {"state": "queued", "wish": (paper, scale), "by": by, "attempt": 1, "cancel": False}

    @rule(owner=st.sampled_from([ELSEWHERE, "third-machine:2:2.00"]))
    def claim(self, owner):
        held = requests.claim_next(self.ledger, owner, now=at(self.time))
        queued = self.alive(("queued",))
        assert (held.id if held else None) == min(queued, default=None)
        if held:
            assert held.attempt == self.model[held.id]["attempt"]
            self.model[held.id] |= {"state": "running", "owner": owner, "until": self.time + 30}
            self.held.append(held)

    @rule(seconds=st.sampled_from([1.0, 12.0, 31.0]))
    def wait(self, seconds):
        self.time += seconds

    @precondition(lambda self: self.held)
    @rule(data=st.data(), state=st.sampled_from(["heartbeat", "release", "succeeded", "failed", "cancelled"]))
    def write(self, data, state):
        held = data.draw(st.sampled_from(self.held))
        call = {
            "heartbeat": lambda: requests.heartbeat(self.ledger, held, now=at(self.time)),
            "release": lambda: requests.release(self.ledger, held),
        }.get(state, lambda: requests.finish(self.ledger, held, state, now=at(self.time)))
        if not self.holds(held):
            with pytest.raises(Conflict):
                call()
            return
        call()
        if state == "heartbeat":
            self.model[held.id]["until"] = self.time + 30
        else:
            self.model[held.id]["state"] = "queued" if state == "release" else state

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def cancel(self, data):
        key = data.draw(st.sampled_from(sorted(self.model)))
        m = self.model[key]
        if m["state"] == "queued":
            m["state"] = "cancelled"
        elif m["state"] == "running":
            m["cancel"] = True
        assert requests.cancel(self.ledger, key, now=at(self.time)) == m["state"]

    @rule()
    def reap(self):
        dead = [m for m in self.alive(("running",)).values() if m["until"] < self.time]
        assert requests.reap(self.ledger, now=at(self.time)) == len(dead)
        for m in dead:
            if m["cancel"]:
                m["state"] = "cancelled"
            elif m["attempt"] == 3:
                m["state"] = "failed"
            else:
                m |= {"state": "queued", "attempt": m["attempt"] + 1}

    @invariant()
    def the_table_is_the_model(self):
        with self.ledger.reading() as db:
            rows = db.execute(sa.select(run_request)).all()
        assert {r.id: (r.state, r.attempt) for r in rows} == {
            k: (m["state"], m["attempt"]) for k, m in self.model.items()
        }
        queued = sorted(self.alive(("queued",)))
        assert [requests.position(self.ledger, key) for key in queued[:2]] == list(range(1, len(queued[:2]) + 1))
        assert all((r.lease_owner is None) == (r.state != "running") for r in rows)


@pytest.mark.slow
def test_the_queue_does_what_its_model_does(queue):
    machine = type("Here", (Queue,), {"ledger": queue})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_a_day_costs_what_its_runs_took_or_will_take(queue):
    add_run(queue, "01A")
    with queue.writing() as db:
        db.execute(sa.update(run).values(state="succeeded", wall_seconds=90.0))
    assert requests.usual_seconds(queue, "toy", "smoke") == 90.0
    assert requests.usual_seconds(queue, "toy", "laptop") is None
    ask(queue, now=at(-9))  # the day before
    held = requests.claim_next(queue, ELSEWHERE)
    requests.begun(queue, held, "01A")
    requests.finish(queue, held, "failed")
    ask(queue, now=at(1))
    assert requests.spent(queue, "ann", at(0)) == 90.0  # one that waits, as long as usual
    assert requests.spent(queue, "ann", at(-10)) == 180.0  # and one that took so long
    assert requests.spent(queue, "bob", at(-10)) == 0.0
