"""unfold: write a recurrence once; get its diagrams, its backpropagation through time, its proof."""

# Made by `python -m unfold.apps.face`.

from collections.abc import Sequence
from typing import Any

from unfold import ops as ops
from unfold import systems as systems
from unfold import testing as testing
from unfold.check import Report as Report
from unfold.check import assert_gradients as assert_gradients
from unfold.check import check as check
from unfold.core import errors as errors
from unfold.core.axis import Axis as Axis
from unfold.core.axis import Index as Index
from unfold.core.dims import Dim
from unfold.core.errors import BadIndex as BadIndex
from unfold.core.errors import BadName as BadName
from unfold.core.errors import BindingError as BindingError
from unfold.core.errors import DefinitionError as DefinitionError
from unfold.core.errors import GradientError as GradientError
from unfold.core.errors import InstantaneousLoop as InstantaneousLoop
from unfold.core.errors import MissingBoundary as MissingBoundary
from unfold.core.errors import NotAGraph as NotAGraph
from unfold.core.errors import NotCausal as NotCausal
from unfold.core.errors import NotComputable as NotComputable
from unfold.core.errors import NotDifferentiable as NotDifferentiable
from unfold.core.errors import NotProven as NotProven
from unfold.core.errors import OutOfRange as OutOfRange
from unfold.core.errors import Redefined as Redefined
from unfold.core.errors import ShapeMismatch as ShapeMismatch
from unfold.core.errors import TwoWayTime as TwoWayTime
from unfold.core.errors import Undefined as Undefined
from unfold.core.errors import UnfoldError as UnfoldError
from unfold.core.errors import UnknownName as UnknownName
from unfold.core.errors import ZeroDelayLoop as ZeroDelayLoop
from unfold.core.leaves import Expression as Expression
from unfold.core.leaves import constant as constant
from unfold.core.node import Node as Node
from unfold.core.node import Op as Op
from unfold.core.op import Along as Along
from unfold.core.op import Elementwise as Elementwise
from unfold.core.op import Over
from unfold.core.op import operation as operation
from unfold.engine.run import Result as Result
from unfold.engine.run import Run as Run
from unfold.graph import Graph as Graph
from unfold.graph import graph as graph
from unfold.language.variables import Var as Var
from unfold.language.variables import axis as axis
from unfold.language.variables import input as input
from unfold.language.variables import param as param
from unfold.language.variables import var as var
from unfold.learn import init as init
from unfold.learn import optim as optim
from unfold.learn.diagnose import diagnose as diagnose
from unfold.learn.generate import beam as beam
from unfold.learn.generate import free_running as free_running
from unfold.learn.generate import generate as generate
from unfold.learn.recomputation import checkpoint as checkpoint
from unfold.learn.streaming import stream as stream
from unfold.transform.forward import hvp as hvp
from unfold.transform.jacobians import hessian as hessian
from unfold.transform.jacobians import jacobian as jacobian
from unfold.transform.online import rtrl as rtrl
from unfold.transform.truncation import truncate as truncate

__version__: str

# language.variables

def named(x: Expression, name: str) -> Node:
    """The same value as a variable of its own, for drawings and queries."""

# ops.array.cumulative

def cummax(a: Expression, over: int | Axis = -1) -> Node:
    """The greatest entry so far; at a tie the gradient goes to the first.

    >>> import unfold as uf
    >>> uf.graph(y=cummax(uf.constant([1.0, 3.0, 2.0])))().y.tolist()
    [1.0, 3.0, 3.0]
    """

def cummin(a: Expression, over: int | Axis = -1) -> Node:
    """The smallest entry so far; at a tie the gradient goes to the first."""

def cumprod(a: Expression, over: int | Axis = -1) -> Node:
    """The running product along an axis or dimension (the last by default)."""

def cumsum(a: Expression, over: int | Axis = -1) -> Node:
    """The running sum along an axis or dimension (the last by default)."""

# ops.array.indexing

def embedding(table: Expression, i: Expression) -> Node:
    """Row i of a table: the vector of a word."""

def extent(dim: Dim) -> Node:
    """The size of a dimension as an expression: `uf.extent("hidden")`."""

