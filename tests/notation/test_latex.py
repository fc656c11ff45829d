"""LaTeX: the textbook's notation, and text that always compiles whatever the names are.

Where no TeX is at hand, a small grammar stands in for it: balanced braces and \\left/\\right,
no double scripts, only known commands, ASCII."""

import re
import shutil
import subprocess
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from random_systems import model

import unfold as uf
from unfold import systems
from unfold.core.errors import UnfoldError
from unfold.core.leaves import as_node
from unfold.core.node import FUNCTIONS, OPERATIONS, Node
from unfold.core.system import postorder
from unfold.notation.latex import equation, latex, name

COMMANDS = set(
    re.findall(
        r"\w+",
        """left right begin end tanh exp log max min sum frac sqrt bar overline dot odot top cdot cdots
        vdots mathrm mathbf operatorname text times le ge land lor lnot infty qquad leftarrow
        textbackslash textasciitilde textasciicircum textless textgreater textbar textquotedblright
        alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau
        upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega
        sin cos tan sinh cosh arcsin arccos arctan lfloor rfloor lceil rceil neq lVert rVert bmod prod
        mathbb mathcal lvert rvert det Re Im ne""",
    )
)


def assert_compiles(text):
    assert text.isascii()
    assert not any(ord(c) < 32 and c != "\n" for c in text)
    for command in re.findall(r"\\([A-Za-z]+\*?)", text):
        assert command in COMMANDS or command.rstrip("*") in COMMANDS, command
    bare = re.sub(r"\\[^A-Za-z]", "", text)  # \{, \%, \\ and the like
    assert not re.search(r"(?<!\\)[%#$]", text.replace("\\\\", ""))
    depth = 0
    for c in bare:
        depth += (c == "{") - (c == "}")
        assert depth >= 0, text
    assert depth == 0, text
    assert len(re.findall(r"\\left(?![a-z])", text)) == len(re.findall(r"\\right(?![a-z])", text))
    assert text.count(r"\begin{") == text.count(r"\end{")
    assert not double_scripts(bare), text


def double_scripts(text):
    """Whether one thing has two superscripts or two subscripts."""
    k, seen = 0, set()
    levels = []
    while k < len(text):
        c = text[k]
        if c == "{":
            levels.append(seen)
            seen = set()
        elif c == "}":
            seen = levels.pop()
        elif c in "^_":
            if c in seen:
                return True
            seen = seen | {c}
            k += 1  # its argument
            if text[k] == "{":
                levels.append(seen)
                seen = set()
            elif text[k] == "\\":
                k += len(re.match(r"\\[A-Za-z]+", text[k:])[0]) - 1
            k += 1
            continue
        elif c == "'":
            pass
        else:
            seen = set()
        k += 1
    return False


def test_the_double_script_finder_finds_them():
    assert double_scripts("a^{b}^{c}")
    assert double_scripts("a_1_2")
    assert not double_scripts(r"a^{b}_{c} + \left(a^{b}\right)^2")


# ---------------------------------------------------------------------- notation
def test_the_vanilla_network_as_in_the_textbook():
    assert latex(systems.rnn()) == "\n".join(
        [
            r"\begin{align}",
            r"h^{(0)} &= 0 \\",
            r"h^{(t)} &= \tanh\left(b + W h^{(t-1)} + U x^{(t)}\right) \\",
            r"o^{(t)} &= c + V h^{(t)} \\",
            r"L^{(t)} &= -\log \mathrm{softmax}\left(o^{(t)}\right)_{y^{(t)}} \\",
            r"\mathrm{loss} &= \sum_{t} L^{(t)}",
            r"\end{align}",
        ]
    )


def test_adjoints_carry_a_bar_and_end_with_zero():
    text = latex(systems.rnn().grad("loss"))
    back = r"W^\top \left(\bar{h}^{(t+1)} \odot \left(1 - \left(h^{(t+1)}\right)^2\right)\right)"
    assert rf"\bar{{h}}^{{(t)}} &= {back} + V^\top \bar{{o}}^{{(t)}} \\" in text
    assert r"\bar{h}^{(T+1)} &= 0 \\" in text
    outer = r"\left(\bar{h}^{(t)} \odot \left(1 - \left(h^{(t)}\right)^2\right)\right) h^{(t-1)\top}"
    assert rf"\bar{{W}} &= \sum_{{t}} {outer} \\" in text
    assert r"\bar{c} &= \sum_{t} \bar{o}^{(t)} \\" in text
    assert r"\\[1ex]" in text


def test_tangents_carry_a_dot():
    assert r"\dot{h}^{(t)} &= " in latex(systems.rnn().jvp("loss", "W"))


def test_several_axes_fixed_reads_and_selections():
    text = latex(systems.attention())
    assert r"e^{(j, i)} &= v^\top \tanh\left(A d^{(j-1)} + B h^{(i)}\right)" in text
    assert r"\sum_{i} a^{(j, i)} h^{(i)}" in text
    assert r"d^{(0)} &= \tanh\left(Q h^{(I)}\right)" in text
    assert r"E_{z^{(j-1)}}" in text
    assert r"\mathbf{1}_{i = I}" in latex(systems.encoder_decoder().grad("loss"))


def test_a_method_gives_the_same():
    assert systems.gru().latex() == latex(systems.gru())


