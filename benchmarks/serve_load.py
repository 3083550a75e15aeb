"""Puts `maskrcnn serve` under load of good and bad requests, and checks every answer.

    python benchmarks/serve_load.py served/photos photos/*.jpg --seconds 60 --clients 4

Each client sends one request after the other, chosen at random: pictures to /detect and to
TensorFlow Serving's predict API (one and two at a time), small pictures as pixels, and bad ones: a
JPEG file cut short, an empty body, a PNG header of 30,000 x 30,000 pixels, JSON that is none, and a
wrong content type. Good answers must equal a direct call of the SavedModel, made before; bad ones
must be a 4xx with a reason. At the end SIGTERM is sent with requests in work, which must be
answered right, too.
"""

from __future__ import annotations

import argparse
import base64
import collections
import dataclasses
import http.client
import json
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from workers.describe import status_megabytes

from keras_maskrcnn.serving.server import find_version

NAME = "load"
COMMAND = "import sys; from keras_maskrcnn.cli import main; sys.exit(main(sys.argv[1:]))"
GOOD_PART = 0.6
IN_FLIGHT = 6
# Boxes in pixels; probabilities.
TOLERANCE = {"boxes": 0.02, "keypoints": 0.02}
DEFAULT_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True)
class Question:
    """A request and what may be answered: statuses, and for a good one its outputs."""

    kind: str
    path: str
    media_type: str
    body: bytes
    statuses: tuple[int, ...] = (200,)
    outputs: list[dict[str, np.ndarray]] | None = None