def getitem(a: Expression, key: Any) -> Node:
    """a[key]: integers, slices, ..., None; integer expressions; arrays of integers or booleans."""

def narrow(a: Expression, start: Dim, stop: Dim, dim: int = -1) -> Node:
    """The entries from start up to stop along a dimension; bounds may be names."""

def one_hot(i: Expression, size: Dim) -> Node:
    """A vector of zeros with a one at index i (from 0)."""

# ops.array.linear

def dot(a: Expression, b: Expression) -> Node:
    """The inner product of two vectors, a matrix product, or a product with a number."""

def einsum(spec: str, *values: Expression) -> Node:
    """A sum of products over shared letters: `einsum("ij,jk->ik", a, b)`. A letter twice in one
    operand is its diagonal; `...` stands for the dimensions in front, the same in all that have it.

    >>> import unfold as uf
    >>> a, h = uf.param("a", "n", "m"), uf.input("h", "m")
    >>> uf.einsum("ij,j->i", a, h)
    <a @ h: float (n)>
    """

def inner(a: Expression, b: Expression) -> Node:
    """The sum of products over the last dimension of both."""

def matmul(a: Expression, b: Expression) -> Node:
    """The matrix product, in all of NumPy's forms: vectors, matrices, stacks of matrices."""

def outer(a: Expression, b: Expression) -> Node:
    """The outer product of two vectors: out[i, j] = a[i] b[j]."""

def tensordot(a: Expression, b: Expression, axes: Any = 2) -> Node:
    """The sum of products over dimensions: the last `axes` of a and the first of b, or the pairs
    (dimensions of a, dimensions of b).
    """

def vdot(a: Expression, b: Expression) -> Node:
    """The inner product of all entries, those of a conjugated."""

# ops.array.matrix

def cholesky(a: Expression, /) -> Node:
    """the lower triangular L with L Lᵀ = (a + aᵀ) / 2, a positive definite"""

def cross(a: Expression, b: Expression) -> Node:
    """The vector product of two vectors of size 3."""

def det(a: Expression, /) -> Node:
    """the determinant of a matrix; its gradient needs the inverse"""

def diag(a: Expression) -> Node:
    """The diagonal of a matrix, or the matrix with a vector on its diagonal."""

def diagonal(a: Expression, first: int = -2, second: int = -1) -> Node:
    """The entries a[.., i, .., i] along two dimensions, which become the last one."""

def diagonal_matrix(a: Expression, /) -> Node:
    """the matrix with a on its diagonal and zeros elsewhere"""

def eye(n: Dim) -> Node:
    """The identity matrix; its size may be a name."""

def inv(a: Expression, /) -> Node:
    """the inverse of a matrix"""

def kron(a: Expression, b: Expression) -> Node:
    """The Kronecker product of two matrices, or of two vectors."""

def logdet(a: Expression, /) -> Node:
    """log |det a|"""

def matrix_power(a: Expression, n: int) -> Node:
    """a @ a @ ... @ a, n times (by repeated squaring); of the inverse for n < 0."""

def slogdet(a: Expression) -> tuple[Node, Node]:
    """The sign of the determinant of a matrix, and the logarithm of its size."""

def solve(a: Expression, b: Expression) -> Node:
    """The x with a @ x = b.

    >>> import unfold as uf
    >>> uf.graph(x=solve(uf.constant([[2.0, 0.0], [0.0, 4.0]]), [2.0, 2.0]))().x.tolist()
    [1.0, 0.5]
    """

def trace(a: Expression) -> Node:
    """The sum of the diagonal of a matrix."""

def tril(a: Expression, k: int = 0) -> Node:
    """The lower triangle of a matrix, zeros above its k-th diagonal."""

def triu(a: Expression, k: int = 0) -> Node:
    """The upper triangle of a matrix, zeros below its k-th diagonal."""

# ops.array.rearrange

def diff(a: Expression, axis: int = -1) -> Node:
    """The differences of neighbours along a dimension."""

def expand_dims(a: Expression, axis: int | tuple[int, ...]) -> Node:
    """a with dimensions of size 1 at the given places of the result."""

def flip(a: Expression, axis: int | Sequence[int] | None = None) -> Node:
    """a in reversed order along dimensions (all of them by default)."""

