"""Imports go down only, as `.importlinter` draws the floors; errors are data, not words."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_imports_go_down_only():
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    result = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-2000:]
    assert "0 broken" in result.stdout


def test_no_file_is_long():
    """A file has one idea: one of more lines has two."""
    lengths = {
        str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines())
        for file in (ROOT / "keras_maskrcnn").rglob("*.py")
    }
    assert {name: length for name, length in lengths.items() if length > 400} == {}


@pytest.mark.parametrize("words", [[], ["train"]])
def test_help_imports_nothing_that_takes_long(words):
    script = f"""
import sys
from keras_maskrcnn.cli import main
try:
    main({[*words, "--help"]})
except SystemExit:
    pass
print(sorted({{"tensorflow", "keras", "numpy", "PIL", "scipy"}} & set(sys.modules)))
"""
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True
    )
    assert result.stdout.splitlines()[-1] == "[]", result.stdout[-500:] + result.stderr


READS = ("search", "match", "fullmatch", "findall", "finditer", "startswith", "endswith", "find")
# Python code within `tf.data` is heard of by the text of its traceback alone: no object crosses.
FORCED = {"tensorflow_errors.py": {"_RAISED.findall(str(error))"}}


def decisions_by_text(tree):
    """Expressions that look for words in the text of an error."""
    for scope in ast.walk(tree):
        errors = set()
        if isinstance(scope, ast.ExceptHandler) and scope.name:
            errors = {scope.name}
        elif isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
            errors = {a.arg for a in (*scope.args.args, *scope.args.kwonlyargs)} & {"error", "e"}
        for node in ast.walk(scope) if errors else ():
            looked_in = []
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
                looked_in = node.comparators
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                looked_in = [*node.args, node.func.value] if node.func.attr in READS else []
            inside = [ast.unparse(n) for part in looked_in for n in ast.walk(part)]
            texts = {f"{how}({e})" for e in errors for how in ("str", "repr")}
            texts |= {f"{e}.{field}" for e in errors for field in ("message", "args", "detail")}
            if texts & set(inside):
                yield ast.unparse(node)


def test_no_decision_hangs_on_the_words_of_an_error():
    found = {}
    for file in sorted((ROOT / "keras_maskrcnn").rglob("*.py")):
        texts = set(decisions_by_text(ast.parse(file.read_text(encoding="utf-8"))))
        if texts:
            found[file.name] = texts
    assert found == FORCED


@pytest.mark.parametrize(
    "source",
    [
        "try: pass\nexcept OSError as e:\n if 'refused' in str(e): raise",
        "def f(error):\n return _WORDS.search(error.message)",
        "def f(error):\n return str(error).startswith('Cannot')",
    ],
)
def test_such_decisions_are_found(source):
    assert list(decisions_by_text(ast.parse(source)))
