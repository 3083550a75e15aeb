"""What every RoI head owes of settings, names and ground truth, whichever it is.

A new one runs through this, `test_contract_losses.py` and `test_contract_graph.py` by a line in
`head_cases.CASES`. The RPN and the box stage have contracts of their own: `test_rpn.py`,
`test_box.py`.
"""

import inspect
import json

import keras
import numpy as np
import pytest
from head_cases import CASES, CONTEXT, OWN, flat, layout, make, said

from keras_maskrcnn.heads import HEADS, HeadContext
from keras_maskrcnn.parts import setting_names


def test_every_name_is_here():
    assert set(OWN) == {case.part for case in CASES.values()}


def test_truth_is_told_and_checked(name):
    head, truth = make(name), CASES[name].truth()
    form = layout(head, truth)
    fields = head.truth(form)
    assert set(fields) == set(truth)
    assert {k: np.dtype(dtype) for k, (_, dtype) in fields.items()} == {
        k: values.dtype for k, values in truth.items()
    }
    real = np.ones((2, 2), bool)
    head.check(truth, form, real)
    head.check({k: v[:, :0] for k, v in truth.items()}, form, real[:, :0])
    for key, values in truth.items():
        with pytest.raises(ValueError, match=f"{key} of a batch must have the shape .*Received"):
            head.check({**truth, key: values[:, :1]}, form, real)
        with pytest.raises(ValueError, match=f"Received: {key} of shape"):
            head.check({**truth, key: values[..., :1]}, form, real)


def test_config_is_complete(name):
    head = make(name)
    written = json.loads(json.dumps(keras.saving.serialize_keras_object(head)))
    assert set(written["config"]) == set(setting_names(type(head)))
    again = keras.saving.deserialize_keras_object(written)
    assert type(again) is type(head) and again.settings == head.settings
    again.build(HeadContext(**CONTEXT))
    said(again), said(head)
    assert [w.path for w in again.head.weights] == [w.path for w in head.head.weights]
    again.head.set_weights(head.head.get_weights())
    for one, other in zip(flat(said(again)), flat(said(head)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert all(
        p.kind is p.KEYWORD_ONLY
        for p in list(inspect.signature(type(head).__init__).parameters.values())[1:]
    )


def test_what_is_wrong_is_refused_with_the_nearest_name(name):
    part, settings = CASES[name].part, CASES[name].settings
    with pytest.raises(ValueError, match=f"Did you mean '{part}'.* Received: head='{part}e'"):
        HEADS.make(f"{part}e", default="mask")
    kind = HEADS.find(part)
    for setting in setting_names(kind):
        with pytest.raises(ValueError, match=f"no setting '{setting}x'.*mean '{setting}'"):
            kind(**settings, **{f"{setting}x": 1})
    for setting in ("pool_size", "dim"):
        with pytest.raises(ValueError, match=f"Received: {setting}=0"):
            kind(**{**settings, setting: 0})