def make_questions(export: Path, pictures: list[Path]) -> list[Question]:
    """Good and bad requests; the model is called here."""
    import tensorflow as tf
    from PIL import Image

    loaded = tf.saved_model.load(str(export))

    def call(signature: str, value: Any) -> list[dict[str, np.ndarray]]:
        outputs = {
            k: v.numpy() for k, v in loaded.signatures[signature](tf.constant(value)).items()
        }
        return [{k: v[i] for k, v in outputs.items()} for i in range(len(value))]

    def rest(content: dict[str, Any]) -> tuple[str, str, bytes]:
        return f"/v1/models/{NAME}:predict", "application/json", json.dumps(content).encode()

    questions = []
    files = [path.read_bytes() for path in pictures]
    for i, content in enumerate(files):
        kind = "jpeg" if content.startswith(b"\xff\xd8") else "png"
        alone = call("encoded", [content])
        questions.append(Question("detect", "/detect", f"image/{kind}", content, outputs=alone))
        pair = [content, files[i - 1]]
        for kind, rows in (("predict", pair[:1]), ("predict two", pair)):
            instances = [{"b64": base64.b64encode(row).decode()} for row in rows]
            asked = rest({"signature_name": "encoded", "instances": instances})
            questions.append(Question(kind, *asked, outputs=call("encoded", rows)))
    with Image.open(pictures[0]) as picture:
        pixels = np.asarray(picture.convert("RGB").resize((64, 48)))[None]
    found = call("serving_default", pixels)
    asked = rest({"instances": pixels.tolist()})
    questions.append(Question("predict pixels", *asked, outputs=found))

    jpeg = next(content for content in files if content.startswith(b"\xff\xd8"))
    bad = [
        ("truncated JPEG", "/detect", "image/jpeg", jpeg[: len(jpeg) // 2], (400,)),
        ("empty body", "/detect", "image/png", b"", (400,)),
        ("30,000 x 30,000 header", "/detect", "image/png", huge_png(), (413,)),
        ("wrong JSON", f"/v1/models/{NAME}:predict", "application/json", b'{"inst', (400,)),
        ("wrong content type", "/detect", "text/html", jpeg, (415,)),
    ]
    cut = {"b64": base64.b64encode(jpeg[: len(jpeg) // 3]).decode()}
    bad.append(
        (
            "truncated JPEG, predict",
            *rest({"signature_name": "encoded", "instances": [cut]}),
            (400,),
        )
    )
    return questions + [Question(*fields) for fields in bad]


def huge_png() -> bytes:
    """A few bytes that announce 900 million pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        content = kind + data
        return struct.pack(">I", len(data)) + content + struct.pack(">I", zlib.crc32(content))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(100_000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def check(question: Question, status: int, body: bytes) -> str | None:
    """What is wrong with an answer; `None` where nothing is."""
    if status not in question.statuses:
        return f"status {status}: {body[:200]!r}"
    answer = json.loads(body)
    if question.outputs is None:
        return None if answer.get("error") else "no reason given"
    if question.path != "/detect":
        for found, expected in zip(answer["predictions"], question.outputs, strict=True):
            for name, value in expected.items():
                if value.dtype == object:
                    continue  # Class names; and run lengths, which the masks imply.
                atol = TOLERANCE.get(name, DEFAULT_TOLERANCE)
                if not np.allclose(found[name], value, rtol=0, atol=atol):
                    return f"{name} differ by {np.abs(np.array(found[name]) - value).max()}"
        return None
    return check_detections(answer, question.outputs[0])


def check_detections(answer: dict[str, Any], outputs: dict[str, np.ndarray]) -> str | None:
    from pycocotools import mask as coco_mask

    from keras_maskrcnn.results import Detections

    count = int(outputs["counts"])
    objects = answer["detections"]
    rows = (outputs[name][:count] for name in ("boxes", "classes", "scores", "masks"))
    expected = Detections(*rows, tuple(outputs["image_sizes"]))
    if [found["class"] for found in objects] != expected.classes.tolist():
        return "classes differ"
    for i, (found, rle) in enumerate(zip(objects, expected.rles(), strict=True)):
        if not np.allclose(found["box"], expected.boxes[i], rtol=0, atol=TOLERANCE["boxes"]):
            return f"box {i} differs"
        if abs(found["score"] - expected.scores[i]) > DEFAULT_TOLERANCE:
            return f"score {i} differs"
        if found["mask"] != rle:
            # Probabilities that lie on the threshold may fall to either side.
            pixels = np.mean(coco_mask.decode(found["mask"]) != coco_mask.decode(rle))
            if pixels > 1e-3:
                return f"mask {i} differs in {pixels:.2%} of the pixels"
    return None


class Load:
    """What the clients did."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.counts: collections.Counter[tuple[str, int]] = collections.Counter()
        self.seconds: list[float] = []
        self.wrong: list[str] = []
        self.lock = threading.Lock()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def send(self, connection: http.client.HTTPConnection, question: Question) -> None:
        start = time.perf_counter()
        connection.request(
            "POST", question.path, question.body, {"Content-Type": question.media_type}
        )
        response = connection.getresponse()
        body = response.read()
        seconds = time.perf_counter() - start
        wrong = check(question, response.status, body)
        with self.lock:
            self.counts[question.kind, response.status] += 1
            if question.outputs is not None:
                self.seconds.append(seconds)
            if wrong is not None:
                self.wrong.append(f"{question.kind}: {wrong}")

    def client(self, questions: list[Question], until: float, seed: int) -> None:
        """One request after the other."""
        choose = random.Random(seed)
        good = [question for question in questions if question.outputs is not None]
        bad = [question for question in questions if question.outputs is None]
        connection = self.connect()
        while time.monotonic() < until:
            question = choose.choice(good if choose.random() < GOOD_PART else bad)
            try:
                self.send(connection, question)
            except Exception as error:
                with self.lock:
                    self.wrong.append(f"{question.kind}: {error!r}")
                connection.close()
                connection = self.connect()
        connection.close()


def stop_with_requests_in_work(load: Load, process: Any, questions: list[Question]) -> str:
    """Sends SIGTERM before requests are answered; tells how it ended."""
    good = [question for question in questions if question.outputs is not None]
    before, wrong = sum(load.counts.values()), len(load.wrong)
    connections = [load.connect() for _ in range(IN_FLIGHT)]
    threads = []
    for i, connection in enumerate(connections):
        connection.connect()
        threads.append(threading.Thread(target=load.send, args=(connection, good[i % len(good)])))
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    answered = sum(load.counts.values()) - before
    start = time.perf_counter()
    process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    code = process.wait(120)
    right = sum(load.counts.values()) - before - (len(load.wrong) - wrong)
    return (
        f"{IN_FLIGHT - answered} requests in work at SIGTERM, {right} of {IN_FLIGHT} answered "
        f"right, exit code {code} after {time.perf_counter() - start:.1f} s"
    )


def start_server(export: Path) -> subprocess.Popen[str]:
    words = ["serve", str(export), "--name", NAME, "--port", "0"]
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *words], stdout=subprocess.PIPE, text=True
    )


def measure(
    process: subprocess.Popen[str], questions: list[Question], duration: float, clients: int
) -> int:
    """Runs the clients and prints the figures; returns the exit code."""
    assert process.stdout is not None
    line = process.stdout.readline()
    load = Load(int(line.partition("127.0.0.1:")[2].partition("/")[0]))
    busy = os.getloadavg()[0]
    start = time.monotonic()
    threads = [
        threading.Thread(target=load.client, args=(questions, start + duration, seed))
        for seed in range(clients)
    ]
    memory = [status_megabytes("VmRSS", process.pid)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(1)
        memory.append(status_megabytes("VmRSS", process.pid))
    seconds = time.monotonic() - start
    peak = status_megabytes("VmHWM", process.pid)
    end = stop_with_requests_in_work(load, process, questions)

    total, good = sum(load.counts.values()), len(load.seconds)
    print(f"{clients} clients, {seconds:.0f} s, load of the machine before: {busy:.1f}")
    print(f"{total} requests, {good} good ones, {good / seconds:.1f} a second")
    middle, late, longest = np.percentile(load.seconds, [50, 95, 100])
    print(f"seconds to a good answer: median {middle:.2f}, 95% {late:.2f}, all {longest:.2f}")
    for (kind, status), count in sorted(load.counts.items()):
        print(f"  {kind:26} {status} {count:6}")
    marks = [memory[round(part * (len(memory) - 1))] for part in (0, 0.25, 0.5, 0.75, 1)]
    print(f"memory at start, 1/4, 1/2, 3/4, end (MB): {', '.join(f'{m:.0f}' for m in marks)}")
    half = memory[len(memory) // 2 :]
    slope = np.polyfit(np.arange(len(half)), half, 1)[0] * 60
    print(f"  slope over the second half: {slope:+.1f} MB a minute; peak {peak:.0f} MB")
    print(end)
    print(f"wrong answers: {len(load.wrong)}")
    for wrong, count in collections.Counter(load.wrong).most_common(10):
        print(f"  {count} x {wrong}")
    return 1 if load.wrong or process.returncode else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("export", type=Path, help="what maskrcnn export wrote")
    parser.add_argument("pictures", type=Path, nargs="+", help="JPEG and PNG files")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=4)
    args = parser.parse_args()
    version = find_version(args.export)
    if version is None:
        parser.error(f"no SavedModel in {args.export}")
    questions = make_questions(version, args.pictures)
    with start_server(args.export) as process:
        try:
            return measure(process, questions, args.seconds, args.clients)
        finally:
            process.kill()


if __name__ == "__main__":
    sys.exit(main())