def hstack(*values: Expression | Sequence[Expression]) -> Node:
    """Values joined along their second dimension; vectors along their only one."""

def moveaxis(a: Expression, source: int | Sequence[int], destination: int | Sequence[int]) -> Node:
    """Dimensions of a moved to other places, the others in their order."""

def pad(a: Expression, width: Any, value: Expression = 0.0) -> Node:
    """a between constants: `width` is a number, a pair (before, after), or a pair a dimension."""

def ravel(a: Expression) -> Node:
    """The entries of a in one dimension, in row-major order."""

def repeat(a: Expression, repeats: int, axis: int | None = None) -> Node:
    """Each entry several times in a row along a dimension; of all entries by default."""

def roll(a: Expression, shift: int, axis: int | None = None) -> Node:
    """a shifted along a dimension, what leaves at the end entering at the start."""

def split(a: Expression, parts: int | Sequence[Dim], axis: int = 0) -> list[Node]:
    """a cut into equal parts, or at the given places, along a dimension (the first by default).

    >>> import unfold as uf
    >>> [part.shape for part in split(uf.input("z", "2*hidden"), 2)]
    [('hidden',), ('hidden',)]
    """

def squeeze(a: Expression, axis: int | Sequence[int] | None = None) -> Node:
    """a without its dimensions of size 1, or without the given ones of them."""

def swapaxes(a: Expression, first: int, second: int) -> Node:
    """Two dimensions of a, exchanged."""

def tile(a: Expression, times: int | Sequence[int]) -> Node:
    """a several times side by side, along each dimension."""

def unstack(a: Expression, axis: int = 0) -> list[Node]:
    """The values side by side along a dimension of fixed size, as a list."""

def vstack(*values: Expression | Sequence[Expression]) -> Node:
    """Values joined along their first dimension; vectors become rows."""

# ops.array.reduction

def argmax(a: Expression, over: Over = -1) -> Node:
    """The index of the greatest entry, from 0; it has no gradient."""

def argmin(a: Expression, over: Over = -1) -> Node:
    """The index of the smallest entry, from 0; it has no gradient."""

def log_softmax(a: Expression, over: Over = -1) -> Node:
    """a - log sum exp(a) along an axis or dimension (the last by default)."""

def logsumexp(a: Expression, over: Over = None, keepdims: bool = False) -> Node:
    """log sum exp, without overflow."""

def max(a: Expression, over: Over = None, keepdims: bool = False) -> Node:
    """The greatest entry; at a tie the gradient is shared equally."""

def mean(a: Expression, over: Over = None, keepdims: bool = False) -> Node:
    """The mean over an axis or dimensions; all dimensions of the value by default."""

def min(a: Expression, over: Over = None, keepdims: bool = False) -> Node:
    """The smallest entry; at a tie the gradient is shared equally."""

def prod(a: Expression, over: Over = None, keepdims: bool = False) -> Node:
    """The product over an axis or dimensions; all dimensions of the value by default."""

def softmax(a: Expression, over: Over = -1) -> Node:
    """exp(a) / sum exp(a) along an axis or dimension (the last by default)."""

def sum(a: Expression, over: Over = None, keepdims: bool = False) -> Node:
    """The sum over an axis or dimensions; all dimensions of the value by default."""

# ops.array.shape

def broadcast_to(a: Expression, shape: Dim | Sequence[Dim]) -> Node:
    """a repeated to a shape (dimensions may be names)."""

def concat(*values: Expression | Sequence[Expression], axis: int = -1) -> Node:
    """Values joined along a dimension: `concat(f, g)`; the last dimension by default.

    Also takes one list, as NumPy's does (whose default `axis` is 0: here it is -1).
    """

def reshape(a: Expression, *shape: Dim | Sequence[Dim]) -> Node:
    """a in another shape; one dimension may be -1."""

def stack(*values: Expression | Sequence[Expression], axis: int = 0) -> Node:
    """Values of one shape side by side, along a new dimension (the first by default)."""

def transpose(a: Expression, order: Sequence[int] | None = None) -> Node:
    """The dimensions of a in another order; reversed when none is given."""

# ops.array.statistics

