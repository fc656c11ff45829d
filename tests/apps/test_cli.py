"""The command line: what it prints, its exit codes, and one clear line for every mistake."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from unfold import systems
from unfold.apps.cli import main
from unfold.apps.loading import load
from unfold.engine.made_up import arrays

MODEL = """\
import unfold as uf

print("read")                      # a file may print; it goes to stderr
t = uf.axis("t")
x, h = uf.input("x", "n", over=t), uf.var("h", "n", over=t)
W = uf.param("W", "n", "n")
h[0] = 0
h[t] = uf.tanh(W @ h[t-1] + x[t])
model = uf.graph(loss=uf.sum(uf.square(h[t.last])), h=h)
number = 3

def made():
    return uf.graph(total=uf.sum(uf.sum(uf.square(h[t])), over=t))

def needy(depth):
    return model

def broken():
    return h[t.first + "a"]

if __name__ == "__main__":
    raise RuntimeError("a file is not run as a program")
"""

WRONG = '''\
import unfold as uf

class Wrong(uf.Elementwise):
    """a**2, with a wrong derivative"""
    def forward(self, xp, a): return xp.multiply(a, a)
    def vjp(self, ct, out, a): return (ct * a,)

wrong = uf.operation(Wrong)
t = uf.axis("t")
x, h, w = uf.input("x", over=t), uf.var("h", over=t), uf.param("w")
h[0] = 0
h[t] = wrong(w * h[t-1] + x[t])
g = uf.graph(loss=uf.sum(h[t], over=t))
'''


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(MODEL)
    return "model.py"


def refused(capsys, *words):
    """The one line a refused command leaves on stderr."""
    try:
        code = main([str(w) for w in words])
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line != "read"]
    assert code == 2
    assert captured.out == ""
    assert len(lines) == 1
    assert lines[0].startswith("unfold")
    return lines[0]


def test_show_prints_the_equations(model, capsys):
    assert main(["show", "model.py:model"]) == 0
    captured = capsys.readouterr()
    assert "h[t] = tanh(W @ h[t-1] + x[t])" in captured.out
    assert "over t:  legal for every T; carries h[t] forward" in captured.out
    assert captured.err == "read\n"


def test_show_takes_a_function_that_makes_a_graph(model, capsys):
    assert main(["show", "model.py:made"]) == 0
    assert "total" in capsys.readouterr().out


def test_the_name_may_be_left_out_where_there_is_one_graph(model, capsys):
    assert main(["show", "model.py"]) == 0
    assert "loss" in capsys.readouterr().out


def test_show_gives_the_gradient_unfolded_and_in_latex(model, capsys):
    assert main(["show", "model.py:model", "--grad", "loss"]) == 0
    assert "dW = " in capsys.readouterr().out
    assert main(["show", "model.py:model", "--unfold", "t=2"]) == 0
    assert "h[2]" in capsys.readouterr().out
    assert main(["show", "model.py:model", "--latex"]) == 0
    assert r"\tanh" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".svg", ".dot", ".html", ".tex"])
def test_draw_writes_the_file(model, capsys, suffix):
    assert main(["draw", "model.py:model", "-o", f"picture{suffix}"]) == 0
    assert Path(f"picture{suffix}").stat().st_size > 500
    assert capsys.readouterr().out == f"wrote picture{suffix}\n"


@pytest.mark.parametrize(
    "options",
    [
        ["--unfold", "t=4"],
        ["--grad", "loss"],
        ["--grad", "loss", "--unfold", "t=3"],
        ["--level", "operations"],
        ["--level", "operations", "--unfold", "t=2"],
        ["--unfold", "t=3", "--pair"],
    ],
)
def test_draw_has_every_form(model, options):
    assert main(["draw", "model.py:model", "-o", "x.svg", *options]) == 0
    assert Path("x.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(
    "options",
    [
        ["--columns", "5"],
        ["--title", "Mine & <yours>"],
        ["--window", "2"],
        ["--show", "values"],
        ["--show", "adjoint"],
        ["--show", "shapes"],
        ["--show", "values", "--seed", "1"],
        ["--grad", "loss", "--show", "values"],
        ["--grad", "loss", "--show", "adjoint", "--window", "2"],
        ["--grad", "loss", "--pair", "--title", "Both"],
    ],
)
def test_each_addition_to_a_drawing_changes_it(model, options):
    form = [o for o in options if o in ("--grad", "loss", "--pair")]
    for name, chosen in (("plain.svg", form), ("more.svg", options)):
        assert main(["draw", "model.py:model", "--unfold", "t=7", "-o", name, *chosen]) == 0
    assert Path("plain.svg").read_text() != Path("more.svg").read_text()


def test_a_drawing_shows_the_numbers_of_a_run_on_random_arrays(model):
    data = arrays(load("model.py:model"), t=3)
    run = load("model.py:model").run("loss", **data)
    for show, values in (("values", run), ("adjoint", run.adjoint)):
        assert main(["draw", "model.py:model", "--unfold", "t=3", "--show", show, "-o", "x.svg"]) == 0
        size = np.sqrt(np.mean(values["h", 2] ** 2))
        assert f"{size:.2g}" in Path("x.svg").read_text()


@pytest.mark.parametrize("name", systems.all())
def test_every_system_can_be_drawn_with_its_shapes(name, tmp_path):
    graph = systems.all()[name]()
    sizes = ",".join(f"{a.name}={a.size if isinstance(a.size, int) else 3}" for a in graph.axes)
    options = ["--unfold", sizes] if sizes else []
    target = tmp_path / "x.svg"
    assert main(["draw", f"systems:{name}", "--show", "shapes", "-o", str(target), *options]) == 0
    assert target.read_text().startswith("<svg")


def test_draw_proves_the_gradients_when_asked_to(model, capsys):
    assert main(["draw", "model.py:model", "--unfold", "t=3", "--check", "-o", "x.svg"]) == 0
    assert "proven" in capsys.readouterr().out
    assert "#E53E3E" not in Path("x.svg").read_text()


@pytest.mark.parametrize("form", [[], ["--unfold", "t=3"], ["--unfold", "t=3", "--grad", "loss"]])
def test_draw_marks_a_wrong_rule_in_red_and_returns_one(tmp_path, monkeypatch, capsys, form):
    monkeypatch.chdir(tmp_path)
    Path("wrong.py").write_text(WRONG)
    assert main(["draw", "wrong.py:g", "--check", "-o", "x.svg", *form]) == 1
    out = capsys.readouterr().out
    assert "rule of wrong" in out
    assert out.endswith("wrote x.svg\n")
    assert "#E53E3E" in Path("x.svg").read_text()


def test_forms_of_a_drawing_differ(model):
    pictures = set()
    for options in (["--unfold", "t=2"], ["--unfold", "t=3"], [], ["--grad", "loss"]):
        main(["draw", "model.py:model", "-o", "x.svg", *options])
        pictures.add(Path("x.svg").read_text())
    assert len(pictures) == 4


def test_axes_of_a_drawing_may_differ(tmp_path):
    target = tmp_path / "x.svg"
    assert main(["draw", "systems:encoder_decoder", "-o", str(target), "--unfold", "i=2,j=3"]) == 0
    assert (
        main(["draw", "systems:encoder_decoder", "-o", str(target), "--unfold", "i=2", "--unfold", "j=3"])
        == 0
    )


def test_check_proves_a_right_gradient(model, capsys):
    assert main(["check", "model.py:model", "--size", "t=6,n=4", "--seed", "3"]) == 0
    assert "proven" in capsys.readouterr().out


def test_check_names_a_wrong_rule_and_returns_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("wrong.py").write_text(WRONG)
    assert main(["check", "wrong.py:g"]) == 1
    out = capsys.readouterr().out
    assert "wrong" in out
    assert "wrong.py:12" in out


def test_check_takes_data(model, capsys):
    np.savez("data.npz", x=np.ones((5, 2)), W=np.eye(2))
    assert main(["check", "model.py:model", "--data", "data.npz"]) == 0
    capsys.readouterr()
    np.savez("bad.npz", x=np.ones((5, 2)), W=np.eye(3))
    assert "W should be (n, n)" in refused(capsys, "check", "model.py:model", "--data", "bad.npz")


def test_code_prints_the_source_that_runs(model, capsys):
    assert main(["code", "model.py:model"]) == 0
    both = capsys.readouterr().out
    assert main(["code", "model.py:model", "--forward"]) == 0
    forward = capsys.readouterr().out
    assert "for " in forward
    assert len(forward) < len(both)


def test_ops_lists_the_operations(capsys):
    assert main(["ops"]) == 0
    everything = capsys.readouterr().out.splitlines()
    assert any(line.startswith("tanh(a)") for line in everything)
    assert len(everything) >= 120


def test_ops_gives_the_gradients_of_those_asked_for(capsys):
    assert main(["ops", "hyperbolic tangent"]) == 0
    assert "gradient: ct * (1 - y**2)" in capsys.readouterr().out
    assert main(["ops", "tanh", "--markdown"]) == 0
    assert "| `tanh(a)` |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["frob"], "invalid choice: 'frob'"),
        (["show"], "the following arguments are required: FILE:NAME"),
        (["show", "nowhere.py:g"], "cannot read nowhere.py: No such file or directory"),
        (["show", "model.py:modell"], "model.py has no 'modell'; did you mean model?"),
        (["show", "model.py:xyz"], "its graphs: model"),
        (["show", "model.py:number"], "model.py:number is of type int, not a graph"),
        (["show", "model.py:needy"], "needy() missing 1 required positional argument"),
        (["show", "model.py:broken"], "model.py:19: "),
        (["show", "systems:lstn"], "no ready-made system 'lstn'; there are feed_forward"),
        (["show", "model.py:model", "--grad", "lost"], "no output 'lost'"),
        (["show", "model.py:model", "--unfold", "t"], "'t' is not of the form name=number"),
        (["show", "model.py:model", "--unfold", "u=3"], "u"),
        (["draw", "model.py:model"], "-o/--output"),
        (["draw", "model.py:model", "-o", "x.bmp"], "x.bmp: a drawing is saved as one of .svg"),
        (["draw", "model.py:model", "-o", "no/x.svg"], "the folder no does not exist"),
        (["draw", "model.py:model", "-o", "x.svg", "--pair"], "say --unfold t=4 too"),
        (
            ["draw", "model.py:model", "-o", "x.svg", "--pair", "--unfold", "t=3", "--window", "2"],
            "--pair goes with --unfold, --grad and --title, not with --window",
        ),
        (["draw", "model.py:model", "-o", "x.svg", "--columns", "4"], "--columns is for an unfolded graph"),
        (["draw", "model.py:model", "-o", "x.svg", "--window", "4"], "say --unfold t=4 too"),
        (["draw", "model.py:model", "-o", "x.svg", "--show", "values"], "--show is for an unfolded graph"),
        (["draw", "model.py:model", "-o", "x.svg", "--show", "all"], "invalid choice: 'all'"),
        (["draw", "model.py:model", "-o", "x.svg", "--columns", "0"], "'0' should be 1 or more"),
        (["draw", "model.py:model", "-o", "x.svg", "--window", "x"], "'x' is not a whole number"),
        (
            ["draw", "model.py:model", "-o", "x.svg", "--check", "--level", "operations"],
            "a run, a report, a window are drawn at level 'variables'",
        ),
        (["draw", "model.py:model", "-o", "x.svg", "--level", "atoms"], "invalid choice: 'atoms'"),
        (["check", "model.py:made", "--grad", "h"], "no output 'h'"),
        (["check", "model.py:model", "--size", "m=3"], "no axis or dimension 'm'; this graph has t, n"),
        (["check", "model.py:model", "--data", "none.npz"], "none.npz: No such file or directory"),
        (["check", "model.py:model", "--data", "model.py"], "model.py is no .npz file of arrays"),
        (["check", "model.py:model", "--seed", "-1"], "'-1' is not a whole number"),
        (["show", ""], "no file is named: write FILE:NAME"),
        (["show", "."], "cannot read .: Is a directory"),
        (["ops", "zzz"], "no operation mentions 'zzz'"),
    ],
)
def test_a_mistake_gets_one_clear_line(model, capsys, words, said):
    assert said in refused(capsys, *words)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\ny = x +\n", "bad.py:2: invalid syntax"),
        ("x = 1\n\nundefined_name\n", "bad.py:3: NameError: name 'undefined_name' is not defined"),
        ("def f():\n    return 1 / 0\nf()\n", "bad.py:2: ZeroDivisionError: division by zero"),
        ("import not_a_module_at_all\n", "bad.py:1: ModuleNotFoundError"),
        ("raise SystemExit('enough')\n", "bad.py:1: SystemExit: enough"),
        ("", "it has no graph"),
        (
            "import unfold as uf\nt = uf.axis('t')\nh = uf.var('h', over=t)\nh[t] = h[t-1]\nuf.graph(h=h)\n",
            "bad.py:5: h[t-1] reads h[0]",
        ),
        ("x = '\0'", "bad.py"),
    ],
)
def test_an_error_in_the_users_file_is_one_line_with_its_place(tmp_path, monkeypatch, capsys, text, said):
    monkeypatch.chdir(tmp_path)
    Path("bad.py").write_text(text)
    assert said in refused(capsys, "show", "bad.py")


def test_a_file_imports_its_neighbours(tmp_path, monkeypatch, capsys):
    (tmp_path / "part_of_it.py").write_text("size = 3\n")
    (tmp_path / "whole.py").write_text(
        "import unfold as uf\nfrom part_of_it import size\ng = uf.graph(loss=uf.sum(uf.param('w', size)))\n"
    )
    assert main(["show", str(tmp_path / "whole.py")]) == 0
    assert "w" in capsys.readouterr().out
    assert str(tmp_path) not in sys.path


def test_the_module_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "unfold", "show", "systems:gru"], capture_output=True, text=True, check=True
    )
    assert "h[t] = " in done.stdout
    assert done.stderr == ""


def test_a_reader_that_leaves_is_no_error():
    done = subprocess.run(
        f"{sys.executable} -m unfold ops | head -n 1", shell=True, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


def test_a_bug_of_ours_is_one_line_too(monkeypatch, capsys):
    monkeypatch.setattr("unfold.apps.cli.load", lambda source: 1 / 0)
    assert "this is a bug in unfold, please report it: ZeroDivisionError" in refused(capsys, "show", "x.py")
