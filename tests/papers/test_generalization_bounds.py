import itertools

import numpy as np
import pytest
import torch

from overparam.lab import Trials
from overparam.lab.experiment import Progress
from overparam.lab.plots import style, to_svg
from overparam.methods.theory.estimability import p_exact_erm
from overparam.papers.generalization_bounds import experiments
from overparam.papers.generalization_bounds.claims import CLAIMS
from overparam.papers.generalization_bounds.coin import draw_trials, statistics_of
from overparam.papers.generalization_bounds.judging import AXES, rank_and_error
from overparam.papers.generalization_bounds.learners import biased_learner, stable_learner
from overparam.papers.generalization_bounds.networks import measured_networks
from overparam.papers.generalization_bounds.setting import (
    LEVEL,
    build,
    error,
    fit,
    generator,
    noisy_error,
    read,
    shuffled_labels,
)

CLAIM = {claim.id: claim for claim in CLAIMS}


def states(claim, trials):
    return [part.state for part in CLAIM[claim].rule.judge(trials)]


def test_every_claim_names_an_experiment_or_a_reason():
    assert [c.id for c in CLAIMS] == ["C1", "C1b", "C2", "C3", "C4", "C5"]
    assert CLAIM["C3"].untestable
    assert all(hasattr(getattr(experiments, c.on), "experiment") for c in CLAIMS if c.on)


def world_rows(error, short=0.0):
    return Trials(
        {"seed": s, "least_error": error + 0.01 * s, "least_affine_error": error - 0.01 * s, "short_of_half_gap": short}
        for s in range(4)
    )


def test_the_rule_on_two_worlds():
    assert states("C1", world_rows(0.44)) == ["holds"] * 3
    assert states("C1", world_rows(0.05)) == ["fails", "fails", "holds"]
    assert states("C1", world_rows(0.44, 0.1))[2] == "fails"


def coin_rows(area, failure):
    wiggle = np.linspace(-0.01, 0.01, 10)
    names = [part.name.removeprefix("area under the curve, ") for part in CLAIM["C1b"].rule.judge(Trials([]))[:-1]]
    return Trials(
        {"seed": s, "failure": failure + w, **{f"area {n}": area + w for n in names}} for s, w in enumerate(wiggle)
    )


def test_the_rule_on_the_coin():
    assert set(states("C1b", coin_rows(0.5, 0.5))) == {"holds"}
    assert set(states("C1b", coin_rows(0.8, 0.1))) == {"fails"}
    assert set(states("C1b", coin_rows(0.55, 0.45))) == {"unclear"}


def field_rows(failure, low_error=0.0):
    wiggle = (0.0, 0.01, -0.01, 0.005, -0.005)
    return Trials(
        {
            "seed": s, "q": 101, "slack": slack, "k": 20 - slack, "loss_inside": 0.01 + w / 10, "loss_uniform": 0.99 + w / 10,
            "failure": (failure + w) if slack == 0 else 0.0, "estimator_error": low_error, "excess": w,
            "loss_minus_formula": w, "share_minus_formula": w,
        }
        for s, w in enumerate(wiggle)
        for slack in (0, 2, 4)
    )  # fmt: skip


def test_the_rule_on_the_field():
    assert set(states("C2", field_rows(0.49))) == {"holds"}
    told = states("C2", field_rows(0.0))
    assert told[2] == "fails"
    assert told[5] != "holds"
    assert states("C2", field_rows(0.49, low_error=0.3))[3] == "fails"


def table_of(measures, gaps):
    """One row a seed: a full factorial of two widths and two noises, repeated over four depths."""
    settings = [(w, d, 0.1, 16, 0.0, z) for w in (16, 64) for d in (1, 2, 3, 4) for z in (0.0, 0.2)]
    rows = []
    for seed, gap in enumerate(gaps):
        columns = {axis: [s[i] for s in settings] for i, axis in enumerate(AXES)}
        row = {"seed": seed, **columns, "gap": [gap(s) for s in settings]}
        rows.append(row | {f"mu:{name}": [f(s) for s in settings] for name, f in measures.items()})
    return Trials(rows)


def gap_of(shift):
    return lambda s: 0.1 + 0.5 * s[5] - 0.0005 * s[0] + 0.001 * shift + 0.0001 * shift * s[1]


GAPS = [gap_of(t) for t in (0, 1, -1, 0.5, -0.5)]
BLIND = {"wide": lambda s: 5.0 + s[0], "huge": lambda s: None}


def test_the_rule_on_networks_holds_for_measures_that_miss_an_axis():
    assert states("C4", table_of(BLIND, GAPS)) == ["holds"] * 4


def test_the_rule_on_networks_fails_for_a_measure_that_is_the_gap():
    assert states("C4", table_of(BLIND | {"oracle": gap_of(0)}, GAPS)) == ["holds", "fails", "holds", "fails"]


