"""Colours and measures of the pictures. A tone has a fill and a stroke, in light and in dark."""

from __future__ import annotations

from dataclasses import dataclass

PITCH = 104.0  # from column to column

ROW = 66.0  # from row to row

RADIUS = 21.0  # of a variable

SQUARE = 11.0  # the delay

HEAD = 7.0  # length of an arrowhead

FONTS = "'STIX Two Text','Cambria','Times New Roman','Liberation Serif',Times,serif"

MATH = 17.0  # size of a variable's letter

EDGE = 14.0  # size of a letter beside an edge


@dataclass(frozen=True)
class Tone:
    """Fill and stroke on white paper, fill and stroke on a dark screen."""

    fill: str
    stroke: str
    dark_fill: str
    dark_stroke: str


TONES: dict[str, Tone] = {
    "paper": Tone("#FFFFFF", "none", "#0D1117", "none"),
    "ink": Tone("#1A202C", "#1A202C", "#E2E8F0", "#E2E8F0"),
    "faint": Tone("#A0AEC0", "#8796AB", "#4A5568", "#718096"),
    "input": Tone("#E3EEF9", "#2B6CB0", "#12304F", "#63B3ED"),
    "state": Tone("#E2F3E6", "#2F855A", "#143A28", "#68D391"),
    "reverse": Tone("#E9E3F8", "#6B46C1", "#2E2158", "#B794F4"),
    "hidden": Tone("#DDF2F3", "#2C7A7B", "#123B3E", "#4FD1C5"),
    "output": Tone("#FDF0DC", "#B7791F", "#43300F", "#F6AD55"),
    "loss": Tone("#FBE3E3", "#C53030", "#4A1A1D", "#FC8181"),
    "target": Tone("#EDEFF2", "#4A5568", "#242C3A", "#A0AEC0"),
    "adjoint": Tone("#FBE3EE", "#B83280", "#471A36", "#F687B3"),
    "tangent": Tone("#FDF3D8", "#B83280", "#43300F", "#F687B3"),
    "gate": Tone("#FEF3C7", "#B7791F", "#3F320C", "#ECC94B"),
    "pointwise": Tone("#F9D5E2", "#B83280", "#471A36", "#F687B3"),
    "cell": Tone("#F3F8F3", "#A3C4AE", "#111D18", "#3B6B4E"),
    "cell2": Tone("#F4F2FD", "#B1A8DB", "#17142A", "#5B4C9B"),
    # edges by the kind of parameter they carry; variants keep several of a kind apart
    "feed": Tone("#2B6CB0", "#2B6CB0", "#63B3ED", "#63B3ED"),
    "recur": Tone("#2F855A", "#2F855A", "#68D391", "#68D391"),
    "recur2": Tone("#0F766E", "#0F766E", "#4FD1C5", "#4FD1C5"),
    "recur3": Tone("#4D7C0F", "#4D7C0F", "#A3E635", "#A3E635"),
    "recur4": Tone("#553C9A", "#553C9A", "#B794F4", "#B794F4"),
    "back": Tone("#6B46C1", "#6B46C1", "#B794F4", "#B794F4"),
    "out": Tone("#B7791F", "#B7791F", "#F6AD55", "#F6AD55"),
    "gradient": Tone("#B83280", "#B83280", "#F687B3", "#F687B3"),
    "wrong": Tone("#FED7D7", "#E53E3E", "#742A2A", "#FEB2B2"),
}


def tone(name: str) -> Tone:
    """A tone by name; `#rrggbb` stands for itself, in light and in dark."""
    if name.startswith("#"):
        return Tone(name, "#1A202C", name, "#1A202C")
    return TONES[name]


def number(value: float) -> str:
    """A coordinate: two decimals, none where they are zero."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
