"""What kinds of errors cost how much average precision (TIDE: Bolya et al. 2020, arXiv 2008.08115).

Legend: `K` classes, `D` results, `N` annotated objects, `E` kinds of errors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

import numpy as np

from keras_maskrcnn.evaluation.analysis.curves import sample_precision
from keras_maskrcnn.evaluation.analysis.matching import Matching
from keras_maskrcnn.evaluation.analysis.numbers import as_json, mean_of_known

# Overlap from which a result finds an object, and below which it means none (sections 2.2, 2.3).
_FOREGROUND, _BACKGROUND = 0.5, 0.1

# In the order in which a wrong result is asked for them; `missed` are objects.
ERROR_TYPES = ("class", "localisation", "both", "duplicate", "background", "missed")
_CLASS, _LOCALISATION, _BOTH, _DUPLICATE, _EMPTY, _MISSED = range(len(ERROR_TYPES))


@dataclasses.dataclass(frozen=True, eq=False)
class ErrorTypes:
    """Errors by kind, and the average precision at IoU .5 that mending each kind alone would give.

    - `class`: overlaps an object of another class by .5 or more.
    - `localisation`: overlaps an object of its class, by .1 to .5.
    - `both`: overlaps an object of another class alone, by .1 to .5.
    - `duplicate`: overlaps an object by .5 or more that a result of a higher score found.
    - `background`: overlaps no object by more than .1.
    - `missed`: objects that no result found, nor would, were its class or place mended.

    A wrong result is mended into a right one where it means an object that is not found, of
    several the one of the highest score, and else taken away; a missed object is taken away.
    Results in crowd regions of their class are no errors.

    Args:
        class_names: `K` names.
        kinds: int8 `[D]`: place in `ERROR_TYPES`, -1 for what is right or ignored.
        missed: bool `[N]`: the missed objects.
        counts: int64 `[E, K]`: errors by kind, and class of the result or the missed object.
        ap: float64 `[K]`: average precision as it is; nan for a class without objects, which is
            left out of means.
        mended: float64 `[E, K]`: average precision with one kind mended.
        all_mended: float64 `[K]`: with all of them: 1.
        without_wrong: float64 `[K]`: with all wrong results taken away.
        without_missed: float64 `[K]`: with all objects taken away that were not found.
    """

    class_names: tuple[str, ...]
    kinds: np.ndarray
    missed: np.ndarray
    counts: np.ndarray
    ap: np.ndarray
    mended: np.ndarray
    all_mended: np.ndarray
    without_wrong: np.ndarray
    without_missed: np.ndarray

    @property
    def dap(self) -> dict[str, float]:
        """By kind, the AP that mending it adds, mean over the classes; 0 where it would take some.

        Fewer objects to be found are other recalls to sample, by which AP may fall a little.
        """
        now, mended = mean_of_known(self.ap), mean_of_known(self.mended, axis=1)
        return dict(zip(ERROR_TYPES, np.maximum(mended - now, 0.0).tolist(), strict=True))

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        now = mean_of_known(self.ap)
        gains = np.maximum(self.mended - self.ap, 0.0)
        return {
            "ap50": as_json(now),
            "dap": {name: as_json(value) for name, value in self.dap.items()},
            "dap_wrong": as_json(mean_of_known(self.without_wrong) - now),
            "dap_missed": as_json(mean_of_known(self.without_missed) - now),
            "counts": dict(zip(ERROR_TYPES, self.counts.sum(axis=1).tolist(), strict=True)),
            "classes": {
                name: {
                    "ap50": as_json(self.ap[k]),
                    "dap": dict(zip(ERROR_TYPES, as_json(gains[:, k]), strict=True)),
                    "counts": dict(zip(ERROR_TYPES, self.counts[:, k].tolist(), strict=True)),
                }
                for k, name in enumerate(self.class_names)
            },
        }


def error_types(matching: Matching) -> ErrorTypes:
    """Sorts errors into kinds and measures what each costs."""
    size = len(matching.class_names)
    kinds, targets = _kinds(matching)
    means, missed = _chosen(matching, kinds, targets)
    state = _State(matching, kinds, targets, means, missed)
    every = range(len(ERROR_TYPES))
    counts = [np.bincount(matching.pred_classes[kinds == kind], minlength=size) for kind in every]
    counts[_MISSED] = np.bincount(matching.gt_classes[missed], minlength=size)
    t = matching.threshold(_FOREGROUND)
    found = np.bincount(matching.pred_classes[matching.all.right[t]], minlength=size)
    return ErrorTypes(
        class_names=matching.class_names,
        kinds=kinds,
        missed=missed,
        counts=np.stack(counts),
        ap=state.ap(()),
        mended=np.stack([state.ap((kind,)) for kind in every]),
        all_mended=state.ap(every),
        without_wrong=state.ap((), wrong=False),
        without_missed=state.ap((), objects=found),
    )


def _kinds(matching: Matching) -> tuple[np.ndarray, np.ndarray]:
    """Kind of each result's error, and the object that it means, -1 for none; `[D]` each."""
    match, t = matching.all, matching.threshold(_FOREGROUND)
    there = ~match.gt_ignored[matching.pair_gts]
    taken = np.zeros(len(match.gt_ignored), bool)
    taken[match.gts[t][match.right[t]]] = True
    own, own_gts = _nearest(matching, there & matching.pair_same)
    other, other_gts = _nearest(matching, there & ~matching.pair_same)
    again, _ = _nearest(matching, there & matching.pair_same & taken[matching.pair_gts])
    moved = (own >= _BACKGROUND) & (own <= _FOREGROUND)
    conditions = [
        ~match.wrong[t],
        moved,
        other >= _FOREGROUND,
        again >= _FOREGROUND,
        np.maximum(own, other) <= _BACKGROUND,
    ]
    choices = [-1, _LOCALISATION, _CLASS, _DUPLICATE, _EMPTY]
    kinds = np.select(conditions, choices, default=_BOTH).astype(np.int8)
    targets = np.select([kinds == _LOCALISATION, kinds == _CLASS], [own_gts, other_gts], -1)
    return kinds, targets


