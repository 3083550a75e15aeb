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
    if (first_y < end_y && first_x < end_x) {
      // Not a number is never the maximum, not even as the first.
      maximum = -INFINITY;
      best = first_y * level.width + first_x;
    }
    for (int y = first_y; y < end_y; ++y) {
      for (int x = first_x; x < end_x; ++x) {
        const int32_t cell = y * level.width + x;
        const float value = to_float(map[static_cast<int64_t>(cell) * p.channels]);
        if (!(value > maximum)) continue;
        maximum = value;
        best = cell;
      }
    }
  }
  from_float(maximum, pooled + index);
  cells[index] = best;
}

// A thread per channel of a tile adds the RoIs' shares in their order.
constexpr int kTileChannels = 64;

template <typename T>
__global__ void __launch_bounds__(kTileChannels)
    roi_pool_gradient_kernel(const __grid_constant__ Problem p,
                             const T* __restrict__ upstream,
                             const int32_t* __restrict__ cells,
                             const __grid_constant__ Maps<T> gradients) {
  __shared__ float sums[kTileCells][kTileChannels];
  __shared__ unsigned kept[kTileChannels / 32];  // one bit per thread
  const Tile tile = find_tile(p, blockIdx.x);
  const Level level = p.level[tile.level];
  const int channel = blockIdx.y * kTileChannels + threadIdx.x;
  const int count = tile.end_cell - tile.first_cell;
  const int first_cell = tile.row * level.width + tile.first_cell;
  for (int cell = 0; cell < count; ++cell) sums[cell][threadIdx.x] = 0.f;

  for (int base = 0; base < p.rois; base += kTileChannels) {
    const int candidate = base + threadIdx.x;
    bool keep = candidate < p.rois && p.level_indices[candidate] == tile.level &&
                p.batch_indices[candidate] == tile.image;
    if (keep) {
      const PoolAxis ys = y_pool_axis(p, candidate, level);
      int first, end, unused;
      bin_range(ys, 0, &first, &unused);
      bin_range(ys, p.out_height - 1, &unused, &end);
      keep = tile.row >= first && tile.row < end;
    }
    const unsigned votes = __ballot_sync(0xffffffffu, keep);
    __syncthreads();  // the last round's bits have been read
    if (threadIdx.x % 32 == 0) kept[threadIdx.x / 32] = votes;
    __syncthreads();
    if (channel >= p.channels) continue;
    for (int warp = 0; warp < kTileChannels / 32; ++warp)
      for (unsigned bits = kept[warp]; bits != 0; bits &= bits - 1) {
        const int roi = base + 32 * warp + __ffs(bits) - 1;
        const PoolAxis ys = y_pool_axis(p, roi, level);
        for (int i = 0; i < p.out_height; ++i) {
          int first, end;
          bin_range(ys, i, &first, &end);
          if (tile.row < first || tile.row >= end) continue;
          for (int j = 0; j < p.out_width; ++j) {
            const int64_t bin = (static_cast<int64_t>(roi) * p.out_height + i) * p.out_width + j;
            const int cell = cells[bin * p.channels + channel] - first_cell;
            if (cell >= 0 && cell < count)
              sums[cell][threadIdx.x] += to_float(upstream[bin * p.channels + channel]);
          }
        }
      }
  }

  if (channel >= p.channels) return;
  T* out = gradients.level[tile.level] + channel +
           (static_cast<int64_t>(tile.image) * level.height * level.width + first_cell) *
               p.channels;
  for (int cell = 0; cell < count; ++cell)
    from_float(sums[cell][threadIdx.x], out + static_cast<int64_t>(cell) * p.channels);
}

}  // namespace

template <typename T>
int roi_pool_cuda(const Problem& p, const T* const* features, T* pooled, int32_t* cells,
                  void* stream) {
  const int64_t total = static_cast<int64_t>(p.rois) * p.out_height * p.out_width * p.channels;
  if (total == 0) return cudaSuccess;
  const int64_t blocks = (total + kThreads - 1) / kThreads;
  if (blocks > INT32_MAX) return cudaErrorInvalidValue;
  return launch(roi_pool_kernel<T>, static_cast<unsigned>(blocks), kThreads, stream, p,
                make_maps<const T>(features, p.levels), pooled, cells, total);
}

template <typename T>
int roi_pool_gradient_cuda(const Problem& p, const T* upstream, const int32_t* cells,
                           T* const* gradients, void* stream) {
  if (p.batch == 0 || p.channels == 0) return cudaSuccess;
  const int64_t tiles = count_tiles(p);
  if (tiles > INT32_MAX) return cudaErrorInvalidValue;
  const unsigned chunks = (p.channels + kTileChannels - 1) / kTileChannels;
  return launch(roi_pool_gradient_kernel<T>, dim3(static_cast<unsigned>(tiles), chunks),
                kTileChannels, stream, p, upstream, cells, make_maps<T>(gradients, p.levels));
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
