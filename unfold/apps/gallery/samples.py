"""Real input for every system, out of one text: characters, words, lines as arrays.

The text is the user's, or the Zen of Python, which every installation of Python has.
"""

from __future__ import annotations

import codecs
import contextlib
import importlib
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unfold.core.errors import UnfoldError

STEPS, LIMIT, HIDDEN = 40, 20_000, 12
VOWELS = "aeiou"


@dataclass(frozen=True)
class Sample:
    """What a system is given: its sizes, its inputs, and in words what they are.

    `answers` names the classes it chooses from, `wanted` is the right choice; `rows` and
    `columns` name what weights over two axes (attention, hops) stand between.
    """

    about: str
    sizes: dict[str, int]
    inputs: dict[str, Any]
    answers: Sequence[str] = ()
    wanted: Sequence[str] = ()
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()


def default_text() -> tuple[str, str]:
    """The Zen of Python, and what to call it."""
    with contextlib.redirect_stdout(io.StringIO()):  # importing it prints it
        this = importlib.import_module("this")
    return codecs.decode(this.s, "rot13"), "The Zen of Python (the text of `import this`)"


def read_text(path: str) -> tuple[str, str]:
    """The beginning of a text file, and what to call it."""
    try:
        with Path(path).open(encoding="utf-8-sig") as file:
            text = file.read(LIMIT)
    except UnicodeDecodeError as error:
        raise UnfoldError(f"{path} is not text in UTF-8: byte {error.start} cannot be read") from None
    if not text.strip():
        raise UnfoldError(f"{path} has no text in it: the systems need characters to read")
    name = Path(path).name
    return text, name if len(text) < LIMIT else f"the first {LIMIT:,} characters of {name}"


class Alphabet:
    """The most frequent symbols of a text, numbered from 0; all others are the last one."""

    def __init__(self, symbols: Sequence[str], size: int = 40) -> None:
        common = [s for s, _ in Counter(symbols).most_common(size)]
        self.symbols = sorted(common) + ([] if len(common) == len(set(symbols)) else ["?"])
        self.number = {s: n for n, s in enumerate(self.symbols)}

    def __len__(self) -> int:
        return len(self.symbols)

    def codes(self, symbols: Sequence[str]) -> NDArray[np.int64]:
        return np.array([self.number.get(s, len(self) - 1) for s in symbols], dtype=np.int64)

    def one_hot(self, symbols: Sequence[str]) -> NDArray[np.float64]:
        chosen: NDArray[np.float64] = np.eye(len(self))[self.codes(symbols)]
        return chosen

    def bag(self, symbols: Sequence[str]) -> NDArray[np.float64]:
        """How often each symbol occurs."""
        counts: NDArray[np.float64] = self.one_hot(symbols).sum(axis=0)
        return counts


