"""`maskrcnn presets`."""

from __future__ import annotations

import argparse
from typing import Any

from keras_maskrcnn.cli.options import say

_DESCRIPTION = """\
List the published models: average precisions on COCO as their publishers state them, and the
number of their parameters.

Each name stands for a model wherever a command takes one, and for weights in `maskrcnn train`.
"""

_EPILOG = """\
examples:
  maskrcnn presets
  maskrcnn predict mask_rcnn_R_50_FPN holiday/*.jpg --output found
  maskrcnn train --data photos --weights mask_rcnn_R_50_FPN --output runs/photos
"""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    return commands.add_parser(
        "presets",
        help="list the published models, whose weights can be loaded",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run(args: argparse.Namespace) -> int:
    """Prints the table."""
    from keras_maskrcnn.models.presets import PRESETS, PresetTable

    say(str(PresetTable(PRESETS.values())))
    return 0
