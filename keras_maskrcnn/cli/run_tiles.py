"""The tiles of a training run, for commands that take its folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from keras_maskrcnn.cli.options import say
from keras_maskrcnn.cli.run_data import kept_of_run

if TYPE_CHECKING:
    from keras_maskrcnn.images.tiling import Tiling


def with_tiles_of_run(args: argparse.Namespace) -> argparse.Namespace:
    """With `--tile` and `--overlap` of the run `args.model`, and a line that says so.

    A run that was trained on crops has seen objects in that size alone. Where an option says how
    pictures are looked at, that counts; and a model file, as of the run, knows no tiles.
    """
    choices = ("tile", "min_size", "max_size", "tta")
    is_said = any(getattr(args, name, None) not in (None, False) for name in choices)
    tiling = None if is_said or args.model is None else _tiling(args.model)
    if tiling is None:
        return args
    given = getattr(args, "overlap", None)
    overlap = tiling.overlap if given is None else given
    say(
        f"In tiles of {tiling.tile} pixels that overlap by {overlap}, as in training; "
        f"{Path(args.model) / 'best.keras'} looks at whole pictures"
    )
    return argparse.Namespace(**{**vars(args), "tile": tiling.tile, "overlap": overlap})


def tell_no_tiles(model: str, what: str) -> None:
    """Says it, where a run was trained on crops of what is looked at as a whole.

    Args:
        model: of the command.
        what: that is looked at, in the plural.
    """
    tiling = _tiling(model)
    if tiling is not None:
        say(
            f"{what} are looked at as a whole, though {model} was trained on tiles of "
            f"{tiling.tile} pixels"
        )


def _tiling(model: str) -> Tiling | None:
    """That of a run; `None` for another model."""
    if not (Path(model) / "config.json").exists():
        return None
    from keras_maskrcnn.images.tiling import Tiling

    options = kept_of_run(model).get("options", {})
    tile = options.get("tile")
    return None if tile is None else Tiling(tile, options.get("overlap"))
