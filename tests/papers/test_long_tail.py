import numpy as np
import pytest
import torch

from overparam.errors import BadInput
from overparam.lab import Trials
from overparam.lab.experiment import Progress
from overparam.methods.measures.mlp_bank import MLPBank
from overparam.papers.long_tail import digits, experiments
from overparam.papers.long_tail.claims import CLAIMS
from overparam.papers.long_tail.limits import Setting, pruned, train_within
from overparam.papers.long_tail.worlds import CLASSES, FRESH, judge, learn, priors, scenes

CLAIM = {claim.id: claim for claim in CLAIMS}
SMALL = Setting(hidden=16, steps=30, private_steps=20)
WIGGLE = (0.1, -0.1, 0.05, 0.0, -0.05)


def states(claim, rows):
    return [part.state for part in CLAIM[claim].rule.judge(Trials(rows))]


def table(metric, value, wiggle=1.0, **where):
    """A row a seed, around a value."""
    return [{**where, "seed": s, metric: value + wiggle * w} for s, w in enumerate(WIGGLE)]


@pytest.fixture(scope="module")
def scene():
    return scenes("head and tail", 60, 200, [0])[0]


def test_every_claim_names_an_experiment_or_says_why_it_cannot():
    assert [c.id for c in CLAIMS if c.untestable] == ["C1i"]
    assert all(hasattr(getattr(experiments, c.on), "experiment") for c in CLAIMS if c.rule)
    assert not any(c.reported for c in CLAIMS)  # none of the paper's figures was read


def test_the_identity_needs_both_sizes_within_two_per_cent():
    def rows(gap):
        return [
            {"size": size, "seed": s, "excess": 0.1, "relative_gap": gap + 0.01 * w}
            for size in (1000, 5000)
            for s, w in enumerate(WIGGLE)
        ]

    assert states("C1", rows(0.003)) == ["holds"] * 3
    assert states("C1", rows(0.05)) == ["holds", "fails", "fails"]


def test_the_slope_must_turn_where_nearly_all_labels_are_wrong():
    def rows(last):
        slopes = {0.0: 0.9, 0.1: 0.8, 0.3: 0.6, 0.5: 0.4, 0.95: last}
        return [row for noise, value in slopes.items() for row in table("slope", value, 0.1, noise=noise)]

    assert states("C3", rows(-0.05)) == ["holds"] * 5
    assert states("C3", rows(0.05)) == ["holds"] * 4 + ["fails"]


def test_a_disparate_effect_is_a_larger_gap_and_the_control_has_none():
    def rows(more, control):
        gaps = {
            ("head and tail", "none", 0.0): 15.0,
            ("head and tail", "privacy", 1.0): 15.0 + more,
            ("head and tail", "width", 8.0): 15.0 + more,
            ("head and tail", "pruning and tuning", 0.9): 15.0 + more,
            ("alike", "none", 0.0): 0.0,
            ("alike", "privacy", 1.0): control,
        }
        return [
            {"groups": g, "limit": k, "level": v, "seed": s, "gap": gap + (0.0 if k == "none" else w)}
            for (g, k, v), gap in gaps.items()
            for s, w in enumerate(WIGGLE)
        ]

    assert states("C6", rows(8.0, 0.2)) == ["holds"] * 4
    assert states("C6", rows(-8.0, 9.0)) == ["fails"] * 4


def test_removal_must_cost_more_than_at_random():
    def rows(more):
        found = []
        for share in (0.02, 0.05, 0.1):
            found += table("accuracy", 90.0, share=share, arm="random")
            found += [
                {**r, "arm": "memorised", "accuracy": r["accuracy"] - more - 0.01 * r["seed"]} for r in found[-5:]
            ]
        return found

    assert states("C7r", rows(0.5)) == ["holds"] * 3
    assert states("C7r", rows(-0.5)) == ["fails"] * 3


def test_bounds_hold_in_every_case_or_fail():
    rows = [
        {"kind": "two-level", "parameter": p, "seed": 0, "shortfall": 0.0, "off_gap": 0.02, "cost": 0.004}
        for p in (20.0, 50.0, 200.0)
    ]
    assert states("C2", rows) == ["holds"] * 3
    rows[1] |= {"shortfall": 1e-9, "off_gap": -0.2, "cost": 0.05}
    assert states("C2", rows) == ["fails"] * 3


def test_price_agrees_with_the_theorem_and_its_sabotage_does_not():
    row = experiments.price(size=200, data_sets=300, seed=0)
    assert abs(row["relative_gap"]) < 0.05
    assert row["excesses"][0] == pytest.approx(0.0, abs=1e-12)
    assert np.all(np.diff(row["excesses"]) > 0)
    assert abs(experiments.price(size=200, data_sets=300, seed=0, sabotage=True)["relative_gap"]) > 0.2


