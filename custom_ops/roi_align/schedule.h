// How the work is divided: the order of the RoIs, and who writes which part of the gradients.
#ifndef MASKRCNN_SCHEDULE_H_
#define MASKRCNN_SCHEDULE_H_

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels.h"
#include "vectors.h"

namespace maskrcnn {

// RoIs in an order in which neighbours read much the same cells, which are then still in the cache:
// by map, by strips of 16 rows, along a strip to and fro.
inline std::vector<int> nearby_order(const Problem& p) {
  constexpr float kStripRows = 16.f, kFar = 65535.f;
  const auto clamp = [](float cell) { return static_cast<int64_t>(fminf(fmaxf(cell, 0.f), kFar)); };
  std::vector<std::pair<int64_t, int>> keys(p.rois);
  for (int roi = 0; roi < p.rois; ++roi) {
    const float* box = p.boxes + 4 * static_cast<int64_t>(roi);
    const float half_scale = p.level[p.level_indices[roi]].scale / 2;
    const int64_t strip = clamp((box[1] + box[3]) * half_scale / kStripRows);
    const int64_t x = clamp((box[0] + box[2]) * half_scale);
    const int64_t map = static_cast<int64_t>(p.level_indices[roi]) * p.batch + p.batch_indices[roi];
    keys[roi] = {map << 32 | strip << 16 | (strip % 2 ? 65535 - x : x), roi};
  }
  std::sort(keys.begin(), keys.end());
  std::vector<int> order(p.rois);
  for (int i = 0; i < p.rois; ++i) order[i] = keys[i].second;
  return order;
}

struct BinRow {
  int roi;
  int bin;
};

// Rows of bins in an order in which neighbours read much the same rows of cells, which are then
// still in the cache: by map, downwards.
inline std::vector<BinRow> nearby_bin_rows(const Problem& p) {
  std::vector<int64_t> first_row(p.levels * p.batch + 1);  // of each map among all maps' rows
  for (int map = 0; map < p.levels * p.batch; ++map)
    first_row[map + 1] = first_row[map] + p.level[map / p.batch].height + 1;
  const size_t count = static_cast<size_t>(p.rois) * p.out_height;
  std::vector<int64_t> row(count), begin(first_row.back() + 2);
  for (int roi = 0; roi < p.rois; ++roi) {
    const Level& level = p.level[p.level_indices[roi]];
    const float* box = p.boxes + 4 * static_cast<int64_t>(roi);
    const float top = box[1] * level.scale;
    const float step = (box[3] - box[1]) * level.scale / p.out_height;
    const int64_t map = static_cast<int64_t>(p.level_indices[roi]) * p.batch + p.batch_indices[roi];
    for (int bin = 0; bin < p.out_height; ++bin) {
      // Not a number becomes 0.
      const float cell = fminf(fmaxf(top + bin * step, 0.f), static_cast<float>(level.height));
      const int64_t at = first_row[map] + static_cast<int64_t>(cell);
      row[static_cast<size_t>(roi) * p.out_height + bin] = at;
      ++begin[at + 2];
    }
  }
  for (size_t k = 2; k < begin.size(); ++k) begin[k] += begin[k - 1];
  std::vector<BinRow> order(count);
  for (size_t k = 0; k < count; ++k)
    order[begin[row[k] + 1]++] = {static_cast<int>(k / p.out_height),
                                  static_cast<int>(k % p.out_height)};
  return order;
}

// A part of the gradient: some rows of one image on one level. Its task zeroes them and adds every
// RoI's share in the order of the RoIs. No two tasks write the same cell, and a cell's sum has one
// order, whatever the number of threads. The rows of a task stay in the cache.
struct Band {
  int level;
  int image;
  int first_row;
  int end_row;
};

inline std::vector<Band> make_bands(const Problem& p) {
  constexpr int kRows = 8;
  std::vector<Band> bands;
  for (int level = 0; level < p.levels; ++level)
    for (int image = 0; image < p.batch; ++image)
      for (int row = 0; row < p.level[level].height; row += kRows)
        bands.push_back({level, image, row, std::min(row + kRows, p.level[level].height)});
  return bands;
}

// RoIs of each (level, image) in their order: index level * batch + image.
inline std::vector<std::vector<int>> group_rois(const Problem& p) {
  std::vector<std::vector<int>> groups(p.levels * p.batch);
  for (int roi = 0; roi < p.rois; ++roi)
    groups[p.level_indices[roi] * p.batch + p.batch_indices[roi]].push_back(roi);
  return groups;
}

// Calls add(band, rois, sums) for each band, where sums is its zeroed float32 [rows, width,
// channels]: the gradient itself, or memory that is rounded to the gradient's type afterwards.
template <typename T, typename Add>
void for_each_band(const Problem& p, T* const* gradients, const ParallelFor& parallel_for,
                   const Add& add) {
  const std::vector<Band> bands = make_bands(p);
  const std::vector<std::vector<int>> groups = group_rois(p);
  constexpr int64_t kCost = 1000000;
  parallel_for(bands.size(), kCost, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch;
    for (int64_t i = begin; i < end; ++i) {
      const Band& band = bands[i];
      const Level& level = p.level[band.level];
      const int64_t row_size = static_cast<int64_t>(level.width) * p.channels;
      const int64_t size = (band.end_row - band.first_row) * row_size;
      T* gradient = gradients[band.level] +
                    (static_cast<int64_t>(band.image) * level.height + band.first_row) * row_size;
      float* sums;
      if constexpr (std::is_same_v<T, float>) {
        sums = gradient;
        std::fill(sums, sums + size, 0.f);
      } else {
        scratch.assign(size, 0.f);
        sums = scratch.data();
      }
      add(band, groups[band.level * p.batch + band.image], sums);
      if constexpr (!std::is_same_v<T, float>) {
        const int64_t offset = 0;
        const float weight = 1.f;
        for (int64_t x = 0; x < size; x += p.channels)
          weighted_sum<Write::kStore>(sums + x, &offset, &weight, 1, p.channels, gradient + x);
      }
    }
  });
}

}  // namespace maskrcnn

#endif  // MASKRCNN_SCHEDULE_H_
