"""16-bit grey and four channels, from the command line: train, resume, evaluate, predict, show."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from keras_maskrcnn import load_model
from keras_maskrcnn.cli import main

SMALL = (
    *("--backbone", "resnet18", "--epochs", "1", "--batch-size", "2", "--min-size", "64"),
    *("--max-size", "96", "--set", "neck.channels=16", "--set", "box.dim=16"),
    *("--set", "rpn.samples=16", "--set", "box.samples=8", "--set", "mask.dim=8"),
    *("--set", "rpn.proposals_test=20", "--set", "box.max_detections=5"),
)


def make_folder(folder, channels):
    """A COCO data set of three pictures with one square each."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(1, 6):
        values = rng.integers(1500, 2000, (64, 80, channels)).astype("uint16")
        values[10:40, 20 + number : 50 + number] = 4000
        name = f"{number}.tif" if channels > 1 else f"{number}.png"
        if channels > 1:
            tifffile.imwrite(
                folder / "images" / name, values, photometric="minisblack", planarconfig="contig"
            )
        else:
            Image.fromarray(values[..., 0]).save(folder / "images" / name)
        images.append({"id": number, "file_name": name, "height": 64, "width": 80})
        x = 20 + number
        annotations.append(
            {
                **{"id": number, "image_id": number, "category_id": 1, "iscrowd": 0},
                **{"bbox": [x, 10, 30, 30], "area": 900},
                "segmentation": [[x, 10, x + 30, 10, x + 30, 40, x, 40]],
            }
        )
    content = {"images": images, "annotations": annotations}
    content["categories"] = [{"id": 1, "name": "square"}]
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("channels", [1, 4])
def test_all_commands(tmp_path, capsys, channels):
    data = make_folder(tmp_path / "data", channels)
    pixels = ("--channels", channels, "--value-range", 0, 4095)
    run = tmp_path / "run"

    def call(*words):
        code = main([str(word) for word in words])
        return code, capsys.readouterr()

    code, said = call("train", "--data", data, *pixels, "--output", run, *SMALL)
    assert code == 0
    values = [
        (tifffile.imread if channels > 1 else Image.open)(p)
        for p in sorted((data / "images").iterdir())
    ]
    mean = np.asarray(values, float).mean() * 255 / 4095
    named = "channels" if channels > 1 else "channel"
    assert (
        f"Pixels of {channels} {named} of values 0 to 4095, on the scale 0..255: mean" in said.out
    )
    model = load_model(run / "best.keras")
    assert model.pixels.channels == channels and model.pixels.value_range == (0, 4095)
    # Of four pictures, the fifth being set aside.
    assert abs(np.mean(model.get_config()["pixel_mean"]) - mean) < 5
    config = json.loads((run / "config.json").read_text())
    assert config["options"]["value_range"] == [0, 4095]
    assert (run / "predictions.png").exists()

    # One more epoch, with the pixels of the run.
    config["options"]["epochs"] = 2
    (run / "config.json").write_text(json.dumps(config))
    code, said = call("train", "--resume", run)
    assert code == 0 and "Pixels of" not in said.out
    again = load_model(run / "last.keras")
    assert again.get_config()["pixel_mean"] == model.get_config()["pixel_mean"]

    # The model says how pictures are read.
    for place in (("--data", data), ("--annotations", data / "instances.json", "--images", data)):
        code, said = call("evaluate", run, *place)
        assert code == 0 and "box" in said.out
    code, said = call("evaluate", run, "--data", data, "--value-range", 0, 65535)
    assert code == 2 and "value_range=(0, 4095)" in said.err
    out = tmp_path / "found"
    display = ("--display", 3, 1, 0) if channels == 4 else ()
    code, said = call("predict", run, data / "images", "--output", out, *display)
    assert code == 0 and len(list(out.glob("*.png"))) == 5
    drawn = np.asarray(Image.open(out / "1.png").convert("L"))
    assert 90 < drawn[50:].mean() < 130  # 1500 to 2000 of 4095.
    page = tmp_path / "page.png"
    assert call("show", "--data", data, *pixels, "--pictures", 2, "--output", page)[0] == 0
    report = tmp_path / "report"
    assert call("validate", "--data", data, *pixels, "--output", report)[0] == 0
    numbers = json.loads((report / "report.json").read_text())["pixels"]
    assert len(numbers["mean"]) == channels
    served = tmp_path / "served"
    code, said = call("export", run, "--output", served, "--input-dtype", "float32")
    assert code == 0
    settings = json.loads((served / "1/assets/config.json").read_text())
    assert settings["export"]["input_dtype"] == "float32"
    code, said = call("convert", tmp_path / "yolo", "--data", data, "--to", "coco")
    assert code == 0
    copies = sorted((tmp_path / "yolo").rglob("*.png" if channels == 1 else "*.tif"))
    assert [c.read_bytes() for c in copies] == [
        p.read_bytes() for p in sorted((data / "images").iterdir())
    ]


def test_pictures_of_other_channels(tmp_path, capsys):
    """Without --channels, four are read as RGB with transparency, as ever."""
    data = make_folder(tmp_path / "data", 4)
    code = main(["validate", "--data", str(data), "--output", str(tmp_path / "report")])
    assert code == 0
    code = main(
        [*("validate", "--data", str(data), "--channels", "5"), "--output", str(tmp_path / "two")]
    )
    assert code == 1
    assert "5 channels" in (tmp_path / "two/report.json").read_text()
    capsys.readouterr()
