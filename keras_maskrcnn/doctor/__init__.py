"""Says what is wrong with a data set before it costs a training."""

from keras_maskrcnn.doctor.case import Case, Seen, check
from keras_maskrcnn.doctor.cleaning import clean
from keras_maskrcnn.doctor.examining import validate
from keras_maskrcnn.doctor.findings import Finding, Fix, Kind, Place, Severity
from keras_maskrcnn.doctor.report import Report

__all__ = [
    "Case",
    "Finding",
    "Fix",
    "Kind",
    "Place",
    "Report",
    "Seen",
    "Severity",
    "check",
    "clean",
    "validate",
]
