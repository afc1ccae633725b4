"""The language of `custom` and `calculation`: Python's expressions without anything that could do harm.

An expression is parsed by Python's own parser, every node of it is looked at, and closures are made of those that are
known; nothing is ever given to Python to run. There is no way to an attribute, a loop, a power, or a name that is not a
source or a function of ours. Its length, its nodes and their depth are bounded when it is saved; while it runs, so are
the texts and numbers that it makes (before they are made) and the characters that it touches. What its nodes take
whatever the values are is counted once, when it is compiled.
"""

import ast
import operator
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeAlias

from sync_pipelines.config.problems import did_you_mean, listed
from sync_pipelines.engine.casting import LARGEST_EXPONENT, Misfit
from sync_pipelines.engine.transforms import arithmetic
from sync_pipelines.engine.transforms.bounds import TooMuch, size_of
from sync_pipelines.engine.transforms.functions import FUNCTIONS, LONGEST_TEXT, TOO_LONG
from sync_pipelines.engine.transforms.parsing import parsed
from sync_pipelines.engine.transforms.registry import UNSTORABLE, is_storable

MOST_WORK: Final = 1_000_000
"""Characters and items that one evaluation may touch."""
WORK_OF_A_CALL: Final = 20
WORK_OF_A_NODE: Final = 10
WORK_OF_ARITHMETIC: Final = 500
"""Of numbers as long as they may be."""
WORK_OF_AN_ITEM: Final = 5
"""That is compared one by one."""

Row: TypeAlias = list[Any]
"""The values of the names in their order, and last, the work that may still be done."""
Closure: TypeAlias = Callable[[Row], Any]

