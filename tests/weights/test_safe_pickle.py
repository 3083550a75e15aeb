"""The machine that reads pickles: what it shares with Python's, and what it will not do."""

import io
import pickle
import struct
import tracemalloc
from collections import Counter, OrderedDict
from pathlib import Path

import pytest

from keras_maskrcnn.weights import safe_pickle
from keras_maskrcnn.weights.limits import UnsafeFileError
from keras_maskrcnn.weights.safe_pickle import StandIn, load_pickle, new_dict

PATH = Path("w.pkl")
ORDERED = {"collections.OrderedDict": new_dict}


def _load(data, allowed=None, **options):
    return load_pickle(io.BytesIO(data), PATH, allowed or {}, **options)


def _shared():
    one = ["shared"]
    return [one, one, (one, one)]


PLAIN = [
    None,
    True,
    [False, 0, 1, 255, 256, 65536, -1, -(2**31), 2**31, 2**70, -(2**70)],
    [0.0, -2.5, 1e300, float("inf")],
    ["", "a", "ä\n'\\", "😀", "x" * 300, "x" * 70000],
    [b"", b"\x00\xff'\n", b"x" * 300, b"x" * 70000],
    [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], [[]], {}],
    {"a": {"b": [1, 2]}, 5: None, -(2**40): 1, b"key": 2, 0.5: 3, None: 4},
    list(range(3000)),
    {str(number): number for number in range(3000)},
    _shared(),
]


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("value", PLAIN, ids=range(len(PLAIN)))
def test_plain_data_is_read_as_python_reads_it(value, protocol):
    data = pickle.dumps(value, protocol)
    # Bytes, before protocol 3.
    functions = {
        "_codecs.encode": lambda text, _: text.encode("latin1"),
        "__builtin__.bytes": bytes,
    }
    read = _load(data, functions)
    assert read == pickle.loads(data) == value
    assert repr(read) == repr(value)  # types too


def test_what_is_shared_stays_shared():
    first, second, (third, _) = _load(pickle.dumps(_shared(), 2))
    assert first is second is third


def test_python_2():
    # {'a': u'b', "q'": [12L, True]}, and bytes beyond ASCII, as Python 2 writes them.
    data = b"(dp0\nS'a'\np1\nVb\np2\nsS\"q'\"\np3\n(lp4\nL12L\naI01\nasS'\\xff\\n'\nI3\ns."
    assert _load(data) == {"a": "b", "q'": [12, True], "\xff\n": 3}
    assert _load(b"\x80\x02U\x02a\xffq\x00.") == "a\xff"


def test_position_is_behind_the_pickle():
    file = io.BytesIO(b"before" + pickle.dumps([1], 2) + pickle.dumps([2], 4) + b"after")
    file.seek(6)
    assert load_pickle(file, PATH, {}) == [1]
    assert load_pickle(file, PATH, {}) == [2]
    assert file.read() == b"after"


class _Kept(StandIn):
    def __init__(self, *arguments):
        self.arguments, self.state = arguments, None

    def set_state(self, state):
        self.state = state


def test_stand_ins_take_arguments_and_state():
    kept = _load(b"cm\nn\n(I1\nI2\ntR(I3\ntb.", {"m.n": _Kept})
    assert kept.arguments == (1, 2) and kept.state == (3,)


