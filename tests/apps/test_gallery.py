"""The gallery: every system on real text, one page, nothing half-written, nothing executed."""

import html
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from unfold import systems
from unfold.apps.cli import main
from unfold.apps.gallery import build
from unfold.apps.gallery.samples import STEPS, Samples, default_text, read_text
from unfold.core.errors import UnfoldError
from unfold.core.node import OPERATIONS
from unfold.engine.binding import bind
from unfold.engine.made_up import arrays

GRAPHS = {name: maker() for name, maker in systems.all().items()}
VOID = {"meta", "br", "link", "hr", "img", "path", "rect", "circle", "line", "polyline", "polygon", "use"}


class Tags(HTMLParser):
    """Checks that tags are closed in order, and collects ids and links."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.tags = [], [], [], set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        named = dict(attributes)
        self.ids += [named["id"]] if "id" in named else []
        self.links += [named[key] for key in ("href", "src") if key in named and tag in ("a", "img")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The whole gallery, on the text that Python brings."""
    folder = tmp_path_factory.mktemp("gallery")
    return folder, build(folder), (folder / "index.html").read_text(encoding="utf-8")


def test_every_system_is_shown_and_proven(made):
    _, exhibits, page = made
    assert [e.name for e in exhibits] == list(systems.all())
    for e in exhibits:
        assert e.report.ok, e.name
        assert f'<section id="{e.name}"' in page


def test_every_system_learns_its_text(made):
    for e in made[1]:
        assert e.losses[-1] < 0.9 * e.losses[0], e.name


def test_the_page_is_well_formed_and_stands_by_itself(made):
    folder, _, page = made
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert len(tags.ids) == len(set(tags.ids))
    assert not tags.tags & {"script", "link", "iframe"}
    assert "http" not in re.sub(r'xmlns="http://www.w3.org/2000/svg"', "", page)
    for link in tags.links:
        assert link.removeprefix("#") in tags.ids if link.startswith("#") else (folder / link).is_file()


def test_every_picture_is_a_file_and_valid_xml(made):
    folder, exhibits, _ = made
    written = {path.name for path in folder.iterdir()}
    assert written == {"index.html", *(name for e in exhibits for name in e.drawings)}
    for name in (n for n in written if n.endswith(".svg")):
        assert ET.parse(folder / name).getroot().tag.endswith("svg")


def test_the_page_shows_equations_gradients_code_and_latex(made):
    page = made[2]
    assert "h[t] = tanh(b + W @ h[t-1] + U @ x[t])" in page
    assert "do[t] = softmax(o[t]) - one_hot(y[t], classes)" in page
    assert r"\tanh" in page
    assert "The Zen of Python" in page


@pytest.mark.parametrize("name", GRAPHS)
def test_the_program_of_a_system_can_be_pasted_and_run(made, name):
    _, _, section = made[2].partition(f'<section id="{name}"')
    program = re.search(r"<summary>The program</summary><pre>(.*?)</pre>", section, re.S)[1]
    space = {"__name__": "pasted"}
    exec(html.unescape(program), space)
    assert str(space["graph"]) == str(GRAPHS[name])


def test_it_reads_the_users_text(tmp_path, capsys):
    text = tmp_path / "mine.txt"
    text.write_text("<script>alert(1)</script> & once more\n" * 3, encoding="utf-8")
    assert main(["gallery", str(tmp_path / "out"), "--text", str(text), "--only", "lstm"]) == 0
    captured = capsys.readouterr()
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "mine.txt" in page
    assert "<script" not in page
    assert "1 of 1 systems" in captured.out
    assert "lstm" in captured.err


def test_the_gallery_is_the_same_from_run_to_run(tmp_path):
    names = ("one", "two")
    for name in names:
        build(tmp_path / name, only=["gru", "memory_network"])
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no text in it"),
        (b" \n\t ", "has no text in it"),
        (b"\xff\xfe\x00a", "not text in UTF-8: byte 0"),
    ],
)
def test_a_file_without_text_is_refused(tmp_path, content, said):
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(UnfoldError, match=said):
        build(tmp_path / "out", tmp_path / "t")
    assert not (tmp_path / "out").exists()


def test_other_mistakes_are_refused_before_any_work(tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    assert main(["gallery", str(tmp_path / "file")]) == 2
    assert "is a file; the gallery needs a directory" in capsys.readouterr().err
    assert main(["gallery", str(tmp_path / "out"), "--only", "lstn"]) == 2
    assert "no system 'lstn'; there are feed_forward" in capsys.readouterr().err
    assert main(["gallery", str(tmp_path / "out"), "--text", str(tmp_path / "none")]) == 2
    assert "none: No such file or directory" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_wrong_gradient_fails_the_gallery(tmp_path, monkeypatch, capsys):
    tanh = OPERATIONS["tanh"]
    monkeypatch.setattr(tanh, "vjp", lambda self, ct, out, a: (ct * (1 - a * a),))
    assert main(["gallery", str(tmp_path), "--only", "dynamical"]) == 1
    assert "the gradients of dynamical are not proven" in capsys.readouterr().err
    assert "gradients not proven" in Path(tmp_path / "index.html").read_text(encoding="utf-8")


def test_the_default_text_is_the_zen_of_python():
    text, name = default_text()
    assert text.startswith("The Zen of Python, by Tim Peters")
    assert "Zen" in name


def test_a_long_text_is_read_to_a_stated_length(tmp_path):
    (tmp_path / "long.txt").write_text("word " * 10_000, encoding="utf-8")
    text, name = read_text(str(tmp_path / "long.txt"))
    assert (len(text), name) == (20_000, "the first 20,000 characters of long.txt")


@settings(deadline=None, max_examples=20)
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=200))
@example("a")
@example("!!")
@example("Привет мир\nкак дела")
@example("?" * 3 + "".join(map(chr, range(97, 160))))
def test_any_text_makes_samples_that_fit_every_system(text):
    if not text.strip():
        return
    samples = Samples(text)
    for name, graph in GRAPHS.items():
        sample = samples[name]
        bind(graph, arrays(graph, given=sample.inputs, **sample.sizes))  # raises where shapes do not fit
        for value in sample.inputs.values():
            if sample.answers and np.asarray(value).dtype.kind == "i":
                assert np.all((np.asarray(value) >= 0) & (np.asarray(value) < len(sample.answers))), name
        assert sample.sizes.get("classes", 0) == len(sample.answers)


def test_characters_are_read_in_order():
    samples = Samples("abcdefgh " * 20)
    sample = samples["rnn"]
    letters = [sample.answers[k] for k in sample.inputs["x"].argmax(axis=1)]
    assert "".join(letters) == ("abcdefgh " * 20)[:STEPS]
    assert list(sample.wanted[:-1]) == letters[1:]
