"""What compiled loops call: pointers into arrays, NumPy's own BLAS, exp, tanh, sums, softmax.

Needs Numba. Everything here is inlined where it is called. exp and tanh are written so that a
compiler makes vector instructions of them; with n = round(x / log 2) and r = x - n log 2

    exp(x) = 2**n (1 + r p(r)),    p(r) = (exp(r) - 1) / r by its Taylor series
    tanh(x) = e / (e + 2),         e = exp(2 x) - 1 = 2**n r p(r) + (2**n - 1)

with errors below three units in the last place.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

ROUTINES: dict[str, str] = {}  # "sgemm" -> the symbol under which compiled code finds it
_NAMES = ("scipy_cblas_{}64_", "cblas_{}64_")  # with integers of 64 bits
_ROW_MAJOR, _PLAIN, _TRANSPOSED = 101, 111, 112
_LETTER = {types.float32: "s", types.float64: "d"}


def _find_blas() -> None:
    """Look up the BLAS that NumPy itself has loaded: a second one would compete for the cores."""
    try:
        library = ctypes.CDLL(np._core._multiarray_umath.__file__)  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return
    for routine in ("sgemm", "dgemm", "sgemv", "dgemv"):
        found = [f for name in _NAMES if (f := getattr(library, name.format(routine), None))]
        if found:
            ROUTINES[routine] = f"unfold_{routine}"
            llvm.add_symbol(ROUTINES[routine], ctypes.cast(found[0], ctypes.c_void_p).value)


_find_blas()


# ---------------------------------------------------------------------- pointers
@intrinsic  # type: ignore[untyped-decorator]
def at(context: Any, array: Any, offset: Any) -> Any:
    """A pointer to the entry of the given number in a contiguous array."""
    entry = types.uint8 if array.dtype == types.boolean else array.dtype

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        data = builder.bitcast(data, context.get_value_type(signature.return_type))
        return builder.gep(data, [args[1]])

    return types.CPointer(entry)(array, offset), code


@intrinsic  # type: ignore[untyped-decorator]
def shift(context: Any, pointer: Any, offset: Any) -> Any:
    """A pointer so many entries further on."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return pointer(pointer, offset), code


# ---------------------------------------------------------------------- matrix products
@intrinsic  # type: ignore[untyped-decorator]
def gemm(
    context: Any, a: Any, b: Any, c: Any, m: Any, n: Any, k: Any, ta: Any, tb: Any, la: Any, lb: Any, lc: Any
) -> Any:
    """c (m, n) = a (m, k) @ b (k, n), row by row; `la`, ... from one row to the next, `ta` and `tb`
    say that a or b is stored transposed."""
    letter = _LETTER[a.dtype]

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b, c, m, n, k, ta, tb, la, lb, lc = args
        real, whole, flag = a.type.pointee, ir.IntType(64), ir.IntType(32)
        one, zero = ir.Constant(real, 1.0), ir.Constant(real, 0.0)
        form = [
            flag,
            flag,
            flag,
            whole,
            whole,
            whole,
            real,
            a.type,
            whole,
            a.type,
            whole,
            real,
            a.type,
            whole,
        ]
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), form), f"unfold_{letter}gemm"
        )
        ta, tb = (builder.trunc(t, flag) for t in (ta, tb))
        builder.call(
            function, [ir.Constant(flag, _ROW_MAJOR), ta, tb, m, n, k, one, a, la, b, lb, zero, c, lc]
        )
        return context.get_dummy_value()

    whole = types.int64
    return types.void(a, b, c, *[whole] * 8), code


@intrinsic  # type: ignore[untyped-decorator]
def gemv(
    context: Any, a: Any, x: Any, y: Any, m: Any, n: Any, ta: Any, la: Any, step_x: Any, step_y: Any
) -> Any:
    """y = a @ x for a stored as (m, n) with `la` from one row to the next, or a.T @ x where `ta` says so."""
    letter = _LETTER[a.dtype]

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, x, y, m, n, ta, la, step_x, step_y = args
        real, whole, flag = a.type.pointee, ir.IntType(64), ir.IntType(32)
        one, zero = ir.Constant(real, 1.0), ir.Constant(real, 0.0)
        form = [flag, flag, whole, whole, real, a.type, whole, a.type, whole, real, a.type, whole]
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), form), f"unfold_{letter}gemv"
        )
        builder.call(
            function,
            [
                ir.Constant(flag, _ROW_MAJOR),
                builder.trunc(ta, flag),
                m, n, one, a, la, x, step_x, zero, y, step_y,
            ],
        )  # fmt: skip
        return context.get_dummy_value()

    return types.void(a, x, y, *[types.int64] * 6), code


