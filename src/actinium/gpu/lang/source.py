"""The text of a function: its syntax tree with true line numbers, and refusals that show them."""

from __future__ import annotations

import ast
import inspect
import linecache
from types import FunctionType
from typing import Any

from actinium.errors import CompileError

MISSING = object()


class Source:
    """One function of the program.

    The text comes from ``linecache``, so files, notebooks, doctests and whatever registers its
    text there work. It is parsed below an ``if True:`` instead of being dedented, so that lines
    and columns stay those of the file.

    Raises:
        CompileError: the text is not to be had, or is no ``def``.
    """

    def __init__(self, function: Any) -> None:
        function = inspect.unwrap(function)
        if not isinstance(function, FunctionType):
            raise CompileError(
                "no-function", f"{function!r} is no Python function", "a plain `def`", "?", 0, 0, ""
            )
        code = function.__code__
        self.function = function
        self.file = code.co_filename
        self.first = code.co_firstlineno
        lines = linecache.getlines(self.file, function.__globals__)
        if not lines:
            raise self._plain(
                "no-source",
                f"the source of {function.__qualname__} is not to be had",
                "the function in a file, or put its text into linecache.cache before the exec",
            )
        block = inspect.getblock(lines[self.first - 1 :])
        indented = block[0][:1].isspace()
        text = "".join((["if True:\n"] if indented else []) + block)
        tree: Any = ast.parse(text).body[0]
        if indented:
            tree = tree.body[0]
        ast.increment_lineno(tree, self.first - 1 - indented)
        if not isinstance(tree, ast.FunctionDef):
            code_ = "async-def" if isinstance(tree, ast.AsyncFunctionDef) else "no-def"
            what = "async def" if code_ == "async-def" else "no def statement"
            raise self._plain(code_, f"{function.__qualname__} is {what}", "a plain `def`")
        self.tree = tree
        self.annotations = inspect.get_annotations(function)

    def _plain(self, code: str, text: str, write: str) -> CompileError:
        return CompileError(code, text, write, self.file, self.first, 0, "")

    def refuse(self, node: ast.AST, code: str, text: str, write: str) -> CompileError:
        """The error for a part of this function, with its line and a mark below the expression."""
        line = getattr(node, "lineno", self.first)
        column = getattr(node, "col_offset", 0)
        shown = linecache.getline(self.file, line, self.function.__globals__).rstrip("\n")
        bare = shown.lstrip()
        return CompileError(
            code, text, write, self.file, line, max(column - len(shown) + len(bare), 0), bare
        )

    def name(self, name: str) -> Any:
        """What a name that is no local means: a closure variable, a global, a builtin; or MISSING.

        It is read once, when the function is compiled.
        """
        function = self.function
        if name in function.__code__.co_freevars:
            cell = (function.__closure__ or ())[function.__code__.co_freevars.index(name)]
            try:
                return cell.cell_contents
            except ValueError:
                return MISSING
        if name in function.__globals__:
            return function.__globals__[name]
        builtins = function.__globals__.get("__builtins__", {})
        if not isinstance(builtins, dict):
            builtins = vars(builtins)
        return builtins.get(name, MISSING)

    def annotation(self, name: str) -> Any:
        """What a parameter's (or the result's) annotation means; MISSING where there is none."""
        value = self.annotations.get(name, MISSING)
        return self.resolve(value) if isinstance(value, str) else value

    def resolve(self, text: str) -> Any:
        """An annotation that is text (``from __future__ import annotations``)."""
        free = self.function.__code__.co_freevars
        scope = {name: self.name(name) for name in free}
        scope |= getattr(self.function, "__gpu_scope__", {})
        try:
            return eval(text, self.function.__globals__, scope)
        except (NameError, AttributeError):
            return MISSING
