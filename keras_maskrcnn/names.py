"""Names and defaults that the command line offers, apart from what they stand for.

What they stand for needs NumPy or TensorFlow, and `maskrcnn --help` does not wait for these.
"""

# Files of `data/writers/`, each with the writer of that name.
WRITERS = ("coco", "cvat", "label_studio", "labelme", "voc", "yolo")
# In which pictures come that a person should correct; see `preannotations.ordering`.
ORDERS = ("given", "uncertainty")
# See `training.options`.
OPTIMIZERS = ("sgd", "adam")
# Of the learning rate; see `schedules`.
DECAYS = ("step", "cosine", "constant")
# COCO's comparisons; see `evaluation.metrics`.
COMPARISONS = ("bbox", "segm", "keypoints")
# See `export.exporting`.
EXPORTS = ("tf_saved_model", "onnx", "litert")
# Part of the pictures that is set aside for validation; see `data.splits`.
VAL_FRACTION = 0.2
# Policies of `data.transforms`.
AUGMENTATIONS = ("none", "flip", "standard", "lsj", "small_data", "microscopy", "aerial")
# Files of `data/sampling/`.
SAMPLINGS = ("all", "class_balanced", "repeat_factor")