def all(a: Expression, over: Over = None, keepdims: bool = False) -> Node:
    """Whether every entry holds (is not 0); data, without a gradient."""

def any(a: Expression, over: Over = None, keepdims: bool = False) -> Node:
    """Whether an entry holds (is not 0); data, without a gradient."""

def count_nonzero(a: Expression, over: Over = None, keepdims: bool = False) -> Node:
    """How many entries are not 0; data, without a gradient."""

def norm(a: Expression, order: float = 2, over: Over = None, keepdims: bool = False) -> Node:
    """The norm sum(|a|**order)**(1/order), the greatest |a| for `order=inf`; the gradient at 0 is 0.

    >>> import unfold as uf
    >>> float(uf.graph(y=norm(uf.constant([3.0, 4.0])))().y)
    5.0
    """

def std(a: Expression, over: Over = None, keepdims: bool = False, ddof: int = 0) -> Node:
    """The square root of the variance; the gradient is 0 where it is 0."""

def variance(a: Expression, over: Over = None, keepdims: bool = False, ddof: int = 0) -> Node:
    """The mean of (a - mean(a))**2, over n - ddof; NumPy's `var` (here `uf.var` is a variable)."""

# ops.choice.losses

def bce(p: Expression, y: Expression) -> Node:
    """-(y log p + (1 - y) log(1 - p)), for probabilities p; `bce_with_logits` is safer."""

def bce_with_logits(o: Expression, y: Expression, /) -> Node:
    """-(y log sigmoid(o) + (1 - y) log(1 - sigmoid(o)))"""

def conv1d(a: Expression, filters: Expression) -> Node:
    """out[i, o] = sum over k, c of filters[o, k, c] a[i + k, c]: sliding dot products along the
    first dimension, without padding. Along time: filters with `uf.window`.
    """

def cosine_similarity(a: Expression, b: Expression, eps: float = 1e-08) -> Node:
    """a · b / (|a| |b|), for vectors."""

def cross_entropy(
    o: Expression, y: Expression, weights: Expression | None = None, smoothing: float = 0.0
) -> Node:
    """-log softmax(o)[y], for scores o and a class index y (from 0).

    `weights` (a vector) multiplies it by weights[y]; `smoothing` mixes the target with the
    uniform distribution over the classes.

    >>> import unfold as uf
    >>> graph = uf.graph(loss=cross_entropy(uf.input("o", 3), uf.input("y", dtype=int)))
    >>> round(float(graph(o=[0.0, 0.0, 0.0], y=1).loss), 4)
    1.0986
    """

def dropout(a: Expression, mask: Expression, rate: float = 0.5) -> Node:
    """a / (1 - rate) where the mask (an input of booleans, or of 0 and 1) holds, 0 elsewhere."""

def entropy(p: Expression, over: Over = -1) -> Node:
    """-sum p log p of a distribution."""

def hinge(a: Expression, y: Expression) -> Node:
    """max(0, 1 - y a), for a label y of -1 or 1"""

def huber(a: Expression, b: Expression, delta: Expression = 1.0) -> Node:
    """(a - b)**2 / 2 up to a distance of delta, then delta (|a - b| - delta / 2), entry by entry."""

def kl_div(p: Expression, q: Expression, over: Over = -1) -> Node:
    """The sum of p log(p / q): the divergence of distribution q from p."""

def layer_norm(
    a: Expression,
    gain: Expression | None = None,
    bias: Expression | None = None,
    over: Over = -1,
    eps: float = 1e-05,
) -> Node:
    """gain (a - mean) / sqrt(variance + eps) + bias, over dimensions or an axis."""

def mae(a: Expression, b: Expression) -> Node:
    """The mean of |a - b| over all dimensions of the value; the gradient is 0 where a = b."""

def max_pool(a: Expression, width: int, axis: int = 0) -> Node:
    """The greatest of every `width` neighbours along a dimension; at a tie the gradient is shared."""

def mean_pool(a: Expression, width: int, axis: int = 0) -> Node:
    """The mean of every `width` neighbours along a dimension."""

def mse(a: Expression, b: Expression) -> Node:
    """The mean of (a - b)**2 over all dimensions of the value."""

