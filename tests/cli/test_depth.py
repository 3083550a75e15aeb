"""Grey of 12 bits and four channels, from the command line."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from keras_maskrcnn import load_model
from keras_maskrcnn.cli import main
from keras_maskrcnn.images.pixels import PixelFormat

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


@pytest.mark.slow  # A run and an export.
def test_all_commands(tmp_path, capsys):
    data = make_folder(tmp_path / "data", 4)
    pixels = ("--channels", 4, "--value-range", 0, 4095)
    run = tmp_path / "run"

    def call(*words):
        code = main([str(word) for word in words])
        return code, capsys.readouterr()

    code, said = call("train", "--data", data, *pixels, "--output", run, *SMALL)
    assert code == 0
    assert "Pixels of 4 channels of values 0 to 4095, on the scale 0..255: mean" in said.out
    model = load_model(run / "best.keras")
    assert model.pixels == PixelFormat(4, (0, 4095))
    values = [tifffile.imread(path) for path in (data / "images").iterdir()]
    # Of four pictures, the fifth being set aside.
    mean = np.mean(values) * 255 / 4095
    assert abs(np.mean(model.get_config()["pixel_mean"]) - mean) < 5
    assert (run / "predictions.png").exists()

    # The model says how pictures are read.
    code, said = call("evaluate", run, "--data", data)
    assert code == 0 and "box" in said.out
    code, said = call("evaluate", run, "--data", data, "--value-range", 0, 65535)
    assert code == 2 and "value_range=(0, 4095)" in said.err
    out = tmp_path / "found"
    code, said = call("predict", run, data / "images", "--output", out, "--display", 3, 1, 0)
    assert code == 0 and len(list(out.glob("*.png"))) == 5
    drawn = np.asarray(Image.open(out / "1.png").convert("L"))
    assert 90 < drawn[50:].mean() < 130  # 1500 to 2000 of 4095.
    served = tmp_path / "served"
    code, said = call("export", run, "--output", served, "--input-dtype", "float32")
    assert code == 0
    settings = json.loads((served / "1/assets/config.json").read_text())
    assert settings["export"]["input_dtype"] == "float32"


@pytest.mark.parametrize("channels", [1, 4])
def test_commands_without_a_model(tmp_path, capsys, channels):
    data = make_folder(tmp_path / "data", channels)
    pixels = ("--channels", str(channels), "--value-range", "0", "4095")
    page, report = tmp_path / "page.png", tmp_path / "report"
    words = ["show", "--data", str(data), *pixels, "--pictures", "2", "--output", str(page)]
    assert main(words) == 0 and page.exists()
    assert main(["validate", "--data", str(data), *pixels, "--output", str(report)]) == 0
    numbers = json.loads((report / "report.json").read_text())["pixels"]
    assert len(numbers["mean"]) == channels
    # Picture files are copied, whatever they hold.
    assert main(["convert", str(tmp_path / "out"), "--data", str(data), "--to", "coco"]) == 0
    copies = sorted((tmp_path / "out").rglob("*.png" if channels == 1 else "*.tif"))
    files = sorted((data / "images").iterdir())
    assert [copy.read_bytes() for copy in copies] == [file.read_bytes() for file in files]
    capsys.readouterr()


def test_a_resumed_run_keeps_its_figures(tmp_path, monkeypatch, capsys):
    data = make_folder(tmp_path / "data", 1)
    run = tmp_path / "run"
    models = []

    def interrupted(model, *_):
        models.append(model.get_config())
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_maskrcnn.training.train_model", interrupted)
    pixels = ("--channels", "1", "--value-range", "0", "4095")
    assert main(["train", "--data", str(data), *pixels, "--output", str(run), *SMALL]) == 130
    config = json.loads((run / "config.json").read_text())
    assert (config["options"]["channels"], config["options"]["value_range"]) == (1, [0, 4095])
    config["model"]["pixel_mean"] = [99.0]
    (run / "config.json").write_text(json.dumps(config))
    assert main(["train", "--resume", str(run)]) == 130
    assert 90 < models[0]["pixel_mean"][0] < 140 and models[1]["pixel_mean"] == [99.0]
    assert models[1]["pixel_std"] == models[0]["pixel_std"]
    assert capsys.readouterr().out.count("Pixels of 1 channel of values 0 to 4095") == 1


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
