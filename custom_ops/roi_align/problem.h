// What every kernel of this folder works on. No TensorFlow here: the arithmetic is built and tested
// alone.
#ifndef MASKRCNN_PROBLEM_H_
#define MASKRCNN_PROBLEM_H_

#include <cstdint>

namespace maskrcnn {

constexpr int kMaxLevels = 8;

// Storage types: the bits of a bfloat16 or an IEEE half. All sums are float32.
struct BFloat16 {
  uint16_t bits;
};
struct Half {
  uint16_t bits;
};

// One pyramid level, laid out [batch, height, width, channels].
struct Level {
  int height;
  int width;
  float scale;  // cells per image pixel
};

struct Problem {
  int batch;
  int channels;
  int levels;
  Level level[kMaxLevels];
  int rois;
  const float* boxes;            // [rois, 4] x1 y1 x2 y2 in image pixels
  const int32_t* batch_indices;  // [rois]
  const int32_t* level_indices;  // [rois]
  int out_height;
  int out_width;
  int sampling_ratio;  // samples per bin and axis; 0: as many as the bin has cells
  bool aligned;        // shift by half a cell, and no minimum size
};

}  // namespace maskrcnn

#endif  // MASKRCNN_PROBLEM_H_
