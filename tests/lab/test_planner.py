from dataclasses import replace

import pytest

from overparam.errors import BadInput, NotFound
from overparam.lab.planner import REGULAR, Spec, environment_class, parse_override, spec_hash, tasks


def test_plan_is_the_same_every_time_and_keys_are_unique(toy):
    first, second = list(tasks(Spec(toy, "smoke"))), list(tasks(Spec(toy, "smoke")))
    assert first == second
    keys = [k for t in first for k in t.keys]
    assert len(set(keys)) == len(keys)
    broken = [k for t in tasks(Spec(toy, "smoke", sabotage=True)) if t.experiment == "draws" for k in t.keys]
    assert not set(keys) & set(broken)


def test_batched_experiments_are_one_task_and_know_their_batch(toy):
    (task,) = [t for t in tasks(Spec(toy, "smoke")) if t.experiment == "batches"]
    assert task.seeds == (0, 1, 2)
    assert len(set(task.keys)) == 3


def test_numbers_count_tasks_across_experiments(toy):
    assert [t.number for t in tasks(Spec(toy, "smoke"))] == list(range(13))


def test_keys_change_with_parameters_seed_and_data(toy, monkeypatch):
    spec = Spec(toy, "smoke", ("T1",))
    keys = {k for t in tasks(spec) for k in t.keys}
    other = {k for t in tasks(parse_override(spec, "size=9")) for k in t.keys}
    assert not keys & other
    monkeypatch.setattr("overparam.lab.planner.environment_class", lambda: "another machine")
    assert not keys & {k for t in tasks(spec) for k in t.keys}


def test_options_tell_regular_runs_apart(toy):
    spec = Spec(toy, "smoke")
    assert spec.options == REGULAR
    assert replace(spec, sabotage=True).options != REGULAR
    assert parse_override(spec, "size=9").options != REGULAR


def test_the_hash_of_a_run_holds_its_rules_and_trials(toy):
    spec = Spec(toy, "smoke", ("T1",))
    one = spec_hash(spec, iter(["a", "b"]))
    assert one == spec_hash(spec, iter(["a", "b"]))
    assert one != spec_hash(spec, iter(["a", "c"]))
    assert one != spec_hash(replace(spec, claims=("T2",)), iter(["a", "b"]))


def test_nothing_to_run_is_an_error(toy):
    with pytest.raises(NotFound, match="nothing to run at paper scale"):
        list(tasks(Spec(toy, "paper", ("T1",))))


def test_values_by_hand_have_the_type_of_the_parameter(toy):
    assert parse_override(Spec(toy, "smoke"), "shift=1,2").overrides == {"shift": (1.0, 2.0)}
    assert parse_override(Spec(toy, "paper"), "kind=fine").overrides == {"kind": ("fine",)}
    with pytest.raises(BadInput, match="write name=value"):
        parse_override(Spec(toy, "smoke"), "shift=")


def test_the_environment_names_the_numeric_libraries():
    assert "numpy" in environment_class()
    assert "torch" in environment_class()
