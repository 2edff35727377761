"""Kernel limits, few-shot learning and word vectors of wide networks.

Kernels against neural-tangents, which needs JAX: name the interpreter of an environment that has it in OVERPARAM_JAX.
First-order MAML against a loop over tasks by autograd, as MAML libraries do it. Word vectors against gensim.
"""

from __future__ import annotations

import copy
import json
import logging
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from harness import Result, compare, figure
from torch import nn
from torch.nn.functional import cross_entropy

from overparam.methods.fewshot.adaptation import Inner
from overparam.methods.fewshot.episodes import Tasks, TaskSampler
from overparam.methods.fewshot.linear_maml import LinearStart
from overparam.methods.fewshot.maml import ModuleStart
from overparam.methods.scaling.infinite_width import InfiniteLinear
from overparam.methods.scaling.kernel_limit import KernelLimit
from overparam.methods.scaling.word2vec import CBOW, Corpus

INNER, LR, CLIP = Inner(0.4, 1), 0.1, 0.5
PEER = """
import json, os, sys, time
os.sched_setaffinity(0, {0})  # one core, whatever XLA makes of its flags
import jax, numpy as np
jax.config.update("jax_enable_x64", True)
from neural_tangents import stax
x = np.load(sys.argv[1])
w, b, v = 0.7, 0.3, 1.2
_, _, kernel = stax.serial(
    stax.Dense(1, W_std=w * x.shape[1] ** 0.5, b_std=b), stax.Relu(), stax.Dense(1, W_std=v, b_std=None))
kernel = jax.jit(kernel, static_argnames="get")
found = {k: np.asarray(kernel(x, None, get=k)) for k in ("nngp", "ntk")}
np.savez(sys.argv[2], **found)
times = []
for _ in range(7):
    start = time.perf_counter()
    kernel(x, None, get="ntk").block_until_ready()
    times.append(time.perf_counter() - start)
print(json.dumps(float(np.median(times))))
"""


def kernels() -> list[Result]:
    """Equal to neural-tangents' closed forms; time of the tangent kernel of n points with themselves."""
    jax = os.environ.get("OVERPARAM_JAX")
    if not jax:
        print("kernels left out: OVERPARAM_JAX names no interpreter that has neural-tangents", flush=True)
        return []
    results, one_thread = [], {**os.environ, "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}
    for n in (200, 800, 3200):
        x = np.random.default_rng(0).normal(size=(n, 50))
        with tempfile.TemporaryDirectory() as folder:
            given, out = Path(folder, "x.npy"), Path(folder, "k.npz")
            np.save(given, x)
            done = subprocess.run(
                [jax, "-c", PEER, str(given), str(out)], env=one_thread, capture_output=True, text=True, check=True
            )
            theirs, found = json.loads(done.stdout.splitlines()[-1]), dict(np.load(out))
        ours = {k: KernelLimit(k, 0.7, 0.3, sigma_v=1.2) for k in ("gp", "ntk")}
        gap = max(np.abs(ours[k].kernel(x, x) - found[p]).max() for k, p in (("gp", "nngp"), ("ntk", "ntk")))
        results.append(figure(f"kernels of {n:,} points, largest gap to neural-tangents", float(gap), "", at_most=1e-6))
        times = []
        for _ in range(7):
            start = time.perf_counter()
            ours["ntk"].kernel(x, x)
            times.append(time.perf_counter() - start)
        ratio = theirs / float(np.median(times))
        name = f"tangent kernel of {n:,} points, neural-tangents' time / ours"
        results.append(figure(name, ratio, "times"))
    return results


def by_loop(net: nn.Module, tasks: Tasks) -> None:
    """An outer step by a copy of the network for each task."""
    total = [torch.zeros_like(p) for p in net.parameters()]
    for k in range(len(tasks)):
        own = copy.deepcopy(net)
        parameters = list(own.parameters())
        loss = cross_entropy(own(tasks.support[k]), tasks.support_labels[k])
        slopes = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for parameter, slope in zip(parameters, slopes, strict=True):
                parameter -= INNER.lr * slope
        slopes = torch.autograd.grad(cross_entropy(own(tasks.query[k]), tasks.query_labels[k]), parameters)
        for sum_, slope in zip(total, slopes, strict=True):
            sum_ += slope
    norm = float(sum((g**2).sum() for g in total)) ** 0.5
    with torch.no_grad():
        for parameter, slope in zip(net.parameters(), total, strict=True):
            parameter -= LR * min(1.0, CLIP / norm) * slope


def steps() -> list[Result]:
    """One outer step on 32 tasks of five classes, 784 inputs."""
    draw, results = torch.Generator().manual_seed(0), []
    sampler = TaskSampler(torch.rand(100, 20, 784, generator=draw), generator=draw)
    limit = InfiniteLinear(784, 5, 1.0, 1 / 32, 1.0)
    nets: list[tuple[str, nn.Module]] = [(f"linear, width {n}", limit.sample(n, draw)) for n in (8, 128)]
    nets.append(("linear, infinite", limit))
    nets.append(("ReLU, width 128", nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 5))))
    for name, net in nets:
        plain, tasks = copy.deepcopy(net), sampler.sample(32)
        start = ModuleStart(net) if isinstance(net, nn.Sequential) else LinearStart(net)
        start.outer_step(tasks, INNER, LR, CLIP)
        by_loop(plain, tasks)
        for a, b in zip(net.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
        results.append(
            compare(
                f"MAML step, {name}",
                lambda start=start, tasks=tasks: start.outer_step(tasks, INNER, LR, CLIP),
                lambda plain=plain, tasks=tasks: by_loop(plain, tasks),
                peer_name="loop over tasks",
                target=1.0 if isinstance(net, nn.Sequential) else 10.0,
            )
        )
    return results


def word_vectors() -> list[Result]:
    """An epoch of bags of words on random text with Zipf's law: 200,000 words, window 5, five negatives.

    Not the same numbers: gensim applies every update at once, and lets threads race.
    """
    from gensim.models import Word2Vec

    logging.getLogger("gensim").setLevel(logging.ERROR)
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, 2001)
    tokens = rng.choice(2000, (10_000, 20), p=share / share.sum())
    text = [[f"w{k}" for k in row] for row in tokens]
    corpus, results = Corpus.of(text, min_count=1), []
    for dim in (32, 128, 512):

        def ours(dim: int = dim) -> None:
            draw = torch.Generator().manual_seed(0)
            model = CBOW(len(corpus.words), dim, generator=draw)
            model.fit(corpus, epochs=1, window=5, negatives=5, subsample=1.0, batch=256, generator=draw)

        def gensim(dim: int = dim) -> None:
            Word2Vec(
                text,
                vector_size=dim,
                window=5,
                negative=5,
                min_count=1,
                sample=0,
                epochs=1,
                workers=1,
                sg=0,
                cbow_mean=1,
            )

        results.append(
            compare(f"epoch of 200,000 words, width {dim}", ours, gensim, peer_name="gensim, one thread", repeats=3)
        )
    return results


def main() -> list[Result]:
    """Check, time and compare.

    Returns:
        One result a comparison.
    """
    torch.set_num_threads(1)
    return [*kernels(), *steps(), *word_vectors()]


if __name__ == "__main__":
    main()
