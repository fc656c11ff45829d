"""The face: what a user types is there, has types, and nothing else is."""

import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import unfold as uf
from unfold.apps import face
from unfold.apps.cli import main
from unfold.core.node import FUNCTIONS

ROOT = Path(__file__).parents[1]

SCRIPT = '''\
from dataclasses import dataclass
from typing import Any

import numpy as np

import unfold as uf
import viz

t = uf.axis("t")
x, y = uf.input("x", "input", over=t), uf.input("y", over=t, dtype=int)
U, W, V = uf.param("U", "hidden", "input"), uf.param("W", "hidden", "hidden"), uf.param("V", "c", "hidden")
h, o, L, n = uf.var("h", "hidden", over=t), uf.var("o", "c", over=t), uf.var("L", over=t), uf.var("n")
h[0] = 0
h[t] = uf.tanh(W @ h[t - 1] + U @ x[t])
o[t] = V @ h[t]
L[t] = uf.cross_entropy(o[t], y[t])
n[...] = uf.tanh(1) + uf.tanh(0.5) + uf.sum(uf.tanh([1.0, 2.0])) + uf.max(uf.tanh(np.ones((2, 3))))
m: uf.Node = n + uf.square(n) + uf.tanh(uf.step(t.last)) + np.float32(2.0) * uf.where(n > 0, n, 1)
e: uf.Node = uf.softmax(x[t], over=t) + uf.sum(uf.exp(t)) + uf.tanh(t.last - 1) + uf.concat([n, 1.0])
g = uf.graph(loss=uf.sum(L[t], over=t), o=o, m=m)
loss, grads = g.value_and_grad("loss", backend="numpy")(x=np.ones((3, 2)), y=[0, 1, 0], **g.init(input=2))
first: np.ndarray[Any, Any] = grads["W"]
report: uf.Report = uf.check(g, "loss", x=np.ones((3, 2)), y=[0, 1, 0], W=first)
lstm: uf.Graph = uf.systems.lstm(input=8, hidden=16, classes=5)
weights, state = uf.optim.adam(g.init(), grads, {}, rate=0.03)
viz.draw(lstm, "operations").save("lstm.svg")
text: str = uf.__version__


@dataclass(frozen=True)
class Cube(uf.Elementwise):
    """a**3"""

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.multiply(a, xp.multiply(a, a))

    def vjp(self, ct: uf.Node, out: uf.Node, a: uf.Node) -> tuple[uf.Node]:
        return (ct * 3 * a**2,)


cube = uf.operation(Cube)
c: uf.Node = cube(n) + cube(2)
'''

WRONG = """\
uf.tahn(1)
uf.systems.lstmm()
uf.tanh(1, 2, 3)
uf.tanh()
uf.tanh("h")
uf.where(1, 2)
uf.softmax(1, ovre=t)
g.value_and_grad("loss", bakend="x")
g.value_and_grad("loss")(np.ones(3))
uf.assert_gradients()
uf.testing.sytems()
uf.optim.adamm
uf.stream(g, owner="t")
viz.draw(g, collumns=3)
viz.draw(g).svg(them="dark")
uf.systems.lstm(hiden=3)
""".splitlines()


def complaints(tmp_path, *command):
    """The lines of a user's script that a type checker refuses, and all it said."""
    script = tmp_path / "model.py"
    script.write_text(SCRIPT + "\n".join(WRONG) + "\n")
    here = {"MYPYPATH": str(ROOT), "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-m", *command, str(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | here,
    )
    said = done.stdout + done.stderr
    return {int(n) for n in re.findall(r"model\.py:(\d+)(?::\d+)*:? ?-? error", said)}, said


@pytest.mark.parametrize("command", [("mypy", "--strict"), ("pyright",)], ids=lambda c: c[0])
def test_a_type_checker_takes_what_is_right_and_refuses_what_is_wrong(tmp_path, command):
    if command[0] == "pyright" and importlib.util.find_spec("pyright") is None:
        pytest.skip("pyright is not installed")
    refused, said = complaints(tmp_path, *command)
    first = SCRIPT.count("\n") + 1
    assert {n for n in refused if n < first} == set(), said
    assert [line for n, line in enumerate(WRONG, first) if n not in refused] == [], said


def test_the_stub_is_what_the_registry_gives():
    assert face.FILE.read_text() == face.stub(), "run python -m unfold.apps.face"


def test_the_stub_and_the_module_have_the_same_names():
    declared = set(re.findall(r"^def (\w+)", face.stub(), re.M)) | face.faces(uf).keys()
    own = {name for name, f in FUNCTIONS.items() if not f.__module__.startswith("unfold.")}
    assert declared | {*face.LAZY, "__version__"} == set(dir(uf)) - own
    assert all(hasattr(uf, name) for name in dir(uf))


def test_dir_shows_no_folder_that_nobody_types():
    assert {"systems", "optim", "init", "ops", "testing", "errors", "tanh", "graph"} <= set(dir(uf))
    assert not {"core", "engine", "analysis", "transform", "notation", "language", "learn", "apps"} & set(
        dir(uf)
    )
    assert [name for name in dir(uf) if name[0] == "_"] == ["__version__"]


def test_an_operation_has_the_signature_of_its_rule():
    assert str(inspect.signature(uf.tanh)) == "(a: 'Expression', /) -> 'Node'"
    assert list(inspect.signature(uf.where).parameters) == ["condition", "a", "b"]
    assert list(inspect.signature(uf.less).parameters) == ["a", "b"]
    assert inspect.getdoc(uf.tanh) == "the hyperbolic tangent of a"


def test_every_operation_has_types():
    for name, function in FUNCTIONS.items():
        if function.__module__.startswith("unfold."):
            signature = inspect.signature(function)
            assert signature.return_annotation is not inspect.Signature.empty, name
            assert all(p.annotation is not p.empty for p in signature.parameters.values()), name


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: uf.tanh(1, 2, 3), "tanh takes 1 argument, here 3"),
        (lambda: uf.less(1), "less takes 2 arguments, here 1"),
        (lambda: uf.where(1, 2), "where takes 3 arguments, here 2"),
    ],
)
def test_a_wrong_number_of_arguments_is_refused(call, says):
    with pytest.raises(uf.DefinitionError, match=says):
        call()


def test_the_version_is_that_of_this_checkout(capsys):
    assert f'\nversion = "{uf.__version__}"\n' in (ROOT / "pyproject.toml").read_text()
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"unfold {uf.__version__}\n"


def test_the_errors_are_reached_by_their_module_too():
    assert uf.errors.UnfoldError is uf.UnfoldError
