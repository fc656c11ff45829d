"""A UTF-8 file as numbers, however large: read in pieces, kept in a memory-mapped array."""

from __future__ import annotations

import codecs
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unfold.core.errors import UnfoldError

Codes = NDArray[Any]
PIECE = 1 << 20  # bytes read at a time
POINTS = 0x110000  # Unicode code points


class BadText(UnfoldError):
    """A file that a character model cannot learn from. Field: `path`."""


@dataclass(frozen=True)
class Vocabulary:
    """The characters of a text, in order of code point; a character's number is its place."""

    characters: str

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> Codes:
        """Numbers of characters; raises `BadText` for one that the text did not have."""
        number = {c: i for i, c in enumerate(self.characters)}
        strange = next((c for c in text if c not in number), None)
        if strange is not None:
            raise BadText(f"the character {strange!r} is not in the text the model was trained on")
        return np.array([number[c] for c in text], dtype=np.int64)

    def decode(self, codes: Any) -> str:
        return "".join(self.characters[i] for i in codes)


def read(path: str | Path) -> tuple[Vocabulary, Codes]:
    """The vocabulary and the whole text as numbers, in an array that lives on disk.

    Two passes over the file, about a megabyte in memory at a time. Raises `BadText` for a
    file that is missing, empty, one character long, or not UTF-8 text.
    """
    seen, length = np.zeros(POINTS, dtype=bool), 0
    for points in _points(path):
        seen[points] = True
        length += len(points)
    if length < 2:
        what = "is empty" if not length else "has a single character"
        raise BadText(f"{path} {what}: predicting the next character takes at least two", path=path)
    alphabet = np.flatnonzero(seen)
    number = np.zeros(POINTS, dtype=np.min_scalar_type(len(alphabet) - 1))
    number[alphabet] = np.arange(len(alphabet))
    with tempfile.TemporaryFile() as file:
        codes = np.memmap(file, dtype=number.dtype, mode="w+", shape=length)
        at = 0
        for points in _points(path):
            codes[at : at + len(points)] = number[points]
            at += len(points)
    return Vocabulary("".join(map(chr, alphabet))), codes


def _points(path: str | Path) -> Iterator[Codes]:
    """The code points of a file, piece by piece; a byte order mark is dropped."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    at = 0
    try:
        with open(path, "rb") as file:
            while True:
                piece = file.read(PIECE)
                if not at:
                    _refuse_other_encodings(path, piece)
                zero = piece.find(0)
                if zero >= 0:
                    raise BadText(f"{path} is not text: a zero byte at {at + zero}", path=path)
                at += len(piece)
                text = decoder.decode(piece, final=not piece)
                yield np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
                if not piece:
                    return
    except UnicodeDecodeError as error:
        place = at - len(error.object) + error.start
        raise BadText(
            f"{path} is not UTF-8 text: byte 0x{error.object[error.start]:02x} at {place} ({error.reason}); "
            f"convert it, such as: iconv -f latin1 -t utf-8 {Path(path).name}",
            path=path,
        ) from None
    except OSError as error:
        raise BadText(f"{path} cannot be read: {error.strerror}", path=path) from None


def _refuse_other_encodings(path: str | Path, start: bytes) -> None:
    marks = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16", codecs.BOM_UTF32_BE: "UTF-32"}
    for mark, name in marks.items():
        if start.startswith(mark):
            name = "UTF-32" if start.startswith(codecs.BOM_UTF32_LE) else name
            raise BadText(
                f"{path} is {name}, not UTF-8; convert it: iconv -f {name} -t utf-8 {Path(path).name}",
                path=path,
            )


@dataclass(frozen=True)
class Rows:
    """A text cut into `streams` equal rows, read side by side in windows of `steps`.

    Window k of row r continues window k - 1 of the same row, so a state carried from window
    to window has read the row from its start. Shorter texts get fewer rows and steps; the
    last window may be shorter.
    """

    codes: Codes
    streams: int
    steps: int

    @classmethod
    def fit(cls, codes: Codes, streams: int, steps: int) -> Rows:
        """As asked for, or as much of it as the text can fill."""
        pairs = len(codes) - 1
        return cls(codes, max(1, min(streams, pairs // steps)), max(1, min(steps, pairs)))

    @property
    def length(self) -> int:
        """Predictions in a row."""
        return (len(self.codes) - 1) // self.streams

    def __len__(self) -> int:
        return -(-self.length // self.steps)

    def __getitem__(self, window: int) -> tuple[Codes, Codes]:
        """Characters and the next ones of a window, each (steps, streams)."""
        begin, end = window * self.steps, min((window + 1) * self.steps, self.length)
        if not 0 <= begin < end:
            raise IndexError(window)
        rows = (np.arange(self.streams) * self.length)[None, :] + np.arange(begin, end + 1)[:, None]
        block = self.codes[rows].astype(np.int64)
        return block[:-1], block[1:]


def split(codes: Codes, validation: float) -> tuple[Codes, Codes]:
    """The beginning for training, the end for validation; nothing for validation where that
    would leave fewer than two characters for either."""
    cut = len(codes) - int(len(codes) * validation)
    if len(codes) - cut < 2 or cut < 2:
        return codes, codes[:0]
    return codes[:cut], codes[cut:]
