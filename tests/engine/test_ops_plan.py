"""What the plan runs is what the reference interpreter says, for every operation along an axis."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation import draw, floating, inputs_of, results, run

import unfold as uf
from unfold.ops.examples import Example, all_examples

EXAMPLES = all_examples()
T = 3


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"{e.name}-{k}" for k, e in enumerate(EXAMPLES)])
def test_the_plan_agrees_with_the_reference(example: Example) -> None:
    rng = np.random.default_rng(1)
    t = uf.axis("t")
    steps = [draw(example.given, rng) for _ in range(T)]
    arrays = {n: np.stack([s[n] for s in steps]) for n in steps[0]}
    for y in results(example.call(*inputs_of(example, t))):
        graph = uf.graph(y=y)
        known = {n: a for n, a in arrays.items() if n in graph.inputs}
        np.testing.assert_allclose(graph(**known)["y"], run(graph, **known)["y"], rtol=1e-12, atol=1e-13)
        if y.dtype != "float" or not set(floating(example)) & set(known):
            continue
        graph = uf.graph(y=uf.sum(uf.sum(y * y), over=t))
        names = [n for n in floating(example) if n in known]
        _, got = graph.value_and_grad("y", wrt=names)(**known)
        _, want = graph.value_and_grad("y", wrt=names, backend="reference")(**known)
        for n in names:
            np.testing.assert_allclose(got[n], want[n], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("example", EXAMPLES[::7], ids=[f"{e.name}-{k}" for k, e in enumerate(EXAMPLES[::7])])
def test_second_derivatives_run_by_the_plan(example: Example) -> None:
    rng = np.random.default_rng(2)
    outputs = results(example.call(*inputs_of(example)))
    names = floating(example)
    if outputs[0].dtype != "float" or not names:
        return
    graph = uf.graph(y=uf.sum(outputs[0] * outputs[0])).hvp("y", names)
    arrays = draw(example.given, rng)
    arrays |= {n + "_dot": rng.normal(size=np.shape(arrays[n])) for n in names}
    taken = {n: a for n, a in arrays.items() if n in graph.inputs or n in graph.spare}
    got, want = graph(**taken), graph.compile("reference")(**taken)
    for n in names:
        np.testing.assert_allclose(got[n], want[n], rtol=1e-10, atol=1e-12)
