#include "kernels.h"
#include "sampling.h"
#include "schedule.h"
#include "vectors.h"

namespace maskrcnn {
namespace {

// Results up to this size are still in the caches when the next operation reads them.
constexpr size_t kCachedBytes = size_t{4} << 20;

// Lists of (index, weight), list k from begin[k] to begin[k + 1].
struct Taps {
  std::vector<int> begin;
  std::vector<int> index;
  std::vector<float> weight;

  int count(int list) const { return begin[list + 1] - begin[list]; }
};

// The cells that each bin reads along one axis, neighbouring samples' common cells merged.
void collect_taps(const Axis& axis, int first_bin, int end_bin, Taps* taps) {
  taps->begin.assign(1, 0);
  taps->index.clear();
  taps->weight.clear();
  const float share = 1.f / static_cast<float>(std::max(axis.samples, 1));
  for (int bin = first_bin; bin < end_bin; ++bin) {
    const size_t first = taps->begin.back();
    const auto add = [&](int cell, float weight) {
      const size_t size = taps->index.size();
      for (size_t back = 1; back <= 2 && size >= first + back; ++back) {
        if (taps->index[size - back] == cell) {
          taps->weight[size - back] += weight;
          return;
        }
      }
      taps->index.push_back(cell);
      taps->weight.push_back(weight);
    };
    for (int i = 0; i < axis.samples; ++i) {
      Sample sample;
      if (!locate(axis, bin, i, &sample)) continue;
      add(sample.low, (1.f - sample.fraction) * share);
      add(sample.high, sample.fraction * share);
    }
    taps->begin.push_back(static_cast<int>(taps->index.size()));
  }
}

// The bins that read each cell: list k is cell first + k.
struct CellTaps {
  int first = 0;
  int end = 0;
  Taps bins;
};

void transpose(const Taps& taps, int bins, CellTaps* cells) {
  cells->first = cells->end = 0;
  if (!taps.index.empty()) {
    const auto range = std::minmax_element(taps.index.begin(), taps.index.end());
    cells->first = *range.first;
    cells->end = *range.second + 1;
  }
  Taps& out = cells->bins;
  out.begin.assign(cells->end - cells->first + 2, 0);
  for (int cell : taps.index) ++out.begin[cell - cells->first + 2];
  for (size_t k = 2; k < out.begin.size(); ++k) out.begin[k] += out.begin[k - 1];
  out.index.resize(taps.index.size());
  out.weight.resize(taps.index.size());
  for (int bin = 0; bin < bins; ++bin) {
    for (int t = taps.begin[bin]; t < taps.begin[bin + 1]; ++t) {
      const int at = out.begin[taps.index[t] - cells->first + 1]++;
      out.index[at] = bin;
      out.weight[at] = taps.weight[t];
    }
  }
  out.begin.pop_back();
}

}  // namespace

template <typename T>
void roi_align_cpu(const Problem& p, const T* const* features, T* pooled,
                   const ParallelFor& parallel_for) {
  const int64_t row_size = static_cast<int64_t>(p.out_width) * p.channels;
  const std::vector<BinRow> order = nearby_bin_rows(p);
  const bool beyond_caches = order.size() * row_size * sizeof(T) > kCachedBytes;
  parallel_for(order.size(), row_size, [&](int64_t begin, int64_t end) {
    Taps y_taps, x_taps;
    std::vector<int64_t> offsets;
    std::vector<float> weights;
    for (int64_t at = begin; at < end; ++at) {
      const auto [roi, bin] = order[at];
      const Level& level = p.level[p.level_indices[roi]];
      const int64_t row = static_cast<int64_t>(level.width) * p.channels;
      const T* map = features[p.level_indices[roi]] + p.batch_indices[roi] * (level.height * row);
      collect_taps(y_axis(p, roi, level), bin, bin + 1, &y_taps);
      collect_taps(x_axis(p, roi, level), 0, p.out_width, &x_taps);
      T* out = pooled + (static_cast<int64_t>(roi) * p.out_height + bin) * row_size;
      for (int j = 0; j < p.out_width; ++j, out += p.channels) {
        offsets.clear();
        weights.clear();
        for (int y = 0; y < y_taps.count(0); ++y) {
          for (int x = x_taps.begin[j]; x < x_taps.begin[j + 1]; ++x) {
            offsets.push_back(y_taps.index[y] * row + x_taps.index[x] * int64_t{p.channels});
            weights.push_back(y_taps.weight[y] * x_taps.weight[x]);
          }
        }
        const int cells = static_cast<int>(offsets.size());
        if (beyond_caches) {
          weighted_sum<Write::kStream>(map, offsets.data(), weights.data(), cells, p.channels, out);
        } else {
          weighted_sum<Write::kStore>(map, offsets.data(), weights.data(), cells, p.channels, out);
        }
      }
    }
    finish_streams();
  });
}

// Row by row: first the bins that read the row are joined along y, one sum per column of bins;
// then each cell of the row takes its share of those sums, once.
template <typename T>
void roi_align_gradient_cpu(const Problem& p, const T* upstream, T* const* gradients,
                            const ParallelFor& parallel_for) {
  std::vector<CellTaps> y_cells(p.rois), x_cells(p.rois);
  parallel_for(p.rois, 2000, [&](int64_t begin, int64_t end) {
    Taps taps;
    for (int64_t roi = begin; roi < end; ++roi) {
      const Level& level = p.level[p.level_indices[roi]];
      collect_taps(y_axis(p, roi, level), 0, p.out_height, &taps);
      transpose(taps, p.out_height, &y_cells[roi]);
      collect_taps(x_axis(p, roi, level), 0, p.out_width, &taps);
      transpose(taps, p.out_width, &x_cells[roi]);
    }
  });

  std::vector<int64_t> columns(p.out_width);  // offset of each column of bins in a row of them
  for (int j = 0; j < p.out_width; ++j) columns[j] = static_cast<int64_t>(j) * p.channels;
  const int64_t bin_row = static_cast<int64_t>(p.out_width) * p.channels;

  const auto add = [&](const Band& band, const std::vector<int>& rois, float* sums) {
    const int64_t row_size = static_cast<int64_t>(p.level[band.level].width) * p.channels;
    std::vector<float> joined(bin_row);
    std::vector<int64_t> offsets;
    for (int roi : rois) {
      const CellTaps& ys = y_cells[roi];
      const CellTaps& xs = x_cells[roi];
      const int end_row = std::min(ys.end, band.end_row);
      for (int row = std::max(ys.first, band.first_row); row < end_row; ++row) {
        const int first = ys.bins.begin[row - ys.first];
        const int count = ys.bins.count(row - ys.first);
        if (count == 0) continue;
        offsets.clear();
        for (int t = first; t < first + count; ++t)
          offsets.push_back((int64_t{roi} * p.out_height + ys.bins.index[t]) * bin_row);
        weighted_sum<Write::kStore>(upstream, offsets.data(), ys.bins.weight.data() + first, count,
                                    static_cast<int>(bin_row), joined.data());
        float* to = sums + (row - band.first_row) * row_size;
        for (int cell = xs.first; cell < xs.end; ++cell) {
          const int x = xs.bins.begin[cell - xs.first];
          const int x_count = xs.bins.count(cell - xs.first);
          if (x_count == 0) continue;
          offsets.clear();
          for (int t = x; t < x + x_count; ++t) offsets.push_back(columns[xs.bins.index[t]]);
          weighted_sum<Write::kAdd>(joined.data(), offsets.data(), xs.bins.weight.data() + x,
                                    x_count, p.channels,
                                    to + static_cast<int64_t>(cell) * p.channels);
        }
      }
    }
  };
  for_each_band(p, gradients, parallel_for, add);
}

#define MASKRCNN_INSTANTIATE(T)                                                              \
  template void roi_align_cpu<T>(const Problem&, const T* const*, T*, const ParallelFor&);   \
  template void roi_align_gradient_cpu<T>(const Problem&, const T*, T* const*, const ParallelFor&)
MASKRCNN_INSTANTIATE(float);
MASKRCNN_INSTANTIATE(BFloat16);
MASKRCNN_INSTANTIATE(Half);
#undef MASKRCNN_INSTANTIATE

}  // namespace maskrcnn