def _nearest(matching: Matching, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest overlap of each result among some pairs and its object: 0 and -1 for none."""
    overlaps = np.zeros(len(matching.pred_scores))
    gts = np.full(len(matching.pred_scores), -1)
    places = np.flatnonzero(pairs)
    # The last one that is written stays: the largest, of equals the first.
    places = places[np.lexsort((-matching.pair_gts[places], matching.pair_ious[places]))]
    overlaps[matching.pair_preds[places]] = matching.pair_ious[places]
    gts[matching.pair_preds[places]] = matching.pair_gts[places]
    return overlaps, gts


def _chosen(
    matching: Matching, kinds: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which results mending makes right `[D]`, and which objects stay missed all the same `[N]`."""
    match, t = matching.all, matching.threshold(_FOREGROUND)
    missed = ~match.gt_ignored
    missed[match.gts[t][match.right[t]]] = False
    means = np.zeros(len(kinds), bool)
    candidates = np.flatnonzero(targets >= 0)
    candidates = candidates[missed[targets[candidates]]]
    order = np.lexsort((matching.pred_numbers[candidates], -matching.pred_scores[candidates]))
    candidates = candidates[order]
    _, first = np.unique(targets[candidates], return_index=True)
    means[candidates[first]] = True
    missed[targets[candidates]] = False
    return means, missed


@dataclasses.dataclass(frozen=True, eq=False)
class _State:
    """Results and objects, of which errors can be mended."""

    matching: Matching
    kinds: np.ndarray
    targets: np.ndarray
    means: np.ndarray
    missed: np.ndarray

    def ap(
        self, mended: Collection[int], wrong: bool = True, objects: np.ndarray | None = None
    ) -> np.ndarray:
        """float64 `[K]`: average precision with some kinds mended.

        Args:
            mended: the kinds.
            wrong: whether the other wrong results count.
            objects: how many there are to be found `[K]`; `None`: all, but for mended ones.
        """
        m, t = self.matching, self.matching.threshold(_FOREGROUND)
        touched = np.isin(self.kinds, list(mended)) & (self.kinds >= 0)
        right = m.all.right[t] | (touched & self.means)
        kept = right | (m.all.wrong[t] & ~touched & wrong)
        classes = m.pred_classes.copy()
        moved = touched & self.means
        classes[moved] = m.gt_classes[self.targets[moved]]
        if objects is None:
            objects = m.objects
            if _MISSED in mended:
                taken = np.bincount(m.gt_classes[self.missed], minlength=len(objects))
                objects = objects - taken
        ap = np.full(len(m.class_names), np.nan)
        for k in np.flatnonzero(m.objects):
            of_class = np.flatnonzero(kept & (classes == k))
            keys = (m.pred_numbers[of_class], m.pred_images[of_class], -m.pred_scores[of_class])
            order = of_class[np.lexsort(keys)]
            if objects[k]:
                ap[k] = sample_precision(right[order], int(objects[k]))[0].mean()
            else:  # Nothing is left to be found, and finding nothing is right.
                ap[k] = float(not len(order))
        return ap