def nll(log_p: Expression, y: Expression) -> Node:
    """-log_p[y], for logarithms of probabilities and a class index y (from 0)."""

def rms_norm(a: Expression, gain: Expression | None = None, over: Over = -1, eps: float = 1e-05) -> Node:
    """gain a / sqrt(mean(a**2) + eps), over dimensions or an axis."""

# ops.choice.selection

def argsort(a: Expression, over: int | Axis = -1) -> Node:
    """The indices (from 0) that sort a, ties in their order; data, without a gradient."""

def scatter_add(a: Expression, i: Expression, b: Expression) -> Node:
    """a with the rows of b added at the integer indices i of its first dimension."""

def searchsorted(a: Expression, v: Expression, side: str = "left") -> Node:
    """How many entries of the sorted vector a lie below v (not above it, for side="right");
    data, without a gradient.
    """

def sort(a: Expression, over: int | Axis = -1) -> Node:
    """a in ascending order along a dimension or an axis; at a tie in the order they had."""

def take(a: Expression, i: Expression, axis: int = 0, over: Axis | None = None) -> Node:
    """The entries of a at integer indices i (from 0) along a dimension, the first by default.

    With `over=t`: a at step i (from 1), for i one number or several; NaN outside of 1..T. Where
    i varies over t as well, step by step: out[t] = a[i[t]].

    >>> import unfold as uf
    >>> t = uf.axis("t")
    >>> graph = uf.graph(y=uf.take(uf.input("x", over=t)[t], 2, over=t))
    >>> float(graph(x=[10.0, 20.0, 30.0]).y)
    20.0
    """

def take_along_axis(a: Expression, i: Expression, over: int | Axis = -1) -> Node:
    """a at the indices i (from 0) along a dimension, or an axis: out[.., j] = a[.., i[.., j]]."""

def top_k(a: Expression, k: int, over: int = -1) -> tuple[Node, Node]:
    """The k greatest entries along a dimension, greatest first, and their indices.

    >>> import unfold as uf
    >>> values, i = top_k(uf.constant([3.0, 1.0, 2.0]), 2)
    >>> uf.graph(values=values, i=i)()
    {'values': array([3., 2.]), 'i': array([0, 2])}
    """

# ops.scalar.activation

def celu(a: Expression, alpha: Expression = 1.0) -> Node:
    """a above 0, alpha (exp(a / alpha) - 1) below"""

def elu(a: Expression, alpha: Expression = 1.0) -> Node:
    """a above 0, alpha (exp(a) - 1) below; the gradient at 0 is alpha"""

def erf(a: Expression, /) -> Node:
    """the error function, 2 / sqrt(pi) times the integral of exp(-x**2) from 0 to a"""

def erfc(a: Expression, /) -> Node:
    """1 - erf(a), exact for great a"""

def gelu(a: Expression) -> Node:
    """a * norm_cdf(a)

    >>> import unfold as uf
    >>> round(float(uf.graph(y=gelu(uf.constant(1.0)))().y), 6)
    0.841345
    """

def glu(a: Expression, axis: int = -1) -> Node:
    """p * sigmoid(q), for the halves p and q of a along a dimension"""

def hard_sigmoid(a: Expression) -> Node:
    """a / 6 + 1/2 between 0 and 1; the gradient at -3 and 3 is 1/6"""

def hard_swish(a: Expression) -> Node:
    """a * hard_sigmoid(a)"""

def hard_tanh(a: Expression) -> Node:
    """a between -1 and 1; the gradient at -1 and 1 is 1"""

def leaky_relu(a: Expression, slope: Expression = 0.01) -> Node:
    """a above 0, slope * a below; the gradient at 0 is the slope"""

def log_cosh(a: Expression) -> Node:
    """log cosh(a), without overflow"""

def log_sigmoid(a: Expression) -> Node:
    """log sigmoid(a), without overflow."""

def mish(a: Expression) -> Node:
    """a * tanh(softplus(a))"""

def norm_cdf(a: Expression) -> Node:
    """The distribution function of the standard normal distribution."""

def norm_pdf(a: Expression) -> Node:
    """The density of the standard normal distribution."""

def relu(a: Expression, /) -> Node:
    """max(a, 0); the gradient at 0 is 0"""

