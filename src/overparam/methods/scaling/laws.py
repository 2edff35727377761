"""Laws for the best learning rate and batch size of language-model pretraining, as their papers give them.

Step Law (Li et al., arXiv 2503.04715): lr* = 1.79 N^-0.713 D^0.307 and B* = 0.58 D^0.571, with N parameters without the
vocabulary, D training tokens and B in tokens; and its competitors. Constants marked as from memory were not read in
their papers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput

Array = NDArray[np.float64]
SEQUENCE = 2048  # tokens in a sequence of the published sweep
FITTED_N, FITTED_D = (2.1e8, 1.1e9), (4e9, 1e11)


@dataclass(frozen=True)
class HyperParameters:
    """A prediction.

    Attributes:
        lr: Peak learning rate; a float or an array.
        batch_tokens: Batch size in tokens; NaN where the law has none.
        lr_interval: 95 % interval, if known.
        batch_interval: 95 % interval in tokens, if known.
    """

    lr: Any
    batch_tokens: Any
    lr_interval: tuple[Any, Any] | None = None
    batch_interval: tuple[Any, Any] | None = None

    def batch_sequences(self, seq_len: int) -> int:
        """Round the batch size to whole sequences.

        Args:
            seq_len: Tokens in a sequence.

        Returns:
            At least 1.

        Raises:
            BadInput: seq_len below 1, or no batch size.
        """
        if seq_len < 1 or not np.isfinite(self.batch_tokens):
            raise BadInput(
                f"seq_len={seq_len} with batch_tokens={self.batch_tokens}; give seq_len >= 1 and a law with a batch"
            )
        return max(1, round(float(self.batch_tokens) / seq_len))


@dataclass(frozen=True)
class Law:
    """A law for learning rate and batch size.

    Attributes:
        name: Key in `LAWS`.
        title: Name for people.
        needs: Inputs: N, D, C (training FLOPs: FLOPs per token times D) or loss.
        source: Where the constants come from.
        made_for: The setting it was made for.
    """

    name: str
    title: str
    needs: frozenset[str]
    source: str
    made_for: str
    _lr: Callable[[Mapping[str, Array]], Array]
    _batch: Callable[[Mapping[str, Array]], Array]

    def predict(
        self, N: ArrayLike, D: ArrayLike, *, C: ArrayLike | None = None, loss: ArrayLike | None = None
    ) -> HyperParameters:
        """Predict, elementwise, in float64: products of integer columns would overflow.

        Args:
            N: Parameters without the vocabulary.
            D: Training tokens.
            C: Training FLOPs (non-embedding FLOPs per token times D), for laws in C; 6 N D if not given.
            loss: Loss that will be reached, for laws in the loss.

        Returns:
            Learning rate and batch size in tokens, of the broadcast shape.

        Raises:
            BadInput: Inputs that are not positive and finite, or a missing loss.
        """
        given = {"N": positive("N", N), "D": positive("D", D)}
        given["C"] = 6 * given["N"] * given["D"] if C is None else positive("C", C)
        if "loss" in self.needs and loss is None:
            raise BadInput(f"law {self.name} needs the loss that will be reached; pass loss=")
        if loss is not None:
            given["loss"] = positive("loss", loss)
        lr, batch = np.broadcast_arrays(self._lr(given), self._batch(given))
        return HyperParameters(scalar(lr), scalar(batch))


def positive(name: str, value: ArrayLike) -> Array:
    """Check numbers and convert them to float64.

    Args:
        name: Of the argument, for the message.
        value: Number or array.

    Returns:
        The same as an array.

    Raises:
        BadInput: Not positive or not finite.
    """
    x = np.asarray(value, dtype=np.float64)
    if not (np.isfinite(x) & (x > 0)).all():
        raise BadInput(f"{name}={value!r} is not positive and finite; give positive numbers")
    return x


def scalar(x: Array) -> Any:
    """Return a float for an array without dimensions, else the array."""
    return float(x) if x.ndim == 0 else np.array(x)


def _none(given: Mapping[str, Array]) -> Array:
    return np.full(np.broadcast(given["N"], given["D"]).shape, np.nan)


STEP = Law(
    "step",
    "Step Law",
    frozenset({"N", "D"}),
    "arXiv 2503.04715, equation 1",
    "dense and sparse models, 0.2 to 1.1 billion parameters",
    lambda g: 1.79 * g["N"] ** -0.713 * g["D"] ** 0.307,
    lambda g: 0.58 * g["D"] ** 0.571,
)
DEEPSEEK = Law(
    "deepseek",
    "DeepSeek",
    frozenset({"C"}),
    "DeepSeek LLM, arXiv 2401.02954, section 3",
    "compute budgets of 1e17 to 2e19 FLOPs",
    lambda g: 0.3118 * g["C"] ** -0.1250,
    lambda g: 0.2920 * g["C"] ** 0.3271,
)
PORIAN = Law(
    "porian",
    "Porian",
    frozenset({"N"}),
    "Porian et al., arXiv 2406.19146 (constants from memory)",
    "20 tokens a parameter",
    lambda g: 3.7 * g["N"] ** -0.36 * np.ones_like(g["D"]),
    lambda g: 0.7576 * g["N"] ** 0.703,
)
OPENAI = Law(
    "openai",
    "OpenAI",
    frozenset({"N", "loss"}),
    "Kaplan et al., arXiv 2001.08361, sections 5.1 and D.6 (constants from memory)",
    "models up to 1.5 billion parameters; the batch is the critical one",
    lambda g: 0.003239 - 0.0001395 * np.log(g["N"]) + 0 * g["D"],
    lambda g: 2e8 * g["loss"] ** (-1 / 0.21),
)
MINICPM = Law(
    "minicpm",
    "MiniCPM",
    frozenset({"loss"}),
    "Hu et al., arXiv 2404.06395 (constants from memory)",
    "muP: its learning rate 0.01 does not compare with the others",
    lambda g: 0.01 + 0 * g["N"] * g["D"],
    lambda g: 1.21e9 / g["loss"] ** 6.24,
)


def microsoft(constant: float) -> Law:
    """Make the law of Bjorck et al. with a constant that you calibrate; the unit of theirs is unclear.

    Args:
        constant: Positive; lr = constant N^-0.23 D^-0.32. There is no law for the batch.

    Returns:
        The law.

    Raises:
        BadInput: A constant that is not positive.

    Source: Bjorck et al., arXiv 2409.19913 (exponents from memory).
    """
    positive("constant", constant)
    return Law(
        "microsoft",
        "Microsoft",
        frozenset({"N", "D"}),
        "Bjorck et al., arXiv 2409.19913 (exponents from memory)",
        "exponents only: calibrate the constant on one of your runs",
        lambda g: constant * g["N"] ** -0.23 * g["D"] ** -0.32,
        _none,
    )


def meituan(lr: tuple[float, float], batch: tuple[float, float]) -> Law:
    """Make a law in powers of the loss, lr = a L^b, with your constants: the published ones are not known to us.

    Args:
        lr: Factor and exponent.
        batch: Factor and exponent.

    Returns:
        The law.

    Source: Wang et al. 2024, as cited in arXiv 2503.04715.
    """
    return Law(
        "meituan",
        "MeiTuan",
        frozenset({"loss"}),
        "Wang et al. 2024, constants by the caller",
        "powers of the loss",
        lambda g: lr[0] * g["loss"] ** lr[1] + 0 * g["N"] * g["D"],
        lambda g: batch[0] * g["loss"] ** batch[1] + 0 * g["N"] * g["D"],
    )


LAWS = {law.name: law for law in (STEP, DEEPSEEK, PORIAN, OPENAI, MINICPM)}


def flops_per_token(h: ArrayLike, ffnh: ArrayLike, numl: ArrayLike, seq_len: ArrayLike = SEQUENCE) -> Any:
    """Non-embedding training FLOPs per token, M = 6 (4 h + 3 ffnh + 2 seq_len) numl h.

    Args:
        h: Width.
        ffnh: Width of the feed-forward layer.
        numl: Layers.
        seq_len: Tokens in a sequence.

    Returns:
        FLOPs per token in float64; times D it is the C of DeepSeek's law.

    Source: arXiv 2503.04715, official code.
    """
    width, inner, layers, length = (np.asarray(x, dtype=np.float64) for x in (h, ffnh, numl, seq_len))
    return 6 * (4 * width + 3 * inner + 2 * length) * layers * width