def test_a_tight_measure_that_ranks_badly_is_told_apart():
    tight = {"flat": lambda s: 0.15}
    assert states("C4", table_of(tight, GAPS)) == ["holds", "holds", "holds", "fails"]


def test_pure_noise_does_not_pass_as_a_control():
    rng = np.random.default_rng(0)
    noisy = [lambda s: 0.1 + 0.3 * float(rng.random())] * 8
    table = table_of(BLIND, noisy)
    assert "holds" not in states("C4", table)[0::2]
    psi = rank_and_error(table)["control"]["psi"]
    assert all(abs(values.mean()) < 0.7 for values in psi.values())


def test_without_enough_seeds_nothing_is_judged():
    assert set(states("C4", Trials([]))) == {"unclear"}
    assert set(states("C4", table_of(BLIND, GAPS[:3]))) == {"unclear"}


def test_only_pairs_with_clear_gaps_count():
    scores = rank_and_error(table_of(BLIND, GAPS))
    assert set(scores["wide"]["psi"]) == {"width", "noise"}  # depth changes the gap by seed alone
    assert scores["wide"]["psi"]["width"].tolist() == [-1.0] * 5
    assert scores["wide"]["psi"]["noise"].tolist() == [0.0] * 5
    assert scores["huge"]["vacuous"] == 1.0
    lowest = [min(row["gap"]) for row in table_of(BLIND, GAPS).rows]
    np.testing.assert_allclose(scores["huge"]["sup"], 1 - np.array(lowest))  # no error is above 1


def stable_rows(failure, move):
    return Trials(
        {"seed": s, "algorithm": a, "failure": f + 0.001 * s, "instability": m + 0.0005 * s}
        for s in range(4)
        for a, f, m in (("nearest", 0.0, 0.001), ("parity", failure, move))
    )


def test_the_rule_on_stability():
    assert states("C5", stable_rows(0.32, 0.25)) == ["holds"] * 4
    assert states("C5", stable_rows(0.0, 0.0)) == ["holds", "holds", "fails", "fails"]


def test_hypothesis_and_sample_agree_under_both_coins():
    heads, h, sample, errors = draw_trials(400, 2_000, 10, seed=0)
    assert (errors[heads] == 0).all()
    assert errors[~heads] == pytest.approx(0.5, abs=0.06)
    assert h.shape == (400, 2_000)
    assert h.mean() == pytest.approx(0.5, abs=0.005)
    assert sample.max() < 2_000
    assert 0.4 < heads.mean() < 0.6


def test_statistics_see_hypothesis_and_sample_only():
    _, h, sample, _ = draw_trials(20, 500, 5, seed=1)
    seen = statistics_of(h, sample, 0)
    one = int(sample[0, 0])
    distance = np.abs(sample[3][None, :] - np.arange(500)[:, None])
    unique = np.sort(distance, 1)[:, 0] < np.sort(distance, 1)[:, 1]
    near = sample[3][distance.argmin(1)]
    agreement = (2.0 * h[3] - 1) * (2.0 * h[3, near] - 1)
    assert seen["agreement with the nearest"][3] == pytest.approx(agreement.mean(), abs=2 * (~unique).mean() + 1e-6)
    assert seen["balance"][0] == pytest.approx(2 * h[0].mean() - 1, abs=1e-5)
    assert h[0, one] in (0, 1)
    assert seen["changes"][2] == pytest.approx((h[2, 1:] != h[2, :-1]).mean())


@pytest.mark.slow
def test_a_coin_that_is_seen_is_found():
    honest = experiments.coin(trials=120, d=1_000, n=5, seed=0)
    told = experiments.coin(trials=120, d=1_000, n=5, seed=0, sabotage=True)
    assert (told["area balance"], told["failure"]) == (1.0, 0.0)
    assert honest["failure"] > 0.3


@pytest.mark.parametrize(("q", "slack"), [(101, 0), (101, 4), (5, 1)])
def test_the_field_matches_the_closed_forms(q, slack):
    row = biased_learner(q, 16, 8, 8 - slack, 1_000, 0, False)
    p = p_exact_erm(q, 8 - slack, 8)
    assert row["loss_inside"] == pytest.approx((1 - 1 / q) * (1 - p), abs=0.05)
    assert row["confusable"] == pytest.approx(float(q) ** -slack * p, abs=0.05)
    assert row["failure"] >= 0.5 * row["confusable"] - 0.06
    if slack == 4:
        assert row["estimator_error"] < 0.02


def test_an_estimator_that_is_told_the_target_does_not_fail():
    assert biased_learner(101, 16, 8, 8, 300, 0, True)["failure"] < 0.05


def test_stable_learners():
    for algorithm in ("constant", "memorise", "nearest"):
        row = stable_learner(algorithm, "digits", 80, 4, 0)
        assert row["instability"] < 0.02
        assert row["estimator_error"] < 0.2
    parity = stable_learner("parity", "digits", 16, 250, 0)
    assert parity["failure"] == pytest.approx(0.32, abs=0.06)
    assert parity["loss"] == pytest.approx(0.5 * (1 - p_exact_erm(2, 16, 16)), abs=0.05)


