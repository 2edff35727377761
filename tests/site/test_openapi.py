"""The description of the API that is committed is the one that is served, and leaves nothing out."""

import json
from pathlib import Path

import jsonschema
import pytest
from starlette.datastructures import State

from overparam.site.api import description, make_api, write_openapi

COMMITTED = Path(__file__).parents[2] / "docs" / "reference" / "openapi.json"


@pytest.fixture
def described():
    return description(make_api(State()))


def operations(described):
    return [(f"{m} {path}", o) for path, item in described["paths"].items() for m, o in item.items()]


def test_what_is_committed_is_up_to_date(tmp_path):
    write_openapi(tmp_path / "openapi.json")
    assert (tmp_path / "openapi.json").read_text() == COMMITTED.read_text(), "run docs/generate.py"


def test_every_operation_is_described(described):
    assert described["openapi"].startswith("3.1")
    assert described["servers"] == [{"url": "/api/v1"}]
    for name, operation in operations(described):
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["tags"], name
        assert not operation["summary"].endswith("."), name


def test_every_refusal_is_a_problem(described):
    for name, operation in operations(described):
        refusals = {status: r for status, r in operation["responses"].items() if status >= "400"}
        assert {"400", "404", "422", "429", "503"} <= set(refusals), name
        assert ("401" in refusals) == ("security" in operation), name
        assert ("415" in refusals) == ("requestBody" in operation), name
        for refusal in refusals.values():
            assert list(refusal["content"]) == ["application/problem+json"], name


def test_every_answer_has_a_shape(described):
    for name, operation in operations(described):
        for status, answer in operation["responses"].items():
            for media, content in answer["content"].items():
                assert content["schema"], (name, status, media)
    for shape in described["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(shape)


def test_what_changes_something_needs_a_token_or_is_a_subscription(described):
    for name, operation in operations(described):
        changes = name.split()[0] != "get" and "/subscriptions" not in name
        assert ("security" in operation) == changes, name


def test_the_description_is_the_same_every_time(described):
    assert json.dumps(described) == json.dumps(description(make_api(State())))
