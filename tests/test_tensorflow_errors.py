"""Errors that cross TensorFlow arrive as they were raised."""

import pytest
import tensorflow as tf

from keras_maskrcnn.data.reading import read_image
from keras_maskrcnn.tensorflow_errors import pipeline_message, plain_errors, without_internals


def failing(error):
    def read(number):
        if number == 2:
            raise error
        return number

    return tf.data.Dataset.range(4).map(lambda n: tf.numpy_function(read, [n], tf.int64))


def test_names_of_the_graph_are_left_out():
    text = (
        "{{function_node __wrapped__DecodeImage_device_/job:localhost/device:CPU:0}} Invalid PNG "
        "data, size 300\n\t [[{{node PyFunc}}]]\n\t [[IteratorGetNext]] [Op:IteratorGetNext]"
    )
    assert without_internals(text) == "Invalid PNG data, size 300"
    kept = "sizes=[[16],[32]], [[ 1  2]\n [3 4]], {{x}} and [Optional]"
    assert without_internals(kept) == "sizes=[[16],[32]], [[ 1 2] [3 4]], {{x}} and [Optional]"


@pytest.mark.parametrize("kind", [ValueError, OSError, FileNotFoundError, UnicodeError])
def test_errors_in_data_are_raised_as_they_were(kind):
    with pytest.raises(ValueError) as error, plain_errors():
        list(failing(kind("Image id 2: bad {{node PyFunc}} picture")))
    assert str(error.value) == "Image id 2: bad picture"
    assert error.value.__cause__ is None and error.value.__suppress_context__


@pytest.mark.parametrize("kind", [KeyError, ZeroDivisionError, RuntimeError])
def test_errors_of_programs_stay(kind):
    with pytest.raises(tf.errors.OpError) as error, plain_errors():
        list(failing(kind("a bug")))
    assert pipeline_message(error.value) is None
    with pytest.raises(kind, match="a bug"), plain_errors():
        raise kind("a bug")
    assert pipeline_message(ValueError("ValueError: mine")) is None


def test_decorated_functions_return():
    @plain_errors()
    def double(value):
        """Doc."""
        return 2 * value

    assert double(3) == 6 and double(4) == 8 and double.__doc__ == "Doc."


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n1234", b"\xff\xd8\xff"])
def test_pictures_that_cannot_be_decoded(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"Cannot decode the picture .*a\.png") as error:
        read_image(tmp_path / "a.png")
    assert not any(word in str(error.value) for word in ("{{", "[Op:", "__wrapped__", "\n"))
    assert len(str(error.value)) < 400
