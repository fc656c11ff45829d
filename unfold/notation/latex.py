r"""Equations as LaTeX, in the textbook's notation: h^{(t)} = \tanh\left(b + W h^{(t-1)}\right).

Steps are superscripts in brackets, adjoints carry a bar, products by entry are \odot, names
are spelled so that they always compile. The document needs amsmath and amssymb.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from unfold.analysis.naming import Reads
from unfold.core.axis import Axis, Index
from unfold.core.kinds import IndexKind, Role
from unfold.core.node import Node, Op
from unfold.core.op import Along
from unfold.core.system import System, postorder
from unfold.notation.listing import Listing, lines, roles
from unfold.notation.spelling import ATOM, PRODUCT, SUM, UNARY, Piece
from unfold.notation.spelling import POWER as SCRIPT
from unfold.notation.writer import Steps, Writer

WIDE = 190  # characters of TeX after which a sum goes on in the next line
GREEK = frozenset(
    re.findall(
        r"\w+",
        """alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon
        phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega""",
    )
)
SIGNS = {
    "@": " ",
    ".": " ",
    "*": r" \odot ",
    "<=": r" \le ",
    ">=": r" \ge ",
    "==": " = ",
    "&": r" \land ",
    "|": r" \lor ",
}
ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedblright{}",
    **{c: "\\" + c for c in "{}$&#%_"},
}
ACCENTS = {"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0308": '"'}


def latex(graph: System) -> str:
    r"""All equations of a graph as an `align` environment.

    >>> import unfold as uf
    >>> t = uf.axis("t")
    >>> a, s = uf.param("a"), uf.var("s", over=t)
    >>> s[0] = 0
    >>> s[t] = uf.tanh(a * s[t-1])
    >>> print(latex(uf.graph(s=s[t])))
    \begin{align}
    s^{(0)} &= 0 \\
    s^{(t)} &= \tanh\left(a s^{(t-1)}\right)
    \end{align}
    """
    listing = Listing(graph)
    writer = Tex(listing.names, roles=listing.roles, defined=listing.defined, depth=400, budget=4000)
    blocks = [
        " \\\\\n".join(_aligned(line.left, line.right) if line.left else r"&\;\;\vdots" for line in block)
        for block in lines(listing, writer)
    ]
    return "\\begin{align}\n" + " \\\\[1ex]\n".join(blocks) + "\n\\end{align}"


def equation(node: Node) -> str:
    """One expression as LaTeX, without an environment."""
    return Tex(roles=roles(postorder([node]))).write(node).text


def _aligned(left: str, right: str) -> str:
    depth, cuts = 0, [0]
    for k, c in enumerate(right):
        depth += (c in "({[") - (c in ")}]")
        if not depth and right[k : k + 3] in (" + ", " - "):
            cuts.append(k)
    out, width = f"{left} &= ", 0
    for a, b in pairwise([*cuts, len(right)]):
        if width and width + b - a > WIDE:
            out, width = out + " \\\\\n&\\qquad", 0
        out, width = out + right[a:b], width + b - a
    return out


# ---------------------------------------------------------------------- names
def name(label: str) -> str:
    r"""A name in math mode: `theta` is \theta, `h1` is h_{1}, `loss` is upright.

    >>> name("h"), name("W_out"), name("Wi"), name("h1"), name("loss"), name("50%")
    ('h', 'W_{\\mathrm{out}}', 'W_{i}', 'h_{1}', '\\mathrm{loss}', '\\text{50\\%}')
    """
    label = unicodedata.normalize("NFKC", label)
    stem = label.rstrip("'")
    primes = label[len(stem) :]
    found = re.fullmatch(r"([^\W\d_]+)(?:_?(\d+)|_([^\W_]+))?", stem)
    if found is None:
        return rf"\text{{{_escaped(label)}}}"
    base, low = _word(found[1]), found[2] or found[3]
    if low and "_" in base:
        base = rf"\mathrm{{{found[1]}}}"
    return base + primes + (f"_{{{_word(low)}}}" if low else "")


def _word(word: str) -> str:
    if word.isdigit() and word.isascii():
        return word
    if len(word) == 1 and "GREEK" in unicodedata.name(word, ""):
        last = unicodedata.name(word).rsplit(" ", 1)[-1]
        letter = {"LAMDA": "lambda"}.get(last, last.lower())
        word = letter.capitalize() if word.isupper() else letter
    if word in GREEK:
        return "\\" + word
    if re.fullmatch("[A-Zb][a-z]", word):  # the W of gate i: Wi
        return f"{word[0]}_{{{word[1]}}}"
    if not word.isascii():
        return rf"\text{{{_escaped(word)}}}"
    return word if len(word) == 1 else rf"\mathrm{{{word}}}"


def _escaped(text: str) -> str:
    """Any text in text mode, in ASCII."""
    out = []
    for c in text:
        base, *marks = list(unicodedata.normalize("NFD", c))
        if c.isascii():
            out.append(ESCAPES.get(c, c))
        elif base.isascii() and base.isalpha() and len(marks) == 1 and marks[0] in ACCENTS:
            out.append(rf"\{ACCENTS[marks[0]]}{{{base}}}")
        else:
            out.append(f"[U+{ord(c):04X}]")
    return "".join(out)


def dim(text: str) -> str:
    """A dimension: `2*hidden + 1`."""
    spelled = re.sub(r"[^\W\d]\w*", lambda m: name(m[0]), text)
    return spelled.replace("*", r" \, ")


class Tex(Writer):
    """The textbook's spelling."""

    elision = r"\cdots"
    matrix_level = PRODUCT + 1
    associative = frozenset({"+", "*", "@", ".", "&", "|"})
    families: Mapping[str, str] = {"-": "+", ".": "@"}

    def leaf(self, label: str, indices: Sequence[str]) -> str:
        return self.label(label) + (f"^{{({', '.join(indices)})}}" if indices else "")

    def label(self, label: str) -> str:
        """A name; that of an adjoint with a bar, that of a tangent with a dot."""
        role = self.roles.get(label)
        if role is None:
            return name(label)
        of = label.rstrip("'")
        of = of.removeprefix("d") if role == Role.ADJOINT else of.removesuffix("_dot")
        wide = len(of) > 1 and of not in self.roles
        accent = r"\dot" if role == Role.TANGENT else r"\overline" if wide else r"\bar"
        return f"{accent}{{{self.label(of)}}}"

    def _named(self, node: Node, at: Reads) -> Steps:
        yield from ()
        text = self.leaf_at(node, at)
        return Piece(text, SCRIPT if text.endswith(")}") else ATOM)

    op_input = op_param = op_symbol = op_read = _named

    def index(self, place: Index | int) -> str:
        if isinstance(place, int) or place.kind == IndexKind.AT:
            return str(place if isinstance(place, int) else place.offset)
        n, here, length = place.offset, name(place.axis.name), place.axis.length
        end = name(length) if "|" not in length else rf"\left|{here}\right|"
        shift = f"{n:+d}" if n else ""
        return {"now": here + shift, "last": end + shift, "back": f"{end}{shift}-{here}"}[place.kind]

    def brackets(self, text: str) -> str:
        return rf"\left({text}\right)"

    def number(self, value: Any) -> Piece:
        array = np.asarray(value)
        if array.ndim:
            if array.ndim > 2 or array.size > 16 or not array.size:
                size = r" \times ".join(map(str, array.shape))
                return Piece(rf"\left[\cdots\right]_{{{size}}}", SCRIPT)
            rows = array.reshape(-1, 1) if array.ndim == 1 else array
            inside = r" \\ ".join(" & ".join(_digits(x) for x in row) for row in rows)
            return Piece(rf"\begin{{pmatrix}} {inside} \end{{pmatrix}}")
        text = _digits(array[()])
        level = UNARY if text.startswith("-") else SCRIPT if "^" in text else ATOM
        return Piece(text, level)

    def joined(self, left: str, symbol: str, right: str) -> str:
        if symbol in ".@" and right[:1].isdigit():
            return rf"{left} \cdot {right}"
        return left + SIGNS.get(symbol, f" {symbol} ") + right

    def op_multiply(self, node: Node, at: Reads) -> Steps:
        a, b = self.operands(node)
        left = yield a, at
        right = yield b, at
        scalar = not a.shape or not b.shape
        return self.pair("." if scalar else "*", PRODUCT + scalar, left, right)

    def op_divide(self, node: Node, at: Reads) -> Steps:
        total, count = node.inputs
        over = total.op.spans
        if total.op.name == "sum" and len(over) == 1 and count.op.parameters.get("axis") == over[0]:
            return (yield from super().op_divide(node, at))
        a = yield total, at
        b = yield count, at
        return Piece(rf"\frac{{{a.text}}}{{{b.text}}}", UNARY + 1)

    def mean(self, a: Piece, over: Axis) -> Piece:
        total = self.summed(a, [name(over.name)])
        return Piece(rf"\frac{{1}}{{{self.index(over.last)}}} {total.text}", SUM + 5)

    def summed(self, a: Piece, over: Sequence[str]) -> Piece:
        return Piece(rf"\sum_{{{', '.join(over)}}} {self.at_least(SUM + 1, a)}", SUM + 5)

    def outer(self, a: Piece, b: Piece) -> Piece:
        return self.pair("@", self.matrix_level, a, self.transposed(b))

    def transposed(self, a: Piece) -> Piece:
        if a.level == SCRIPT and re.search(r"\^\{\([^{}]*\)\}$", a.text):
            return Piece(a.text[:-1] + r"\top}", SCRIPT)
        return Piece(self.at_least(ATOM, a) + r"^\top", SCRIPT)

    def inner(self, a: Piece, b: Piece) -> Piece:
        return self.pair("@", self.matrix_level, self.transposed(a), b)

    def raised(self, a: Piece, b: Piece) -> Piece:
        exponent = b.text if len(b.text) == 1 else f"{{{b.text}}}"
        return Piece(f"{self.at_least(SCRIPT + 1, a)}^{exponent}", SCRIPT)

    def subscripted(self, a: Piece, inside: str) -> Piece:
        bare = a.level == ATOM and "_" not in a.text
        return Piece(f"{a.text if bare else f'{{{self.at_least(SCRIPT, a)}}}'}_{{{inside}}}", SCRIPT)

    def sliced(self, a: Piece, slices: Sequence[str]) -> Piece:
        return self.subscripted(a, ", ".join(map(dim, slices)))

    def op_extent(self, node: Node, at: Reads) -> Steps:
        yield from ()
        text = str(node.op.parameters["dim"])
        return Piece(dim(text), SUM if " " in text else PRODUCT if "*" in text else ATOM)

    def reduced(self, op: Along, a: Piece, default: bool) -> Piece:
        axes = [name(d.name) for d in op.over if isinstance(d, Axis)]
        if op.name == "sum" and axes:
            return self.summed(a, axes)
        low = ", ".join(axes or ([] if default else map(str, op.over)))
        head = {"max": r"\max", "argmax": r"\operatorname*{arg\,max}"}.get(op.name) or function(op.name)
        back = r"^{\leftarrow}" if op.parameters.get("backward") else ""
        return Piece(f"{head}{back}" + (f"_{{{low}}}" if low else "") + self.brackets(a.text), SCRIPT)

    def chosen(self, condition: Piece, a: Piece, b: Piece) -> Piece:
        if b.text == "0":
            return Piece(
                rf"\mathbf{{1}}_{{{condition.text}}} {self.at_least(PRODUCT + 1, a)}", PRODUCT + 1, "@"
            )
        rows = rf"{a.text} & {condition.text} \\ {b.text} & \text{{otherwise}}"
        return Piece(rf"\begin{{cases}} {rows} \end{{cases}}", SUM)

    def called(self, op: Op, called: str, args: Sequence[Piece], parameters: Mapping[str, str]) -> Piece:
        if op.tex is not None and (piece := self._templated(op.tex, args)) is not None:
            return piece
        inside = [p.text for p in args]
        if called == "concat":
            return Piece(rf"\left[{'; '.join(inside)}\right]", SCRIPT)
        if called == "einsum":
            called, inside = f"einsum({op.parameters['spec']})", inside[1:]
        inside += [rf"\text{{{_escaped(f'{k}={v}')}}}" for k, v in parameters.items()]
        return Piece(function(called) + self.brackets(", ".join(inside)), SCRIPT)

    def _templated(self, template: str, args: Sequence[Piece]) -> Piece | None:
        """An operation's own TeX. An argument that stands bare in it may need brackets."""
        texts = []
        for k, a in enumerate(args):
            before = template.partition(f"{{{k}}}")[0].rstrip()
            bare = before[-1:] not in ("(", "{", "[", "|", ",")
            texts.append(
                self.at_least(SCRIPT + 1 if template.startswith("{") else UNARY, a) if bare else a.text
            )
        try:
            text = template.format(*texts) if args else template
        except (IndexError, KeyError, ValueError):
            return None
        for k, inner in enumerate(texts):
            if f"({{{k}}})" in template:
                text = text.replace(f"({inner})", rf"\left({inner}\right)", 1)
        return Piece(text, UNARY if text.startswith("-") else SCRIPT)


def function(called: str) -> str:
    r"""The name of a function: upright."""
    known = {"log", "exp", "tanh", "sinh", "cosh", "sin", "cos", "tan", "max", "min", "det", "sec", "csc"}
    return "\\" + called if called in known else rf"\operatorname{{{_escaped(called)}}}"


def _digits(value: Any) -> str:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool):
        return rf"\mathrm{{{str(value).lower()}}}"
    if isinstance(value, complex):
        return rf"\left({_digits(value.real)} + {_digits(value.imag)} \mathrm{{i}}\right)"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    text = text.replace("inf", r"\infty").replace("nan", r"\mathrm{NaN}")
    mantissa, e, exponent = text.partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if e and exponent.lstrip("+-").isdigit() else text
