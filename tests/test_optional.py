"""Without packages that only some abilities need the rest works; each tells what to install."""

import json
import logging

import pytest
from helpers import run_python

from keras_maskrcnn.optional import needed_for
from keras_maskrcnn.training import RunFolder

BLOCKED = """
import json, sys

class Block:
    names = ("matplotlib", "faster_coco_eval", "skimage", "scipy", "grpc", "tensorflow_serving",
             "starlette", "uvicorn", "supervision")

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Block())

import keras, numpy as np
import keras_maskrcnn, keras_maskrcnn.data, keras_maskrcnn.serving, keras_maskrcnn.training
from helpers import batch, tiny_model, to_dataset
from keras_maskrcnn.cli import main
from keras_maskrcnn.evaluation import CocoEvaluation, evaluate_coco
from keras_maskrcnn.plots import plot_history

model = tiny_model()
model.compile()
history = model.fit(to_dataset([batch(2)]), verbose=0).history
found = model.predict(np.zeros((64, 64, 3), "uint8"), verbose=0)[0]

def told(call):
    try:
        return call()
    except ImportError as error:
        return str(error)

print("result", json.dumps({
    "loss": history["loss"][0],
    "plots": told(lambda: plot_history(history, "never.png")),
    "callback": told(lambda: CocoEvaluation(None)),
    "evaluation": told(lambda: evaluate_coco(model, None)),
    "labelme": told(lambda: found.to_labelme("a.jpg")),
    "supervision": told(found.to_supervision),
    "grpc": told(lambda: keras_maskrcnn.serving.Client("grpc://localhost:1", "m")),
    "demo": main(["demo", "--output", "never"]),
    "serve": main(["serve", "never"]),
}))
"""

INSTALL = {
    "plots": ("plot_history", "matplotlib", '"maskrcnn-keras[plots]"'),
    "callback": ("COCO's numbers", "faster_coco_eval", "faster-coco-eval"),
    "evaluation": ("COCO's numbers", "faster_coco_eval", "faster-coco-eval"),
    "labelme": ("an outline of a mask", "skimage", "scikit-image"),
    "supervision": ("to_supervision", "supervision", "supervision"),
    "grpc": ("grpc://localhost:1", "grpc", '"maskrcnn-keras[serving]"'),
}


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """What a process printed in which these packages cannot be imported."""
    return run_python(BLOCKED)


def test_training_and_prediction_need_none_of_them(output):
    (line,) = [line for line in output.splitlines() if line.startswith("result ")]
    assert 0 < json.loads(line.removeprefix("result "))["loss"] < 100


@pytest.mark.parametrize("ability", sorted(INSTALL))
def test_an_absent_package_is_one_sentence(ability, output):
    (line,) = [line for line in output.splitlines() if line.startswith("result ")]
    use, module, install = INSTALL[ability]
    assert json.loads(line.removeprefix("result "))[ability] == (
        f"{use} needs a package that is not installed (No module named '{module}'): "
        f"pip install {install}"
    )


def test_commands_tell_it_too(output):
    errors = [line for line in output.splitlines() if line.startswith("maskrcnn ")]
    assert len(errors) == 2
    assert errors[0].startswith("maskrcnn demo: error: the demo needs a package")
    assert errors[0].endswith("pip install scikit-image scipy")
    assert errors[1].startswith("maskrcnn serve: error: `maskrcnn serve` needs a package")
    assert errors[1].endswith('pip install "maskrcnn-keras[serving]"')


def test_a_run_goes_on_without_matplotlib(tmp_path, monkeypatch, caplog):
    run = RunFolder(tmp_path)
    monkeypatch.setattr(run, "history", lambda: [{"epoch": 1.0, "loss": 1.0}])
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with caplog.at_level(logging.WARNING, "keras_maskrcnn"):
        run.draw_learning_curves()
        monkeypatch.setattr(run, "history", lambda: [{"epoch": n, "loss": 1.0} for n in (1, 2)])
        run.draw_learning_curves()
    (message,) = caplog.messages
    assert message.startswith("no learning_curves.png: plot_history needs a package")
    assert list(tmp_path.iterdir()) == []


def test_other_errors_pass():
    with pytest.raises(ZeroDivisionError), needed_for("a test", "nothing"):
        raise ZeroDivisionError
