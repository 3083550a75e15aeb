// Where a RoI's samples lie: shared by the CPU and the CUDA kernels.
//
// The arithmetic keeps the order of torchvision's and detectron2's kernels, so that float32 rounds
// alike, and must not be contracted to fused multiply-adds (baseline x86-64 has none; the CUDA file
// is built with -fmad=false).
#ifndef MASKRCNN_SAMPLING_H_
#define MASKRCNN_SAMPLING_H_

#include <cmath>

#include "problem.h"

#ifdef __CUDACC__
#define MASKRCNN_INLINE __host__ __device__ __forceinline__
#else
#define MASKRCNN_INLINE inline
#endif

namespace maskrcnn {

// Most samples per bin and axis: those of both axes multiply to an int. Also the bound of the
// adaptive ratio, against boxes that are absurdly large.
constexpr int kMaxSamples = 1024;

// One axis of one RoI, in cells of its level.
struct Axis {
  float start;
  float bin_size;
  int samples;  // per bin
  int extent;   // cells of the map
};

// A sample reads `low` with weight 1 - fraction and `high` with weight fraction.
struct Sample {
  int low;
  int high;
  float fraction;
};

MASKRCNN_INLINE Axis make_axis(float low, float high, float scale, int bins, int sampling_ratio,
                               bool aligned, int extent) {
  const float offset = aligned ? 0.5f : 0.f;
  Axis axis;
  axis.start = low * scale - offset;
  float size = (high * scale - offset) - axis.start;
  if (!aligned && size < 1.f) size = 1.f;
  axis.bin_size = size / static_cast<float>(bins);
  axis.samples = sampling_ratio;
  if (sampling_ratio <= 0) {
    // An inverted box, or one that is not a number, gets no sample.
    const float adaptive = ceilf(axis.bin_size);
    const float most = static_cast<float>(kMaxSamples);
    axis.samples = adaptive > 0.f ? static_cast<int>(fminf(adaptive, most)) : 0;
  }
  axis.extent = extent;
  return axis;
}

MASKRCNN_INLINE Axis y_axis(const Problem& p, int roi, const Level& level) {
  const float* box = p.boxes + 4 * static_cast<int64_t>(roi);
  return make_axis(box[1], box[3], level.scale, p.out_height, p.sampling_ratio, p.aligned,
                   level.height);
}

MASKRCNN_INLINE Axis x_axis(const Problem& p, int roi, const Level& level) {
  const float* box = p.boxes + 4 * static_cast<int64_t>(roi);
  return make_axis(box[0], box[2], level.scale, p.out_width, p.sampling_ratio, p.aligned,
                   level.width);
}

// Sample `index` of bin `bin`; false when it lies more than a cell outside of the map and counts as
// zero. Within that cell the edge value holds.
MASKRCNN_INLINE bool locate(const Axis& axis, int bin, int index, Sample* sample) {
  float position = axis.start + bin * axis.bin_size +
                   (index + 0.5f) * axis.bin_size / static_cast<float>(axis.samples);
  if (!(position >= -1.f && position <= static_cast<float>(axis.extent))) return false;
  const int last = axis.extent - 1;
  position = fminf(fmaxf(position, 0.f), static_cast<float>(last));
  sample->low = static_cast<int>(position);
  sample->high = sample->low < last ? sample->low + 1 : last;
  sample->fraction = position - sample->low;
  return true;
}

}  // namespace maskrcnn

#endif  // MASKRCNN_SAMPLING_H_
