"""Wrong labels of CIFAR-10N found by `overparam examine`, beside cleanlab's rankings.

Precision is the share of truly wrong labels among the first so many of a ranking. cleanlab ranks by the probabilities
of the network itself, and by the very probabilities that our ranking uses. Nothing here is timed.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from harness import Result

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
DEPTHS = (100, 500, 1000, 2000)


def main() -> list[Result]:
    """Train, rank and compare with the right labels."""
    import cifar10n

    from overparam import data
    from overparam.examine.bench import prepare
    from overparam.examine.subject import subject_of
    from overparam.examine.wrong_labels import wrong_labels
    from overparam.methods.training.fixed_steps import logits_of

    if not (data.available("cifar10") and data.available("cifar10n")):
        print("CIFAR-10 and CIFAR-10N are not at hand; this part is left out")
        return []
    results = []
    for kind, epochs in (("worst", 15), ("random1", 15), ("random1", 60), ("aggre", 15)):
        bench = prepare(
            subject_of(cifar10n.target(kind, epochs), kind), limit=20_000, seed=0, deadline=time.monotonic() + 600
        )
        wrong_labels(bench, time.monotonic() + 600)
        assert bench.probabilities is not None
        ranking = np.argsort(bench.probabilities[np.arange(len(bench.y)), bench.y.numpy()], kind="stable")
        truth = cifar10n.photographs(kind)[2][bench.examples.positions]
        wrong = (truth != bench.y).numpy()
        own = logits_of(bench.model, bench.x).double().softmax(1).numpy()
        fitted = float((own.argmax(1) == bench.y.numpy()).mean())
        rankings = _cleanlab(bench.y.numpy(), own, bench.probabilities)
        for depth in DEPTHS:
            ours = float(wrong[ranking[:depth]].mean())
            others = "; ".join(
                f"{on}: " + ", ".join(f"{name} {wrong[order[:depth]].mean():.1%}" for name, order in found.items())
                for on, found in rankings.items()
            )
            name = f"{kind}, {wrong.mean():.0%} wrong, {fitted:.0%} fitted: first {depth:,}"
            results.append(Result(name, f"ours {ours:.1%}", others, "", "", None))
            print(results[-1], flush=True)
    return results


def _cleanlab(y: np.ndarray, own: np.ndarray, ours: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """Rankings by cleanlab, most suspicious first; none where it is not installed."""
    try:
        from cleanlab.rank import get_label_quality_scores
    except ImportError:
        print("cleanlab is not installed; its rankings are left out")
        return {}

    def rankings(p: np.ndarray, methods: dict[str, str]) -> dict[str, np.ndarray]:
        return {
            name: np.argsort(get_label_quality_scores(y, p, method=method), kind="stable")
            for name, method in methods.items()
        }

    margin, entropy = {"margin": "normalized_margin"}, {"entropy": "confidence_weighted_entropy"}
    confidence = {"self-confidence": "self_confidence"}
    return {
        "cleanlab on the network": rankings(own, confidence | margin | entropy),
        "on our probabilities": rankings(ours, margin | entropy),  # its self-confidence is our ranking
    }


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
