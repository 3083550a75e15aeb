"""`maskrcnn serve`."""

from __future__ import annotations

import argparse
import gc
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from keras_maskrcnn.cli.options import load_model, model_arguments, refuse_weights_file, say
from keras_maskrcnn.cli.quiet import start_tensorflow
from keras_maskrcnn.optional import needed_for

_DESCRIPTION = """\
Serve a model over HTTP, without TensorFlow Serving.

The page at / finds objects in pictures that are dropped on it. Programs use TensorFlow Serving's
REST API, POST /v1/models/NAME:predict, or send one picture file to POST /detect.

MODEL is what `maskrcnn export` wrote: a folder of versions, of which the highest is served, or the
folder of one version. A model file (.keras), a run folder or a published model is exported into a
temporary folder first.
"""

_EPILOG = """\
examples:
  maskrcnn serve served/photos
  maskrcnn serve runs/photos --port 8600 --name photos
  maskrcnn serve served/photos --host 0.0.0.0 --allowed-hosts photos.example.com
  curl --data-binary @holiday.jpg -H 'Content-Type: image/jpeg' http://127.0.0.1:8501/detect
"""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "serve",
        help="serve a model over HTTP, with a page to try it",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    model_arguments(parser, more="; or an export", metavar="MODEL")
    parser.add_argument("--name", help="by which clients call the model (default: its folder's)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on: %(default)s")
    parser.add_argument(
        "--port", type=int, default=8501, help="%(default)s by default; 0 takes a free one"
    )
    parser.add_argument(
        "--allowed-hosts",
        metavar="HOST",
        nargs="+",
        action="extend",
        default=[],
        help="further names and addresses, without port, by which clients may call the server; * "
        "for any (default: localhost, loopback addresses, --host; and any address with "
        "--host 0.0.0.0)",
    )
    for flag, kind, default, text in (
        ("--max-batch", int, 4, "pictures in one call of the model"),
        ("--max-wait-ms", float, 10, "that a request waits for others to share a call with"),
        ("--max-requests", int, 32, "in work at a time; further ones get status 503"),
        ("--max-connections", int, 256, "open at a time; the longest idle one gives way"),
        ("--max-body-mb", float, 20, "size of a request"),
        ("--max-megapixels", float, 50, "size of a picture"),
        ("--timeout", float, 60, "seconds that a request may wait for the model"),
    ):
        metavar = "N" if kind is int else flag.rpartition("-")[2].upper()
        parser.add_argument(
            flag, type=kind, default=default, metavar=metavar, help=f"{text}: %(default)s"
        )
    return parser


def run(args: argparse.Namespace) -> int:
    """Loads the model and answers requests until it is told to stop."""
    start_tensorflow()
    with needed_for("`maskrcnn serve`", "maskrcnn-keras[serving]"):
        from keras_maskrcnn.serving.hosts import AllowedHosts
        from keras_maskrcnn.serving.model import ServedModel
        from keras_maskrcnn.serving.requests import Limits
        from keras_maskrcnn.serving.server import find_version, open_socket, serve

    limits = Limits(
        max_body=int(args.max_body_mb * 1e6),
        max_pixels=int(args.max_megapixels * 1e6),
        max_batch=args.max_batch,
        max_wait=args.max_wait_ms / 1000,
        max_requests=args.max_requests,
        max_connections=args.max_connections,
        timeout=args.timeout,
    )
    path = Path(args.model)
    version = find_version(path)
    if version is not None:
        refuse_weights_file(args.weights_file, path)
    name = args.name or _default_name(path, version)
    if not name or set(name) & set("/:"):
        raise ValueError(f"--name must hold neither / nor : and not be empty. Received: {name!r}")
    with ExitStack() as stack:
        listener = stack.enter_context(open_socket(args.host, args.port))
        address = listener.getsockname()[0]
        hosts = AllowedHosts.of(args.allowed_hosts, args.host, address)
        if hosts.addresses and not args.allowed_hosts:
            say(
                f"{args.host} listens to every network of this machine: requests are answered that "
                "call it localhost or by an address, by other names with --allowed-hosts"
            )
        if version is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            version = _export(args.model, args.weights_file, folder)
        serve(ServedModel(version, name), limits, listener, hosts, say)
    return 0


def _default_name(path: Path, version: Path | None) -> str:
    """That of the folder that holds the versions, or of the run, or the file's."""
    path = path.resolve()
    if version is not None and version.resolve() == path and path.name.isdecimal():
        path = path.parent
    return path.name.removesuffix(".keras").replace(":", "_")


def _export(choice: str, weights_file: str | None, folder: str) -> Path:
    model = load_model(choice, weights_file)

    from keras_maskrcnn.export import export_model

    say(f"exporting {choice} into a temporary folder first")
    version = export_model(model, folder)
    # Only the export is served.
    del model
    gc.collect()
    return version
