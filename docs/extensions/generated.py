"""Parts of pages that are made of the code: a line `<!-- generated: NAME -->` becomes Markdown.

What the command line takes, which models are published and which settings parts have is said once,
in the code.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

_PLACE = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)
_CODE = re.compile(r"(`[^`]+`)")


def command_line() -> str:
    """All commands with their options, from the parsers."""
    from keras_maskrcnn.cli.main import build_parser

    parser = build_parser()
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    sections = [f"```text\n{parser.format_usage().strip()}\n```", *_options(parser)]
    for name, command in commands.choices.items():
        sections += [
            f"(maskrcnn-{name})=\n## maskrcnn {name}",
            *_paragraphs(command.description or ""),
            f"```text\n{command.format_usage().strip()}\n```",
            *_options(command),
        ]
        if command.epilog:
            examples = command.epilog.partition("\n")[2].rstrip().splitlines()
            lines = "\n".join(line.removeprefix("  ") for line in examples)
            sections.append(f"Examples:\n\n```console\n{lines}\n```")
    return "\n\n".join(sections)


def presets() -> str:
    """The published models, with what their publishers state."""
    from keras_maskrcnn.models.presets import PRESETS

    kinds = ("box", "mask", "keypoint")
    sources = list(dict.fromkeys(preset.source for preset in PRESETS.values()))
    rows = []
    for preset in PRESETS.values():
        stated = [preset.published.get(kind) for kind in kinds]
        numbers = ["" if value is None else f"{value:.1f}" for value in stated]
        millions = f"{preset.parameters / 1e6:.1f} M"
        file = preset.url.rpartition("/")[2]
        source = str(sources.index(preset.source) + 1)
        rows.append([f"`{preset.name}`", *numbers, millions, f"`{file}`", source])
    head = ["preset", *(f"{kind} AP" for kind in kinds), "parameters", "weights", "source"]
    named = "\n".join(f"{number}. {source}" for number, source in enumerate(sources, 1))
    return f"{_table(head, rows)}\n\nSources of the average precisions:\n\n{named}"


def findings() -> str:
    """What `maskrcnn validate` can find."""
    import keras_maskrcnn.doctor.checks  # noqa: F401  # Registers them.
    from keras_maskrcnn.doctor.case import CHECKS

    rows = [
        [kind.severity.value, _escaped(kind.title), _escaped(kind.advice), kind.fix.value]
        for check in CHECKS
        for kind in check.kinds
    ]
    return _table(["", "finding", "what it means", "what `--fix` does"], rows)


def parts() -> str:
    """Names of all parts of a model and of data, with their settings."""
    from keras_maskrcnn.backbones import BACKBONES
    from keras_maskrcnn.data.sampling import SAMPLINGS
    from keras_maskrcnn.data.transforms import TRANSFORMS
    from keras_maskrcnn.heads import BOXES, HEADS, RPNS
    from keras_maskrcnn.necks import NECKS
    from keras_maskrcnn.parts import setting_names
    from keras_maskrcnn.poolers import POOLERS

    registries = {
        "Backbones": BACKBONES,
        "Necks": NECKS,
        "RPN": RPNS,
        "Box stages": BOXES,
        "Heads": HEADS,
        "Poolers": POOLERS,
        "Transforms": TRANSFORMS,
        "Samplings": SAMPLINGS,
    }
    sections = []
    for title, registry in registries.items():
        names: dict[type, list[str]] = {}
        for name in registry.names:
            names.setdefault(registry.find(name), []).append(name)
        rows = []
        for cls, own in names.items():
            if not cls.__module__.startswith("keras_maskrcnn."):
                continue
            known = setting_names(cls) or _positional(cls)
            settings = ", ".join(
                f"`{name}={value!r}`" for name, value in known.items() if name != "name"
            )
            rows.append([", ".join(f"`{name}`" for name in own), settings])
        sections.append(f"## {title}\n\n{_table(['name', 'settings and their defaults'], rows)}")
    return "\n\n".join(sections)


def _positional(cls: type) -> dict[str, Any]:
    """Settings of a pooler, which is a layer: they may be given by their place."""
    import inspect

    parameters = inspect.signature(cls).parameters.values()
    skipped = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {p.name: p.default for p in parameters if p.kind not in skipped}


def _options(parser: argparse.ArgumentParser) -> list[str]:
    """A list of definitions for each group of options that has any."""
    formatter = argparse.HelpFormatter(parser.prog)
    sections = []
    for group in parser._action_groups:
        entries = []
        for action in group._group_actions:
            if action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction):
                continue
            if isinstance(action, argparse._SubParsersAction):
                continue
            words = formatter._format_action_invocation(action)
            text = _escaped(formatter._expand_help(action)) if action.help else ""
            entries.append(f"`{words}`\n: {text}")
        if entries:
            title = "Options" if group.title == "options" else (group.title or "").capitalize()
            sections.append(f"**{title}**\n\n" + "\n\n".join(entries))
    return sections


def _paragraphs(text: str) -> Iterable[str]:
    return (_escaped(part.strip()) for part in text.split("\n\n") if part.strip())


def _escaped(text: str) -> str:
    """Plain text as Markdown, in which backticks are code already."""
    parts = _CODE.split(text)
    return "".join(
        part if part.startswith("`") else re.sub(r"([\\*_<>\[\]{}|#~$])", r"\\\1", part)
        for part in parts
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


PARTS: dict[str, Callable[[], str]] = {
    "command_line": command_line,
    "presets": presets,
    "findings": findings,
    "parts": parts,
}


def fill_in(app: Any, page: str, source: list[str]) -> None:
    """Puts Markdown into the places of a page."""
    source[0] = _PLACE.sub(lambda match: PARTS[match[1]](), source[0])


def setup(app: Any) -> dict[str, bool]:
    app.connect("source-read", fill_in)
    return {"parallel_read_safe": True}
