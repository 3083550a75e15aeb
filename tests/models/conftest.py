"""One tiny model for all tests of a process: tracing its training step takes longer than a test."""

import keras
import pytest
from helpers import batch, get_state, iou, make_data, set_state, tiny_model, to_dataset


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Four pictures, two of them of the network's own size."""
    return make_data(tmp_path_factory.mktemp("pictures"), [(64, 96), (64, 96), (64, 64), (96, 64)])


@pytest.fixture(scope="session")
def shared_model():
    """A compiled model and its initial state."""
    model = tiny_model()
    model.compile(keras.optimizers.Adam(2e-3))
    initial = get_state(model)
    # Sizes unknown first, so that one trace serves every data set after.
    model.fit(to_dataset([batch()]), verbose=0)
    return model, initial


@pytest.fixture(scope="session")
def trained_state(shared_model, pictures):
    """The state of the model after a little training."""
    model, initial = shared_model
    set_state(model, initial)
    images = [record.path for record in pictures.records]
    # Processors differ in how many steps it takes to know the four pictures.
    for _ in range(8):
        model.fit(pictures.batches(4, min_size=64, max_size=96).repeat(50), verbose=0)
        found = model.predict(images, verbose=0)
        if all(_knows(*pair) for pair in zip(found, pictures.records, strict=True)):
            break
    else:
        raise AssertionError("400 steps did not teach the model its four pictures")
    return get_state(model)


def _knows(found, record):
    """Whether each object is its class' best detection, with a high score and in its place."""
    for instance in record.objects:
        own = found[found.classes == instance.category]
        if len(own) == 0 or own.scores[0] < 0.8 or iou(own.boxes[0], instance.box) < 0.6:
            return False
    return True


@pytest.fixture
def fresh(shared_model):
    """The model as it was built."""
    model, initial = shared_model
    set_state(model, initial)
    model._initial_epoch = None  # Keras does not forget where a `BackupAndRestore` began.
    return model


@pytest.fixture
def trained(shared_model, trained_state):
    """The model when it finds something."""
    model, _ = shared_model
    set_state(model, trained_state)
    return model
