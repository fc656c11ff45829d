"""Files of pictures: the same bytes every time, well-formed whatever the names are."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import unfold as uf
import viz
from unfold.core.errors import UnfoldError
from viz.shapes.labels import plain
from viz.writers import dot, html, tex

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a:b",
    "<b>bold</b>",
    "ends in a backslash\\",
    'quote" ]; evil [label="x',
    "*/ // # -->",
    "]]>",
    "&amp;&#x0;",
    "$x$ \\input{/etc/passwd} %",
    "../../etc/passwd",
    "\u202e\u2066right to left",
    "\ufffe\uffff",
    "𝒉",
    "${title}",
]
NAMES = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=30).filter(
    lambda s: s.strip() and len(s) < 40
)


def system(*names):
    """A recurrent system whose names are the given ones."""
    x_, h_, o_, W_, t_ = names
    t = uf.axis(t_)
    x, W = uf.input(x_, "n", over=t), uf.param(W_, "n", "n")
    h, o = uf.var(h_, "n", over=t), uf.var(o_, "n", over=t)
    h[0] = 0
    h[t] = uf.tanh(W @ h[t - 1] + x[t])
    o[t] = W @ h[t]
    return uf.graph(out=o), t_


def drawings(graph, axis):
    dag = graph.unfold(**{axis: 2})
    return [
        viz.draw(graph),
        viz.draw(dag),
        viz.unfolding(graph, 2),
        viz.draw(graph, "operations"),
        viz.draw(dag, "operations"),
    ]


class Tags(HTMLParser):
    """What a browser would see: tags, attributes that could run, the data block."""

    def __init__(self):
        super().__init__()
        self.scripts, self.bad, self.data = 0, [], ""
        self.inside = False

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.inside = tag == "script" and dict(attrs).get("id") == "data"
        loads = [k for k, v in attrs if k.startswith("on") or k in ("src", "srcdoc", "action")]
        links = [v for k, v in attrs if k == "href" and not v.startswith("#")]
        self.bad += [tag] * (tag in ("img", "iframe", "object", "b", "foreignobject")) + loads + links

    def handle_data(self, data):
        if self.inside:
            self.data += data

    def handle_endtag(self, tag):
        self.inside = False


def check_all(names):
    if len(set(names)) < 5:
        return
    for drawing in drawings(*system(*names)):
        ET.fromstring(drawing.svg())
        page = Tags()
        page.feed(html.render(drawing))
        assert page.scripts == 2
        assert not page.bad
        json.loads(page.data)
        check_dot(drawing.dot())
        tex.render(drawing)


def check_dot(text):
    """Every statement is one of ours: a node, an edge, a default; every string is closed."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "S", text)
    assert '"' not in bare
    for line in bare.strip().splitlines()[1:-1]:
        assert re.fullmatch(r"\t(graph|node|edge|n\d+|n\d+ -> n\d+) \[[^\[\]<>]*\]", line), line


@given(st.tuples(NAMES, NAMES, NAMES, NAMES, NAMES))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@example(tuple(HOSTILE[:5]))
@example(tuple(HOSTILE[5:10]))
@example(tuple(HOSTILE[10:15]))
@example((*HOSTILE[12:16], "t"))
def test_any_name_gives_well_formed_files_in_which_nothing_runs(names):
    check_all(names)


def test_a_dot_label_is_never_taken_as_markup():
    assert dot.quote("<b>x</b>") == '"<b>x</b>"'
    assert dot.quote("a\\") == '"a\\\\"'
    assert dot.quote('"') == '"\\""'
    assert dot.quote("\x00\x1b") == '""'


def test_no_tag_can_begin_in_the_data_of_a_page():
    text = html.embedded({"a": "</script><!--", "b": "\u2028"})
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><!--", "b": "\u2028"}


PROGRAM = """
import sys, unfold as uf, viz
from viz.writers import html
for make in (uf.systems.lstm, uf.systems.attention, uf.systems.bidirectional):
    g = make()
    d = g.unfold(**{a.name: 3 for a in g.axes})
    levels = ("variables", "operations")
    for p in [viz.unfolding(g), *(viz.draw(k, level) for k in (g, d) for level in levels)]:
        sys.stdout.write(p.svg() + p.dot() + html.render(p))
"""


def test_files_are_the_same_for_every_hash_seed():
    outputs = set()
    for seed in ("0", "1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, check=True
        )
        outputs.add(run.stdout)
    assert len(outputs) == 1
    assert len(outputs.pop()) > 10_000


def test_a_missing_dot_program_says_what_still_works(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    graph, _ = system("x", "h", "o", "W", "t")
    with pytest.raises(
        UnfoldError, match=r"\.pdf file needs the Graphviz program.*apt install.*\.svg, \.html"
    ):
        viz.draw(graph).save(tmp_path / "x.pdf")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["svg", "html", "dot", "gv", "tex"])
def test_every_text_format_is_written_without_any_program(suffix, tmp_path):
    graph, _ = system("x", "h", "o", "W", "t")
    for drawing in (viz.draw(graph), viz.draw(graph.unfold(t=3), "operations")):
        assert drawing.save(tmp_path / f"x.{suffix}").stat().st_size > 500


def test_an_operation_picture_of_a_thousand_steps_stays_small():
    drawing = viz.draw(uf.systems.lstm().unfold(t=1000), "operations", columns=1000)
    text = drawing.svg()
    assert text.count("<use ") == 2000
    assert len(text) < 1_500_000


def test_too_many_columns_are_refused_with_a_number_that_works():
    with pytest.raises(UnfoldError, match=r"too many for one picture .*columns=\d+"):
        viz.draw(uf.systems.lstm().unfold(t=10_000), "operations", columns=10_000)


def test_labels_read_like_the_textbook():
    from viz.shapes.labels import math

    assert plain(math("h1", sup="t-1")) == "h₁(t−1)"
    assert plain(math("theta")) == "θ"
    assert plain(math("yhat")) == "ŷ"
    assert [r.shift for r in math("Wf")] == [0, -1]
    assert not math("tanh")[0].italic
    assert math("h")[0].italic


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no LaTeX here: apt install texlive-pictures")
def test_tikz_compiles(tmp_path):
    graph = uf.systems.rnn()
    pictures = [viz.unfolding(graph), viz.draw(graph.grad("loss").unfold(t=3)), viz.draw(graph.jvp("loss"))]
    pictures += [viz.draw(uf.systems.lstm().unfold(t=2), "operations"), viz.draw(uf.systems.attention())]
    head = "\\documentclass{article}\n\\usepackage{amssymb}\n\\usepackage{tikz}\n\\begin{document}\n"
    text = head + "\n\n".join(map(tex.render, pictures)) + "\\end{document}\n"
    (tmp_path / "x.tex").write_text(text)
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "x.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-1500:]


@pytest.mark.skipif(not shutil.which("neato"), reason="no Graphviz here: apt install graphviz")
def test_graphviz_draws_what_we_pinned(tmp_path):
    drawing = viz.draw(uf.systems.attention().unfold(i=3, j=2))
    assert drawing.save(tmp_path / "x.pdf").read_bytes().startswith(b"%PDF")
    assert drawing.save(tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
