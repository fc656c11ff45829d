"""The table of operations: what a row says of arguments, mathematics, gradients and symbol."""

from __future__ import annotations

import pytest

from unfold.apps.operations import family, row, table
from unfold.core.node import FUNCTIONS

ROWS = {
    "add": ("add(a, b, c)", "a + b + ...", "`ct`, `ct`, `ct`", "+"),
    "where": (
        "where(condition, a, b)", "a where the condition holds, b elsewhere",
        "`0`, `where(condition, ct, 0)`, `where(condition, 0, ct)`", "?",
    ),
    "take": (
        "take(a, i, axis=0, over=None)",
        "The entries of a at integer indices i (from 0) along a dimension, the first by default.",
        "`scatter(ct, i, size=3)`, `0`", "a[i]",
    ),
    "abs": (
        "abs(a)", r"\|a\|; the gradient at 0 is 0. Of a complex number, its modulus.",
        "`ct * sign(a)`", r"\|·\|",
    ),
    "argmax": (
        "argmax(a, over=-1)", "The index of the greatest entry, from 0; it has no gradient.",
        "data: none", "argmax",
    ),
    "split": (
        "split(a, parts, axis=0)",
        "a cut into equal parts, or at the given places, along a dimension (the first by default).", "", "",
    ),
    "concat": (
        "concat(a, b, axis=-1)",
        "Values joined along a dimension: `concat(f, g)`; the last dimension by default.",
        "`ct[:, :3]`, `ct[:, 3:]`", "[ ; ]",
    ),
    "stop_gradient": ("stop_gradient(a)", "a, held constant by gradients", "`0`", "stop"),
    "gelu": ("gelu(a)", "a * norm_cdf(a)", "= `a * 0.5 * erfc(a * (-0.707107))`", ""),
    "cross_entropy": (
        "cross_entropy(o, y, weights=None, smoothing=0.0)",
        "-log softmax(o)[y], for scores o and a class index y (from 0).",
        "`ct * (softmax(o) - one_hot(y, 3))`, `0`", "CE",
    ),
    "einsum": (
        "einsum(spec, *values)",
        'A sum of products over shared letters: `einsum("ij,jk->ik", a, b)`. A letter twice in one operand '
        "is its diagonal; `...` stands for the dimensions in front, the same in all that have it.",
        "`einsum('i,jk,k->ij', ct, b, c)`, `einsum('i,ij,k->jk', ct, a, c)`, "
        "`einsum('i,ij,jk->k', ct, a, b)`",
        "·",
    ),
    "hypot": (
        "hypot(a, b)", "sqrt(a**2 + b**2), without overflow; the gradient at 0 is 0",
        "`ct / where(y == 0, 1, y) * a`, `ct / where(y == 0, 1, y) * b`", "hypot",
    ),
    "logical_xor": (
        "logical_xor(a, b)", "a or b, not both", r"= `(a & logical_not(b)) \| (logical_not(a) & b)`", "",
    ),
    "extent": ("extent(dim)", 'The size of a dimension as an expression: `uf.extent("hidden")`.', "", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_a_row_says_what_an_operation_is(name: str) -> None:
    called, *rest = ROWS[name]
    assert row(name) == (f"`{called}`", *rest)


def test_a_function_made_of_much_is_not_written_out() -> None:
    assert row("layer_norm")[2:] == ("", "")


def test_tables_are_by_family_and_name() -> None:
    assert table("softs") == table("softsign")
    text = table("soft")
    heads = [line for line in text.splitlines() if line.startswith("### ")]
    assert heads == ["### activation", "### reduction"]
    first = "| operation | mathematics | gradient of each argument, or what it is made of | symbol |"
    assert text.startswith(
        f"### activation\n\n{first}\n|---|---|---|---|\n| `softplus(a)` | log(1 + exp(a)) | "
    )
    assert "| `ct * sigmoid(a)` | softplus |\n| `softsign(a)` | " in text
    assert "\n\n### reduction\n\n" in text


def test_the_whole_table_holds_every_function_once() -> None:
    lines = [line for line in table().splitlines() if line.startswith("| `")]
    names = [line[3:].partition("(")[0] for line in lines]
    assert sorted(names) == sorted(FUNCTIONS)
    assert names == sorted(FUNCTIONS, key=lambda n: (family(n), n))
    assert all(line.replace(r"\|", "").count("|") == 5 for line in lines)
