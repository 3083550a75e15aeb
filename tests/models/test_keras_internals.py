"""Private names of Keras and TensorFlow stand in one file, and what is gone is named."""

import ast
import configparser
import inspect
import sys
from importlib import metadata
from pathlib import Path

import keras
import pytest
import tensorflow as tf
from helpers import import_all_modules, run_python
from packaging.requirements import Requirement

import keras_maskrcnn

PACKAGE = Path(keras_maskrcnn.__file__).parent
THE_FILE = PACKAGE / "models" / "keras_internals.py"
OTHER_FILES = sorted(set(PACKAGE.rglob("*.py")) - {THE_FILE})
# Packages and folders of them that are not public.
FOREIGN = ("keras.src", "tensorflow.python", "tensorflow.compiler", "tensorflow.lite")


def is_private(name):
    return name.startswith("_") and not name.endswith("__") and name != "_"


def private_imports(tree):
    """Modules within others that are private, in whatever way they are imported."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [node.value]
        for name in names:
            if f"{name}.".startswith(tuple(f"{foreign}." for foreign in FOREIGN)):
                yield f"{node.lineno}: {name}"


def private_attributes(tree):
    """Names with an underscore that this module reads of an object, and does not define itself."""
    own = {"_settings"}  # Of `Part`, which its `__new__` sets.
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            own.add(node.name)
        elif isinstance(node, ast.AnnAssign | ast.Assign | ast.AugAssign | ast.NamedExpr):
            for target in getattr(node, "targets", None) or [node.target]:
                for inner in ast.walk(target):
                    if isinstance(inner, ast.Name):
                        own.add(inner.id)
                    elif isinstance(inner, ast.Attribute) and ast.unparse(inner.value) == "self":
                        own.add(inner.attr)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            of_super = isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "super"
            if node.attr not in own or of_super:
                yield f"{node.lineno}: {ast.unparse(node)}"
        call = isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr")
        if call and isinstance(node.args[1], ast.Constant) and is_private(node.args[1].value):
            yield f"{node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("file", OTHER_FILES, ids=lambda f: f.relative_to(PACKAGE).as_posix())
def test_no_other_file_uses_private_names(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert [*private_imports(tree), *private_attributes(tree)] == []


@pytest.mark.parametrize(
    "source",
    [
        "from keras.src import backend",
        "import tensorflow.python.eager.context",
        "importlib.import_module('keras.src.trainers')",
        "model._loss_tracker.update_state(1)",
        "self._reduction_axes",
        "getattr(model, '_tracker')",
        "class A(B):\n def _moments(self):\n  return super()._moments()",
    ],
)
def test_the_scan_finds(source):
    tree = ast.parse(source)
    assert [*private_imports(tree), *private_attributes(tree)]


def test_no_class_replaces_a_private_method_of_a_foreign_one():
    import_all_modules()
    found = []
    for name, module in list(sys.modules.items()):
        if not name.startswith("keras_maskrcnn"):
            continue
        for cls in {c for _, c in inspect.getmembers(module, inspect.isclass)}:
            foreign = [b for b in cls.__mro__[1:-1] if not b.__module__.startswith(PACKAGE.name)]
            if cls.__module__ != name or not foreign:
                continue
            ours = {key for key, value in vars(cls).items() if inspect.isfunction(value)}
            found += [
                f"{cls.__qualname__}.{key} of {base.__name__}"
                for key in filter(is_private, ours)
                for base in foreign
                if key in vars(base) and base.__module__.startswith(("keras", "tensorflow"))
            ]
    assert found == []


@pytest.mark.slow  # A process that builds and trains.
def test_one_replica_needs_no_private_name():
    script = """
import sys
from helpers import batch, tiny_model, to_dataset
from keras_maskrcnn.models import trainable

prepared = []
as_batches = trainable.as_batches
trainable.as_batches = lambda *args, **options: prepared.append(1) or as_batches(*args, **options)
model = tiny_model()
model.compile()
history = model.fit(to_dataset([batch(2)]), validation_data=to_dataset([batch(2)]), verbose=0)
print("losses", "val_loss" in history.history, "prepared", len(prepared))
model.evaluate(to_dataset([batch(2)]), verbose=0)
print("afterwards", len(prepared))
print("entered", "keras_maskrcnn.models.keras_internals" in sys.modules)
"""
    output = run_python(script)
    # What `fit` hands to `evaluate` has been prepared already.
    assert "losses True prepared 0" in output
    assert "afterwards 1" in output
    assert "entered False" in output


def test_every_name_is_there():
    optimizer = keras.optimizers.SGD(gradient_accumulation_steps=2)
    optimizer.build([keras.Variable(1.0)])
    from keras_maskrcnn.models import keras_internals

    keras_internals.require(optimizer, "_accumulated_gradients", "_iterations")


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (keras.Model, "_maybe_symbolic_build"),
        (keras.optimizers.Optimizer, "_clip_gradients"),
        (tf.distribute.StrategyExtended, "_in_multi_worker_mode"),
    ],
)
def test_a_name_that_is_gone_is_told_before_training(owner, name, monkeypatch):
    from keras_maskrcnn.models import replicas

    place = next(cls for cls in owner.__mro__ if name in vars(cls))
    monkeypatch.delattr(place, name)
    monkeypatch.delitem(sys.modules, "keras_maskrcnn.models.keras_internals", raising=False)
    monkeypatch.delattr("keras_maskrcnn.models.keras_internals", raising=False)

    class OnTwo:
        class distribute_strategy:  # noqa: N801
            num_replicas_in_sync = 2

    with pytest.raises(RuntimeError) as error:
        replicas.prepare(OnTwo())
    assert f"{owner.__name__}.{name}, which this version lacks" in str(error.value)
    known = [line for line in metadata.requires("maskrcnn-keras") if line.startswith("keras")]
    assert known[0] in str(error.value)
    assert f"keras {keras.__version__}" in str(error.value)


def test_the_bound_of_keras_holds_this_one():
    setup = configparser.ConfigParser()
    setup.read(PACKAGE.parent / "setup.cfg")
    needed = [line for line in setup["options"]["install_requires"].split("\n") if line]
    (bound,) = [r for r in map(Requirement, needed) if r.name == "keras"]
    assert keras.__version__ in bound.specifier
    assert "3.99" not in bound.specifier
