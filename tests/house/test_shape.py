"""The caps that keep the tail short, the names that say nothing, the sentences every module and public thing owes."""

from __future__ import annotations

import ast
import re

from tests.house.source import ROOT, functions, modules

HARD_LINES = 500
FUNCTION_LINES = 60
PARAMETERS = 6
FACES = re.compile(r"(^|/)(api|pages|cli|routes)(\.py|/)|/api/|/pages/|/cli/|dev\.py|server\.py")
BANNED = re.compile(r"(^|/)(utils?|helpers?|common|misc|managers?|handlers?|info)(\.py|/)")


def test_no_file_passes_the_hard_cap() -> None:
    long = [f"{m.name}: {m.text.count(chr(10))}" for m in modules() if m.text.count("\n") > HARD_LINES]
    assert not long, "\n".join(long)


def test_no_function_is_longer_than_a_page() -> None:
    long = []
    for module in modules():
        for node in functions(module.tree):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                long.append(f"{module.name}:{node.lineno} {node.name}: {lines}")
    assert not long, "\n".join(long)


def test_no_function_takes_more_than_six_parameters_but_faces_which_list_their_fields() -> None:
    many = []
    for module in modules():
        if FACES.search(module.name):
            continue
        for node in functions(module.tree):
            names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            count = len([n for n in names if n not in ("self", "cls")])
            if count > PARAMETERS + 2:
                many.append(f"{module.name}:{node.lineno} {node.name}: {count}")
    assert not many, "\n".join(many)


def test_every_module_says_in_a_sentence_what_it_is() -> None:
    silent = [m.name for m in modules() if not ast.get_docstring(m.tree)]
    assert not silent, "\n".join(silent)


def test_every_public_class_and_function_says_what_it_does() -> None:
    silent = []
    for module in modules():
        for node in module.tree.body:
            public = isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            if public and not node.name.startswith("_") and not ast.get_docstring(node):  # type: ignore[union-attr, arg-type]
                silent.append(f"{module.name}:{node.lineno}")
    assert not silent, "\n".join(silent)


def test_no_test_is_longer_than_a_module_may_be() -> None:
    tests = [p for folder in ("tests", "bench", "docs") for p in sorted((ROOT / folder).rglob("*.py"))]
    long = [f"{p.relative_to(ROOT)}: {n}" for p in tests if (n := len(p.read_text().splitlines())) > 500]
    assert not long, "\n".join(long)


def test_names_say_something() -> None:
    nothing = [m.name for m in modules() if BANNED.search(m.name)]
    assert not nothing, "\n".join(nothing)


def test_nothing_is_unfinished() -> None:
    unfinished = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    found = [m.name for m in modules() if unfinished.search(m.text)]
    assert not found, "\n".join(found)


def test_only_drivers_speak_to_daemons() -> None:
    daemons = re.compile(r"^\s*(import|from) (libvirt|ovsdbapp|pyroute2)\b", re.MULTILINE)
    wrong = [m.name for m in modules() if daemons.search(m.text) and not m.name.startswith("drivers/")]
    assert not wrong, "\n".join(wrong)


def test_nobody_sleeps_by_the_clock_in_a_transaction_or_matches_on_a_messages_text() -> None:
    wrong = re.compile(r"\bin str\((error|e|exc|err)\)|(error|e|exc|err)\.message\.text\b\s*(==|in)")
    found = [m.name for m in modules() if wrong.search(m.text) and not m.name.startswith("drivers/")]
    assert not found, "\n".join(found)


def test_the_project_speaks_of_itself_alone() -> None:
    import subprocess

    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    hosts = re.compile(r"index[-]url|\"resolved\": *\"http|//registry[.]|[.]org/simple\b")
    wrong = []
    for name in names:
        path, known = ROOT / name, (".py", ".md", ".toml", ".json", ".sh", ".mjs", ".js", ".html", ".po")
        if not name.endswith(known) or not path.exists():
            continue
        if hosts.search(path.read_text(errors="replace")):
            wrong.append(name)
    assert not wrong, "\n".join(wrong)
