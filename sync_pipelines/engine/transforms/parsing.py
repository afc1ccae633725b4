"""Python's parser for an expression of a customer, with all that it is given bounded before."""

import ast
import warnings
from typing import Final

_FILE: Final = "<expression>"
# What Python finds odd in somebody's expression is no message for whoever runs the process.
for _category in (SyntaxWarning, DeprecationWarning):
    warnings.filterwarnings("ignore", category=_category, module=_FILE)

LONGEST_SOURCE: Final = 2_000
"""Characters."""
MOST_NODES: Final = 400
MOST_DEPTH: Final = 40


def parsed(source: str) -> ast.expr:
    """Of `source` in brackets. ValueError saying what is not allowed, and where."""
    if not source.strip():
        raise ValueError("is empty")
    if len(source) > LONGEST_SOURCE:
        raise ValueError(f"has {len(source)} characters, at most {LONGEST_SOURCE} are allowed")
    if _depth_of_brackets(source) > MOST_DEPTH:
        raise ValueError(f"has more than {MOST_DEPTH} brackets inside each other")
    try:
        # In brackets, so that it may have several lines.
        tree = ast.parse(f"({source}\n)", _FILE, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as problem:
        where = f" at character {max((problem.offset or 1) - 1, 1)}" if isinstance(problem, SyntaxError) else ""
        raise ValueError(f"cannot be read{where}: {getattr(problem, 'msg', None) or 'it is too deep'}") from None
    if (tree.lineno, tree.col_offset) == (1, 0) and not isinstance(tree, ast.Tuple | ast.GeneratorExp):
        raise ValueError("cannot be read: a bracket closes that was not opened")
    nodes, depth = _measured(tree)
    if nodes > MOST_NODES:
        raise ValueError(f"has {nodes} parts, at most {MOST_NODES} are allowed")
    if depth > MOST_DEPTH:
        raise ValueError(f"has parts {depth} deep inside each other, at most {MOST_DEPTH} are allowed")
    return tree


def _depth_of_brackets(source: str) -> int:
    """Counted before Python's parser sees it, which is written in C and recursive. Brackets in texts count too."""
    depth = deepest = 0
    for sign in source:
        if sign in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in ")]}":
            depth -= 1
    return deepest


def _measured(tree: ast.expr) -> tuple[int, int]:
    """(how many nodes, how deep), without recursion."""
    nodes = deepest = 0
    waiting: list[tuple[ast.AST, int]] = [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        nodes, deepest = nodes + 1, max(deepest, depth)
        waiting += [
            (child, depth + 1) for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr_context)
        ]
    return nodes, deepest
