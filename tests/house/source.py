"""What the tests of the house read: every module, template and text of the source, found once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment
from jinja2.ext import babel_extract

from yun.base.messages import PACKAGE

ROOT = PACKAGE.parent.parent


@dataclass(frozen=True)
class Module:
    """A Python module of the source."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """Its path below the package."""
        return str(self.path.relative_to(PACKAGE))


@cache
def modules() -> tuple[Module, ...]:
    """All modules, migrations apart."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if "migrations/versions" not in str(path):
            text = path.read_text()
            found.append(Module(path, text, ast.parse(text)))
    return tuple(found)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions and methods."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def python_texts() -> Iterator[tuple[str, str, int]]:
    """(text, file, line) of every `_("…")` call in Python."""
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_" and node.args:
                for text in constants(node.args[0]):
                    yield text, module.name, node.lineno


def constants(node: ast.expr) -> Iterator[str]:
    """The literal texts an argument can be: a constant, or the branches of a condition."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from constants(node.body)
        yield from constants(node.orelse)


def template_texts() -> Iterator[tuple[str, str, int]]:
    """(text, file, line) of every marked text in templates."""
    for path in sorted(PACKAGE.rglob("templates/**/*.html")):
        with path.open("rb") as file:
            options = {"encoding": "utf-8", "silent": "false", "extensions": "jinja2.ext.do"}
            for line, _function, message, _comments in babel_extract(file, ("_", "gettext", "ngettext"), (), options):
                for text in message if isinstance(message, tuple) else (message,):
                    if text:
                        yield text, str(path.relative_to(PACKAGE)), line


def texts() -> list[tuple[str, str, int]]:
    """All texts a person reads."""
    return [*python_texts(), *template_texts()]


def environment() -> Environment:
    """For parsing templates."""
    return Environment(extensions=["jinja2.ext.i18n", "jinja2.ext.do"], autoescape=True)