def test_illustration_and_middle_mass():
    row = experiments.illustration(size=50_000, draws=20, seed=0)
    assert (row["n_tau"], row["singleton_share"]) == pytest.approx((0.471, 0.170), abs=0.006)
    assert (row["optimum"], row["cost"]) == pytest.approx((0.153, 0.072), abs=0.003)
    far = experiments.middle_mass(n=500, kind="two-level", parameter=50.0)
    near = experiments.middle_mass(n=500, kind="two-level", parameter=1.0)
    assert far["weight"] == far["floor"] == 0.0
    assert abs(far["off_gap"]) < 0.1 < near["cost"]
    assert experiments.middle_mass(n=500, kind="zipf", parameter=1.0)["off_gap"] is None


def test_the_error_is_linear_in_the_skipped_part_and_turns():
    low, high = (experiments.wrong_labels(size=150, data_sets=200, noise=e, seed=0) for e in (0.3, 0.95))
    assert abs(low["bend"]) < 1e-12
    assert low["slope"] == pytest.approx(0.6, abs=0.1)
    assert high["slope"] == pytest.approx(-0.05, abs=0.05)
    assert low["error_skip"] > low["error_keep"]


def test_bounded_learners_pay_for_what_they_may_not_memorise():
    capped = experiments.bounded(size=200, data_sets=300, limit="memorisation", level=0.3, seed=0)
    assert capped["memorised"] == pytest.approx(0.3)
    assert abs(capped["relative_gap"]) < 0.06
    private = experiments.bounded(size=200, data_sets=300, limit="privacy", level=1.0, seed=0)
    assert private["memorised"] == pytest.approx(np.e / (np.e + 9) - 0.1)
    assert private["bound"] == pytest.approx(capped["bound"] / 0.6 * (1 - np.e / 10))
    assert private["margin"] > 0


def test_worlds_have_their_groups(scene):
    assert [p.size for p in priors("head and tail", 60)] == [3, 60]
    assert [p.size for p in priors("alike", 60)] == [30, 30]
    with pytest.raises(BadInput, match="is unknown"):
        priors("two", 60)
    assert scene.counts.sum() == 200
    assert len(scene.fresh.y) == 63 * FRESH


def test_a_perfect_and_a_constant_rule_are_judged_right(scene):
    world = scene.world
    perfect = judge(scene, lambda x: world.labels[(x @ world.centres.T.astype(np.float32)).argmax(1)])
    assert perfect["accuracy"] > 99
    assert perfect["coupling"] > 0.99
    assert perfect["excess"] < 0  # it knows the labels of clusters that nobody saw
    zero = judge(scene, lambda x: np.zeros(len(x), dtype=np.int64))
    assert zero["coupling"] == 1.0
    once = scene.counts == 1
    assert zero["unfitted"] == (world.labels[once] != 0).sum()
    assert zero["fitted_share"] == pytest.approx((world.labels[once] == 0).mean())
    wrong = (world.labels != 0) @ world.frequency
    opt = (1 - 1 / CLASSES) * world.frequency[scene.counts == 0].sum()
    assert zero["excess"] == pytest.approx(wrong - opt)
    assert zero["margin"] == pytest.approx(wrong - opt - scene.tau * zero["unfitted"])
    assert zero["accuracy"] == pytest.approx((zero["accuracy_head"] + zero["accuracy_tail"]) / 2)


def test_learners_fit_less_of_the_rare_when_told_to(scene):
    for learner, fitting, refusing in (("neighbours", 1.0, 5.0), ("kernel", 1e-3, 10.0), ("mlp", 60.0, 3.0)):
        much, little = (judge(scene, learn(learner, s, scene.sample, 0)) for s in (fitting, refusing))
        assert much["fitted_share"] > little["fitted_share"]
        assert much["accuracy"] > little["accuracy"]
    with pytest.raises(BadInput, match="is unknown"):
        learn("forest", 1.0, scene.sample, 0)


def test_pruning_removes_the_smallest_weights_of_each_network(scene):
    bank = MLPBank(widths=(8,), steps=5).train(scene.sample.x, scene.sample.y, np.ones((2, 200), bool), [0, 1])
    sparse = pruned(bank, 0.75)
    for k in range(2):
        before = torch.cat([layer[k, :, :-1].flatten() for layer in bank.layers])
        after = torch.cat([layer[k, :, :-1].flatten() for layer in sparse.layers])
        assert int((after == 0).sum()) == round(0.75 * len(before))
        assert before[after == 0].abs().max() <= before[after != 0].abs().min()
        assert torch.equal(sparse.layers[0][k, :, -1], bank.layers[0][k, :, -1])
    for same, layer in zip(pruned(bank, 0.0).layers, bank.layers, strict=True):
        assert torch.equal(same, layer)


