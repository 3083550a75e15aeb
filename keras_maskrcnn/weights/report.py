"""Filling variables from tensors, with an account of every one of both."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import keras
import numpy as np

from keras_maskrcnn import notebook
from keras_maskrcnn.weights.layouts import split_path
from keras_maskrcnn.weights.stems import fit_stem, is_stem_of, told

# The layer that sees the picture.
_STEM = "stem_conv"


@dataclasses.dataclass(frozen=True)
class Slot:
    """One variable and what fills it.

    Args:
        variable: to be set.
        names: tensors of the file that `convert` takes, in order.
        convert: from those tensors to the variable's value.
        fresh: leave the variable as it is (a layer that is trained anew).
    """

    variable: keras.Variable
    names: tuple[str, ...]
    convert: Callable[..., np.ndarray]
    fresh: bool = False


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """What became of a weights file.

    Args:
        source: the file, and whose format it is.
        matched: variable path to the tensors that filled it.
        fresh: paths of variables left at their initial values on purpose.
        ignored: tensors left aside on purpose, with the reason.
        missing: paths of variables that the file has no tensor for.
        left: tensors that no variable took.
        stems: one line for each kernel of three input channels that was fitted to others, see
            `stems.fit_stem`.
        note: what else a user must know.
    """

    source: str
    matched: dict[str, tuple[str, ...]]
    fresh: tuple[str, ...] = ()
    ignored: dict[str, str] = dataclasses.field(default_factory=dict)
    missing: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    note: str = ""
    stems: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n  ".join([self._headline(), *self._details()])

    def _repr_html_(self) -> str:
        details = self._details()
        return notebook.line(self._headline(), strong=True) + notebook.listed(details, len(details))

    def _headline(self) -> str:
        return f"{self.source}: {len(self.matched)} variables loaded"

    def _details(self) -> list[str]:
        """What else there is to say, a line each."""
        lines = [*([self.note] if self.note else []), *self.stems]
        reasons: dict[str, list[str]] = {}
        for name, reason in self.ignored.items():
            reasons.setdefault(reason, []).append(name)
        for reason, names in reasons.items():
            lines.append(f"not needed, {reason}: {_listed(names)}")
        if self.fresh:
            lines.append(f"FRESH, TO BE TRAINED: {_listed(self.fresh, 100)}")
        if self.missing:
            lines.append(f"variables without a tensor: {_listed(self.missing, 100)}")
        if self.left:
            lines.append(f"tensors without a variable: {_listed(self.left, 100)}")
        return lines


def fill(
    slots: Iterable[Slot],
    tensors: Mapping[str, np.ndarray],
    *,
    source: str,
    ignore: Mapping[str, str],
    note: str = "",
    advice: str = "",
) -> LoadReport:
    """Sets every variable, or none of them.

    Args:
        slots: one for each variable of the model.
        tensors: of the file.
        source: for the report.
        ignore: names that may be left over, with the reason.
        note: for the report.
        advice: for the error, where shapes differ.

    Returns:
        The report; its `missing` and `left` are empty.

    Raises:
        ValueError: when a variable has no tensor, a tensor no variable, a shape differs, or a
            value is NaN or infinite. All of them are listed, and no variable has changed.
    """
    values: list[tuple[keras.Variable, np.ndarray]] = []
    matched: dict[str, tuple[str, ...]] = {}
    fresh, missing, wrong, stems = [], [], [], []
    not_finite: dict[str, str] = {}
    used: set[str] = set()
    ignored = dict(ignore)
    for slot in slots:
        path, shape = slot.variable.path, tuple(slot.variable.shape)
        if slot.fresh:
            fresh.append(path)
            ignored.update({n: "of layers that start fresh" for n in slot.names if n in tensors})
            continue
        absent = [name for name in slot.names if name not in tensors]
        if absent or not slot.names:
            missing.append(f"{path} ({', '.join(absent) or 'no name known'})")
            continue
        used.update(slot.names)
        given = [np.asarray(tensors[name]) for name in slot.names]
        bad = {
            name: f"{name} ({count} of {tensor.size} values)"
            for name, tensor in zip(slot.names, given, strict=True)
            if (count := _count_not_finite(tensor))
        }
        not_finite.update(bad)
        try:
            _check_together(given)
            with np.errstate(all="ignore"):  # what comes of it is looked at below
                value = slot.convert(*given)
            if is_stem_of(value, shape) and split_path(slot.variable)[0].endswith(_STEM):
                value = fit_stem(value, shape[2])
                stems.append(told(path, shape[2], bool(slot.variable.trainable)))
            problem = "" if value.shape == shape else f"becomes {value.shape}"
        except (ValueError, IndexError, TypeError) as error:  # of a shape or type never meant
            problem = str(error)
        if problem:
            shapes = ", ".join(f"{n} {t.shape}" for n, t in zip(slot.names, given, strict=True))
            wrong.append(f"{path} {shape} from {shapes}: {problem}")
            continue
        if not bad and _count_not_finite(value):
            not_finite[path] = f"{path} as made of {', '.join(slot.names)}"
        values.append((slot.variable, value))
        matched[path] = slot.names
    left = [name for name in tensors if name not in used and name not in ignored]
    ignored = {name: why for name, why in ignored.items() if name not in used}
    if missing or left or wrong or not_finite:
        lists = {
            "Variables without a tensor": missing,
            "Tensors without a variable": left,
            "Shapes that differ": wrong,
            "NaN or infinite": list(not_finite.values()),
        }
        fits = not (missing or left or wrong)
        reason = "holds what no network has" if fits else "does not fit the model"
        raise ValueError(
            f"{source} {reason}, and nothing was loaded. "
            + " ".join(f"{title}: {_listed(found, 40)}." for title, found in lists.items() if found)
            + (f" {advice}" if wrong and advice else "")
        )
    for variable, value in values:
        variable.assign(value)
    return LoadReport(source, matched, tuple(fresh), ignored, note=note, stems=tuple(stems))


def _check_together(tensors: Sequence[np.ndarray]) -> None:
    """A kernel, or vector, and vectors of its outputs: others would multiply as they combine."""
    first, *others = tensors
    if any(other.shape != first.shape[-1:] for other in others):
        raise ValueError("they do not belong together")


def _count_not_finite(tensor: np.ndarray) -> int:
    """How many values are not finite as float32, which the variables are."""
    with np.errstate(over="ignore"):
        return int(np.count_nonzero(~np.isfinite(tensor.astype("float32", copy=False))))


def _listed(names: Iterable[str], most: int = 6) -> str:
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)} ({', '.join(names[:most])}{more})"