class Samples:
    """Samples for the systems, by name."""

    def __init__(self, text: str) -> None:
        if not text.strip():
            raise UnfoldError("the text is empty: the systems need characters to read")
        lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
        self.lines = (lines * 6)[: max(6, min(len(lines), 10))]
        flat = " ".join(lines)
        self.text = (flat + " ") * (2 * STEPS // len(flat) + 1)
        self.low = self.text.lower()
        self.letters = Alphabet(self.low)
        words = sorted(set(re.findall(r"[^\W\d_]{2,}", self.low)), key=lambda w: (abs(len(w) - 8), w))
        self.word = words[0] if words else (self.low.replace(" ", "") * 3)[:8]

    def __getitem__(self, name: str) -> Sample:
        base = name.removesuffix("_3").removesuffix("_initial").removesuffix("_every")
        if base.startswith("rnn") or base in ("stacked", "lstm", "gru"):
            base = "characters"
        sample: Sample = getattr(self, base)()
        return sample

    def _sizes(self, **more: int) -> dict[str, int]:
        return {"hidden": HIDDEN, "classes": len(self.letters), **more}

    def characters(self) -> Sample:
        x, y = self.low[:STEPS], self.low[1 : STEPS + 1]
        about = f"Reads {STEPS} characters of the text; at each of them, which one comes next?"
        inputs = {"x": self.letters.one_hot(x), "y": self.letters.codes(y)}
        return Sample(about, self._sizes(input=len(self.letters)), inputs, self.letters.symbols, y)

    def bidirectional(self) -> Sample:
        kinds = [0 if not c.isalpha() else 1 + c.isupper() for c in self.text[:STEPS]]
        answers = ("\u00b7", "a", "A")
        about = f"Reads {STEPS} characters without their capitals; which were capitals (A)?"
        inputs = {"x": self.letters.one_hot(self.low[:STEPS]), "y": np.array(kinds)}
        sizes = self._sizes(input=len(self.letters), classes=3)
        return Sample(about, sizes, inputs, answers, [answers[k] for k in kinds])

    def feed_forward(self) -> Sample:
        about = f"Sees the three characters {self.low[:3]!r} at once; which one comes next?"
        x, after = self.letters.one_hot(self.low[:3]).ravel(), self.low[3]
        inputs = {"x": x, "y": int(self.letters.codes([after])[0])}
        return Sample(about, self._sizes(input=x.size), inputs, self.letters.symbols, [after])

    def _vowels(self) -> str:
        return ("".join(c for c in self.low if c in VOWELS) or VOWELS)[:STEPS]

    def dynamical(self) -> Sample:
        seen = self._vowels()
        about = f"Is to arrive, after 12 steps, at how often {', '.join(VOWELS)} occur in the text."
        shares = np.array([seen.count(v) / len(seen) for v in VOWELS])
        return Sample(about, {"state": len(VOWELS)}, {"target": shares, "t": 12})

    def driven(self) -> Sample:
        seen = self._vowels()
        about = f"Pushed by the text's vowels, {seen[:12]}..., it is to end at how often each occurs."
        signal = np.eye(len(VOWELS))[[VOWELS.index(v) for v in seen]] / 2
        return Sample(about, {"state": len(VOWELS)}, {"x": signal, "target": 2 * signal.mean(axis=0)})

    def vector_to_sequence(self) -> Sample:
        about = f"Is given how often each letter occurs in {self.word!r}, and is to spell the word."
        inputs = {"context": self.letters.bag(self.word), "y": self.letters.codes(self.word)}
        return Sample(about, self._sizes(context=len(self.letters)), inputs, self.letters.symbols, self.word)

    def encoder_decoder(self) -> Sample:
        back = self.word[::-1]
        about = f"Reads the word {self.word!r}, and is to write it backwards."
        inputs = {"x": self.letters.one_hot(self.word), "z": self.letters.codes(back)}
        sizes = self._sizes(input=len(self.letters), decoder=HIDDEN + 2)
        return Sample(about, sizes, inputs, self.letters.symbols, back, back, self.word)

    def attention(self) -> Sample:
        plain = self.encoder_decoder()
        return replace(plain, sizes={**plain.sizes, "align": HIDDEN})

    def memory_network(self) -> Sample:
        split = [re.findall(r"\w+", line.lower())[:12] or [line[:20]] for line in self.lines]
        words = Alphabet([w for line in split for w in line], size=80)
        asked = next((line for line in split[1:] if len(line) > 2), split[0])
        about = f"Remembers {len(split)} lines of the text; which word follows {' '.join(asked[:-1])!r}?"
        inputs = {
            "x": np.array([words.bag(line) for line in split]),
            "q": words.bag(asked[:-1] or asked),
            "y": int(words.codes(asked[-1:])[0]),
        }
        sizes = {"vocabulary": len(words), "memory": HIDDEN, "classes": len(words)}
        rows, columns = [f"hop {k}" for k in (1, 2, 3)], [" ".join(line) for line in split]
        return Sample(about, sizes, inputs, words.symbols, asked[-1:], rows, columns)

    def grid(self) -> Sample:
        rows, columns = 5, 12
        block = [line.lower().ljust(columns + 1) for line in self.lines[:rows]]
        x = np.array([self.letters.one_hot(line[:columns]) for line in block])
        after = block[-1][columns]
        about = f"Reads a block of {rows} lines by {columns} characters; which one follows its corner?"
        inputs = {"x": x, "y": int(self.letters.codes([after])[0])}
        return Sample(about, self._sizes(input=len(self.letters)), inputs, self.letters.symbols, [after])
