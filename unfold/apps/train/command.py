"""`unfold train TEXT` and `unfold sample CHECKPOINT`."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import fields
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

from unfold.apps.train import checkpoint, models
from unfold.apps.train.corpus import Vocabulary, read
from unfold.apps.train.loop import Options, Progress, Trainer, resume
from unfold.apps.train.sampling import sample as characters
from unfold.core.errors import UnfoldError
from unfold.learn.optim import OPTIMISERS

HELP = {
    "model": "vanilla (rnn), lstm or gru",
    "hidden": "size of a layer's state",
    "layers": "layers, one above another",
    "embed": "size of a character's vector",
    "steps": "characters in a window: how far back gradients go",
    "streams": "rows of the text read side by side",
    "optimiser": ", ".join(OPTIMISERS),
    "rate": "learning rate",
    "clip": "greatest norm of a gradient",
    "epochs": "times to read the text",
    "patience": "validations without progress before stopping",
    "validation": "part of the text held out, at its end",
    "every": "windows between validations, at most",
    "precision": "float32 or float64",
    "seed": "of the first weights",
}
LATER = ("rate", "clip", "epochs", "patience", "every")  # what a resumed run may change
CHOICES = {
    "model": tuple(models.LAYERS), "optimiser": tuple(OPTIMISERS), "precision": ("float32", "float64")
}  # fmt: skip


def add(subparsers: Any) -> None:
    """Both commands, for `unfold.apps.cli`."""
    text = "train a character model on a text of one's own"
    train = subparsers.add_parser("train", help=text, description=text)
    train.set_defaults(run=run_train)
    train.add_argument("text", metavar="TEXT", help="a UTF-8 file of any size")
    train.add_argument(
        "-o", "--output", metavar="FILE", help="the checkpoint (default: TEXT's name with .npz)"
    )
    train.add_argument("--resume", metavar="CHECKPOINT", help="go on with a run, as if it had never stopped")
    for f in fields(Options):
        kind = {"int": _count, "float": _number}.get(str(f.type), str)
        train.add_argument(
            f"--{f.name}", type=kind, choices=CHOICES.get(f.name), help=f"{HELP[f.name]} ({f.default})"
        )
    train.add_argument(
        "--sample", type=_count, default=200, metavar="N", help="characters shown at each validation"
    )
    train.add_argument("--temperature", type=_number, default=0.8, help="of the samples")
    text = "text from a trained model"
    sample = subparsers.add_parser("sample", help=text, description=text)
    sample.set_defaults(run=run_sample)
    sample.add_argument("checkpoint", metavar="CHECKPOINT", help="a file that `unfold train` wrote")
    sample.add_argument("--length", type=_count, default=500, help="characters (500)")
    sample.add_argument("--temperature", type=_number, default=0.8, help="0: always the likeliest (0.8)")
    sample.add_argument("--prompt", default="", help="what the text begins with")
    sample.add_argument("--seed", type=_count, default=0)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
    return int(text)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, 0 or more")
    return value


# ---------------------------------------------------------------------- train
def run_train(args: argparse.Namespace) -> int:
    """`unfold train TEXT`."""
    given = {f.name: v for f in fields(Options) if (v := getattr(args, f.name)) is not None}
    zero = next((n for n, v in given.items() if v == 0 and n not in ("validation", "seed", "epochs")), None)
    if zero or given.get("validation", 0) >= 1:
        raise UnfoldError(
            f"--{zero} cannot be 0" if zero else "--validation is a part of the text, less than 1"
        )
    saved = checkpoint.load(args.resume) if args.resume else None
    output = args.output or args.resume or Path(args.text).stem + ".npz"
    if not args.resume and Path(output).exists():
        raise UnfoldError(f"{output} exists: go on with it (--resume {output}), or name another file with -o")
    vocabulary, codes = read(args.text)
    if saved is None:
        trainer = Trainer(Options(**given), vocabulary, codes)
        now = trainer.start()
    else:
        fixed = next((name for name in given if name not in LATER), None)
        if fixed:
            raise UnfoldError(f"a resumed run keeps its --{fixed}; it may change --{', --'.join(LATER)}")
        trainer, now = resume(saved, vocabulary, codes, args.resume, **given)
    _introduce(trainer)
    return Session(trainer, output, args.text, args.sample, args.temperature).run(now)


def _introduce(trainer: Trainer) -> None:
    o, windows = trainer.options, trainer.train
    count = sum(p.size for p in trainer.start().weights.values())
    print(
        f"{len(trainer.codes):,} characters, {len(trainer.vocabulary)} different; "
        f"{o.layers} x {o.hidden} {o.model}, {count:,} weights; "
        f"{len(windows)} windows of {windows.streams} x {windows.steps} an epoch"
    )
    if not trainer.held_out:
        print("no text is held out for validation: the text is short, or --validation is 0")


class Session:
    """Runs a trainer in front of a person."""

    def __init__(self, trainer: Trainer, output: str, text: str, sample: int, temperature: float) -> None:
        self.trainer, self.output, self.text = trainer, output, text
        self.sample, self.temperature = sample, temperature
        self.began, self.seen, self.shown = perf_counter(), 0, 0.0

    def run(self, now: Progress) -> int:
        """Until it is finished, or interrupted: then what there is is saved. The exit code."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            while True:
                if self.trainer.due(now):
                    now = self.trainer.validate(now)
                    self.save(now)
                    self.report(now)
                if why := self.trainer.finished(now):
                    self.save(now)
                    print(f"{why}; saved to {self.output}")
                    return 0
                now = self.trainer.advance(now)
                self.seen += self.trainer.train.streams * self.trainer.train.steps
                self.progress(now)
        except KeyboardInterrupt:
            self.save(now)
            self.clear()
            print(
                f"interrupted at step {now.step}, saved; "
                f"go on with: unfold train {self.text} --resume {self.output}"
            )
            return 130

    def save(self, now: Progress) -> None:
        checkpoint.save(self.output, self.trainer.checkpoint(now))

    def report(self, now: Progress) -> None:
        """A line for the log, and what the model writes by now."""
        step, train, validation = now.log[-1]
        self.clear()
        name = "validation" if self.trainer.held_out else "same text"
        mark = " *" if not now.stale else ""
        print(
            f"step {step:>6}  epoch {now.epoch}  train {train:.3f}  {name} {validation:.3f} bits/char  "
            f"{self.speed()}{mark}",
            flush=True,
        )
        if self.sample:
            text = characters(
                self.trainer.model,
                now.weights,
                self.trainer.vocabulary,
                temperature=self.temperature,
                seed=step,
            )
            print("    " + "".join(islice(text, self.sample)).replace("\n", "\n    "), flush=True)

    def progress(self, now: Progress) -> None:
        """One line that is written over, ten times a second at most."""
        if not sys.stderr.isatty() or perf_counter() - self.shown < 0.1:
            return
        self.shown = perf_counter()
        train, epochs = self.trainer.train, self.trainer.options.epochs
        done = (now.window or len(train)) / len(train)
        left = int((len(train) - now.window) * train.streams * train.steps / max(1.0, self.rate()))
        print(
            f"\r\033[Kepoch {now.epoch + (now.window > 0)}/{epochs} "
            f"[{'#' * int(20 * done):.<20}] {done:4.0%}  "
            f"{now.bits:.3f} bits/char  {self.speed()}  {left // 60}:{left % 60:02} left",
            end="",
            file=sys.stderr,
            flush=True,
        )

    def clear(self) -> None:
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def rate(self) -> float:
        return self.seen / max(1e-9, perf_counter() - self.began)

    def speed(self) -> str:
        """Characters per second, in this session."""
        return f"{self.rate() / 1000:.1f}k chars/s"


# ---------------------------------------------------------------------- sample
def run_sample(args: argparse.Namespace) -> int:
    """`unfold sample CHECKPOINT`."""
    saved = checkpoint.load(args.checkpoint)
    try:
        vocabulary = Vocabulary(saved.facts["text"]["characters"])
        weights = saved.groups["best_weights"]
    except (KeyError, TypeError) as error:
        raise checkpoint.BadCheckpoint(
            f"{args.checkpoint} is no checkpoint of `unfold train`: it has no {error}", path=args.checkpoint
        ) from None
    write: Callable[[str], int] = sys.stdout.write
    write(args.prompt)
    text = characters(
        saved.graph, weights, vocabulary, temperature=args.temperature, prompt=args.prompt, seed=args.seed
    )
    for c in islice(text, args.length):
        write(c)
    write("\n")
    return 0
