// What the kernels' tests work on: RoIs on maps of several levels, usual and awkward ones.
#ifndef MASKRCNN_TEST_CASES_H_
#define MASKRCNN_TEST_CASES_H_

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "../roi_align/kernels.h"

namespace maskrcnn {

inline float decode(float value) { return value; }
inline float decode(BFloat16 value) {
  const uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
  float result;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}
inline float decode(Half value) {
  const int exponent = value.bits >> 10 & 31, mantissa = value.bits & 1023;
  float magnitude = exponent ? std::ldexp(1024.f + mantissa, exponent - 25)
                             : std::ldexp(static_cast<float>(mantissa), -24);
  if (exponent == 31) magnitude = mantissa ? NAN : INFINITY;
  return value.bits & 0x8000 ? -magnitude : magnitude;
}

// Of infinities, of what is not a number, and of multiples of 1/8 up to 2, which all three types
// hold.
inline void encode(float value, float* to) { *to = value; }
inline void encode(float value, BFloat16* to) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  to->bits = static_cast<uint16_t>(bits >> 16);
}
inline void encode(float value, Half* to) {
  int bits = std::isnan(value) ? 0x7e00 : 0x7c00;
  if (std::isfinite(value)) {
    int exponent;
    const float fraction = std::frexp(std::fabs(value), &exponent);
    bits = value == 0 ? 0 : (exponent + 14) << 10 | (static_cast<int>(fraction * 2048) & 1023);
  }
  to->bits = static_cast<uint16_t>(bits | (std::signbit(value) ? 0x8000 : 0));
}

// What no kernel may leave behind: an unlikely value of each type.
template <typename T>
void poison(std::vector<T>& values) {
  if (!values.empty())
    std::memset(static_cast<void*>(values.data()), 0xa5, values.size() * sizeof(T));
}

struct Shape {
  int batch, channels, levels, rois, out_height, out_width, sampling_ratio;
  bool aligned;
  int height = 37, width = 29;  // of the finest level
};

template <typename T>
struct Case {
  Problem problem = {};
  std::vector<float> boxes;
  std::vector<int32_t> images, levels;
  std::vector<std::vector<T>> features, gradients;
  std::vector<const T*> feature_pointers;
  std::vector<T*> gradient_pointers;
  std::vector<T> pooled, upstream;
  std::vector<int32_t> cells;

  Case(const Shape& shape, unsigned seed) {
    std::mt19937 random(seed);
    const auto grid = [&] { return static_cast<float>(static_cast<int>(random() % 33) - 16) / 8; };
    Problem& p = problem;
    p.batch = shape.batch;
    p.channels = shape.channels;
    p.levels = shape.levels;
    for (int l = 0; l < p.levels; ++l) {
      p.level[l] = {std::max(1, shape.height >> l), std::max(1, shape.width >> l), 1.f / (4 << l)};
      const size_t map = static_cast<size_t>(p.batch) * p.level[l].height * p.level[l].width;
      features.emplace_back(map * p.channels);
      for (T& value : features.back()) encode(grid(), &value);
      gradients.push_back(features.back());
    }
    const float width = 4.f * shape.width, height = 4.f * shape.height;
    const float awkward[][4] = {
        {0, 0, 0, 0},
        {-1e6, -1e6, 1e6, 1e6},
        {50, 40, 20, 10},
        {NAN, 0, 10, 10},
        {0, 0, INFINITY, 20},
        {-40, -40, -20, -20},
        {width - 1, height - 1, width + 1, height + 1},
        {-4, -4, width, height},
        {30.25, 30.25, 30.5, 30.5},
    };
    for (int roi = 0; roi < shape.rois; ++roi) {
      const float* box = awkward[roi % 9];
      const float side[2] = {random() % 9000 / 100.f, random() % 9000 / 100.f};
      const float corner[2] = {static_cast<int>(random() % 1000) * (width - 16) / 1000 - 10,
                               static_cast<int>(random() % 1000) * (height - 16) / 1000 - 10};
      const float usual[4] = {corner[0], corner[1], corner[0] + side[0], corner[1] + side[1]};
      const bool is_awkward = roi % 3 == 0 && (shape.sampling_ratio > 0 || roi % 9 != 1);
      boxes.insert(boxes.end(), is_awkward ? box : usual, (is_awkward ? box : usual) + 4);
      images.push_back(static_cast<int>(random() % shape.batch));
      levels.push_back(static_cast<int>(random() % shape.levels));
    }
    p.rois = shape.rois;
    p.boxes = boxes.data();
    p.batch_indices = images.data();
    p.level_indices = levels.data();
    p.out_height = shape.out_height;
    p.out_width = shape.out_width;
    p.sampling_ratio = shape.sampling_ratio;
    p.aligned = shape.aligned;
    for (auto& map : features) feature_pointers.push_back(map.data());
    for (auto& map : gradients) gradient_pointers.push_back(map.data());
    pooled.resize(static_cast<size_t>(p.rois) * p.out_height * p.out_width * p.channels);
    cells.resize(pooled.size());
    upstream.resize(pooled.size());
    for (T& value : upstream) encode(grid(), &value);
  }

  size_t place(int level, int image, int y, int x, int channel) const {
    const Level& l = problem.level[level];
    const size_t cell = (static_cast<size_t>(image) * l.height + y) * l.width + x;
    return cell * problem.channels + channel;
  }

  float feature(int level, int image, int y, int x, int channel) const {
    return decode(features[level][place(level, image, y, x, channel)]);
  }

  void poison_results() {
    poison(pooled);
    poison(cells);
    for (auto& map : gradients) poison(map);
  }
};

}  // namespace maskrcnn

#endif  // MASKRCNN_TEST_CASES_H_
