"""The command line: `unfold show model.py:rnn`, `unfold draw ...`, `unfold gallery pictures`.

Each subcommand is a function `add(subparsers)` that makes its parser and sets `run`, a
function of the parsed arguments that returns the exit code: 0, or 1 for a failed check. Bad
input raises `UnfoldError` or `OSError`, which `main` turns into one line on stderr and 2.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

import unfold as uf
from unfold.analysis.causality import over_time
from unfold.apps.loading import load
from unfold.check import Report
from unfold.check import check as prove
from unfold.core.errors import UnfoldError
from unfold.core.system import by_label
from unfold.engine.made_up import arrays
from unfold.graph import Graph

if TYPE_CHECKING:
    from unfold.engine.run import Run
    from viz import Drawing

Subparsers = Any  # argparse keeps the type to itself


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} ({self.prog} --help says more)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    parser = Parser(
        prog="unfold", description="Write a recurrence once; unfold, differentiate, draw, check it."
    )
    parser.add_argument("--version", action="version", version=f"unfold {uf.__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in commands():
        add(subparsers)
    try:
        args = parser.parse_args(argv)
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except UnfoldError as error:
        return _refuse(str(error))
    except BrokenPipeError:  # the reader of our output has left, as in `unfold ops | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _refuse(f"{error.filename or 'file'}: {error.strerror or error}")
    except KeyboardInterrupt:
        print("unfold: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        at = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(at.filename).name}:{at.lineno}"
        words = f"{type(error).__name__}: {error} ({place}); python -X dev -m unfold ... shows all of it"
        return _refuse(f"this is a bug in unfold, please report it: {words}")


def _refuse(message: str) -> int:
    print(f"unfold: {' '.join(message.split())}", file=sys.stderr)
    return 2


def commands() -> list[Callable[[Subparsers], None]]:
    """Every subcommand, in the order of the help."""
    from unfold.apps import gallery
    from unfold.apps.train import command as training

    return [gallery.add, show, draw, check, code, ops, training.add]


def command(subparsers: Subparsers, name: str, text: str, run: Callable[..., int]) -> argparse.ArgumentParser:
    """A subcommand that `run` carries out."""
    parser: argparse.ArgumentParser = subparsers.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def _source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", metavar="FILE:NAME", help="a graph in a Python file, or a ready-made one: systems:lstm"
    )


def sizes(text: str) -> dict[str, int]:
    """`t=4` or `i=3,j=4` as sizes."""
    result: dict[str, int] = {}
    for part in text.split(","):
        name, equals, number = part.partition("=")
        if not equals or not name.strip() or not number.strip().isdecimal():
            raise argparse.ArgumentTypeError(f"{part!r} is not of the form name=number, such as t=4")
        result[name.strip()] = int(number)
    return result


def whole(text: str) -> int:
    """A number that is not negative."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def positive(text: str) -> int:
    """A number that is at least 1."""
    number = whole(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} should be 1 or more")
    return number


def _merged(parts: Sequence[dict[str, int]] | None) -> dict[str, int]:
    return {name: n for part in parts or () for name, n in part.items()}


def the_loss(graph: Graph) -> str:
    """The output to differentiate when none is named: `loss`, or the only one that is a number."""
    numbers = [n for n, u in graph.outputs.items() if not u.axes and not u.shape and u.dtype == "float"]
    if "loss" in numbers:
        return "loss"
    if len(numbers) != 1:
        have = ", ".join(numbers) or "none is a number"
        raise UnfoldError(f"which output is to be differentiated? name one with --grad: {have}")
    return numbers[0]


# ---------------------------------------------------------------------- show
def show(subparsers: Subparsers) -> None:
    """`unfold show FILE:NAME`"""
    parser = command(subparsers, "show", "print the equations, the loops, what is carried over time", _show)
    _source(parser)
    _form(parser)
    parser.add_argument("--latex", action="store_true", help="as LaTeX")


def _form(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--unfold", metavar="t=4", type=sizes, action="append", help="unfold: steps of each axis"
    )
    parser.add_argument("--grad", metavar="OUTPUT", help="the gradient of this output instead")


def _formed(graph: Graph, args: argparse.Namespace) -> Graph:
    if args.grad is not None:
        graph = graph.grad(args.grad)
    return graph.unfold(**_merged(args.unfold)) if args.unfold else graph


def _show(args: argparse.Namespace) -> int:
    graph = _formed(load(args.source), args)
    print(graph.latex() if args.latex else graph)
    if graph.axes and not args.latex:
        print("\n" + "\n".join(over_time(graph)))
    return 0


# ---------------------------------------------------------------------- draw
def draw(subparsers: Subparsers) -> None:
    """`unfold draw FILE:NAME -o picture.svg`"""
    parser = command(subparsers, "draw", "draw a graph, cyclic or unfolded, to a file", _draw)
    _source(parser)
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help=".svg .html .dot .pdf .png .tex"
    )
    _form(parser)
    parser.add_argument(
        "--level", choices=("variables", "operations"), help="circles (default), or one box an operation"
    )
    parser.add_argument("--title", metavar="TEXT", default="", help="of the picture")
    parser.add_argument(
        "--pair", action="store_true", help="cyclic and unfolded, side by side (with --unfold)"
    )
    parser.add_argument(
        "--columns", metavar="N", type=positive, help="steps in full (6 at least); above, an ellipsis"
    )
    parser.add_argument(
        "--window", metavar="K", type=positive, help="strike out what truncation to K steps cuts"
    )
    parser.add_argument(
        "--show", choices=("values", "adjoint", "shapes"), help="on the circles, of a run on random arrays"
    )
    parser.add_argument(
        "--check", action="store_true", help="the gradients too; what is at fault in red (exit code 1)"
    )
    parser.add_argument("--seed", type=whole, default=0, help="of the random arrays")


