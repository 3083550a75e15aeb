// Which cells a bin of RoIPool covers (Fast R-CNN section 2.1; rounding as in torchvision's
// kernel): shared by the CPU and the CUDA kernels.
#ifndef MASKRCNN_POOLING_H_
#define MASKRCNN_POOLING_H_

#include "sampling.h"

namespace maskrcnn {

// Cells beyond these cannot be in a map; bounds the conversion of absurd coordinates to integers.
constexpr float kFarCell = 1e6f;

struct PoolAxis {
  int start;
  float bin_size;
  int extent;
};

MASKRCNN_INLINE PoolAxis make_pool_axis(float low, float high, float scale, int bins, int extent) {
  const float first = fminf(fmaxf(roundf(low * scale), -kFarCell), kFarCell);
  const float last = fminf(fmaxf(roundf(high * scale), -kFarCell), kFarCell);
  PoolAxis axis;
  axis.start = static_cast<int>(first);
  axis.bin_size = fmaxf(last - first + 1.f, 1.f) / static_cast<float>(bins);
  axis.extent = extent;
  return axis;
}

MASKRCNN_INLINE PoolAxis y_pool_axis(const Problem& p, int roi, const Level& level) {
  const float* box = p.boxes + 4 * static_cast<int64_t>(roi);
  return make_pool_axis(box[1], box[3], level.scale, p.out_height, level.height);
}

MASKRCNN_INLINE PoolAxis x_pool_axis(const Problem& p, int roi, const Level& level) {
  const float* box = p.boxes + 4 * static_cast<int64_t>(roi);
  return make_pool_axis(box[0], box[2], level.scale, p.out_width, level.width);
}

// Cells [first, end) of a bin, within the map; none when first >= end.
MASKRCNN_INLINE void bin_range(const PoolAxis& axis, int bin, int* first, int* end) {
  const int low = axis.start + static_cast<int>(floorf(bin * axis.bin_size));
  const int high = axis.start + static_cast<int>(ceilf((bin + 1) * axis.bin_size));
  *first = low < 0 ? 0 : low;
  *end = high > axis.extent ? axis.extent : high;
}

}  // namespace maskrcnn

#endif  // MASKRCNN_POOLING_H_
