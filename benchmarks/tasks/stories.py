"""A memory network on small stories, made here in the manner of bAbI (Weston et al. 2015).

One fact: "mary went to the garden ... where is mary?" - her last move counts. Two facts:
"mary took the ball ... where is the ball?" - who has it, then where that person is: the
network has to look twice, so one hop is not enough.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.tasks.common import fit, table, write
from unfold import systems
from unfold.learn import init

PEOPLE, PLACES, THINGS, SENTENCES, BATCH, STEPS = 4, 5, 3, 6, 32, 4000
WORDS = PEOPLE + PLACES + THINGS + SENTENCES  # the number of a sentence is a word too: when it was said


def story(rng: np.random.Generator, facts: int) -> tuple[Any, Any, int]:
    """Sentences and a question as bags of words, and the place that answers it."""
    x, where, holder = np.zeros((SENTENCES, WORDS), np.float32), {}, {}
    for m in range(SENTENCES):
        person = int(rng.integers(PEOPLE))
        free = [thing for thing in range(THINGS) if thing not in holder]
        if facts == 2 and free and person in where and rng.random() < 0.5:
            thing = int(rng.choice(free))
            holder[thing] = person
            x[m, [person, PEOPLE + PLACES + thing]] = 1
        else:
            where[person] = int(rng.integers(PLACES))
            x[m, [person, PEOPLE + where[person]]] = 1
        x[m, WORDS - SENTENCES + m] = 1
    q = np.zeros(WORDS, np.float32)
    if facts == 1:
        person = int(rng.choice(list(where)))
        q[person] = 1
        return x, q, where[person]
    if not holder:
        return story(rng, facts)
    thing = int(rng.choice(list(holder)))
    q[PEOPLE + PLACES + thing] = 1
    return x, q, where[holder[thing]]


def batch(rng: np.random.Generator, facts: int, n: int = BATCH) -> dict[str, Any]:
    x, q, y = zip(*(story(rng, facts) for _ in range(n)), strict=True)
    return {"x": np.stack(x, axis=1), "q": np.stack(q), "y": np.array(y)}


def main(steps: int = STEPS) -> None:
    rows = []
    for facts in (1, 2):
        test = batch(np.random.default_rng(99), facts, 500)
        for hops in (1, 2, 3):
            one = systems.memory_network(vocabulary=WORDS, memory=32, classes=PLACES, hops=hops)
            g = one.batch("n")

            def score(w: Any) -> float:
                o = g.select("o")(x=test["x"], q=test["q"], **w).o  # noqa: B023
                return float(np.mean(o.argmax(-1) == test["y"]))  # noqa: B023

            _, history = fit(
                g, init.weights(one, {"*": init.normal(0.1)}, 1), lambda rng: batch(rng, facts), steps,  # noqa: B023
                rate=lambda step: 5e-3 if step < steps / 2 else 1e-3,
                every=500, score=score, goal=lambda a: a > 0.998,
            )  # fmt: skip
            rows.append([str(facts), str(hops), f"{history[-1][1]:.1%}", str(history[-1][0])])
            print(rows[-1], flush=True)
    lines = [
        "# Questions about small stories, by a memory network",
        "",
        f"Right answers to 500 new stories of {SENTENCES} sentences; chance is {1 / PLACES:.0%}.",
        "",
        *table(["facts needed", "hops", "right", "batches"], rows),
    ]
    write("stories", lines, {"rows": rows})


if __name__ == "__main__":
    main()
