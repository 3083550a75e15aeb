"""What a score is made of: curves, thresholds, confusion, kinds of errors, groups, pictures."""

from keras_maskrcnn.evaluation.analysis.analysing import (
    Analysis,
    Comparison,
    analyse,
    analyse_compared,
    analyse_files,
)
from keras_maskrcnn.evaluation.analysis.confusion import Confusion, confusion_matrix
from keras_maskrcnn.evaluation.analysis.curves import Curves, precision_recall
from keras_maskrcnn.evaluation.analysis.errors import ERROR_TYPES, ErrorTypes, error_types
from keras_maskrcnn.evaluation.analysis.groups import (
    Group,
    crowding,
    crowding_groups,
    size_groups,
)
from keras_maskrcnn.evaluation.analysis.keypoints import KeypointPrecision, keypoint_precision
from keras_maskrcnn.evaluation.analysis.matching import Match, Matching, match_compared
from keras_maskrcnn.evaluation.analysis.pictures import PictureScores, picture_scores
from keras_maskrcnn.evaluation.analysis.thresholds import ScoreThresholds, score_thresholds

__all__ = [
    "ERROR_TYPES",
    "Analysis",
    "Comparison",
    "Confusion",
    "Curves",
    "ErrorTypes",
    "Group",
    "KeypointPrecision",
    "Match",
    "Matching",
    "PictureScores",
    "ScoreThresholds",
    "analyse",
    "analyse_compared",
    "analyse_files",
    "confusion_matrix",
    "crowding",
    "crowding_groups",
    "error_types",
    "keypoint_precision",
    "match_compared",
    "picture_scores",
    "precision_recall",
    "score_thresholds",
    "size_groups",
]
