// The ops: what they take and give, and errors that say what is wrong with it.
#include "errors.h"
#include "problem.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace maskrcnn {
namespace {

using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

absl::Status check_rank(InferenceContext* c, int input, int rank, const char* expectation) {
  const ShapeHandle shape = c->input(input);
  if (!c->RankKnown(shape) || c->Rank(shape) == rank) return absl::OkStatus();
  return InvalidArgument(expectation, " Received: shape ", c->DebugString(shape));
}

// The attributes, and boxes, batch_indices and levels from input `first` on; rois: their number.
absl::Status check_rois(InferenceContext* c, int first, DimensionHandle* rois) {
  int levels;
  std::vector<float> scales;
  TF_RETURN_IF_ERROR(c->GetAttr("N", &levels));
  TF_RETURN_IF_ERROR(c->GetAttr("scales", &scales));
  if (levels > kMaxLevels)
    return InvalidArgument("RoIAlign takes at most ", kMaxLevels, " levels. Received: ", levels,
                           " feature maps");
  if (static_cast<int>(scales.size()) != levels)
    return InvalidArgument("scales must have one value, 1 / stride, per level. Received: ",
                           scales.size(), " scales for ", levels, " feature maps");
  for (float scale : scales)
    if (!(scale > 0.f))
      return InvalidArgument("scales must be positive, 1 / stride. Received: ", scale);
  TF_RETURN_IF_ERROR(check_rank(c, first, 2, "boxes must be [R, 4], x1 y1 x2 y2."));
  DimensionHandle unused;
  if (c->RankKnown(c->input(first)) && !c->WithValue(c->Dim(c->input(first), 1), 4, &unused).ok())
    return InvalidArgument("boxes must be [R, 4], x1 y1 x2 y2. Received: shape ",
                           c->DebugString(c->input(first)));
  *rois = c->RankKnown(c->input(first)) ? c->Dim(c->input(first), 0) : c->UnknownDim();
  const char* names[] = {"batch_indices", "levels"};
  for (int i = 0; i < 2; ++i) {
    const std::string expectation = absl::StrCat(names[i], " must be [R], one per box.");
    TF_RETURN_IF_ERROR(check_rank(c, first + 1 + i, 1, expectation.c_str()));
    if (!c->RankKnown(c->input(first + 1 + i))) continue;
    if (!c->Merge(*rois, c->Dim(c->input(first + 1 + i), 0), rois).ok())
      return InvalidArgument(expectation, " Received: shape ",
                             c->DebugString(c->input(first + 1 + i)), " for boxes of shape ",
                             c->DebugString(c->input(first)));
  }
  return absl::OkStatus();
}

absl::Status pooled_shape(InferenceContext* c) {
  int levels, height, width;
  TF_RETURN_IF_ERROR(c->GetAttr("N", &levels));
  TF_RETURN_IF_ERROR(c->GetAttr("output_height", &height));
  TF_RETURN_IF_ERROR(c->GetAttr("output_width", &width));
  DimensionHandle rois, batch = c->UnknownDim(), channels = c->UnknownDim();
  TF_RETURN_IF_ERROR(check_rois(c, levels, &rois));
  for (int level = 0; level < levels; ++level) {
    TF_RETURN_IF_ERROR(
        check_rank(c, level, 4, "Each level's features must be [B, H, W, C], channels last."));
    const ShapeHandle shape = c->input(level);
    if (!c->RankKnown(shape)) continue;
    if (!c->Merge(batch, c->Dim(shape, 0), &batch).ok() ||
        !c->Merge(channels, c->Dim(shape, 3), &channels).ok())
      return InvalidArgument("All levels must have the same batch and channels. Received: shape ",
                             c->DebugString(shape), " at level ", level, ", ",
                             c->DebugString(c->input(0)), " at level 0");
  }
  for (int i = 0; i < c->num_outputs(); ++i)
    c->set_output(i, c->MakeShape({rois, c->MakeDim(height), c->MakeDim(width), channels}));
  return absl::OkStatus();
}

// `others` inputs stand before the boxes, the levels' shapes after the level indices.
template <int others>
absl::Status gradient_shapes(InferenceContext* c) {
  int levels;
  TF_RETURN_IF_ERROR(c->GetAttr("N", &levels));
  DimensionHandle rois;
  TF_RETURN_IF_ERROR(check_rois(c, others, &rois));
  TF_RETURN_IF_ERROR(check_rank(c, 0, 4, "upstream must be [R, ph, pw, C]."));
  for (int level = 0; level < levels; ++level) {
    ShapeHandle shape;
    TF_RETURN_IF_ERROR(c->MakeShapeFromShapeTensor(others + 3 + level, &shape));
    c->set_output(level, shape);
  }
  return absl::OkStatus();
}

REGISTER_OP("MaskrcnnRoiAlign")
    .Input("features: N * T")
    .Input("boxes: float")
    .Input("batch_indices: int32")
    .Input("levels: int32")
    .Output("pooled: T")
    .Attr("N: int >= 1")
    .Attr("T: {float, bfloat16, half}")
    .Attr("scales: list(float)")
    .Attr("output_height: int >= 1")
    .Attr("output_width: int >= 1")
    .Attr("sampling_ratio: int >= 0")
    .Attr("aligned: bool")
    .SetShapeFn(pooled_shape);

REGISTER_OP("MaskrcnnRoiAlignGradient")
    .Input("upstream: T")
    .Input("boxes: float")
    .Input("batch_indices: int32")
    .Input("levels: int32")
    .Input("shapes: N * int32")
    .Output("gradients: N * T")
    .Attr("N: int >= 1")
    .Attr("T: {float, bfloat16, half}")
    .Attr("scales: list(float)")
    .Attr("sampling_ratio: int >= 0")
    .Attr("aligned: bool")
    .SetShapeFn(gradient_shapes<1>);

REGISTER_OP("MaskrcnnRoiPool")
    .Input("features: N * T")
    .Input("boxes: float")
    .Input("batch_indices: int32")
    .Input("levels: int32")
    .Output("pooled: T")
    .Output("cells: int32")
    .Attr("N: int >= 1")
    .Attr("T: {float, bfloat16, half}")
    .Attr("scales: list(float)")
    .Attr("output_height: int >= 1")
    .Attr("output_width: int >= 1")
    .SetShapeFn(pooled_shape);

REGISTER_OP("MaskrcnnRoiPoolGradient")
    .Input("upstream: T")
    .Input("cells: int32")
    .Input("boxes: float")
    .Input("batch_indices: int32")
    .Input("levels: int32")
    .Input("shapes: N * int32")
    .Output("gradients: N * T")
    .Attr("N: int >= 1")
    .Attr("T: {float, bfloat16, half}")
    .Attr("scales: list(float)")
    .SetShapeFn(gradient_shapes<2>);

}  // namespace
}  // namespace maskrcnn
