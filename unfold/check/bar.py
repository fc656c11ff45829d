"""A bar on stderr for work that takes longer than two seconds; silent where nobody looks."""

from __future__ import annotations

import sys
import time


class Bar:
    """`advance()` once a unit of work; the bar appears late and is wiped at the end."""

    def __init__(self, total: int, what: str, after: float = 2.0) -> None:
        self.total, self.what, self.after = total, what, after
        self.done, self.start, self.shown = 0, time.monotonic(), False
        self.live = sys.stderr is not None and sys.stderr.isatty()

    def advance(self, what: str | None = None) -> None:
        self.done += 1
        self.what = what or self.what
        if not self.live or time.monotonic() - self.start < self.after:
            return
        filled = 24 * self.done // max(1, self.total)
        bar = "█" * filled + "·" * (24 - filled)
        print(
            f"\r\x1b[2K{bar} {self.done}/{self.total} {self.what}"[:110], end="", file=sys.stderr, flush=True
        )
        self.shown = True

    def close(self) -> None:
        if self.shown:
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)
