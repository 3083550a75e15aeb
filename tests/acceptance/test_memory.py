"""Training does not eat memory: `pytest -m slow -s tests/acceptance/test_memory.py`."""

import gc
import time
from pathlib import Path

import keras
import pytest
from helpers import make_data, tiny_model

WARM_UP, STEPS = 200, 2000
SIZES = [(64, 64), (64, 96), (96, 64), (64, 80)]


def resident_megabytes():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise OSError("no VmRSS in /proc/self/status")


class Memory(keras.callbacks.Callback):
    """Resident memory every hundred steps."""

    def __init__(self):
        super().__init__()
        self.steps, self.sizes = 0, {}

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps % 100 == 0:
            gc.collect()
            self.sizes[self.steps] = resident_megabytes()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux' /proc")
def test_resident_memory_stays(tmp_path):
    data = make_data(tmp_path, SIZES)
    model = tiny_model()
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9))
    train = data.batches(2, min_size=64, max_size=96, shuffle=True, augment=True, seed=0)
    memory = Memory()
    start = time.monotonic()
    # Through the files again and again, with a validation pass in every tenth of the run.
    model.fit(
        train.repeat(),
        steps_per_epoch=STEPS // 10,
        epochs=10,
        validation_data=data.batches(2, min_size=64, max_size=96),
        callbacks=[memory],
        verbose=0,
    )
    before, after = memory.sizes[WARM_UP], memory.sizes[STEPS]
    growth = after / before - 1
    print(f"\n{STEPS} steps in {time.monotonic() - start:.0f} s")
    print("resident MB:", {step: round(size) for step, size in memory.sizes.items()})
    print(f"after {WARM_UP} steps {before:.0f} MB, after {STEPS} {after:.0f} MB: {growth:+.1%}")
    assert growth < 0.05