def test_ordered_dicts_are_dicts():
    ordered = OrderedDict(a=1, b=2)
    ordered.attribute = "left out"  # as PyTorch's state dicts have `_metadata`
    read = _load(pickle.dumps(ordered, 2), ORDERED)
    assert type(read) is dict and list(read.items()) == [("a", 1), ("b", 2)]
    # How Python 2 wrote them: from a list of pairs.
    pairs = b"ccollections\nOrderedDict\n((l(S'a'\nI1\nla(S'b'\nI2\nlatR."
    assert _load(pairs, ORDERED) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pickle.dumps(Counter("a"), 2), r"asks to run 'collections\.Counter'"),
        (pickle.dumps(print, 4), r"asks to run 'builtins\.print'"),
        (b"(S'ls'\nios\nsystem\n.", "has the instruction b'i'"),
        (b"(cm\nn\nS'ls'\no.", "has the instruction b'o'"),
        (b"cm\nn\n)\x81.", r"has the instruction b'\\x81'"),
        (b"\x82\x01.", r"has the instruction b'\\x82'"),
        (pickle.dumps({1}, 4), r"has the instruction b'\\x8f'"),
        (pickle.dumps(bytearray(3), 5), r"has the instruction b'\\x96'"),
        (b"S'text'\n)R.", "calls 'text'"),
        (b"cm\nn\nI1\nR.", "calls <"),
        (b"cm\nn\n(db.", "changes <"),
        (b"](dS'a'\nI1\nsb.", "changes \\[\\]"),
        (b"S'a'\nQ.", "refers to data outside the pickle, 'a'"),
        (b"Pa\n.", "refers to data outside the pickle, 'a'"),
        (b"I1\nI2\n\x93.", "asks to run ''"),
    ],
)
def test_refused(data, message):
    with pytest.raises(UnsafeFileError, match=rf"w\.pkl is refused: .*{message}"):
        _load(data, {"m.n": _Kept})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is incomplete: its pickle expects 1 more bytes. Received: 0"),
        (b"(I1\n", "is incomplete"),
        (b"S'a", "is incomplete: its pickle stops within a line"),
        (b"X\x05\x00\x00\x00abc.", "is incomplete: its pickle expects 5 more bytes. Received: 4"),
        (b"\x8d" + struct.pack("<Q", 10**13) + b"a.", "expects 10000000000000 more bytes"),
        (b"\x8e" + struct.pack("<Q", 2**64 - 1) + b"a.", "expects 18446744073709551615 more"),
        (b"T" + struct.pack("<i", -1) + b"a.", "expects 4294967295 more bytes"),
        (b".", "not readable as pickled weights: IndexError"),
        (b"I1\n\x86.", "not readable as pickled weights: IndexError"),
        (b"t.", "not readable as pickled weights: IndexError"),
        (b"h\x05.", "not readable as pickled weights: KeyError"),
        (b"I" + b"9" * 5000 + b"\n.", "not readable as pickled weights: ValueError"),
        (b"Sa\n.", "expected a quoted string"),
        (b"X\x01\x00\x00\x00\xff.", "UnicodeDecodeError"),
        (b"I1\nI2\na.", "expected a list to append to. Received: 1"),
        (b"I1\nI2\nI3\ns.", "expected a dict to fill. Received: 1"),
        (b"(I1\nd.", "not readable as pickled weights: ValueError"),
        (b"I1\np-1\n.", "expected a place in the memo"),
        (b"cm\nn\n)RI1\nb.", "expected nothing that has a state. Received: 1"),
    ],
)
def test_damaged(data, message):
    with pytest.raises(ValueError, match=rf"^w\.pkl .*{message}"):
        _load(data, {"m.n": StandIn})


def test_cut_off_at_every_byte():
    data = pickle.dumps([*PLAIN[7:8], _shared()], 2)
    for length in range(len(data)):
        with pytest.raises(ValueError, match=r"^w\.pkl "):
            _load(data[:length], {"_codecs.encode": _Kept})


def _peak(data, allowed=None):
    """MiB taken, and the error."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError) as error:
            _load(data, allowed)
        return tracemalloc.get_traced_memory()[1] / 2**20, str(error.value)
    finally:
        tracemalloc.stop()


def test_a_far_place_in_the_memo_takes_no_memory():
    tracemalloc.start()
    assert _load(b"I7\nr\xff\xff\xff\xff0j\xff\xff\xff\xff.") == 7
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_steps_are_limited(monkeypatch):
    monkeypatch.setattr(safe_pickle, "_MOST_STEPS", 10_000)
    message = r"w\.pkl is refused: its pickle takes more than 10000 steps"
    _load(b"]" * 10_000 + b".")
    with pytest.raises(UnsafeFileError, match=message):
        _load(b"]" * 10_001 + b".")
    # A list of 1,000 pairs, made to a dict 10 times.
    pairs = b"(" + b"(I1\nI2\nt" * 1000 + b"l\x85q\x000"
    data = pairs + b"cm\nd\nq\x010" + b"h\x01h\x00R0" * 10 + b"."
    with pytest.raises(UnsafeFileError, match=message):
        _load(data, {"m.d": new_dict})


@pytest.mark.parametrize("end", ["as a key", "in a message", "as a call", "as a name"])
def test_nesting_that_doubles(end):
    # x = (x, x), 60 times: to hash it, or to write it out, takes for ever.
    nested = b")" + b"2\x86" * 60
    data = {
        "as a key": b"}" + nested + b"I1\ns.",
        "in a message": nested + b"Q.",
        "as a call": nested + b")R.",
        "as a name": nested + nested + b"\x93.",
    }[end]
    peak, message = _peak(data)
    assert peak < 1 and len(message) < 1000


def test_integers_of_one_hash_are_no_keys():
    data = b"}" + b"\x8a\x09" + (2**64).to_bytes(9, "little") + b"I1\ns."
    with pytest.raises(ValueError, match="expected a plain key"):
        _load(data)
