"""Math labels: h1, theta, Wf and a time become h with subscript 1, the letter, W with subscript f,
a superscript in parentheses. A label is a row of runs; each writer sets them in its own way."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from functools import lru_cache

_LETTERS = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau "
    "upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
)

GREEK = dict(zip(_LETTERS.split(), "αβγδεζηθικλμνξοπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ", strict=True))

HATS = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303", "dot": "\u0307"}

SMALL = 0.68  # size of a raised or lowered run

RAISE, LOWER = -0.42, 0.22  # in em

LONGEST = 14


@dataclass(frozen=True)
class Letters:
    """Text of one style: `shift` is 1 for a superscript, -1 for a subscript."""

    text: str
    italic: bool = False
    shift: int = 0


Label = tuple[Letters, ...]


@lru_cache(maxsize=4096)
def math(name: str, sup: str = "", sub: str = "") -> Label:
    """A variable's label: `math("h1", sup="t-1")` is h, 1 lowered, (t−1) raised."""
    base, index = _split(name)
    runs = [Letters(base, italic=_slanted(base))]
    lowered = ",".join(p for p in (index, sub) if p)
    if lowered:
        runs += [replace(r, shift=-1) for r in expression(lowered)]
    if sup:
        runs += [replace(r, shift=1) for r in expression(f"({sup})")]
    return tuple(runs)


def upright(text: str) -> Label:
    """A word or symbol as it stands."""
    return (Letters(_short(text)),) if text else ()


@lru_cache(maxsize=4096)
def expression(text: str) -> Label:
    """An index such as (t-1): letters italic, digits and signs upright, − for minus."""
    parts = re.findall(r"[^\W\d_]+|[\W\d_]+", text.replace("-", "\u2212").replace(" ", ""))
    return tuple(Letters(_glyph(p), italic=_slanted(_glyph(p)) and p[0].isalpha()) for p in parts)


def join(labels: list[Label], between: str = ",\u00a0") -> Label:
    """Labels in a row."""
    out: list[Letters] = []
    for k, label in enumerate(labels):
        out += ([Letters(between)] if k else []) + list(label)
    return tuple(out)


def plain(label: Label) -> str:
    """The label as bare text, for formats without runs: h₁(t−1)."""
    low = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
    return "".join(r.text.translate(low) if r.shift < 0 else r.text for r in label)


def width(label: Label, size: float) -> float:
    """About how wide it is, in points, in a Times-like face."""
    return size * sum(_em(r.text) * (SMALL if r.shift else 1.0) for r in label)


def fitted(label: Label, size: float, room: float) -> float:
    """The size at which a label is at most `room` wide."""
    w = width(label, size)
    return size if w <= room else round(size * room / w, 2)


@lru_cache(maxsize=4096)
def _em(text: str) -> float:
    total = 0.0
    for c in text:
        if unicodedata.combining(c):
            continue
        if c in "il.,;:'|!′jtfr()[] I-":
            total += 0.33
        elif c in "mwMWΩ…⇉":
            total += 0.82
        elif c.isupper() or c in "+−×÷=<>≤^√Σσ∇∂⊙":
            total += 0.66
        else:
            total += 1.0 if ord(c) > 0x2E80 else 0.5
    return total


def _split(name: str) -> tuple[str, str]:
    """A name as its letter and its subscript."""
    name = _short(name)
    base, _, index = name.partition("_")
    if len(base) == 1 and index in HATS:
        return _glyph(base + index), ""
    if base and index and "_" not in index:
        return _glyph(base), index
    found = re.fullmatch(r"([^\W\d_]+)(\d+)('*)", name)
    if found:
        return _glyph(found[1]) + found[3].replace("'", "′"), found[2]
    found = re.fullmatch(r"([A-Z])([a-z])", name)
    if found:
        return found[1], found[2]
    return _glyph(name), ""


def _glyph(word: str) -> str:
    if word in GREEK:
        return GREEK[word]
    if (len(word) == 4 and word[1:] in HATS) or (len(word) == 6 and word[1:] in HATS):
        return unicodedata.normalize("NFC", word[0] + HATS[word[1:]])
    return word.replace("'", "′")


def _slanted(text: str) -> bool:
    letters = [c for c in text if c.isalpha()]
    return 0 < len(letters) <= 2


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