_TOO_MUCH: Final = f"takes more work than {MOST_WORK} characters"
_TOO_LARGE: Final = f"leads to a list of more than {LONGEST_TEXT} characters"
_CONSTANTS: Final = {"true": True, "false": False, "null": None, "none": None}
_NUMBERS: Final = (int, Decimal)
_NESTED: Final = (list, dict)
_OPERATORS: Final[dict[type[ast.AST], arithmetic.Operation]] = {
    ast.Sub: arithmetic.subtract,
    ast.Mult: arithmetic.multiply,
    ast.Div: arithmetic.divide,
    ast.FloorDiv: arithmetic.divide_whole,
    ast.Mod: arithmetic.modulo,
}
_ORDERS: Final[dict[type[ast.AST], Callable[[Any, Any], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_SAID: Final[dict[type[ast.AST], str]] = {
    ast.Attribute: "there are no attributes: write field('Owner.Name') for a nested path, upper(x) for x.upper()",
    ast.Pow: "there are no powers: multiply instead",
    ast.JoinedStr: "there are no f-strings: write text(a) + ' ' + text(b)",
    ast.Lambda: "there are no functions of its own",
    ast.ListComp: "there are no loops",
    ast.SetComp: "there are no loops",
    ast.DictComp: "there are no loops",
    ast.GeneratorExp: "there are no loops",
    ast.NamedExpr: "nothing can be named in it",
    ast.Slice: "there are no slices: write substring(text, start, count)",
    ast.Starred: "there is no unpacking",
}


class Expression:
    """Compiled once. `names` are what it may read, in the order in which the values are given."""

    def __init__(self, source: str, names: Sequence[str]) -> None:
        """ValueError saying what is not allowed, and where."""
        compiler = _Compiler(source, names)
        self._run = compiler.compiled()
        self.work = compiler.work
        """What it takes at least, at every run."""

    def __call__(self, *values: Any) -> Any:
        return self.run([*values, MOST_WORK - self.work])

    def counted(self, allowed: int, values: Sequence[Any]) -> tuple[Any, int]:
        """(what it makes or the Misfit, the work that is left of what is allowed)."""
        most = min(allowed, MOST_WORK)
        if most < self.work:
            return TooMuch(_TOO_MUCH), allowed
        row = [*values, most - self.work]
        try:
            made = self.run(row)
            if type(made) in _NESTED and size_of(made, LONGEST_TEXT) > LONGEST_TEXT and not _is_given(made, values):
                raise Misfit(_TOO_LARGE)
        except Misfit as misfit:
            made = misfit
        return made, allowed - most + row[-1]

    def run(self, row: Row) -> Any:
        """Misfit when the values do not fit. The last of `row` is then the work that was not done."""
        try:
            return self._run(row)
        except (ArithmeticError, TypeError, LookupError, RecursionError) as problem:
            raise Misfit(f"makes the expression fail: {problem}"[:500]) from None


def _is_given(made: Any, values: Sequence[Any]) -> bool:
    return any(made is value for value in values)


class _Compiler:
    def __init__(self, source: str, names: Sequence[str]) -> None:
        self._source = f"({source}\n)"
        self._tree = parsed(source)
        nodes = list(ast.walk(self._tree))
        calculating = sum(isinstance(node, ast.BinOp) for node in nodes)
        self.work = WORK_OF_A_NODE * len(nodes) + WORK_OF_ARITHMETIC * calculating
        self._places = {name: place for place, name in enumerate(names)}

    def compiled(self) -> Closure:
        return self._of(self._tree)

    def _of(self, node: ast.expr) -> Closure:
        make = getattr(self, f"_{type(node).__name__}", None)
        if make is None:
            raise self._refusal(node, node)
        closure: Closure = make(node)
        return closure

    def _refusal(self, node: ast.expr, what: ast.AST) -> ValueError:
        reason = _SAID.get(type(what), f"{type(what).__name__} is not part of the language")
        return ValueError(f"is refused at character {max(node.col_offset, 1)}: {reason}")

    def _Constant(self, node: ast.Constant) -> Closure:
        value: Any = node.value
        if isinstance(value, float):
            # Python's own number has lost what a Decimal keeps.
            value = _decimal(ast.get_source_segment(self._source, node) or "")
        if not isinstance(value, str | int | Decimal | None):
            raise ValueError(f"is refused at character {node.col_offset}: {value!r} is no text and no number")
        if isinstance(value, str) and not is_storable(value):
            raise ValueError(f"is refused at character {node.col_offset}: {UNSTORABLE}")
        if type(value) is int or type(value) is Decimal:
            _bounded_constant(value)
        return lambda row: value

    def _Name(self, node: ast.Name) -> Closure:
        if node.id in self._places:
            return operator.itemgetter(self._places[node.id])
        if node.id.lower() in _CONSTANTS:
            value = _CONSTANTS[node.id.lower()]
            return lambda row: value
        raise self._unknown(node.id)

    def _unknown(self, name: str) -> ValueError:
        if name in FUNCTIONS:
            return ValueError(f"has the function {name} without ( )")
        known = list(self._places)
        return ValueError(
            f"does not know the name {name[:100]}.{did_you_mean(name[:100], known)} It knows {listed(known)}"
        )

    def _BinOp(self, node: ast.BinOp) -> Closure:
        left, right = self._of(node.left), self._of(node.right)
        if isinstance(node.op, ast.Add):
            return lambda row: _added(left(row), right(row), row)
        operate = _OPERATORS.get(type(node.op))
        if operate is None:
            raise self._refusal(node, node.op)
        return lambda row: operate(left(row), right(row))

    def _UnaryOp(self, node: ast.UnaryOp) -> Closure:
        operand = self._of(node.operand)
        if isinstance(node.op, ast.Not):
            return lambda row: not operand(row)
        if isinstance(node.op, ast.USub):
            return lambda row: arithmetic.negate(operand(row))
        raise self._refusal(node, node.op)

    def _BoolOp(self, node: ast.BoolOp) -> Closure:
        closures, stops_at = [self._of(value) for value in node.values], isinstance(node.op, ast.Or)

        def either(row: Row) -> Any:
            value = None
            for closure in closures:
                value = closure(row)
                if bool(value) is stops_at:
                    break
            return value

        return either

    def _IfExp(self, node: ast.IfExp) -> Closure:
        test, then, otherwise = self._of(node.test), self._of(node.body), self._of(node.orelse)
        return lambda row: then(row) if test(row) else otherwise(row)

    def _Compare(self, node: ast.Compare) -> Closure:
        closures = [self._of(each) for each in (node.left, *node.comparators)]
        tests = [self._test(node, op, right) for op, right in zip(node.ops, node.comparators, strict=True)]
        if len(tests) == 1:
            (left, right), test = closures, tests[0]
            return lambda row: test(left(row), right(row), row)

        def chain(row: Row) -> bool:
            value = closures[0](row)
            for closure, test in zip(closures[1:], tests, strict=True):
                following = closure(row)
                if not test(value, following, row):
                    return False
                value = following
            return True

        return chain

    def _test(self, node: ast.expr, op: ast.cmpop, right: ast.expr) -> Callable[[Any, Any, Row], bool]:
        if isinstance(op, ast.Is | ast.IsNot):
            if not self._is_null(right):
                raise ValueError("compares with `is`, which is for null only: write == instead")
            wanted = isinstance(op, ast.Is)
            return lambda value, _, row: (value is None) is wanted
        if isinstance(op, ast.In | ast.NotIn):
            wanted = isinstance(op, ast.In)
            return lambda value, group, row: _is_in(value, group, row) is wanted
        if isinstance(op, ast.Eq | ast.NotEq):
            wanted = isinstance(op, ast.Eq)
            return lambda value, other, row: _equal(value, other, row) is wanted
        order = _ORDERS[type(op)]
        return lambda value, other, row: _ordered(order, value, other, row)

    def _is_null(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Name):
            return node.id not in self._places and node.id.lower() in ("null", "none")
        return isinstance(node, ast.Constant) and node.value is None

    def _List(self, node: ast.List | ast.Tuple) -> Closure:
        if not node.elts and isinstance(node, ast.Tuple):
            raise ValueError("is empty")
        closures = [self._of(item) for item in node.elts]
        if all(isinstance(item, ast.Constant) for item in node.elts):
            constant = [closure([]) for closure in closures]
            return lambda row: constant
        return lambda row: [closure(row) for closure in closures]

    _Tuple = _List

    def _Subscript(self, node: ast.Subscript) -> Closure:
        value, key = self._of(node.value), self._of(node.slice)
        return lambda row: _item(value(row), key(row))

    def _Call(self, node: ast.Call) -> Closure:
        if not isinstance(node.func, ast.Name):
            raise self._refusal(node, node.func)
        name = node.func.id
        if node.keywords:
            raise ValueError(f"gives {name} an argument by name: leave the name out")
        if name == "field" and name not in self._places:
            return self._field(node)
        called = FUNCTIONS.get(name)
        if called is None:
            raise ValueError(f"calls {name[:100]}, which is no function.{did_you_mean(name[:100], FUNCTIONS)}")
        if not called.least <= len(node.args) <= called.most:
            wanted = f"{called.least} to {called.most}" if called.least < called.most else str(called.least)
            raise ValueError(f"gives {name} {len(node.args)} arguments, it takes {wanted}, as in {called.call}")
        arguments = [self._of(argument) for argument in node.args]
        make, nulls = called.make, called.nulls

        def call(row: Row) -> Any:
            values = [argument(row) for argument in arguments]
            work = WORK_OF_A_CALL
            for value in values:
                if type(value) is str:
                    work += len(value)
                elif type(value) in _NESTED:
                    work += size_of(value, row[-1])
                elif value is None and not nulls:
                    return None
            _work(row, work)
            result = make(*values)
            if type(result) is str and len(result) > LONGEST_TEXT:
                raise Misfit(TOO_LONG)
            return result

        return call

    def _field(self, node: ast.Call) -> Closure:
        """A source whose name is no word of the language: field('Owner.Name')."""
        names = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        if len(names) != 1 or len(node.args) != 1:
            raise ValueError("has a field() without the name of one source in quotes, as in field('Owner.Name')")
        if names[0] not in self._places:
            raise self._unknown(names[0])
        return operator.itemgetter(self._places[names[0]])


def _decimal(written: str) -> Decimal:
    try:
        return Decimal(written)
    except InvalidOperation:
        raise ValueError(f"has a number of more than {LARGEST_EXPONENT} digits") from None


def _bounded_constant(value: arithmetic.Number) -> None:
    try:
        arithmetic.bounded(value)
    except Misfit:
        raise ValueError(f"has a number of more than {LARGEST_EXPONENT} digits") from None


def _work(row: Row, amount: int) -> None:
    if amount > row[-1]:
        # To find that out was work too.
        row[-1] = 0
        raise TooMuch(_TOO_MUCH)
    row[-1] -= amount


def _added(left: Any, right: Any, row: Row) -> Any:
    if type(left) is str and type(right) is str:
        length = len(left) + len(right)
        if length > LONGEST_TEXT:
            raise Misfit(TOO_LONG)
        _work(row, length)
        return left + right
    return arithmetic.add(left, right)


def _equal(left: Any, right: Any, row: Row) -> bool:
    if type(left) is str and type(right) is str:
        _work(row, min(len(left), len(right)))
        return left == right
    _scalar(left, right)
    # true is no number here, though it is one for Python.
    return bool(left == right) and (type(left) is bool) is (type(right) is bool)


def _ordered(order: Callable[[Any, Any], bool], left: Any, right: Any, row: Row) -> bool:
    if left is None or right is None:
        return False
    if type(left) is str and type(right) is str:
        _work(row, min(len(left), len(right)))
    elif type(left) not in _NUMBERS or type(right) not in _NUMBERS:
        raise Misfit("is compared with a value of another kind; number() and text() make one of the other")
    return order(left, right)


def _scalar(*values: Any) -> None:
    if any(isinstance(value, list | dict) for value in values):
        raise Misfit("is a list or an object, which cannot be compared; length() and `in` look into it")


def _is_in(value: Any, group: Any, row: Row) -> bool:
    if group is None:
        return False
    if type(group) is str:
        if type(value) is not str:
            raise Misfit("is looked for in a text, but is none")
        _work(row, len(group))
        return value in group
    if not isinstance(group, list):
        raise Misfit("is looked for in something that is neither a list nor a text")
    _scalar(value)
    # An item costs no more than the value: texts of other lengths are told apart at once.
    _work(row, len(group) * (1 + len(value) if type(value) is str else WORK_OF_AN_ITEM))
    if type(value) is str:
        return value in group
    return any(each == value and (type(each) is bool) is (type(value) is bool) for each in group)


def _item(value: Any, key: Any) -> Any:
    """Null where there is no such item."""
    if value is None or key is None:
        return None
    if isinstance(value, dict) and type(key) is str:
        return value.get(key)
    if isinstance(value, list | str) and type(key) is int:
        return value[key] if -len(value) <= key < len(value) else None
    raise Misfit("has something in [ ] that it cannot be asked for")
