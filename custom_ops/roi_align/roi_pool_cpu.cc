#include <limits>

#include "kernels.h"
#include "pooling.h"
#include "schedule.h"
#include "vectors.h"

namespace maskrcnn {
namespace {

template <typename T>
float to_float(T value) {
  float lanes[kLanes];
  store(lanes, load_some(&value, 1));
  return lanes[0];
}

// One cell against the maxima of a bin so far. The first of equal cells stays.
template <typename T>
MASKRCNN_CLONES void keep_larger(const T* from, int32_t cell, int channels, float* maxima,
                                 int32_t* cells) {
  for (int c = 0; c < channels; c += kLanes) {
    const int count = channels - c < kLanes ? channels - c : kLanes;
    float values[kLanes];
    store(values, load_some(from + c, count));
    for (int k = 0; k < count; ++k) {
      const bool larger = values[k] > maxima[c + k];
      maxima[c + k] = larger ? values[k] : maxima[c + k];
      cells[c + k] = larger ? cell : cells[c + k];
    }
  }
}

}  // namespace

template <typename T>
void roi_pool_cpu(const Problem& p, const T* const* features, T* pooled, int32_t* cells,
                  const ParallelFor& parallel_for) {
  const int64_t bins = static_cast<int64_t>(p.out_height) * p.out_width;
  const std::vector<int> order = nearby_order(p);
  parallel_for(p.rois, 4 * bins * p.channels, [&](int64_t begin, int64_t end) {
    std::vector<float> maxima(p.channels);
    const int64_t no_offset = 0;
    const float one = 1.f;
    for (int64_t n = begin; n < end; ++n) {
      const int64_t roi = order[n];
      const Level& level = p.level[p.level_indices[roi]];
      const int64_t map_size = static_cast<int64_t>(level.height) * level.width * p.channels;
      const T* map = features[p.level_indices[roi]] + p.batch_indices[roi] * map_size;
      const PoolAxis y_axis = y_pool_axis(p, roi, level);
      const PoolAxis x_axis = x_pool_axis(p, roi, level);
      for (int64_t bin = roi * bins; bin < (roi + 1) * bins; ++bin) {
        int y, y_end, first_x, x_end;
        bin_range(y_axis, static_cast<int>((bin - roi * bins) / p.out_width), &y, &y_end);
        bin_range(x_axis, static_cast<int>((bin - roi * bins) % p.out_width), &first_x, &x_end);
        const bool empty = y >= y_end || first_x >= x_end;
        std::fill(maxima.begin(), maxima.end(),
                  empty ? 0.f : -std::numeric_limits<float>::infinity());
        int32_t* bin_cells = cells + bin * p.channels;
        std::fill(bin_cells, bin_cells + p.channels, empty ? -1 : y * level.width + first_x);
        for (; y < y_end; ++y) {
          for (int x = first_x; x < x_end; ++x) {
            const int32_t cell = y * level.width + x;
            keep_larger(map + static_cast<int64_t>(cell) * p.channels, cell, p.channels,
                        maxima.data(), bin_cells);
          }
        }
        weighted_sum<Write::kStore>(maxima.data(), &no_offset, &one, 1, p.channels,
                                    pooled + bin * p.channels);
      }
    }
  });
}

template <typename T>
void roi_pool_gradient_cpu(const Problem& p, const T* upstream, const int32_t* cells,
                           T* const* gradients, const ParallelFor& parallel_for) {
  const auto add = [&](const Band& band, const std::vector<int>& rois, float* sums) {
    const Level& level = p.level[band.level];
    const int first_cell = band.first_row * level.width;
    const int end_cell = band.end_row * level.width;
    for (int64_t roi : rois) {
      const PoolAxis y_axis = y_pool_axis(p, roi, level);
      for (int i = 0; i < p.out_height; ++i) {
        int y, y_end;
        bin_range(y_axis, i, &y, &y_end);
        if (y >= band.end_row || y_end <= band.first_row) continue;
        const int64_t size = static_cast<int64_t>(p.out_width) * p.channels;
        const int64_t start = (roi * p.out_height + i) * size;
        for (int64_t at = start; at < start + size; ++at) {
          const int32_t cell = cells[at];
          if (cell < first_cell || cell >= end_cell) continue;
          sums[static_cast<int64_t>(cell - first_cell) * p.channels + (at - start) % p.channels] +=
              to_float(upstream[at]);
        }
      }
    }
  };
  for_each_band(p, gradients, parallel_for, add);
}

#define MASKRCNN_INSTANTIATE(T)                                                               \
  template void roi_pool_cpu<T>(const Problem&, const T* const*, T*, int32_t*,                \
                                const ParallelFor&);                                          \
  template void roi_pool_gradient_cpu<T>(const Problem&, const T*, const int32_t*, T* const*, \
                                         const ParallelFor&)
MASKRCNN_INSTANTIATE(float);
MASKRCNN_INSTANTIATE(BFloat16);
MASKRCNN_INSTANTIATE(Half);
#undef MASKRCNN_INSTANTIATE

}  // namespace maskrcnn
