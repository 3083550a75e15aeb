"""How many numbers the published models hold, of each architecture."""

from __future__ import annotations

from collections.abc import Mapping

# Kernels, biases, and scales and shifts of norms, frozen ones too; no statistics of norms, which no
# gradient ever changes. Without the rows for the background that only torchvision's heads have.
PARAMETERS: Mapping[str, int] = {
    "maskrcnn_resnet50_fpn_coco": 44_450_156,
    "maskrcnn_resnet50_fpn_v2_coco": 46_355_052,
    "keypointrcnn_resnet50_fpn_coco": 59_186_278,
    "mask_rcnn_R_50_C4": 35_962_732,
    "mask_rcnn_R_50_DC5": 172_406_636,
    "mask_rcnn_R_50_FPN": 44_396_336,
    "mask_rcnn_R_101_C4": 54_954_860,
    "mask_rcnn_R_101_DC5": 191_398_764,
    "mask_rcnn_R_101_FPN": 63_388_464,
    "mask_rcnn_X_101_32x8d_FPN": 107_630_640,
    "keypoint_rcnn_R_50_FPN": 59_186_278,
    "keypoint_rcnn_R_101_FPN": 78_178_406,
    "keypoint_rcnn_X_101_32x8d_FPN": 122_420_582,
    "cascade_mask_rcnn_R_50_FPN": 72_038_046,
    "mask_rcnn_R_50_FPN_gn": 45_711_152,
    "mask_rcnn_R_50_FPN_syncbn": 45_711_152,
    "scratch_mask_rcnn_R_50_FPN_gn": 45_711_152,
    "mask_rcnn_R_50_FPN_LSJ": 46_301_232,
    "mask_rcnn_R_101_FPN_LSJ": 65_293_360,
    "mask_rcnn_regnetx_4gf_dds_FPN_LSJ": 43_140_848,
    "mask_rcnn_regnety_4gf_dds_FPN_LSJ": 41_859_336,
    "matterport_mask_rcnn_coco": 63_982_384,
}
