// RoIAlign and RoIPool once more, as plainly as they can be written.
#ifndef MASKRCNN_TEST_PLAIN_H_
#define MASKRCNN_TEST_PLAIN_H_

#include "../roi_align/pooling.h"
#include "../roi_align/sampling.h"
#include "cases.h"

namespace maskrcnn {

// Calls use(y, x, weights of its four cells) for each sample of a bin, in torchvision's order. Number
// is what weights are computed in.
template <typename Number, typename T, typename Use>
void each_sample(const Case<T>& c, int roi, int i, int j, const Use& use) {
  const Level& level = c.problem.level[c.levels[roi]];
  const Axis ys = y_axis(c.problem, roi, level), xs = x_axis(c.problem, roi, level);
  const Number one = 1;
  for (int iy = 0; iy < ys.samples; ++iy)
    for (int ix = 0; ix < xs.samples; ++ix) {
      Sample y, x;
      if (!locate(ys, i, iy, &y) || !locate(xs, j, ix, &x)) continue;
      const Number fy = y.fraction, fx = x.fraction;
      const Number weights[4] = {(one - fy) * (one - fx), (one - fy) * fx, fy * (one - fx),
                                 fy * fx};
      use(y, x, weights);
    }
}

template <typename T>
int sample_count(const Case<T>& c, int roi) {
  const Level& level = c.problem.level[c.levels[roi]];
  return std::max(
      y_axis(c.problem, roi, level).samples * x_axis(c.problem, roi, level).samples, 1);
}

// With Number float: the bits that torchvision's kernel gives.
template <typename Number, typename T>
Number plain_align(const Case<T>& c, int roi, int i, int j, int channel) {
  const int l = c.levels[roi], image = c.images[roi];
  Number sum = 0;
  each_sample<Number>(c, roi, i, j, [&](const Sample& y, const Sample& x, const Number* weights) {
    sum += weights[0] * c.feature(l, image, y.low, x.low, channel) +
           weights[1] * c.feature(l, image, y.low, x.high, channel) +
           weights[2] * c.feature(l, image, y.high, x.low, channel) +
           weights[3] * c.feature(l, image, y.high, x.high, channel);
  });
  return sum / static_cast<Number>(sample_count(c, roi));
}

using Maps = std::vector<std::vector<double>>;

template <typename T>
Maps empty_maps(const Case<T>& c) {
  Maps maps;
  for (const auto& map : c.gradients) maps.emplace_back(map.size());
  return maps;
}

// Calls use(roi, i, j, channel, index in pooled).
template <typename T, typename Use>
void each_element(const Case<T>& c, const Use& use) {
  size_t at = 0;
  for (int roi = 0; roi < c.problem.rois; ++roi)
    for (int i = 0; i < c.problem.out_height; ++i)
      for (int j = 0; j < c.problem.out_width; ++j)
        for (int channel = 0; channel < c.problem.channels; ++channel, ++at)
          use(roi, i, j, channel, at);
}

template <typename T>
Maps plain_align_gradient(const Case<T>& c) {
  Maps maps = empty_maps(c);
  const int channels = c.problem.channels;
  each_element(c, [&](int roi, int i, int j, int channel, size_t at) {
    if (channel != 0) return;
    const int l = c.levels[roi];
    each_sample<double>(c, roi, i, j, [&](const Sample& y, const Sample& x, const double* w) {
      const int rows[4] = {y.low, y.low, y.high, y.high};
      const int columns[4] = {x.low, x.high, x.low, x.high};
      for (int k = 0; k < 4; ++k) {
        // What weighs nothing gives nothing, even of an infinity.
        if (w[k] == 0) continue;
        double* cell = &maps[l][c.place(l, c.images[roi], rows[k], columns[k], 0)];
        for (int n = 0; n < channels; ++n)
          cell[n] += w[k] * decode(c.upstream[at + n]) / sample_count(c, roi);
      }
    });
  });
  return maps;
}

struct Maximum {
  float value;
  int cell;
};

template <typename T>
Maximum plain_pool(const Case<T>& c, int roi, int i, int j, int channel) {
  const int l = c.levels[roi], image = c.images[roi];
  const Level& level = c.problem.level[l];
  int y, y_end, first_x, x_end;
  bin_range(y_pool_axis(c.problem, roi, level), i, &y, &y_end);
  bin_range(x_pool_axis(c.problem, roi, level), j, &first_x, &x_end);
  if (y >= y_end || first_x >= x_end) return {0, -1};
  Maximum maximum = {-INFINITY, y * level.width + first_x};
  for (; y < y_end; ++y)
    for (int x = first_x; x < x_end; ++x) {
      const float value = c.feature(l, image, y, x, channel);
      if (value > maximum.value) maximum = {value, y * level.width + x};
    }
  return maximum;
}

// Reads the case's cells.
template <typename T>
Maps plain_pool_gradient(const Case<T>& c) {
  Maps maps = empty_maps(c);
  each_element(c, [&](int roi, int, int, int channel, size_t at) {
    const int l = c.levels[roi];
    const int width = c.problem.level[l].width, cell = c.cells[at];
    if (cell < 0) return;
    maps[l][c.place(l, c.images[roi], cell / width, cell % width, channel)] +=
        decode(c.upstream[at]);
  });
  return maps;
}

}  // namespace maskrcnn

#endif  // MASKRCNN_TEST_PLAIN_H_
