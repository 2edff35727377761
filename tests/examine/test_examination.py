import copy
import csv
import html.parser
import importlib.util
import io
import json
import random
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from overparam.errors import BadInput, Unavailable
from overparam.examine import Subject, examine
from overparam.examine.budget import Budget
from overparam.examine.subject import subject_of

_spec = importlib.util.spec_from_file_location("examine_targets", Path(__file__).parent / "targets.py")
targets = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(targets)
KEYS = ["wrong_labels", "memorised", "agreement", "curvature", "flatness", "bounds"]


def subject(name):
    return subject_of(getattr(targets, name)(), name)


@pytest.fixture(scope="module")
def found():
    return examine(subject("trained"), max_seconds=600)  # ample: what it finds must not depend on the load


@pytest.mark.slow
def test_all_parts_are_done_and_say_what_they_found(found):
    assert [s.key for s in found.sections] == KEYS
    for s in found.sections:
        assert s.state == "done", (s.key, s.reason)
        assert s.finding.endswith(".")
        assert s.reading
        assert s.uncertainty
    assert (found.examples, found.total, found.parameters) == (600, 600, 64 * 64 + 64 + 640 + 10)


@pytest.mark.slow
def test_it_finds_the_wrong_labels(found):
    _, _, wrong = targets.digits()
    top = [entry["position"] for entry in found["wrong_labels"].numbers["top"]]
    assert len(set(top[: targets.WRONG]) & wrong) > 0.8 * targets.WRONG
    share = found["wrong_labels"].numbers["doubtful_share"][0]
    assert 0.5 < share / (targets.WRONG / 600) < 1.5


@pytest.mark.slow
def test_a_network_that_fits_every_label_still_has_doubtful_ones():
    x, y, _ = targets.digits()
    model = targets.fitted(steps=1500, weight_decay=0.0)[1500]
    with torch.no_grad():
        assert bool((model(x).argmax(1) == y).float().mean() > 0.99)
    alone = examine(Subject(model, None, (x, y)), max_seconds=120)["wrong_labels"].numbers
    assert alone["states"] == 1
    assert alone["doubtful"] > 0.5 * targets.WRONG


@pytest.mark.slow
def test_wrong_labels_are_memorised_and_never_safe_to_drop(found):
    _, _, wrong = targets.digits()
    numbers = found["memorised"].numbers
    assert {e["position"] for e in numbers["top"]} <= wrong
    assert not {e["position"] for e in numbers["safest"]} & wrong


@pytest.mark.slow
def test_numbers_agree_with_the_methods_themselves(found):
    from overparam.methods.measures.coherence import coherence
    from overparam.methods.measures.hessian_operator import HessianOperator

    made = targets.trained()
    x, y = made["data"].tensors
    whole = coherence(made["model"].eval(), made["loss"], (x, y))
    assert found["agreement"].numbers["examples"] == 600
    assert found["agreement"].numbers["m_coherence"] == pytest.approx(whole.m_coherence, rel=1e-3)
    top = found["curvature"].numbers["top"][0]
    operator = HessianOperator(made["model"], made["loss"], (x, y))
    v = torch.randn(operator.shape[0], generator=torch.Generator().manual_seed(0))
    for _ in range(100):
        v = operator.matvec(v)
        v /= v.norm()
    assert top == pytest.approx(float(v @ operator.matvec(v)), rel=0.01)
    assert len(found["agreement"].numbers["course"]) == 3


@pytest.mark.slow
def test_the_report_is_one_file_with_json_and_scores_beside_it(found, tmp_path):
    path = found.save(tmp_path / "deep" / "report.html")
    page = path.read_text()
    seen = []
    parser = html.parser.HTMLParser()
    parser.handle_starttag = lambda tag, attrs: seen.append((tag, dict(attrs)))
    parser.feed(page)
    ids = [a["id"] for _, a in seen if "id" in a]
    assert len(ids) == len(set(ids))
    assert set(KEYS) <= set(ids)
    assert all(a["src"].startswith("data:image/png;base64,") for t, a in seen if t == "img")
    assert sum(t == "img" for t, _ in seen) == 30
    assert not any(a.get("href", "").startswith("http") or "script" in t for t, a in seen)
    assert json.loads(path.with_suffix(".json").read_text())["sections"][0]["key"] == "wrong_labels"
    rows = list(csv.DictReader(io.StringIO(path.with_suffix(".csv").read_text())))
    assert len(rows) == 600
    assert set(rows[0]) == {"position", "label", "label_probability", "suggested", "memorisation"}
    assert sorted(int(r["position"]) for r in rows) == list(range(600))


