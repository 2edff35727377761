import itertools
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from overparam.errors import Unavailable
from overparam.feed.sources.gate import LEASE, Gate
from overparam.ledger import Ledger
from overparam.ledger.schema import source_state

INTERVAL = 0.1
WORKER = """
import sys, time
from overparam.feed.sources.gate import Gate
from overparam.ledger import Ledger
gate = Gate(Ledger(sys.argv[1]), "arxiv", float(sys.argv[2]))
for _ in range(int(sys.argv[3])):
    with gate.turn():
        started = time.time()
        time.sleep(0.02)
        print(started, time.time(), flush=True)
"""


def apart(turns, interval):
    turns = sorted(turns)
    return all(begin - end >= interval for (_, end), (begin, _) in itertools.pairwise(turns))


def test_threads_take_turns(ledger):
    turns = []

    def work():
        gate = Gate(ledger, "arxiv", INTERVAL)
        for _ in range(2):
            with gate.turn():
                started = time.time()
                time.sleep(0.01)
                turns.append((started, time.time()))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(turns) == 4
    assert apart(turns, INTERVAL)


@pytest.mark.slow
def test_processes_take_turns(ledger, url):
    run = [sys.executable, "-c", WORKER, url, str(INTERVAL), "4"]
    workers = [subprocess.Popen(run, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    turns = [tuple(map(float, row.split())) for w in workers for row in w.communicate(timeout=60)[0].splitlines()]
    assert len(turns) == 12
    assert apart(turns, INTERVAL)


def test_a_dead_holder_blocks_for_its_lease_only(home):
    ledger, clock = Ledger(), [datetime(2026, 11, 23, tzinfo=UTC)]

    def sleep(seconds):
        clock[0] += timedelta(seconds=seconds)

    start = clock[0]
    dead = Gate(ledger, "arxiv", 3.0, clock=lambda: clock[0], sleep=sleep)
    assert dead._take()  # and never comes back
    with ledger.writing() as db:
        db.execute(sa.update(source_state).values(holder="another-machine:1:0.00"))
    with Gate(ledger, "arxiv", 3.0, clock=lambda: clock[0], sleep=sleep).turn():
        assert clock[0] - start >= LEASE
    ledger.close()


@pytest.mark.slow
def test_a_process_killed_in_its_turn_blocks_its_machine_for_the_interval(ledger, url):
    run = [
        sys.executable,
        "-c",
        WORKER.replace("time.sleep(0.02)", "import os; os.kill(os.getpid(), 9)"),
        url,
        "0.1",
        "1",
    ]
    assert subprocess.run(run, timeout=60).returncode == -9
    started = time.monotonic()
    with Gate(ledger, "arxiv", INTERVAL).turn():
        assert INTERVAL <= time.monotonic() - started < 5


def test_a_late_holder_does_not_cut_the_turn_of_the_next(home):
    ledger, clock = Ledger(), [datetime(2026, 11, 23, tzinfo=UTC)]
    late = Gate(ledger, "arxiv", 3.0, clock=lambda: clock[0], sleep=lambda s: None)
    following = Gate(ledger, "arxiv", 3.0, clock=lambda: clock[0], sleep=lambda s: None)
    with late.turn():
        clock[0] += LEASE + timedelta(seconds=1)
        other = following.turn()
        other.__enter__()
        lease = following.closed_until()
    assert following.closed_until() == lease
    other.__exit__(None, None, None)
    assert following.closed_until() == clock[0] + timedelta(seconds=3)
    ledger.close()


def test_too_long_a_pause_is_an_error_not_a_wait(home):
    ledger, now = Ledger(), datetime(2026, 11, 23, tzinfo=UTC)
    gate = Gate(ledger, "arxiv", 3.0, clock=lambda: now, sleep=lambda s: pytest.fail("it waited"))
    gate.hold(7200)
    with pytest.raises(Unavailable, match="2026-11-23 02:00 UTC"), gate.turn():
        pass
    gate.hold(60)  # a shorter pause does not shorten a longer one
    with ledger.reading() as db:
        assert db.execute(sa.select(source_state.c.next_allowed_at)).scalar() == "2026-11-23T02:00:00.000000Z"
    ledger.close()