# ---------------------------------------------------------------------- functions
def _cast(source: Any, target: Any, to: Any) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]
    def cast(context: Any, value: Any) -> Any:
        return target(source), lambda context, builder, signature, args: builder.bitcast(args[0], to)

    return cast


@intrinsic  # type: ignore[untyped-decorator]
def _series(context: Any, r: Any) -> Any:
    """(exp(r) - 1) / r for |r| <= log(2) / 2."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (r,) = args
        out = None
        for k in reversed(range(7 if signature.args[0] == types.float32 else 13)):
            term = ir.Constant(r.type, 1 / math.factorial(k + 1))
            product = None if out is None else builder.fmul(out, r, flags=("contract",))
            out = term if product is None else builder.fadd(product, term, flags=("contract",))
        return out

    return r(r), code


def _functions(digits: int, high: float, low: float, reach: tuple[int, int], flat: float) -> tuple[Any, Any]:
    """exp and tanh for numbers with so many binary digits: log 2 = high + low; beyond `reach`
    exp is 0 or infinite, beyond `flat` tanh is 1."""
    if digits == 23:
        real, whole, bias = np.float32, np.int32, np.int32(127)
        bits = _cast(types.float32, types.int32, ir.IntType(32))
        number = _cast(types.int32, types.float32, ir.FloatType())
    else:
        real, whole, bias = np.float64, np.int64, np.int64(1023)  # type: ignore[assignment]
        bits = _cast(types.float64, types.int64, ir.IntType(64))
        number = _cast(types.int64, types.float64, ir.DoubleType())
    least, most, end = real(reach[0]), real(reach[1]), real(flat)
    one, two, log2e, ln2, rest = real(1), real(2), real(1.4426950408889634), real(high), real(low)
    half, digit = whole(1), whole(digits)
    magic = real(1.5 * 2.0**digits)  # added to a number, it leaves its nearest integer in the last bits
    origin = whole(np.array(magic).view(whole))

    def exp(x: Any) -> Any:
        z = min(max(x, least), most)
        s = z * log2e + magic
        n = s - magic
        r = (z - n * ln2) - n * rest
        power = bits(s) - origin
        first = power >> half  # in two factors: 2**n alone may overflow where the result does not
        a, b = number((first + bias) << digit), number((power - first + bias) << digit)
        return ((one + r * _series(r)) * a) * b if x == x else x

    def tanh(x: Any) -> Any:
        z = two * min(abs(x), end)
        s = z * log2e + magic
        n = s - magic
        r = (z - n * ln2) - n * rest
        power = number((bits(s) - origin + bias) << digit)
        e = power * (r * _series(r)) + (power - one)
        y = e / (e + two)
        return (y if x >= 0 else -y) if x == x else x

    compiler = njit(error_model="numpy", fastmath={"contract"})
    return compiler(exp), compiler(tanh)


exp_float32, tanh_float32 = _functions(23, 0.693359375, -2.12194440e-4, (-104, 89), 9.1)
exp_float64, tanh_float64 = _functions(52, 0.6931471803691238, 1.9082149292705877e-10, (-746, 710), 19.1)


# ---------------------------------------------------------------------- reductions
@njit(error_model="numpy", fastmath={"contract", "reassoc"})  # type: ignore[untyped-decorator]
def total(a: Any, n: int, step: int, zero: Any) -> Any:
    """The sum of n numbers, `step` apart."""
    out = zero
    for k in range(n):
        out += a[k * step]
    return out


@njit(error_model="numpy", fastmath={"contract", "reassoc"})  # type: ignore[untyped-decorator]
def inner(a: Any, b: Any, n: int, step_a: int, step_b: int, zero: Any) -> Any:
    """sum over k of a[k] b[k]"""
    out = zero
    for k in range(n):
        out += a[k * step_a] * b[k * step_b]
    return out


@njit(error_model="numpy", fastmath={"nnan", "nsz"})  # type: ignore[untyped-decorator]
def top(a: Any, n: int, step: int) -> Any:
    """The largest of n numbers; a NaN may be passed over."""
    out = a[0]
    for k in range(1, n):
        out = max(out, a[k * step])
    return out
