"""Grids of the experiments at the three scales."""

from __future__ import annotations

from typing import Any

import numpy as np

from overparam.lab import first_available, grid

TIMES = np.concatenate([[0.0], np.geomspace(0.1, 1000.0, 17)])
SNR = 5.0
SHARES = [0.25, 0.5, 0.75, 1.0, 1.25, 2.0, 4.0, 8.0]  # hidden units a sample
WIDTHS = [3, 5, 8, 12, 20, 60, 200]

DYNAMICS: dict[str, Any] = {
    "smoke": grid(inputs=[100], alpha=[2.0, 4.0], inr=[0.0], matrices=[8], teachers=[200]),
    "laptop": grid(inputs=[200], alpha=[0.25, 0.5, 1.0, 1.5, 4.0], inr=[0.0, 5.0], matrices=[8], teachers=[200]),
    "paper": grid(inputs=[1000], alpha=[0.25, 0.5, 1.0, 1.5, 4.0], inr=[0.0, 5.0], matrices=[10], teachers=[200]),
}
SIZES: dict[str, Any] = {
    "smoke": grid(samples=[100], alpha=[0.25, 0.5, 0.9, 1.0, 1.1, 2.0, 4.0]),
    "laptop": grid(samples=[400], alpha=[0.25, 0.35, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 4.0]),
    "paper": grid(samples=[1000], alpha=[0.25, 0.35, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 4.0]),
}
DEPTHS: dict[str, Any] = {
    "smoke": grid(samples=[60], alpha=[0.5, 1.0, 2.0], depth=[1, 2, 3, 4]),
    "laptop": grid(samples=[200], alpha=[0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.5, 2.0, 4.0], depth=[1, 2, 3, 4]),
    "paper": grid(samples=[1000], alpha=[0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.5, 2.0, 4.0], depth=[1, 2, 3, 4]),
}
STARTS: dict[str, Any] = {
    "smoke": grid(inputs=[60], alpha=[0.5, 2.0], inr=[0.0, 5.0]),
    "laptop": grid(inputs=[200], alpha=[0.25, 0.5, 0.75, 2.0], inr=[0.0, 1.0, 2.0, 5.0, 10.0]),
    "paper": grid(inputs=[1000], alpha=[0.25, 0.5, 0.75, 2.0], inr=[0.0, 1.0, 2.0, 5.0, 10.0]),
}
FROZEN: dict[str, Any] = {
    "smoke": grid(weights=[40], alpha=[0.5], features=["linear", "hidden layer"], steps=[200]),
    "laptop": grid(weights=[200], alpha=[0.25, 0.5, 0.75], features=["linear", "hidden layer"], steps=[1000]),
    "paper": grid(weights=[1000], alpha=[0.25, 0.5, 0.75], features=["linear", "hidden layer"], steps=[10_000]),
}
STOPPING: dict[str, Any] = {
    "smoke": grid(inputs=[60], alpha=[0.5, 2.0], snr=[1.0, 25.0]),
    "laptop": grid(inputs=[200], alpha=[0.25, 0.5, 1.0, 1.2, 2.0, 4.0], snr=[1.0, 5.0, 25.0]),
    "paper": grid(inputs=[1000], alpha=[0.25, 0.5, 1.0, 1.2, 2.0, 4.0], snr=[1.0, 5.0, 25.0]),
}
HIDDEN: dict[str, Any] = {
    "smoke": grid(samples=[60], inputs=[20], share=SHARES),
    "laptop": grid(samples=[200], inputs=[20], share=SHARES),
    "paper": grid(samples=[1000], inputs=[20], share=SHARES),
}
FULL: dict[str, Any] = {
    "smoke": grid(samples=[40], inputs=[6], scale=[0.1], width=[2, 6, 40], steps=[200])
    + grid(samples=[40], inputs=[6], scale=[3.0], width=[40], steps=[200]),
    "laptop": grid(samples=[100], inputs=[15], scale=[0.1, 1.0, 3.0], width=WIDTHS, steps=[20_000]),
    "paper": grid(samples=[100], inputs=[15], scale=[0.1, 1.0, 3.0], width=WIDTHS, steps=[100_000]),
}
IMAGES: dict[str, Any] = {
    "smoke": grid(data=["digits"], samples=[100], share=[0.5, 1.0, 2.0, 8.0]),
    "laptop": grid(data=["digits"], samples=[400], share=SHARES)
    + grid(data=first_available("mnist"), samples=[400], share=SHARES),
    "paper": grid(data=first_available("mnist", "digits"), samples=[2000], share=SHARES),
}