def relu6(a: Expression) -> Node:
    """min(max(a, 0), 6); the gradient at 0 and 6 is 1"""

def selu(a: Expression) -> Node:
    """the elu whose activations keep mean 0 and variance 1 (Klambauer et al. 2017)"""

def sigmoid(a: Expression, /) -> Node:
    """1 / (1 + exp(-a))"""

def silu(a: Expression) -> Node:
    """a * sigmoid(a), also called swish"""

def softplus(a: Expression, /) -> Node:
    """log(1 + exp(a))"""

def softsign(a: Expression) -> Node:
    """a / (1 + |a|)"""

# ops.scalar.arithmetic

def abs(a: Expression) -> Node:
    """|a|; the gradient at 0 is 0. Of a complex number, its modulus."""

def add(*xs: Expression) -> Node:
    """a + b + ..."""

def ceil(a: Expression, /) -> Node:
    """the smallest integer not below a; its gradient is 0"""

def divide(a: Expression, b: Expression, /) -> Node:
    """a / b"""

def floor(a: Expression, /) -> Node:
    """the greatest integer not above a; its gradient is 0"""

def floor_divide(a: Expression, b: Expression) -> Node:
    """floor(a / b); its gradient is 0"""

def multiply(a: Expression, b: Expression, /) -> Node:
    """a * b, entry by entry"""

def negative(a: Expression, /) -> Node:
    """-a"""

def power(a: Expression, b: Expression) -> Node:
    """a ** b; a, its square or its reciprocal where b is the number 1, 2 or -1."""

def reciprocal(a: Expression, /) -> Node:
    """1 / a"""

def remainder(a: Expression, b: Expression, /) -> Node:
    """a - floor(a / b) * b"""

def rint(a: Expression, /) -> Node:
    """the nearest integer, halves to the even one; its gradient is 0"""

def round(a: Expression, decimals: int = 0) -> Node:
    """a rounded to a number of decimals, halves to the even digit; its gradient is 0."""

def sign(a: Expression, /) -> Node:
    """-1, 0 or 1; its gradient is 0"""

def square(a: Expression, /) -> Node:
    """a ** 2"""

def stop_gradient(a: Expression, /) -> Node:
    """a, held constant by gradients"""

def subtract(a: Expression, b: Expression, /) -> Node:
    """a - b"""

def trunc(a: Expression, /) -> Node:
    """a without its fraction; its gradient is 0"""

# ops.scalar.comparison

def clip(a: Expression, low: Expression | None = None, high: Expression | None = None) -> Node:
    """a, no less than `low` and no more than `high`; at a bound the gradient goes to a.

    >>> import unfold as uf
    >>> uf.graph(y=uf.clip(uf.constant([-1.0, 0.5, 3.0]), 0.0, 1.0))().y.tolist()
    [0.0, 0.5, 1.0]
    """

def equal(a: Expression, b: Expression) -> Node:
    """a == b"""

def greater(a: Expression, b: Expression) -> Node:
    """a > b"""

def greater_equal(a: Expression, b: Expression) -> Node:
    """a >= b"""

def isfinite(a: Expression, /) -> Node:
    """whether a is neither infinite nor NaN"""

def isnan(a: Expression, /) -> Node:
    """whether a is not a number"""

def less(a: Expression, b: Expression, /) -> Node:
    """a < b"""

def less_equal(a: Expression, b: Expression, /) -> Node:
    """a <= b"""

def logical_and(a: Expression, b: Expression, /) -> Node:
    """a and b"""

def logical_not(a: Expression, /) -> Node:
    """not a"""

def logical_or(a: Expression, b: Expression, /) -> Node:
    """a or b"""

def logical_xor(a: Expression, b: Expression) -> Node:
    """a or b, not both"""

def maximum(a: Expression, b: Expression, /) -> Node:
    """the greater of a and b; at a tie the gradient goes to a"""

def minimum(a: Expression, b: Expression, /) -> Node:
    """the smaller of a and b; at a tie the gradient goes to a"""

def not_equal(a: Expression, b: Expression) -> Node:
    """a != b"""

def where(condition: Expression, a: Expression, b: Expression, /) -> Node:
    """a where the condition holds, b elsewhere"""

