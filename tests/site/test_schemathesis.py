"""Thousands of generated requests against the whole site: each answer is one that the description promises."""

from collections import Counter

import pytest
import schemathesis
import sqlalchemy as sa
from schemathesis.engine import events, from_schema

from overparam.feed.search import update
from overparam.feed.secrets import fingerprint
from overparam.lab.planner import REGULAR
from overparam.ledger.schema import account, api_token, figure, run, trial
from overparam.site import security
from overparam.site.app import make_app

AT = "2026-11-20T14:00:00.000000Z"
EXAMPLES = {"sqlite": 110, "postgresql": 12}  # an operation; the cases that the description itself suggests come on top
LEAST = {"sqlite": 2_000, "postgresql": 500}
CHECKS = {
    # a cursor, a date or an address may fit its pattern and still be none
    "positive_data_acceptance": {"expected-statuses": ["2xx", "400", "404", "409", "422"]},
    # DELETE cancels a request, which can be read afterwards, too
    "use_after_free": {"enabled": False},
}


@pytest.fixture
def furnished(seeded):
    """A ledger with an admin's token for runs, and a run with trials and a figure."""
    update(seeded)
    made = {
        "id": "R1",
        "paper": "data-diet",
        "scale": "smoke",
        "state": "failed",
        "options_json": REGULAR,
        "spec_hash": "x",
    }
    more = {
        "engine": "inline",
        "workers": 1,
        "attempt": 1,
        "created_at": AT,
        "wall_seconds": 1.0,
        "provenance_json": "{}",
    }
    trials = [
        {"run_id": "R1", "trial_key": f"k{n}", "position": n, "task": n, "experiment": "e", "params_json": '{"a": 1}', "seed": n,
         "state": "done", "cached": False, "attempt": 1, "metrics_json": '{"x": NaN, "curve": [1.0, 2.0]}'}
        for n in range(150)
    ]  # fmt: skip
    with seeded.writing() as db:
        db.execute(sa.insert(account).values(id="ada", name="Ada", role="admin", created_at=AT))
        row = {
            "id": "t",
            "token_hash": fingerprint("op_x", "api token"),
            "account_id": "ada",
            "name": "x",
            "scope": "run",
        }
        db.execute(sa.insert(api_token).values(**row, created_at=AT))
        db.execute(sa.insert(run).values(**made, **more))
        db.execute(sa.insert(trial), trials)
        table = '{"columns": ["a"], "rows": [["1"]]}'
        db.execute(
            sa.insert(figure).values(run_id="R1", name="f", position=0, svg="<svg/>", caption="c", table_json=table)
        )
    return seeded


@pytest.mark.slow
def test_generated_requests_get_the_answers_described(furnished, monkeypatch):
    monkeypatch.setattr(security, "LIMITS", ())
    store = furnished.engine.dialect.name
    app = make_app(furnished, hosts=["testserver", "localhost", "127.0.0.1"])
    config = schemathesis.Config.from_dict({
        "headers": {"Authorization": "Bearer op_x"},
        "checks": CHECKS,
        "generation": {"max-examples": EXAMPLES[store]},
        "seed": 1,
    })
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app, config=config)
    answers, failures, reached = Counter(), {}, set()
    for event in from_schema(schema).execute():
        assert not isinstance(event, events.FatalError | events.NonFatalError), event
        if not isinstance(event, events.ScenarioFinished):
            continue
        for key, interaction in event.recorder.interactions.items():
            status = interaction.response.status_code if interaction.response else 0
            answers[status] += 1
            if key in event.recorder.cases and 200 <= status < 300:
                reached.add(event.recorder.cases[key].value.operation.label)
        for checks in event.recorder.checks.values():
            for check in checks:
                if check.failure_info is not None:
                    found = check.failure_info
                    failures[check.name, found.failure.message] = found.code_sample
    assert not failures, "\n\n".join(f"{name}\n{sample}" for name, sample in failures.items())
    assert answers.total() >= LEAST[store], answers
    assert not [status for status in answers if status >= 500 or status == 0], answers
    assert len(reached) >= 15, reached  # of the operations, nearly all with an answer that is no refusal
