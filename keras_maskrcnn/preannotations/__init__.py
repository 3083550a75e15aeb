"""What a model found, as annotations that a person corrects instead of drawing them."""

from keras_maskrcnn.preannotations.from_detections import detections_to_data
from keras_maskrcnn.preannotations.from_results import results_to_data
from keras_maskrcnn.preannotations.ordering import ORDERS, uncertainty

__all__ = ["ORDERS", "detections_to_data", "results_to_data", "uncertainty"]