def _draw(args: argparse.Namespace) -> int:
    import viz

    graph = load(args.source)
    report = None
    if args.pair:
        drawing = _side_by_side(graph, args)
    else:
        formed = _formed(graph, args)
        given = {name: getattr(args, name) for name in ("level", "columns", "window", "show")}
        options = {name: value for name, value in given.items() if value is not None}
        for name in ("columns", "window", "show"):
            if name in options and formed.axes:
                steps = ",".join(f"{a.name}=4" for a in formed.axes)
                raise UnfoldError(f"--{name} is for an unfolded graph: say --unfold {steps} too")
        if args.show:
            options["run"] = _example_run(graph, formed, args)
        if args.check:
            options["report"] = report = _example_check(graph, args)
        drawing = viz.draw(formed, title=args.title, **options)
    drawing.save(args.output)
    if report is not None:
        print(report)
    print(f"wrote {args.output}")
    return 0 if report is None or report.ok else 1


def _side_by_side(graph: Graph, args: argparse.Namespace) -> Drawing:
    import viz

    if not args.unfold:
        raise UnfoldError("--pair draws the cyclic form beside the unfolded one: say --unfold t=4 too")
    for name in ("level", "columns", "window", "show", "check"):
        if getattr(args, name):
            raise UnfoldError(f"--pair goes with --unfold, --grad and --title, not with --{name}")
    graph = graph if args.grad is None else graph.grad(args.grad)
    return viz.unfolding(graph, max(_merged(args.unfold).values()), title=args.title)


def _example_run(graph: Graph, formed: Graph, args: argparse.Namespace) -> Run:
    """A run on random arrays of what is drawn; for adjoints, of the graph they are adjoints in."""
    sizes = _merged(args.unfold)
    data, of = arrays(graph, args.seed, None, **sizes), None
    if args.show == "adjoint":
        formed, of = graph.unfold(**sizes) if sizes else graph, args.grad or the_loss(graph)
    return formed.run(of, **{name: data[name] for name in by_label(formed)})


def _example_check(graph: Graph, args: argparse.Namespace) -> Report:
    """A check at random arrays."""
    data = arrays(graph, args.seed, None, **_merged(args.unfold))
    return prove(graph, args.grad or the_loss(graph), seed=args.seed, **data)


# ---------------------------------------------------------------------- check
def check(subparsers: Subparsers) -> None:
    """`unfold check FILE:NAME`"""
    text = "prove the gradients, or name the operation and the step at fault (exit code 1)"
    parser = command(subparsers, "check", text, _check)
    _source(parser)
    parser.add_argument("--grad", metavar="OUTPUT", help="the output to differentiate (default: the loss)")
    parser.add_argument(
        "--data", metavar="FILE.npz", help="arrays for inputs and parameters; others are random"
    )
    parser.add_argument("--size", metavar="hidden=4", type=sizes, action="append", help="dimensions and axes")
    parser.add_argument("--seed", type=whole, default=0, help="of the random arrays and directions")


def _check(args: argparse.Namespace) -> int:
    graph = load(args.source)
    given = _npz(args.data) if args.data else {}
    data = arrays(graph, seed=args.seed, given=given, **_merged(args.size))
    report = prove(graph, args.grad or the_loss(graph), seed=args.seed, **data)
    print(report)
    return 0 if report.ok else 1


def _npz(path: str) -> dict[str, Any]:
    try:
        with np.load(Path(path), allow_pickle=False) as file:
            return dict(file) if hasattr(file, "files") else {}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UnfoldError(f"{path} is no .npz file of arrays: {error}") from None


# ---------------------------------------------------------------------- code
def code(subparsers: Subparsers) -> None:
    """`unfold code FILE:NAME`"""
    parser = command(subparsers, "code", "print the NumPy source that runs, forward and backward", _code)
    _source(parser)
    parser.add_argument("--grad", metavar="OUTPUT", help="the output to differentiate (default: the loss)")
    parser.add_argument("--forward", action="store_true", help="without the gradients")


def _code(args: argparse.Namespace) -> int:
    graph = load(args.source)
    print(graph.code() if args.forward else graph.code(args.grad or the_loss(graph)))
    return 0


# ---------------------------------------------------------------------- ops
def ops(subparsers: Subparsers) -> None:
    """`unfold ops`"""
    parser = command(subparsers, "ops", "list every operation with its mathematics", _ops)
    parser.add_argument(
        "word", nargs="?", default="", help="only those that mention it, with their gradients"
    )
    parser.add_argument("--markdown", action="store_true", help="as tables with gradients and symbols")


def _ops(args: argparse.Namespace) -> int:
    from unfold.apps import operations as listing
    from unfold.core.node import FUNCTIONS

    if args.markdown:
        print(listing.table(args.word))
        return 0
    found = False
    for name in sorted(FUNCTIONS):
        called, mathematics, gradient, _ = (
            part.replace("`", "").replace(r"\|", "|") for part in listing.row(name)
        )
        if args.word.lower() in f"{name} {mathematics}".lower():
            found = True
            print(f"{called:34}  {mathematics}")
            if args.word and gradient:
                print(f"{'':34}  {gradient if gradient[0] == '=' else 'gradient: ' + gradient}")
    if not found:
        raise UnfoldError(f"no operation mentions {args.word!r}")
    return 0
