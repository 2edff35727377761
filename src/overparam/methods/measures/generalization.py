"""Generalisation measures of a trained classifier: norms, margins, PAC-Bayes bounds and sharpness.

With m training labels, d weight matrices W_i (see `norms.weight_matrices`) and their initial values V_i, the vectors w
and v of all their trainable entries (omega of them), and gamma the tenth percentile of the training margins:

- size: `parameters` omega; `vc_dimension` d log2(6 d n)^3 omega, n the last dimension of an input;
- vectors: `l2` |w|, `l2_distance` |w - v|, `param_norm` sum |W_i|_F^2, `fro_distance` and `spec_distance` of W_i - V_i;
- margin: `inverse_margin` 1 / gamma^2;
- products: `spec_prod` prod |W_i|_2^2, `fro_prod` prod |W_i|_F^2, their `_over_margin` forms / gamma^2, `spec_sum` and
  `fro_sum` d (product)^(1/d) with the same forms, `fro_over_spec` sum |W_i|_F^2 / |W_i|_2^2;
- Bartlett type: `spec_orig_main` spec_prod / gamma^2 times `fro_over_spec`; `spec_init_main` with |W_i - V_i|_F^2;
- `path_norm` and `path_norm_over_margin`;
- PAC-Bayes: `pacbayes_init` |w - v|^2 / (4 sigma^2) + log(m / sigma) + 10, `pacbayes_orig` with |w|^2,
  `pacbayes_flatness` 1 / sigma^2; the same with `mag` for noise that grows with the weight (`_mag_bound`);
- `sharpness_mag_flatness` 1 / alpha'^2, the worst case.

Of these the root (value / m)^(1/2) is returned; the log form 0.5 (log value - log m) is its logarithm. In their own
units come `entropy` and `cross_entropy` (nats), `steps_to_ce_0.1`, `steps_from_ce_0.1_to_0.01` (steps), and
`gradient_noise_end`, `gradient_noise_first_epoch` (mean squared distance of a gradient from the mean gradient).

Source: arXiv 1912.02178, appendix C, by way of arXiv 2309.13658 and the code of arXiv 2010.11924. Departures:

1. A margin gamma <= 0 makes every measure over the margin infinite; that code takes the absolute value.
2. Magnitude-aware `orig` measures w from 0 in both places; that code keeps the distance in the denominator.
3. The noise of sigma: see `pac_bayes`. `compat="nitarshan"` undoes 1 to 3.
4. Constants in front of `vc_dimension` are left out. log(m / sigma) + 10 is a convention of the sources.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from overparam.errors import BadInput
from overparam.methods.measures.measured_network import MeasuredNetwork, open_network
from overparam.methods.measures.objective import Batches
from overparam.methods.measures.pac_bayes import MAGNITUDE, Compat

Form = Literal["root", "log", "plain"]
Value = Callable[[MeasuredNetwork], float]
NEEDS = ("weights", "init", "margin", "real inputs", "cross_entropy history", "gradient_noise history")


@dataclass(frozen=True)
class _Measure:
    value: Value
    needs: tuple[str, ...]
    form: Form


_MEASURES: dict[str, _Measure] = {}


def compute_measures(
    model: nn.Module,
    init_state: Mapping[str, Tensor] | None,
    loader: Batches,
    *,
    names: Sequence[str] | None = None,
    seed: int = 0,
    history: Mapping[str, Any] | None = None,
    compat: Compat = None,
) -> dict[str, float]:
    """Compute generalisation measures on the training data.

    Batch normalisation is folded into the layer before it where that leaves the outputs unchanged. What measures share
    (norms, margins, scales of noise) is computed once. The scales of noise take most of the time: up to 15 halvings of
    10 draws each, and 12 of 10 ascents for the worst case; the rest is one pass over the data and a decomposition a
    layer. Memory: the data and 11 times the weights, or 2**26 numbers of noise if that is less.

    Args:
        model: Classifier with logits (..., classes), in evaluation mode where that matters; left as it is.
        init_state: Its `state_dict()` before training; None if no chosen measure needs it.
        loader: Training data: (x, y), or batches of them.
        names: Measures to compute, see `list_measures`; None for all whose needs are met.
        seed: Of the noise.
        history: Of training: `cross_entropy`, the training loss by step from step 0, and `gradient_noise`, the variance
            of the gradient after the first epoch. Either may be absent.
        compat: `nitarshan` for the choices of that code, see the departures of this module.

    Returns:
        Name to value; infinite where a measure is not defined, as over a margin that is not positive.

    Raises:
        BadInput: An unknown measure, one whose needs are not met, an `init_state` of another model, or a model or data
            that cannot be measured.

    Example:
        >>> import torch
        >>> model = nn.Linear(2, 2, bias=False)
        >>> with torch.no_grad():
        ...     _ = model.weight.copy_(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
        >>> data = (torch.eye(2), torch.tensor([0, 1]))
        >>> found = compute_measures(model, None, data, names=["spec_prod", "inverse_margin"])
        >>> {name: round(value, 6) for name, value in found.items()}  # (16 / 2)^(1/2), (1 / 9 / 2)^(1/2)
        {'spec_prod': 2.828427, 'inverse_margin': 0.235702}
    """
    for name in names or ():
        if name not in _MEASURES:
            raise BadInput(f"measure {name!r} is unknown; choose from {', '.join(_MEASURES)}")
    if compat not in (None, "nitarshan"):
        raise BadInput(f"compat={compat!r} is unknown; give None or 'nitarshan'")
    with open_network(model, init_state, loader, seed=seed, history=history or {}, compat=compat) as network:
        if names is None:
            chosen = [n for n, m in _MEASURES.items() if all(not network.lacks(need) for need in m.needs)]
        else:
            chosen = list(names)
        for name in chosen:
            for need in _MEASURES[name].needs:
                if reason := network.lacks(need):
                    raise BadInput(f"{name} needs {need}, and {reason}")
        return {name: _formed(_MEASURES[name], network) for name in chosen}


def _formed(chosen: _Measure, network: MeasuredNetwork) -> float:
    value = chosen.value(network)
    if chosen.form == "plain" or value == math.inf:
        return value
    if chosen.form == "log":
        return _exp(0.5 * (value - math.log(network.size)))
    return math.sqrt(max(value, 0.0) / network.size)


def _exp(x: float) -> float:
    return math.exp(x) if x < 709.0 else math.inf


def list_measures() -> dict[str, tuple[str, ...]]:
    """Name the measures with what each needs.

    Needs are `weights` (an `nn.Linear` or `nn.Conv2d`), `init` (the state before training), `margin` (logits of two or
    more classes), `real inputs` (not token ids), and entries of `history`.

    Returns:
        Name to needs, in the order in which they are computed.

    Example:
        >>> list_measures()["spec_prod_over_margin"]
        ('weights', 'margin')
    """
    return {name: m.needs for name, m in _MEASURES.items()}


def measure(name: str, *, needs: Sequence[str] = (), form: Form = "root") -> Callable[[Value], Value]:
    """Register a measure.

    Args:
        name: Under which `compute_measures` returns it.
        needs: What has to be there, see `list_measures`.
        form: What the function returns: `root` a value of which (value / m)^(1/2) is reported, `log` its logarithm,
            `plain` the number itself.

    Returns:
        A decorator that leaves the function as it is.

    Raises:
        BadInput: A name that is taken, or a need that is unknown.
    """
    unknown = [need for need in needs if need not in NEEDS]
    if name in _MEASURES or unknown:
        raise BadInput(f"measure({name!r}, needs={tuple(needs)}): take a new name, and needs from {', '.join(NEEDS)}")

    def register(value: Value) -> Value:
        _MEASURES[name] = _Measure(value, tuple(needs), form)
        return value

    return register


def _log(x: float) -> float:
    return -math.inf if x <= 0 else math.inf if math.isinf(x) else math.log(x)


def _over_margin(log_value: float, network: MeasuredNetwork) -> float:
    gamma = network.gamma
    return math.inf if gamma <= 0 else log_value - 2 * math.log(gamma)


def _log_product(squares: Sequence[float]) -> float:
    return sum(_log(s) for s in squares)


def _log_sum(squares: Sequence[float], over: float) -> float:
    """Log of d (product)^(1/d), from the log of the product with or without the margin."""
    return math.log(len(squares)) + over / len(squares)


def _ratios(above: Sequence[float], below: Sequence[float]) -> float:
    return sum(a / b if b > 0 else math.inf for a, b in zip(above, below, strict=True))


def _register_products(kind: str, squares: Callable[[MeasuredNetwork], list[float]]) -> None:
    @measure(f"{kind}_prod", needs=("weights",), form="log")
    def product(network: MeasuredNetwork) -> float:
        return _log_product(squares(network))

    @measure(f"{kind}_prod_over_margin", needs=("weights", "margin"), form="log")
    def product_over_margin(network: MeasuredNetwork) -> float:
        return _over_margin(product(network), network)

    @measure(f"{kind}_sum", needs=("weights",), form="log")
    def total(network: MeasuredNetwork) -> float:
        return _log_sum(squares(network), product(network))

    @measure(f"{kind}_sum_over_margin", needs=("weights", "margin"), form="log")
    def total_over_margin(network: MeasuredNetwork) -> float:
        return _log_sum(squares(network), product_over_margin(network))


@measure("parameters", needs=("weights",))
def _parameters(network: MeasuredNetwork) -> float:
    return float(network.vector.numel())


@measure("vc_dimension", needs=("weights",))
def _vc_dimension(network: MeasuredNetwork) -> float:
    d = len(network.matrices)
    return d * math.log2(6 * d * network.input_side) ** 3 * network.vector.numel()


@measure("l2", needs=("weights",))
def _l2(network: MeasuredNetwork) -> float:
    return float(network.vector.norm())


@measure("l2_distance", needs=("weights", "init"))
def _l2_distance(network: MeasuredNetwork) -> float:
    return float(network.distance_vector.norm())


@measure("param_norm", needs=("weights",))
def _param_norm(network: MeasuredNetwork) -> float:
    return sum(network.fro)


@measure("fro_distance", needs=("weights", "init"))
def _fro_distance(network: MeasuredNetwork) -> float:
    return sum(network.fro_distance)


@measure("spec_distance", needs=("weights", "init"))
def _spec_distance(network: MeasuredNetwork) -> float:
    return sum(network.spec_distance)


@measure("inverse_margin", needs=("margin",))
def _inverse_margin(network: MeasuredNetwork) -> float:
    return math.inf if network.gamma <= 0 else network.gamma**-2


_register_products("spec", lambda network: network.spec)
_register_products("fro", lambda network: network.fro)


@measure("fro_over_spec", needs=("weights",))
def _fro_over_spec(network: MeasuredNetwork) -> float:
    return _ratios(network.fro, network.spec)


@measure("spec_orig_main", needs=("weights", "margin"), form="log")
def _spec_orig_main(network: MeasuredNetwork) -> float:
    return _over_margin(_log_product(network.spec) + _log(_ratios(network.fro, network.spec)), network)


@measure("spec_init_main", needs=("weights", "margin", "init"), form="log")
def _spec_init_main(network: MeasuredNetwork) -> float:
    return _over_margin(_log_product(network.spec) + _log(_ratios(network.fro_distance, network.spec)), network)


@measure("path_norm", needs=("weights", "real inputs"))
def _path_norm(network: MeasuredNetwork) -> float:
    return network.path


@measure("path_norm_over_margin", needs=("weights", "real inputs", "margin"), form="log")
def _path_norm_over_margin(network: MeasuredNetwork) -> float:
    return _over_margin(_log(network.path), network)


def _bound(reference: Tensor, network: MeasuredNetwork) -> float:
    sigma = float(network.sigma)
    if sigma == 0:
        return math.inf
    return float(reference.square().sum()) / (4 * sigma**2) + math.log(network.size / sigma) + 10


def _mag_bound(reference: Tensor, network: MeasuredNetwork) -> float:
    """(1/4) sum log[(eps^2 + (s^2 + 1) |r|^2 / omega) / (eps^2 + s^2 r_j^2)] + log(m / s) + 10."""
    scale, eps = float(network.sigma_mag), MAGNITUDE**2
    if scale == 0:
        return math.inf
    own = network.distance_vector if network.compat else reference
    above = eps + (scale**2 + 1) * float(reference.square().sum()) / reference.numel()
    terms = math.log(above) - (eps + scale**2 * own.square()).log()
    return float(terms.sum()) / 4 + math.log(network.size / scale) + 10


def _flatness(scale: float) -> float:
    return scale**-2 if scale > 0 else math.inf


@measure("pacbayes_init", needs=("weights", "margin", "init"))
def _pacbayes_init(network: MeasuredNetwork) -> float:
    return _bound(network.distance_vector, network)


@measure("pacbayes_orig", needs=("weights", "margin"))
def _pacbayes_orig(network: MeasuredNetwork) -> float:
    return _bound(network.vector, network)


@measure("pacbayes_flatness", needs=("weights", "margin"))
def _pacbayes_flatness(network: MeasuredNetwork) -> float:
    return _flatness(float(network.sigma))


@measure("pacbayes_mag_init", needs=("weights", "margin", "init"))
def _pacbayes_mag_init(network: MeasuredNetwork) -> float:
    return _mag_bound(network.distance_vector, network)


@measure("pacbayes_mag_orig", needs=("weights", "margin"))
def _pacbayes_mag_orig(network: MeasuredNetwork) -> float:
    return _mag_bound(network.vector, network)


@measure("pacbayes_mag_flatness", needs=("weights", "margin"))
def _pacbayes_mag_flatness(network: MeasuredNetwork) -> float:
    return _flatness(float(network.sigma_mag))


@measure("sharpness_mag_flatness", needs=("weights", "margin"))
def _sharpness_mag_flatness(network: MeasuredNetwork) -> float:
    return _flatness(float(network.alpha))


@measure("entropy", needs=("margin",), form="plain")
def _entropy(network: MeasuredNetwork) -> float:
    return network.margins.entropy


@measure("cross_entropy", needs=("margin",), form="plain")
def _cross_entropy(network: MeasuredNetwork) -> float:
    return network.margins.cross_entropy


@measure("gradient_noise_end", needs=("weights", "margin"), form="plain")
def _gradient_noise_end(network: MeasuredNetwork) -> float:
    return network.gradient_noise


@measure("gradient_noise_first_epoch", needs=("gradient_noise history",), form="plain")
def _gradient_noise_first_epoch(network: MeasuredNetwork) -> float:
    return float(network.history["gradient_noise"])


@measure("steps_to_ce_0.1", needs=("cross_entropy history",), form="plain")
def _steps_to(network: MeasuredNetwork) -> float:
    return network.first_step(0.1)


@measure("steps_from_ce_0.1_to_0.01", needs=("cross_entropy history",), form="plain")
def _steps_between(network: MeasuredNetwork) -> float:
    last = network.first_step(0.01)
    return last - network.first_step(0.1) if math.isfinite(last) else math.inf
