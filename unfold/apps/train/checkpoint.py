"""One `.npz` with everything a run needs to go on: a header, the graph as JSON, arrays.

It is written beside its name and moved there when it is whole (`write_whole`), so a run that
is killed while saving leaves the one before. Nothing in it is ever unpickled; whatever is
wrong with a file that is read is one `BadCheckpoint`.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unfold.core.errors import UnfoldError
from unfold.core.files import write_whole
from unfold.graph import Graph

Array = NDArray[Any]
FORMAT, VERSION = "unfold checkpoint", 1


class BadCheckpoint(UnfoldError):
    """A file that is no checkpoint, a damaged or a newer one, or one that cannot be read or
    written. Field: `path`."""


@dataclass(frozen=True)
class Checkpoint:
    """A graph, plain facts (what JSON can hold), and groups of arrays by name, such as
    {"weights": {"W": ...}}."""

    graph: Graph
    facts: Mapping[str, Any]
    groups: Mapping[str, Mapping[str, Array]]


def save(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint at once or not at all."""
    header = {
        "format": FORMAT,
        "version": VERSION,
        "graph": json.loads(checkpoint.graph.to_json()),
        "facts": dict(checkpoint.facts),
        "groups": {group: list(arrays) for group, arrays in checkpoint.groups.items()},
    }
    text = json.dumps(header, ensure_ascii=True, allow_nan=False)
    entries = {"header": np.frombuffer(text.encode(), dtype=np.uint8)}
    for group, arrays in checkpoint.groups.items():
        entries.update({f"{group}/{name}": np.asarray(a) for name, a in arrays.items()})
    data = io.BytesIO()
    np.savez(data, allow_pickle=False, **entries)
    try:
        write_whole(Path(os.path.realpath(path)), data.getvalue())
    except OSError as error:
        raise BadCheckpoint(f"{path} cannot be written: {error.strerror}", path=path) from None


def load(path: str | Path) -> Checkpoint:
    """Read a checkpoint. Raises `BadCheckpoint` for anything but a whole one of this version."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise BadCheckpoint(f"{path} cannot be read: {error.strerror}", path=path) from None
    if not data.startswith(b"PK\x03\x04"):
        raise BadCheckpoint(f"{path} is not a checkpoint (it is not even an .npz file)", path=path)
    try:
        arrays = _arrays(data)
        header = json.loads(arrays.pop("header").tobytes()) if "header" in arrays else {}
        ours = isinstance(header, dict) and header.get("format") == FORMAT
    except Exception as error:  # whatever a damaged file makes the readers raise
        raise BadCheckpoint(f"{path} is damaged: {error}", path=path) from None
    if not ours:
        raise BadCheckpoint(f"{path} is an .npz file, but not a checkpoint of this program", path=path)
    if header.get("version") != VERSION:
        raise BadCheckpoint(
            f"{path} has version {header.get('version')} of the format, this program reads {VERSION}; "
            f"use the program that wrote it, or a newer one",
            path=path,
        )
    try:
        groups = {g: {n: arrays.pop(f"{g}/{n}") for n in names} for g, names in header["groups"].items()}
        graph = Graph.from_json(json.dumps(header["graph"]))
        return Checkpoint(graph, dict(header["facts"]), groups)
    except Exception as error:
        raise BadCheckpoint(f"{path} is damaged: {type(error).__name__} {error}", path=path) from None


def _arrays(data: bytes) -> dict[str, Array]:
    """All arrays of an `.npz`; every byte is checked against its checksum."""
    arrays = {}
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        for info in file.infolist():
            if info.compress_type != zipfile.ZIP_STORED or not info.filename.endswith(".npy"):
                raise ValueError(f"a part {info.filename!r} that it should not have")
            member = io.BytesIO(file.read(info))
            arrays[info.filename.removesuffix(".npy")] = np.lib.format.read_array(member, allow_pickle=False)
    return arrays
