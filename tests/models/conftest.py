"""One tiny model for all tests of a process: tracing its training step takes longer than a test."""

import keras
import pytest
from helpers import batch, get_state, make_data, set_state, tiny_model, to_dataset


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Four pictures, two of them of the network's own size."""
    return make_data(tmp_path_factory.mktemp("pictures"), [(64, 96), (64, 96), (64, 64), (96, 64)])


@pytest.fixture(scope="session")
def shared_model(pictures):
    """A compiled model, its initial state, and its state after a little training."""
    model = tiny_model()
    model.compile(keras.optimizers.Adam(2e-3))
    initial = get_state(model)
    # Sizes unknown first, so that one trace serves every data set after.
    model.fit(to_dataset([batch()]), verbose=0)
    set_state(model, initial)
    images = [record.path for record in pictures.records]
    # Threads add in any order, so no two trainings are alike: until it knows the four pictures.
    for _ in range(6):
        model.fit(pictures.batches(4, min_size=64, max_size=96).repeat(50), verbose=0)
        found = model.predict(images, verbose=0)
        if all(_knows(*pair) for pair in zip(found, pictures.records, strict=True)):
            break
    return model, initial, get_state(model)


def _knows(found, record):
    """Whether every class of the picture is found with a high score."""
    wanted = {instance.category for instance in record.objects}
    return wanted <= set(found[found.scores > 0.8].classes.tolist())


@pytest.fixture
def fresh(shared_model):
    """The model as it was built."""
    model, initial, _ = shared_model
    set_state(model, initial)
    model._initial_epoch = None  # Keras does not forget where a `BackupAndRestore` began.
    return model


@pytest.fixture
def trained(shared_model):
    """The model when it finds something."""
    model, _, state = shared_model
    set_state(model, state)
    return model
