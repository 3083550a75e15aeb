"""Every block of code in README and docs is run or checked.

- **Python** is run, page by page, in a folder of tiny data with small models, which
  `support/doc_world.py` makes: a block knows the names of those above it. Models are checked part
  by part, as they are given, and then built small; the first `fit` makes a step, later ones read
  their first batch; nothing is exported or downloaded.
- `<!-- only checked: REASON -->` above a Python block: it is not run, but its names are looked up
  and the keywords of its calls held against the real signatures.
- `<!-- other project: NAME -->`: code of another project; it must be Python, no more.
- **Console**, and commands within sentences and tables: `maskrcnn` goes through the real
  parser, then its settings, transforms and presets are made; scripts, targets of make and
  extras of pip must be there.
- **JSON** must be JSON. Blocks of other languages are not allowed, but for text.
"""

import ast
import builtins
import configparser
import inspect
import json
import re
import shlex
import typing

import pytest
from doc_blocks import ROOT, blocks, pages
from doc_world import forget_models, small_world, write_data

from keras_maskrcnn.cli.main import build_parser
from keras_maskrcnn.cli.options import augment_choice, parse_settings
from keras_maskrcnn.cli.train_choices import complete, training_options
from keras_maskrcnn.data.transforms import make_transforms
from keras_maskrcnn.models.assembly import make_parts
from keras_maskrcnn.models.presets import PRESETS
from keras_maskrcnn.models.settings import merge_arguments

ALL = [block for page in pages() for block in blocks(page)]
PYTHON = [block for block in ALL if block.language == "python"]
# Packages of extras without which a page cannot be run.
NEEDS = {"docs/how-to/video.md": "av"}
MARKERS = {None, "only checked", "other project"}


def of(language):
    found = [block for block in ALL if block.language == language]
    return [pytest.param(block, id=block.place) for block in found]


def test_blocks_are_found():
    assert len(PYTHON) > 40
    assert {block.language for block in ALL} <= {"python", "console", "json", "text"}
    assert {block.marker for block in ALL} == MARKERS
    assert all(block.marker is None for block in ALL if block.language != "python")
    # No fence escapes the pattern.
    for page in pages():
        text = page.read_text(encoding="utf-8")
        fences = re.findall(r"^```(?:python|console|json|text)$", text, re.MULTILINE)
        assert len(fences) == len(blocks(page)), page


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    write_data(folder)
    yield folder
    forget_models()


@pytest.fixture
def world(folder, monkeypatch):
    monkeypatch.chdir(folder)
    with small_world():
        yield


RUN = {
    page: [block for block in PYTHON if block.page == page and block.marker is None]
    for page in dict.fromkeys(block.page for block in PYTHON)
}


@pytest.mark.parametrize("page", [page for page, found in RUN.items() if found])
@pytest.mark.filterwarnings("ignore")
def test_python_runs(page, world):
    if page in NEEDS:
        pytest.importorskip(NEEDS[page], reason=f"needs {NEEDS[page]}")
    names = {"__name__": "__main__"}
    for block in RUN[page]:
        code = compile(block.padded, f"{page}", "exec")
        exec(code, names)


@pytest.mark.parametrize(
    "block", [pytest.param(b, id=b.place) for b in PYTHON if b.marker == "only checked"]
)
def test_python_names_what_there_is(block):
    check_names(ast.parse(block.padded, block.page))


@pytest.mark.parametrize(
    "block", [pytest.param(b, id=b.place) for b in PYTHON if b.marker == "other project"]
)
def test_other_code_is_python(block):
    ast.parse(block.padded, block.page)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("from keras_maskrcnn import MaskRCN", "MaskRCN"),
        ("from keras_maskrcnn import MaskRCNN\nMaskRCNN(3, backbon='resnet50')", "backbon"),
        ("from keras_maskrcnn import load_coco\nd = load_coco('a', 'b')\nd.batchs(2)", "batchs"),
        (
            "from keras_maskrcnn import load_coco\nload_coco('a', 'b').batches(2, shufle=True)",
            "shufle",
        ),
        ("print(modl)", "modl"),
    ],
)
def test_a_wrong_name_is_seen(code, message):
    with pytest.raises(AssertionError, match=message):
        check_names(ast.parse(code))


@pytest.mark.parametrize("block", of("console"))
def test_console(block):
    for words in block.commands():
        check_command(words)


@pytest.mark.parametrize("page", [page.relative_to(ROOT).as_posix() for page in pages()])
def test_commands_in_sentences_and_tables(page):
    """Those with arguments; `maskrcnn train` alone only names a command."""
    text = (ROOT / page).read_text(encoding="utf-8").replace("\n", " ")
    for span in re.findall(r"(?<!`)`((?:maskrcnn|python|make|pip) [^`]+)`(?!`)", text):
        words = shlex.split(span)
        if len(words) == 2 and words[0] == "maskrcnn" and words[1] != "--version":
            assert words[1] in commands(build_parser()), span
        elif "--help" not in words:
            check_command(words)


def commands(parser):
    (found,) = (action.choices for action in parser._actions if action.dest == "command")
    return found


def test_examples_of_the_command_line():
    for command in commands(build_parser()).values():
        text = (command.epilog or "").replace("\\\n", " ")
        for line in text.splitlines():
            if line.strip().startswith("maskrcnn"):
                check_command(shlex.split(line))