# ops.scalar.exponential

def cbrt(a: Expression, /) -> Node:
    """the cube root of a, a real number"""

def exp(a: Expression, /) -> Node:
    """e ** a"""

def exp2(a: Expression, /) -> Node:
    """2 ** a"""

def expm1(a: Expression, /) -> Node:
    """e ** a - 1, exact near 0"""

def log(a: Expression, /) -> Node:
    """the natural logarithm of a"""

def log10(a: Expression, /) -> Node:
    """the logarithm of a to the base 10"""

def log1p(a: Expression, /) -> Node:
    """log(1 + a), exact near 0"""

def log2(a: Expression, /) -> Node:
    """the logarithm of a to the base 2"""

def logaddexp(a: Expression, b: Expression, /) -> Node:
    """log(exp(a) + exp(b)), without overflow"""

def logaddexp2(a: Expression, b: Expression) -> Node:
    """log2(2**a + 2**b), without overflow."""

def logit(a: Expression) -> Node:
    """log(a / (1 - a)), the inverse of the sigmoid, for a between 0 and 1."""

def sqrt(a: Expression, /) -> Node:
    """the square root of a"""

def xlogy(a: Expression, b: Expression) -> Node:
    """a * log(b), and 0 where a is 0."""

# ops.scalar.hyperbolic

def arccosh(a: Expression, /) -> Node:
    """the inverse of cosh, for a >= 1"""

def arcsinh(a: Expression, /) -> Node:
    """the inverse of sinh"""

def arctanh(a: Expression, /) -> Node:
    """the inverse of tanh, for a between -1 and 1"""

def cosh(a: Expression, /) -> Node:
    """the hyperbolic cosine of a"""

def sinh(a: Expression, /) -> Node:
    """the hyperbolic sine of a"""

def tanh(a: Expression, /) -> Node:
    """the hyperbolic tangent of a"""

# ops.scalar.trigonometric

def angle(a: Expression) -> Node:
    """The argument of a complex number."""

def arccos(a: Expression, /) -> Node:
    """the inverse of cos, for a between -1 and 1"""

def arcsin(a: Expression, /) -> Node:
    """the inverse of sin, for a between -1 and 1"""

def arctan(a: Expression, /) -> Node:
    """the inverse of tan"""

def arctan2(a: Expression, b: Expression, /) -> Node:
    """the angle of the point (b, a), in all four quadrants"""

def conj(a: Expression) -> Node:
    """The complex conjugate of a; a itself where it is real."""

def cos(a: Expression, /) -> Node:
    """the cosine of a"""

def deg2rad(a: Expression) -> Node:
    """Degrees as radians."""

def hypot(a: Expression, b: Expression, /) -> Node:
    """sqrt(a**2 + b**2), without overflow; the gradient at 0 is 0"""

def imag(a: Expression) -> Node:
    """The imaginary part of a; zero where it is real."""

def rad2deg(a: Expression) -> Node:
    """Radians as degrees."""

def real(a: Expression) -> Node:
    """The real part of a; a itself where it is real."""

def sin(a: Expression, /) -> Node:
    """the sine of a"""

def sinc(a: Expression, /) -> Node:
    """sin(pi a) / (pi a), and 1 at 0"""

def tan(a: Expression, /) -> Node:
    """the tangent of a"""

# ops.time.delays

def step(index: Axis | Index) -> Node:
    """An index as a number: `uf.step(t)` is 1, 2, ..., T; `uf.step(t.last)` is T."""

# ops.time.windows

def last_valid(a: Expression, valid: Expression, over: Axis) -> Node:
    """a at the last step where `valid` holds; zero where it never does."""

def window(a: Expression, width: int, over: Axis) -> Node:
    """The last `width` steps of a up to this one, a[t - width + 1], ..., a[t], as a new first
    dimension; zeros before the start.

    >>> import unfold as uf
    >>> t = uf.axis("t")
    >>> x = uf.input("x", over=t)
    >>> uf.graph(w=uf.window(x[t], 2, over=t))(x=[1.0, 2.0, 3.0]).w.tolist()
    [[0.0, 1.0], [1.0, 2.0], [2.0, 3.0]]
    """
