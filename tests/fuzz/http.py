"""Broken requests to `maskrcnn serve`, over the loopback."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from process_memory import status_bytes

from fuzz import http_requests
from fuzz.fuzzer import Fuzzer
from fuzz.http_answers import Answer, exchange, parse
from fuzz.http_requests import Request
from fuzz.verdicts import ACCEPTED, HANG, REFUSED, SilentError, UnclearError, check_words

_SERVE = "import sys; from keras_maskrcnn.cli import main; sys.exit(main(sys.argv[1:]))"
# Names the folder of an export, where there is one already.
EXPORT = "FUZZED_EXPORT"
# Bytes that one request may add to the server's log.
_LOGGED = 10_000
# Every so many cases a picture is sent that is answered as ever.
_EVERY = 10


class HttpFuzzer(Fuzzer):
    """Requests to a server on a tiny model."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        model = os.environ.get(EXPORT)
        if model is None:
            from exported_model import export_tiny

            model = str(export_tiny(folder).path)
        self.log = folder / "server.txt"
        options = ("--port", "0", "--max-body-mb", "0.4", "--max-megapixels", "1")
        with open(self.log, "wb") as log:
            self.server = subprocess.Popen(
                [sys.executable, "-c", _SERVE, "serve", model, *options],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.server.stdout is not None
        told = self.server.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:(\d+)/", told)
        if address is None:
            raise RuntimeError(f"the server did not start: {told} {self.log.read_text()[-2000:]}")
        self.port = int(address[1])
        self.logged = self.log.stat().st_size
        self.good = Request(http_requests.build(body=http_requests.picture()), ("POST",))
        self.about = Request(http_requests.build("GET", "/model"), ("GET",))
        self.expected = self._ask(self.good), self._ask(self.about)

    def make(self, number: int) -> tuple[Request, str]:
        return http_requests.make(random.Random(f"http {number}"))

    def judge(self, number: int, case: Request) -> str:
        received = exchange(
            self.port, case.content, case.complete, len(case.methods) if case.sound else 1
        )
        if self.server.poll() is not None:
            print(self.log.read_text()[-1000:], file=sys.stderr, flush=True)
            os._exit(1)  # which counts as a crash
        if received is None:
            return HANG
        answers = parse(received, case.methods)
        self._check_log()
        if self._ask(self.about) != self.expected[1]:
            raise SilentError("the server describes itself otherwise than before")
        if number % _EVERY == 0 and self._ask(self.good) != self.expected[0]:
            raise SilentError("the same picture has another answer than before")
        _check_number(answers, case)
        kinds = [_check(answer, case) for answer in answers]
        return ACCEPTED if ACCEPTED in kinds else REFUSED

    def peak(self) -> int:
        return status_bytes("VmHWM", self.server.pid)

    def close(self) -> None:
        self.server.terminate()
        self.server.wait(60)

    def _ask(self, request: Request) -> Any:
        received = exchange(self.port, request.content, True)
        if received is None:
            raise UnclearError("the server does not answer any more")
        (answer,) = parse(received, request.methods)
        if answer.status != 200:
            raise UnclearError(f"a good request is refused: {answer.body.decode()}")
        return json.loads(answer.body)

    def _check_log(self) -> None:
        before, self.logged = self.logged, self.log.stat().st_size
        with open(self.log, "rb") as file:
            file.seek(before)
            added = file.read(1 << 20).decode(errors="replace")
        if "Traceback" in added or self.logged - before > _LOGGED:
            last = added.strip().splitlines()[-1]
            raise UnclearError(f"the log grows by {self.logged - before} bytes, such as {last}")


def _check_number(answers: list[Answer], case: Request) -> None:
    """Each request has one answer."""
    if case.sound and len(answers) != len(case.methods):
        raise SilentError(f"{len(answers)} answers to {len(case.methods)} requests")
    if case.complete and not answers:
        raise SilentError("no answer")


def _check(answer: Answer, case: Request) -> str:
    """Good, or an error that helps."""
    kind = answer.headers.get("content-type", "")
    if case.wanted is not None and answer.status != case.wanted:
        raise UnclearError(f"expected {case.wanted}: {answer.status} {answer.body[:300]!r}")
    if answer.status < 400:
        if kind == "application/json" and answer.body:
            _check_rows(json.loads(answer.body), case)
        return ACCEPTED
    if answer.status >= 500:
        raise UnclearError(f"{answer.status} {answer.body[:300]!r}")
    if case.methods[:1] == ("HEAD",):
        return REFUSED
    if kind != "application/json":
        if case.sound:
            raise UnclearError(f"{answer.status} without JSON: {answer.body[:300]!r}")
        check_words(answer.body.decode())
        return REFUSED
    content = json.loads(answer.body)
    if not (isinstance(content, dict) and isinstance(content.get("error"), str)):
        raise UnclearError(f"{answer.status} without an error: {answer.body[:300]!r}")
    check_words(content["error"])
    return REFUSED


def _check_rows(content: Any, case: Request) -> None:
    """As many results as pictures."""
    if not {"predictions", "outputs"} & set(content):
        return
    if case.document is None:
        if case.sound:
            raise SilentError("accepted what is no JSON document")
        return
    if "predictions" in content:
        found, asked = len(content["predictions"]), len(case.document["instances"])
    else:
        inputs = case.document["inputs"]
        if isinstance(inputs, dict):
            inputs = next(iter(inputs.values()))
        found, asked = len(content["outputs"]["counts"]), len(inputs)
    if found != asked:
        raise SilentError(f"{found} results for {asked} pictures")


FUZZER = HttpFuzzer