@pytest.mark.parametrize(
    "command",
    [
        "maskrcnn train --data photos --epoch-count 3",
        "maskrcnn train --data photos --epoch 3",
        "maskrcnn train --data photos --set rpn.sample=128",
        "maskrcnn train --data photos --augment standrad",
        "maskrcnn train --data photos --weights mask_rcnn_R_50_FPN --backbone resnet18",
        "maskrcnn predict",
        "python benchmarks/nothing.py",
        "make doc",
        'pip install "maskrcnn-keras[serve]"',
        "unheard of",
    ],
)
def test_a_wrong_command_is_seen(command):
    with pytest.raises((AssertionError, ValueError, SystemExit)):
        check_command(shlex.split(command))


@pytest.mark.parametrize("block", of("json"))
def test_json(block):
    json.loads(block.text)


def check_command(words):
    """Raises unless the command can be given as it stands."""
    program, *rest = words
    if program == "maskrcnn":
        check_maskrcnn(rest)
    elif program == "python":
        assert rest[0] == "-c" or (ROOT / rest[0]).is_file(), words
    elif program == "make":
        assert f"\n{rest[0]}:" in (ROOT / "Makefile").read_text(), words
    elif program == "pip":
        known = configparser.ConfigParser()
        known.read(ROOT / "setup.cfg")
        for extra in re.findall(r"\[(\w+)\]", " ".join(rest)):
            assert extra in known["options.extras_require"], words
    else:
        assert program in ("curl", "docker"), words


def check_maskrcnn(words):
    if words == ["--version"]:
        return
    parser = build_parser()
    for one in (parser, *commands(parser).values()):
        one.allow_abbrev = False  # Pages write options in full.
    args = parser.parse_args(words)
    if args.command == "train" and args.resume is None:
        args = complete(args)
        training_options(args)
        settings = parse_settings(args.set)
        if args.weights in PRESETS:
            arguments = PRESETS[args.weights].model_arguments(settings)
        else:
            # A file, a run folder, or what Keras downloads.
            names = (".", "runs/", "imagenet")
            assert args.weights is None or any(n in args.weights for n in names), words
            arguments = merge_arguments({"num_classes": 3, "backbone": args.backbone}, settings)
        check_parts(arguments)
    if args.command == "show":
        make_transforms(augment_choice(args.augment))


def check_parts(arguments):
    """Makes all parts, which refuse a setting that they do not have."""
    names = ("backbone", "neck", "rpn", "box")
    heads = arguments.get("heads", ("mask",))
    make_parts(**{name: arguments.get(name) for name in names}, heads=heads, weights=None)


def check_names(tree):
    """Imports for real, follows assignments and calls, and holds keywords against signatures.

    What cannot be known (the value of a loop, of a call that states no type) is passed over.
    """
    known = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            exec_import(node, known)
    bound = {
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    for node in walk_in_order(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            (target,) = node.targets
            if isinstance(target, ast.Name):
                known[target.id] = value_of(node.value, known)
        elif isinstance(node, ast.withitem) and isinstance(node.optional_vars, ast.Name):
            known[node.optional_vars.id] = value_of(node.context_expr, known)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            there = node.id in known or node.id in bound or hasattr(builtins, node.id)
            assert there, f"line {node.lineno}: {node.id}"
        elif isinstance(node, ast.Call | ast.Attribute):
            value_of(node, known)


def exec_import(node, known):
    try:
        exec(compile(ast.Module([node], []), "import", "exec"), known)
    except ImportError as error:
        raise AssertionError(f"line {node.lineno}: {error}") from error


def walk_in_order(tree):
    nodes = [
        node for node in ast.walk(tree) if hasattr(node, "lineno") or hasattr(node, "context_expr")
    ]
    return sorted(nodes, key=lambda n: getattr(n, "lineno", getattr(n, "context_expr", n).lineno))


class Of:
    """A value of which the class is known alone."""

    def __init__(self, cls):
        self.cls = cls


def value_of(node, known):
    """The object that an expression names, `Of` a class, or `None` where it is not known."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = value_of(node.value, known)
        if owner is None:
            return None
        place = owner.cls if isinstance(owner, Of) else owner
        if isinstance(owner, Of) and node.attr in getattr(place, "__annotations__", {}):
            return None
        if isinstance(owner, Of) and not place.__module__.startswith("keras_maskrcnn"):
            return None
        assert hasattr(place, node.attr), f"line {node.lineno}: {node.attr} of {place!r}"
        found = getattr(place, node.attr)
        return None if isinstance(found, property) else found
    if isinstance(node, ast.Call):
        return called(node, known)
    return None


def called(node, known):
    function = value_of(node.func, known)
    if not callable(function) or isinstance(function, Of):
        return None
    try:
        # Keras' classes take anything, and hand it to their constructor.
        signature = inspect.signature(function.__init__ if isinstance(function, type) else function)
    except ValueError:
        return None
    takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    for keyword in node.keywords:
        if keyword.arg is not None and not takes_any:
            assert keyword.arg in signature.parameters, f"line {node.lineno}: {keyword.arg}"
    if isinstance(function, type):
        return Of(function)
    try:
        result = typing.get_type_hints(function).get("return")
    except NameError:
        return None
    return Of(result) if isinstance(result, type) else None
