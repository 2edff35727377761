"""Verdicts: applies each claim's rule to the finished trials of a run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from overparam.lab.judgement import Part
from overparam.lab.model import Claim, Verdict, status_of
from overparam.lab.planner import Spec
from overparam.lab.trials import Trials
from overparam.lab.wording import count, sentence_for
from overparam.ledger import Ledger


def table(ledger: Ledger, run_id: str, experiment: str) -> Trials:
    """Read the finished trials of an experiment.

    Args:
        ledger: Where they lie.
        run_id: The run.
        experiment: Its name.

    Returns:
        Rows of parameters, seed and metrics, in the order planned.
    """
    done = (row for row in ledger.trials(run_id, experiment) if row.state == "done")
    return Trials({**json.loads(r.params_json), "seed": r.seed, **json.loads(r.metrics_json)} for r in done)


def judge(
    spec: Spec, ledger: Ledger, run_id: str, claims: Sequence[Claim] | None = None
) -> tuple[list[Verdict], dict[str, str]]:
    """Judge the claims of a run.

    A claim whose experiment has failed trials is inconclusive, whatever the others say. A claim whose trials are
    not all there has no verdict yet.

    Args:
        spec: What was asked.
        ledger: Where the trials lie.
        run_id: The run.
        claims: Those to judge; by default all that were asked for.

    Returns:
        Verdicts, and for each claim without one the reason.
    """
    counts = ledger.counts(run_id)
    changed = [f"changed by hand: {text}" for text in json.loads(spec.options)["custom"]]
    tables: dict[str, Trials] = {}
    costs: dict[str, float] = {}
    verdicts, open_claims = [], {}
    for claim in spec.judged() if claims is None else claims:
        state = counts.get(claim.on)
        if state is None:
            open_claims[claim.id] = f"not part of {spec.scale} scale"
            continue
        missing = state["planned"] - state["done"] - state["failed"]
        if missing:
            open_claims[claim.id] = f"{count(missing, 'trial')} of {state['planned']} not done yet"
            continue
        if claim.on not in tables:
            tables[claim.on] = table(ledger, run_id, claim.on)
            costs[claim.on] = sum(row.cpu_seconds or 0.0 for row in ledger.trials(run_id, claim.on))
        settings = spec.experiments()[claim.on][1].points()
        departs = (*claim.departures(settings), *changed)
        verdicts.append(_verdict(claim, tables[claim.on], state, departs, costs[claim.on]))
    return verdicts, open_claims


def _verdict(
    claim: Claim, trials: Trials, state: Mapping[str, int], departs: tuple[str, ...], seconds: float
) -> Verdict:
    assert claim.rule is not None
    parts: tuple[Part, ...] = ()
    if state["failed"]:
        kept = f"The other {state['done']} are kept." if state["done"] else "None is left to judge by."
        status, sentence = status_of(parts), f"{count(state['failed'], 'trial')} of {state['planned']} failed. {kept}"
    else:
        parts = tuple(claim.rule.judge(trials))
        status = status_of(parts)
        sentence = sentence_for(claim.kind, status, parts)
    return Verdict(claim.id, status, sentence, parts, departs, claim.rule.hash, seconds)


def as_row(verdict: Verdict, claim: Claim, slug: str) -> dict[str, Any]:
    """Write a verdict as a row of the ledger.

    Args:
        verdict: What was found.
        claim: The claim it belongs to.
        slug: The paper.

    Returns:
        Columns of `verdict`; the body is the JSON that users read.
    """
    body = as_json(verdict, claim)
    return {
        "claim": claim.id,
        "paper": slug,
        "rule_hash": verdict.rule_hash,
        "status": verdict.status,
        "estimate": body["estimate"],
        "low": body["low"],
        "high": body["high"],
        "n": body["n"],
        "body_json": json.dumps(body, allow_nan=False),
    }


def as_json(verdict: Verdict, claim: Claim) -> dict[str, Any]:
    """Write a verdict as plain data; infinite edges are None.

    Args:
        verdict: What was found.
        claim: The claim it belongs to.

    Returns:
        The entry of the JSON document of a run.
    """
    assert claim.rule is not None
    head = verdict.headline
    return {
        "claim": claim.id,
        "kind": claim.kind,
        "status": verdict.status,
        "sentence": verdict.sentence,
        "estimate": finite(head.estimate) if head else None,
        "low": finite(head.low) if head else None,
        "high": finite(head.high) if head else None,
        "n": head.n if head else 0,
        "unit": head.unit if head else "",
        "rule": claim.rule.text,
        "rule_hash": verdict.rule_hash,
        "reasons": list(claim.rule.reasons),
        "proxy": verdict.proxy,
        "departs": list(verdict.departs),
        "cpu_seconds": round(verdict.seconds, 3),
        "parts": [_part(part) for part in verdict.parts],
    }


def _part(part: Part) -> dict[str, Any]:
    region = {"low": finite(part.region.low), "high": finite(part.region.high), "closed": part.region.closed}
    return {
        "name": part.name,
        "unit": part.unit,
        "estimate": finite(part.estimate),
        "low": finite(part.low),
        "high": finite(part.high),
        "n": part.n,
        "level": part.level,
        "across": part.across,
        "difference": part.difference,
        "state": part.state,
        "region": region,
    }


def finite(value: float | None) -> float | None:
    """Return a number that JSON can hold.

    Args:
        value: Any number, or None.

    Returns:
        The number, or None where it is missing or infinite.
    """
    return value if value is not None and math.isfinite(value) else None
