"""The house: imports form layers, everything public says what it is, and examples run."""

import ast
import doctest
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import unfold
import viz

PACKAGES = (unfold, viz)
ROOT = Path(unfold.__file__).parent.parent
MODULES = sorted(
    m.name
    for package in PACKAGES
    for m in [*pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
    if not m.name.endswith("__main__")
) + [p.__name__ for p in PACKAGES]

OPTIONAL = {"unfold.backends.native": "numba"}  # what a module needs beside NumPy

# Imports inside functions that point up: a graph's verbs are methods, and so is printing.
UPWARD = {"unfold.graph", "unfold.node", "unfold.op", "unfold.ops.index", "viz.drawing"}


FACING = {"Graph", "Node", "Axis", "Index", "Var", "Op", "Table", "Result", "Run", "Drawing", "Report"}


WHOLE = {m for m in MODULES if (ROOT / Path(*m.split("."))).is_dir()}  # packages


def source(module):
    path = ROOT / Path(*module.split("."))
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()


def imported(tree, module):
    """The modules of this project that a piece of source imports."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: a relative import"
            full = [f"{node.module}.{a.name}" for a in node.names]
            names = [f if f in MODULES else node.module for f in full]
        yield from (n for n in names if n in MODULES)


def at_the_top(module):
    """Imports that run when the module is loaded."""
    body = []
    for node in ast.parse(source(module)).body:
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if not typing_only and not isinstance(node, ast.FunctionDef | ast.ClassDef):
            body.append(node)
    return {n for node in body for n in imported(node, module)} - {module}


def inside_functions(module):
    tree = ast.parse(source(module))
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {n for f in functions for n in imported(f, module)} - {module}


def cycle_in(below):
    """Some cycle of a graph of names, or None."""
    done, path = set(), []

    def visit(name):
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return None
        path.append(name)
        for other in sorted(below[name]):
            if found := visit(other):
                return found
        done.add(path.pop())
        return None

    return next(filter(None, map(visit, sorted(below))), None)


def test_imports_form_layers_without_a_cycle():
    below = {m: at_the_top(m) - {"unfold"} for m in MODULES}
    assert cycle_in(below) is None


def test_only_verbs_and_printing_import_upwards_inside_functions():
    below = {m: at_the_top(m) | (set() if m in UPWARD else inside_functions(m)) for m in MODULES}
    below = {m: {n for n in ns if n not in WHOLE} for m, ns in below.items()}
    assert cycle_in(below) is None


def test_unfold_reaches_viz_only_for_display():
    inner = [m for m in MODULES if m.startswith("unfold")]
    reaching = {m for m in inner if any(n.startswith("viz") for n in at_the_top(m))}
    allowed = ("unfold.graph", "unfold.cli", "unfold.gallery")
    assert {m for m in reaching if not m.startswith(allowed)} == set()


def load(module):
    if module in OPTIONAL:
        pytest.importorskip(OPTIONAL[module])
    return importlib.import_module(module)


@pytest.mark.parametrize("module", MODULES)
def test_everything_public_says_what_it_is(module):
    loaded = load(module)
    assert loaded.__doc__, module
    own = {n: v for n, v in vars(loaded).items() if getattr(v, "__module__", None) == module and n[0] != "_"}
    silent = []
    for name, value in own.items():
        if inspect.isfunction(value) and not value.__doc__:
            silent.append(name)
        elif inspect.isclass(value):
            if not value.__dict__.get("__doc__"):
                silent.append(name)
            if name in FACING:
                silent += [
                    f"{name}.{n}"
                    for n, f in vars(value).items()
                    if n[0] != "_" and inspect.isfunction(f) and not inspect.getdoc(getattr(value, n))
                ]
    assert silent == []


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_a_module_run(module):
    loaded = load(module)
    failed, _ = doctest.testmod(loaded, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


@pytest.mark.parametrize("module", MODULES)
def test_a_file_can_be_read_in_one_sitting(module):
    assert len(source(module).splitlines()) <= 450