def test_long_graphs_have_dots():
    text = latex(systems.rnn().unfold(t=40))
    assert "&\\;\\;\\vdots \\\\\nh^{(40)} &= " in text


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda a, A, s: a * a, r"a \odot a"),
        (lambda a, A, s: s * a, "s a"),
        (lambda a, A, s: a * 2, r"a \cdot 2"),
        (lambda a, A, s: 2 * (A @ a), "2 A a"),
        (lambda a, A, s: A @ (a * a), r"A \left(a \odot a\right)"),
        (lambda a, A, s: (A @ a) * a, r"A a \odot a"),
        (lambda a, A, s: (a + a) * a, r"\left(a + a\right) \odot a"),
        (lambda a, A, s: a / (a + 1), r"\frac{a}{a + 1}"),
        (lambda a, A, s: (a / s) ** 2, r"\left(\frac{a}{s}\right)^2"),
        (lambda a, A, s: a - (a + a), r"a - \left(a + a\right)"),
        (lambda a, A, s: -(a + a), r"-\left(a + a\right)"),
        (lambda a, A, s: uf.tanh(a) ** 2, r"\left(\tanh\left(a\right)\right)^2"),
        (lambda a, A, s: a @ a, r"a^\top a"),
        (lambda a, A, s: uf.outer(a, a), r"a a^\top"),
        (lambda a, A, s: (A + A).T @ a, r"\left(A + A\right)^\top a"),
        (lambda a, A, s: uf.sqrt(a + 1), r"\sqrt{a + 1}"),
        (lambda a, A, s: abs(a), r"\left|a\right|"),
        (lambda a, A, s: uf.where(a < 1, a, 0), r"\mathbf{1}_{a < 1} a"),
        (
            lambda a, A, s: uf.where(a <= s, a, 1),
            r"\begin{cases} a & a \le s \\ 1 & \text{otherwise} \end{cases}",
        ),
        (lambda a, A, s: A[0, 1], "A_{0, 1}"),
        (lambda a, A, s: uf.concat(a, a), r"\left[a; a\right]"),
        (lambda a, A, s: a * 1e-7, r"a \cdot 1 \cdot 10^{-7}"),
        (lambda a, A, s: a + np.array([1.0, 2, 3]), r"a + \begin{pmatrix} 1 \\ 2 \\ 3 \end{pmatrix}"),
    ],
)
def test_an_expression_has_the_brackets_it_needs(make, text):
    assert equation(make(uf.param("a", 3), uf.param("A", 3, 3), uf.param("s"))) == text


# ---------------------------------------------------------------------- names
@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("h", "h"),
        ("theta", r"\theta"),
        ("θ", r"\theta"),
        ("Sigma", r"\Sigma"),
        ("h1", "h_{1}"),
        ("h_2", "h_{2}"),
        ("h₁", "h_{1}"),
        ("Wi", "W_{i}"),
        ("W_out", r"W_{\mathrm{out}}"),
        ("loss", r"\mathrm{loss}"),
        ("theta_1", r"\theta_{1}"),
        ("h'", "h'"),
        ("é", r"\text{\'{e}}"),
        ("漢", r"\text{[U+6F22]}"),
        ("a b", r"\text{a b}"),
        (r"\input{x}", r"\text{\textbackslash{}input\{x\}}"),
        ("50%", r"\text{50\%}"),
        ("a__b", r"\text{a\_\_b}"),
    ],
)
def test_names_are_spelled_as_in_print(label, text):
    assert name(label) == text


@settings(max_examples=150)
@given(st.text(min_size=1, max_size=10))
@example(r"\end{align}\write18{x}")
@example("^^5c")
@example("a'b''")
@example("d")
def test_any_name_gives_latex_that_compiles(label):
    try:
        t = uf.axis(label if label.isidentifier() else "t")
        x, s = uf.input(label, "n", over=t), uf.var(label + "x", "n", over=t)
        s[0] = 0
        s[t] = uf.tanh(uf.param(label + "w", "n", "n") @ s[t - 1] + x[t] ** 2)
        graph = uf.graph(loss=uf.sum(uf.sum(s[t]), over=t), s=s[t.last])
    except UnfoldError:
        return
    assert_compiles(latex(graph))
    assert_compiles(latex(graph.grad("loss")))


# ---------------------------------------------------------------------- everything compiles
@pytest.mark.parametrize("label", systems.all())
def test_every_system_in_every_form_compiles(label):
    graph = systems.all()[label]()
    sizes = {a.name: a.size or 2 for a in graph.axes}
    for g in (graph, graph.grad("loss"), graph.unfold(**sizes), graph.jvp("loss"), graph.batch("n")):
        assert_compiles(latex(g))


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_random_systems_and_their_gradients_compile(seed):
    graph = model(seed, 3).graph
    assert_compiles(latex(graph))
    assert_compiles(latex(graph.grad("loss")))


KINDS = [("float",) * 3, ("float", "int", "int"), ("bool", "float", "float"), ("int",) * 3]
SHAPES = [(), ("n",), ("n", "n"), (3,), (3, 3)]


def test_every_operation_that_takes_plain_arguments_compiles():
    tried = set()
    for function, shape, kinds, count in product(FUNCTIONS.values(), SHAPES, KINDS, (1, 2, 3)):
        try:
            node = as_node(function(*[uf.param(f"y{k}", *shape, dtype=k) for k in kinds[:count]]))
        except Exception:  # it does not take these
            continue
        if any(isinstance(v, Node) for n in postorder([node]) for v in n.op.parameters.values()):
            continue  # a nonsense that nobody refused
        assert_compiles(equation(node))
        assert str(node)
        tried |= {n.op.name for n in postorder([node])}
    assert len(tried) > 0.6 * len(OPERATIONS), sorted(set(OPERATIONS) - tried)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX at hand")
def test_tex_itself_accepts_all_systems(tmp_path):
    graphs = [g for make in systems.all().values() for g in (make(), make().grad("loss"))]
    body = "\n\n".join(map(latex, graphs))
    source = (
        rf"\documentclass{{article}}\usepackage{{amsmath,amssymb}}\begin{{document}}{body}\end{{document}}"
    )
    (tmp_path / "all.tex").write_text(source)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0