@pytest.mark.slow
def test_limits_repeat_and_each_sees_its_own_sample(scene):
    other = scenes("head and tail", 60, 200, [1])[0]
    samples = [scene.sample, other.sample]
    for limit, level in (
        ("none", 0.0),
        ("width", 4.0),
        ("pruning and tuning", 0.5),
        ("privacy", 1.0),
        ("clipping", 0.0),
    ):
        both, spent = train_within(limit, level, samples, SMALL, [0, 1])
        (alone,), _ = train_within(limit, level, [other.sample], SMALL, [1])
        assert np.mean(both[1](other.fresh.x) == alone(other.fresh.x)) > 0.99
        assert (spent is not None) == (limit == "privacy")
    with pytest.raises(BadInput, match="is unknown"):
        train_within("dropout", 0.5, samples, SMALL, [0, 1])


@pytest.mark.slow
def test_private_training_is_told_what_it_spent(scene):
    row = experiments.groups(60, 200, 16, 10, 20, "head and tail", "privacy", 1.0, [0], Progress())[0]
    assert 1 < row["epsilon"] < 100
    assert experiments.groups(60, 200, 16, 10, 20, "alike", "none", 0.0, [0], Progress())[0]["epsilon"] is None


def test_labels_are_replaced_by_another_one():
    task = digits.read_task("digits", 400, 0)
    again = digits.read_task("digits", 400, 0)
    np.testing.assert_array_equal(task.y, again.y)
    assert task.wrong.sum() == 20
    assert len(task.test_y) == 1797 - 400
    assert (task.x.min(), task.x.max()) == (0.0, 1.0)
    assert not np.array_equal(task.x, digits.read_task("digits", 400, 1).x)
    images = np.concatenate([task.x, task.test_x]).reshape(1797, -1)
    assert len(np.unique(images, axis=0)) == 1797  # nothing is both trained and tested on


def test_only_right_labels_are_removed_and_memorised_ones_first():
    scores, clean = np.arange(10.0), np.arange(10) != 9
    keep = digits.without(scores, clean, 3, "memorised", 2, 0)
    assert [np.flatnonzero(~row).tolist() for row in keep] == [[6, 7, 8]] * 2
    random = digits.without(scores, clean, 3, "random", 50, 0)
    assert set((~random).sum(1)) == {3}
    assert random[:, 9].all()
    assert len({tuple(row) for row in random.tolist()}) > 10


def test_halves_share_no_network():
    masks = np.eye(5, dtype=bool)
    (one, _), (two, _) = digits.halves(masks, masks)
    assert not (one & two[:, :]).any()
    assert len(one) == len(two) == 2


@pytest.mark.slow
def test_wrong_labels_are_memorised_and_the_sabotage_hides_them(tmp_path, monkeypatch):
    point = {"data": "digits", "size": 300, "model": "mlp", "members": 24}
    row = experiments.mistakes(**point, seed=0)
    assert row["area"] > 0.85
    assert row["wrong"] > row["clean"]
    broken = experiments.mistakes(**point, seed=0, sabotage=True)
    assert broken["area"] < row["area"] - 0.1
    assert abs(broken["split_correlation"]) < 0.4
    accuracy = [
        experiments.removal(**point, networks=2, share=0.1, arm=arm, seed=0)["accuracy"]
        for arm in ("memorised", "random")
    ]
    assert all(50 < a < 100 for a in accuracy)


def test_figures_draw_with_what_a_small_run_has():
    from overparam.lab.plots import style, to_svg

    networks = [
        {"groups": "head and tail", "limit": limit, "level": level, "seed": s,
         "accuracy_head": 99.0 - s, "accuracy_tail": 80.0 - s - 5 * (limit != "none"), "tail_seen_1": 50.0}
        for limit, level in (("none", 0.0), ("privacy", 1.0), ("width", 8.0), ("pruning", 0.95))
        for s in range(2)
    ]  # fmt: skip
    removed = [
        {"share": share, "arm": arm, "seed": s, "accuracy": 90 + s - 10 * share * (arm == "memorised")}
        for share in (0.02, 0.1)
        for arm in ("memorised", "random")
        for s in range(2)
    ]
    prices = [{"size": 100, "data_sets": 3, "seed": s, **experiments.price(100, 3, s)} for s in range(2)]
    points = list(experiments.middle_mass.experiment.grids["smoke"].points())
    worths = [{**point, "seed": 0, **experiments.middle_mass(**point)} for point in points]
    with style():
        for draw_it, rows, words in (
            (experiments.loss_by_group, networks, "5.0 points from the group with a long tail and 0.0"),
            (experiments.cost_of_removal, removed, "+1.00 at 10 %"),
            (experiments.price_of_singletons, prices, "agree within"),
            (experiments.worth_of_a_singleton, worths, "200 times more frequent"),
        ):
            drawing = draw_it(Trials(rows))
            assert to_svg(drawing, prefix="f").startswith("<svg")
            assert words in drawing.caption
            assert drawing.caption.endswith(".")
