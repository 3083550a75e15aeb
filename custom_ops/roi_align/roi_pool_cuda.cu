#include "device.cuh"
#include "pooling.h"

namespace maskrcnn {
namespace {

constexpr int kThreads = 256;

template <typename T>
__global__ void __launch_bounds__(kThreads)
    roi_pool_kernel(const __grid_constant__ Problem p,
                    const __grid_constant__ Maps<const T> features, T* __restrict__ pooled,
                    int32_t* __restrict__ cells, int64_t total) {
  const int64_t index = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x;
  if (index >= total) return;
  const int channel = static_cast<int>(index % p.channels);
  const int64_t bin = index / p.channels;
  const int j = static_cast<int>(bin % p.out_width);
  const int i = static_cast<int>(bin / p.out_width % p.out_height);
  const int roi = static_cast<int>(bin / p.out_width / p.out_height);
  const int l = p.level_indices[roi];
  const int image = p.batch_indices[roi];
  float maximum = 0.f;
  int32_t best = -1;
  if (l >= 0 && l < p.levels && image >= 0 && image < p.batch) {
    const Level level = p.level[l];
    const T* map = features.level[l] +
                   static_cast<int64_t>(image) * level.height * level.width * p.channels + channel;
    int first_y, end_y, first_x, end_x;
    bin_range(y_pool_axis(p, roi, level), i, &first_y, &end_y);
    bin_range(x_pool_axis(p, roi, level), j, &first_x, &end_x);
    for (int y = first_y; y < end_y; ++y) {
      for (int x = first_x; x < end_x; ++x) {
        const int32_t cell = y * level.width + x;
        const float value = to_float(map[static_cast<int64_t>(cell) * p.channels]);
        if (best >= 0 && !(value > maximum)) continue;
        maximum = value;
        best = cell;
      }
    }
  }
  from_float(maximum, pooled + index);
  cells[index] = best;
}

template <typename T>
__global__ void __launch_bounds__(kTileChannels)
    roi_pool_gradient_kernel(const __grid_constant__ Problem p,
                             const T* __restrict__ upstream,
                             const int32_t* __restrict__ cells,
                             const __grid_constant__ Maps<T> gradients) {
  extern __shared__ float sums[];
  const Tile tile = find_tile(p, blockIdx.x);
  const Level level = p.level[tile.level];
  const int channel = blockIdx.y * blockDim.x + threadIdx.x;
  const int first_cell = tile.row * level.width + tile.first_cell;
  const int end_cell = tile.row * level.width + tile.end_cell;

  const auto overlaps = [&](int roi) {
    const PoolAxis ys = y_pool_axis(p, roi, level);
    int first, end, unused;
    bin_range(ys, 0, &first, &unused);
    bin_range(ys, p.out_height - 1, &unused, &end);
    return tile.row >= first && tile.row < end;
  };
  const auto add = [&](int roi) {
    if (channel >= p.channels) return;
    const PoolAxis ys = y_pool_axis(p, roi, level);
    for (int i = 0; i < p.out_height; ++i) {
      int first, end;
      bin_range(ys, i, &first, &end);
      if (tile.row < first || tile.row >= end) continue;
      for (int j = 0; j < p.out_width; ++j) {
        const int64_t bin = (static_cast<int64_t>(roi) * p.out_height + i) * p.out_width + j;
        const int32_t cell = cells[bin * p.channels + channel];
        if (cell >= first_cell && cell < end_cell)
          sums[(cell - first_cell) * blockDim.x + threadIdx.x] +=
              to_float(upstream[bin * p.channels + channel]);
      }
    }
  };
  accumulate_tile<T, 1>(p, tile, gradients.level[tile.level], sums, overlaps, add);
}

}  // namespace

template <typename T>
int roi_pool_cuda(const Problem& p, const T* const* features, T* pooled, int32_t* cells,
                  void* stream) {
  const int64_t total = static_cast<int64_t>(p.rois) * p.out_height * p.out_width * p.channels;
  if (total == 0) return cudaSuccess;
  const int64_t blocks = (total + kThreads - 1) / kThreads;
  roi_pool_kernel<T><<<static_cast<unsigned>(blocks), kThreads, 0,
                       static_cast<cudaStream_t>(stream)>>>(
      p, make_maps<const T>(features, p.levels), pooled, cells, total);
  return cudaGetLastError();
}

template <typename T>
int roi_pool_gradient_cuda(const Problem& p, const T* upstream, const int32_t* cells,
                           T* const* gradients, void* stream) {
  if (p.batch == 0 || p.channels == 0) return cudaSuccess;
  const int threads = tile_threads(p, 1);
  const int chunks = (p.channels + threads - 1) / threads;
  roi_pool_gradient_kernel<T><<<dim3(count_tiles(p), chunks), threads,
                                sizeof(float) * kTileCells * threads,
                                static_cast<cudaStream_t>(stream)>>>(
      p, upstream, cells, make_maps<T>(gradients, p.levels));
  return cudaGetLastError();
}

#define MASKRCNN_INSTANTIATE(T)                                                              \
  template int roi_pool_cuda<T>(const Problem&, const T* const*, T*, int32_t*, void*);       \
  template int roi_pool_gradient_cuda<T>(const Problem&, const T*, const int32_t*, T* const*, \
                                         void*)
MASKRCNN_INSTANTIATE(float);
MASKRCNN_INSTANTIATE(BFloat16);
MASKRCNN_INSTANTIATE(Half);
#undef MASKRCNN_INSTANTIATE

}  // namespace maskrcnn
