"""The documentation site: `make docs` builds it into build/docs, without a network."""

import os
import sys
from importlib import metadata
from pathlib import Path

# Of the environment that builds the site; the package need not see a GPU for it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path[:0] = [str(Path(__file__).parent / "extensions"), str(Path(__file__).parents[1])]

project = "keras_maskrcnn"
author = "the maskrcnn-keras authors"
project_copyright = f"2026, {author}"
release = metadata.version("maskrcnn-keras")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "docstrings",
    "generated",
]
exclude_patterns = ["extensions"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

# Docstrings are Markdown, see extensions/docstrings.py; a single backtick is code.
default_role = "code"
highlight_language = "text"
smartquotes = False  # Two hyphens begin an option.
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
napoleon_custom_sections = [("Call arguments", "params_style"), "Legend"]
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"keras_maskrcnn {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