def test_a_report_that_cannot_be_written_is_told(found, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be written"):
        found.save(tmp_path / "file" / "report.html")


def numbers(*, seeded=False, drawn=True):
    """What the global generators give next."""
    if seeded:
        random.seed(3)
        np.random.seed(3)  # noqa: NPY002
        torch.manual_seed(3)
    return (random.random(), np.random.rand(), float(torch.rand(1))) if drawn else None  # noqa: NPY002


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pictures", "normalised"])
def test_model_and_random_states_are_left_as_they_were(name):
    mine = subject(name)
    model = mine.model
    model[-1].weight.grad = torch.ones_like(model[-1].weight)
    before = copy.deepcopy(model.state_dict())
    modes = [m.training for m in model.modules()]
    wanted = numbers(seeded=True)
    numbers(seeded=True, drawn=False)
    examine(mine, max_seconds=5)
    assert numbers() == wanted
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert [m.training for m in model.modules()] == modes
    assert torch.equal(model[-1].weight.grad, torch.ones_like(model[-1].weight))
    assert not any(m._forward_hooks for m in model.modules())


@pytest.mark.slow
def test_the_same_seed_gives_the_same_ranking():
    one, two = (examine(subject("pictures"), max_seconds=300, seed=1) for _ in range(2))
    assert one["wrong_labels"].numbers["top"] == two["wrong_labels"].numbers["top"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pictures", "loader", "plain", "frozen", "tied", "normalised"])
def test_what_users_hand_over(name):
    result = examine(subject(name), max_seconds=120)
    assert [s.key for s in result.sections if s.state in ("failed", "skipped")] == []
    assert result.total == 600


@pytest.mark.slow
def test_regression_skips_what_needs_classes_and_says_why():
    result = examine(subject("regression"), max_seconds=15)
    states = {s.key: s.state for s in result.sections}
    assert [k for k, s in states.items() if s == "skipped"] == ["wrong_labels", "memorised", "bounds"]
    assert "not those of one class an example" in result["wrong_labels"].reason
    assert states["curvature"] in ("done", "partly")


@pytest.mark.slow
def test_one_class_has_no_labels_to_confuse():
    result = examine(subject("one_class"), max_seconds=10)
    assert result["wrong_labels"].reason == "all labels are of one class"
    assert result["agreement"].state == "done"


@pytest.mark.slow
def test_models_of_hugging_face_with_rows_of_tokens():
    result = examine(subject("text"), max_seconds=120)
    assert [s.key for s in result.sections if s.state in ("failed", "skipped")] == []
    assert result["wrong_labels"].galleries[0].cards[0].text.startswith("sentence ")
    assert result.total == 120


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("torn", "data\\[17\\] raised OSError: picture 17 is torn"),
        ("empty", "no examples"),
        ("with_nan", "weight holds NaN"),
        ("weird_loss", "numbers for one example"),
        ("wrong_shape", "model fails on a batch of shape \\(8, 3\\)"),
    ],
)
def test_bad_input_is_told_in_a_line(name, words):
    with pytest.raises(BadInput, match=words) as caught:
        examine(subject(name), max_seconds=10)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("odd", [{"max_seconds": 0}, {"max_seconds": -1}, {"max_examples": 2}])
def test_budgets_that_are_none(odd):
    with pytest.raises(BadInput, match="positive time"):
        examine(subject("plain"), **odd)


@pytest.mark.slow
def test_it_keeps_to_its_budget_and_says_what_it_left_out():
    x = torch.randn(4000, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    y = torch.arange(4000) % 10
    from overparam.models.cnn import cnn

    model = cnn(3, 10, widths=(32, 64, 128), generator=torch.Generator().manual_seed(0))
    start = time.monotonic()
    result = examine(Subject(model, None, (x, y)), max_seconds=6)
    assert time.monotonic() - start < 20  # wide: a busy machine stretches the last pass of each part
    cut = [s for s in result.sections if s.state != "done"]
    assert cut
    assert all(s.reason for s in cut)


def test_a_part_that_fails_leaves_the_others():
    made = targets.plain()

    class NoSecond(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            raise RuntimeError("no backward here")

    class Broken(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return NoSecond.apply(self.inner(x))

    result = examine(Subject(Broken(made[0]), made[1], made[2]), max_seconds=8)
    states = {s.key: s.state for s in result.sections}
    assert states["wrong_labels"] == "done"
    assert states["curvature"] == "failed"
    assert "no backward here" in result["curvature"].reason


def test_shares_of_the_budget():
    budget = Budget(100.0, {"a": 1, "b": 3})
    now = time.monotonic()
    assert budget.deadline("a") - now == pytest.approx(25, abs=0.1)
    assert budget.deadline("b") - now == pytest.approx(100, abs=0.1)
    assert Budget(-1.0, {"a": 1}).left == 0
