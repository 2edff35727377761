import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from overparam.errors import BadInput, NotFound
from overparam.examine.subject import Subject, load_subject, read_checkpoint

TARGETS = str(Path(__file__).parent / "targets.py")


def test_tuples_mappings_and_modules(monkeypatch):
    made = load_subject(f"{TARGETS}:trained")
    assert (made.name, len(made.checkpoints), made.classes[3]) == ("digits", 2, "3")
    assert load_subject(f"{TARGETS}:plain").loss is not None
    monkeypatch.chdir(Path(TARGETS).parent)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    assert isinstance(load_subject("targets:plain"), Subject)


@pytest.mark.parametrize(
    ("target", "error", "words"),
    [
        ("no_colon", BadInput, "write module:function"),
        ("no_such_module:f", NotFound, "'no_such_module' is not found"),
        ("no_such_file.py:f", NotFound, "no_such_file.py is no file"),
        (f"{TARGETS}:absent", NotFound, "has no function 'absent'"),
        (f"{TARGETS}:raises", BadInput, "raised RuntimeError: no such weights"),
        (f"{TARGETS}:nothing", BadInput, "returned a int"),
        (f"{TARGETS}:odd_key", BadInput, "unknown key 'los'"),
    ],
)
def test_targets_that_are_none(target, error, words):
    with pytest.raises(error, match=words):
        load_subject(target)


def test_a_module_that_fails_on_import_is_told(tmp_path):
    (tmp_path / "broken_target.py").write_text("1 / 0\n")
    with pytest.raises(BadInput, match="raised ZeroDivisionError when imported"):
        load_subject(f"{tmp_path / 'broken_target.py'}:f")


def test_checkpoints_are_read_and_the_last_is_examined(tmp_path):
    made = load_subject(f"{TARGETS}:trained")
    state = {k: v + 1 for k, v in made.model.state_dict().items()}
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3}, tmp_path / "a.pt")
    torch.save(state, tmp_path / "b.pt")
    again = load_subject(f"{TARGETS}:trained", [tmp_path / "a.pt", tmp_path / "b.pt"])
    assert torch.equal(again.model.state_dict()["1.weight"], state["1.weight"])
    assert len(again.checkpoints) == 3  # two of the target, one file
    assert torch.equal(again.checkpoints[-1]["1.weight"], state["1.weight"])


def test_safetensors_are_read(tmp_path):
    from safetensors.torch import save_file

    save_file({"weight": torch.ones(2, 2)}, tmp_path / "c.safetensors")
    assert torch.equal(read_checkpoint(tmp_path / "c.safetensors")["weight"], torch.ones(2, 2))


def test_checkpoints_that_are_none(tmp_path):
    with pytest.raises(NotFound, match="is no file"):
        read_checkpoint(tmp_path / "absent.pt")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(BadInput, match="cannot be read"):
        read_checkpoint(tmp_path / "text.pt")
    torch.save({"a": 1}, tmp_path / "numbers.pt")
    with pytest.raises(BadInput, match="holds no state dict"):
        read_checkpoint(tmp_path / "numbers.pt")
    torch.save(nn.Linear(3, 3).state_dict(), tmp_path / "other.pt")
    with pytest.raises(BadInput, match="does not fit the model"):
        load_subject(f"{TARGETS}:trained", [tmp_path / "other.pt"])


def test_a_checkpoint_never_runs_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"weight": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(BadInput, match="cannot be read"):
        read_checkpoint(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


def test_what_is_no_model_is_refused():
    with pytest.raises(BadInput, match="model is a int"):
        Subject(3, None, [])
    with pytest.raises(BadInput, match="loss is a int"):
        Subject(nn.Linear(1, 1), 3, [])


def test_states_of_the_caller_keep_their_names():
    made = load_subject(f"{TARGETS}:plain")
    state = {f"module.{k}": v for k, v in made.model.state_dict().items()}
    names = list(state)
    subject = Subject(made.model, made.loss, made.data, checkpoints=[state], initial=state)
    assert list(state) == names
    assert set(subject.checkpoints[0]) == set(subject.initial) == set(made.model.state_dict())