def test_networks_train_side_by_side_as_they_do_alone():
    split = read("digits", 60, 0)
    models = [build("mlp-16", split.x, generator(5)) for _ in range(3)]
    y = torch.stack([split.y, shuffled_labels(split.y, 0.5, generator(1)), split.y])
    found = fit(
        models, split.x, y, rates=[0.03, 0.03, 0.01], decays=[0.0] * 3, batch=60, draw=generator(2), rounds=2_000
    )
    alone = fit(
        [build("mlp-16", split.x, generator(5))], split.x, y[2:], rates=[0.01], decays=[0.0], batch=60,
        draw=generator(3), rounds=2_000,
    )  # fmt: skip
    assert found.losses[2] == pytest.approx(alone.losses[0], rel=1e-3)  # whole batches: no order matters
    for model, own, losses in zip(found.models, y, found.losses, strict=True):
        assert losses[-1] <= LEVEL < losses[-2]
        assert error(model, split.x, own) == 0.0
        loss = torch.nn.functional.cross_entropy(model(split.x), own)
        assert float(loss.detach()) == pytest.approx(losses[-1], rel=1e-3)


def test_decay_shrinks_the_weights():
    split = read("digits", 40, 0)
    models = [build("mlp-8", split.x, generator(5)) for _ in range(2)]
    kept = fit(models, split.x, split.y.expand(2, -1), rates=[0.02] * 2, decays=[0.0, 0.05], batch=40, draw=generator(2),
               rounds=100).models  # fmt: skip
    norms = [float(m[1].weight.detach().norm()) for m in kept]
    assert norms[1] < 0.9 * norms[0]


def test_labels_and_errors_under_noise():
    y = torch.arange(10).repeat(2_000)
    noisy = shuffled_labels(y, 0.2, generator(0))
    assert float((noisy != y).double().mean()) == pytest.approx(0.2, abs=0.01)
    predicted = torch.where(torch.rand(len(y), generator=generator(1)) < 0.3, (y + 1) % 10, y)
    assert noisy_error(0.3, 0.2) == pytest.approx(float((predicted != noisy).double().mean()), abs=0.015)
    assert (shuffled_labels(y, 1.0, generator(2)) != y).all()


def test_splits_are_disjoint_and_cover_the_data():
    one, two = read("digits", 100, 0), read("digits", 100, 1)
    assert len(one.x) + len(one.pool) == 1797
    assert not torch.equal(one.x, two.x)


@pytest.mark.slow
def test_a_factorial_of_networks():
    row = measured_networks("digits", 60, "2x2x2", 600, 0, Progress())
    assert row["networks"] + row["missed"] == 8
    assert len(row["mu:l2"]) == len(row["gap"]) == len(row["width"]) == row["networks"]
    assert len([name for name in row if name.startswith("mu:")]) > 25
    assert all(v is None or np.isfinite(v) for name, values in row.items() if isinstance(values, list) for v in values)


@pytest.mark.slow
def test_worlds_share_everything_but_the_labels():
    arguments = {"data": "digits", "size": 60, "poison": 60, "model": "mlp-32", "rounds": 600, "seed": 0}
    row = experiments.worlds(**arguments, progress=Progress())
    assert row["loss_b"] == pytest.approx(0.9 * (1797 - 60) / 1797)
    assert row["least_affine_error"] == pytest.approx(row["loss_b"] / 2)
    assert row["short_of_half_gap"] == 0.0
    assert row["error_real"] < row["error_poisoned"] < row["error_random"]
    assert experiments.worlds(**arguments, progress=Progress(), sabotage=True)["least_error"] == 0.0


def test_figures_draw_with_what_a_small_run_has():
    worlds = [
        {"seed": s, "loss_b": 0.8, "least_affine_error": 0.4, **{f"error_{k}": e for k, e in zip(("real", "poisoned", "random"), (0.1, 0.6, 0.9), strict=True)},
         **{f"{k}:{m}": 1.0 + s for k, m in itertools.product(("real", "poisoned", "random"), ("l2_distance", "pacbayes_orig"))}}
        for s in range(2)
    ]  # fmt: skip
    field = [r | {"n": 20, "confusable": 0.9} for r in field_rows(0.49).rows]
    with style():
        for draw, table in (
            (experiments.measures_in_two_worlds, Trials(worlds)),
            (experiments.trade_off, Trials(field)),
            (experiments.ranks, table_of(BLIND, GAPS)),
            (experiments.ranks, table_of(BLIND, GAPS[:1])),
        ):
            drawing = draw(table)
            assert to_svg(drawing, prefix="f").startswith("<svg")
            assert drawing.caption.endswith(".")
