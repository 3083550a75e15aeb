#include "device.cuh"
#include "sampling.h"

namespace maskrcnn {
namespace {

constexpr int kThreads = 256;

// threadIdx.y: bin, threadIdx.x: channels.
template <typename T, int size>
__global__ void __launch_bounds__(kThreads)
    roi_align_kernel(const __grid_constant__ Problem p,
                     const __grid_constant__ Maps<const T> features, T* __restrict__ pooled,
                     int64_t bins) {
  const int64_t bin = blockIdx.x * static_cast<int64_t>(blockDim.y) + threadIdx.y;
  if (bin >= bins) return;
  const int bins_of_roi = p.out_height * p.out_width;
  const int roi = static_cast<int>(bin / bins_of_roi);
  const int i = static_cast<int>(bin % bins_of_roi) / p.out_width;
  const int j = static_cast<int>(bin % bins_of_roi) % p.out_width;
  const int l = p.level_indices[roi];
  const int image = p.batch_indices[roi];
  const bool known = l >= 0 && l < p.levels && image >= 0 && image < p.batch;
  const Level level = p.level[known ? l : 0];
  const Axis ys = y_axis(p, roi, level);
  const Axis xs = x_axis(p, roi, level);
  const T* map = features.level[known ? l : 0] +
                 static_cast<int64_t>(known ? image : 0) * level.height * level.width * p.channels;
  const float count = static_cast<float>(max(ys.samples * xs.samples, 1));

  for (int c = threadIdx.x * size; c < p.channels; c += blockDim.x * size) {
    float sum[size] = {};
    for (int iy = 0; iy < ys.samples && known; ++iy) {
      Sample y;
      if (!locate(ys, i, iy, &y)) continue;
      const T* low_row = map + static_cast<int64_t>(y.low) * level.width * p.channels + c;
      const T* high_row = map + static_cast<int64_t>(y.high) * level.width * p.channels + c;
      for (int ix = 0; ix < xs.samples; ++ix) {
        Sample x;
        if (!locate(xs, j, ix, &x)) continue;
        const auto low_low = load<T, size>(low_row + static_cast<int64_t>(x.low) * p.channels);
        const auto low_high = load<T, size>(low_row + static_cast<int64_t>(x.high) * p.channels);
        const auto high_low = load<T, size>(high_row + static_cast<int64_t>(x.low) * p.channels);
        const auto high_high = load<T, size>(high_row + static_cast<int64_t>(x.high) * p.channels);
        const float w00 = (1.f - y.fraction) * (1.f - x.fraction);
        const float w01 = (1.f - y.fraction) * x.fraction;
        const float w10 = y.fraction * (1.f - x.fraction);
        const float w11 = y.fraction * x.fraction;
#pragma unroll
        for (int k = 0; k < size; ++k)
          sum[k] += w00 * to_float(low_low.value[k]) + w01 * to_float(low_high.value[k]) +
                    w10 * to_float(high_low.value[k]) + w11 * to_float(high_high.value[k]);
      }
    }
#pragma unroll
    for (int k = 0; k < size; ++k) sum[k] /= count;
    store<T, size>(pooled + bin * p.channels + c, sum);
  }
}

// Whether samples of an axis can read `cell`, or a cell in [cell, end].
__device__ __forceinline__ bool touches(const Axis& axis, int bins, int cell, int end) {
  const float other = axis.start + bins * axis.bin_size;
  return fminf(axis.start, other) <= end + 1 && fmaxf(axis.start, other) >= cell - 1;
}

// Weight of cell `row` in bin `bin`, not yet divided by the number of samples.
__device__ __forceinline__ float cell_weight(const Axis& axis, int bin, int row) {
  float weight = 0.f;
  for (int s = 0; s < axis.samples; ++s) {
    Sample sample;
    if (!locate(axis, bin, s, &sample)) continue;
    if (sample.low == row) weight += 1.f - sample.fraction;
    if (sample.high == row) weight += sample.fraction;
  }
  return weight;
}

template <typename T, int size>
__global__ void __launch_bounds__(kTileChannels)
    roi_align_gradient_kernel(const __grid_constant__ Problem p, const T* __restrict__ upstream,
                              const __grid_constant__ Maps<T> gradients) {
  extern __shared__ float shared[];
  float* row_weights = shared;                // [out_height]
  float* sums = shared + (p.out_height + 3) / 4 * 4;
  const Tile tile = find_tile(p, blockIdx.x);
  const Level level = p.level[tile.level];
  const int stride = blockDim.x * size;
  const int lane = threadIdx.x * size;
  const int channel = blockIdx.y * stride + lane;

  const auto overlaps = [&](int roi) {
    return touches(y_axis(p, roi, level), p.out_height, tile.row, tile.row) &&
           touches(x_axis(p, roi, level), p.out_width, tile.first_cell, tile.end_cell - 1);
  };
  const auto add = [&](int roi) {
    const Axis ys = y_axis(p, roi, level);
    const Axis xs = x_axis(p, roi, level);
    const float share = 1.f / static_cast<float>(max(ys.samples * xs.samples, 1));
    __syncthreads();  // the last RoI's weights have been read
    for (int i = threadIdx.x; i < p.out_height; i += blockDim.x)
      row_weights[i] = cell_weight(ys, i, tile.row) * share;
    __syncthreads();
    if (channel >= p.channels) return;
    const int64_t first_bin = static_cast<int64_t>(roi) * p.out_height * p.out_width;
    for (int j = 0; j < p.out_width; ++j) {
      float joined[size];  // this column of bins, joined along y
      bool is_joined = false;
      for (int ix = 0; ix < xs.samples; ++ix) {
        Sample x;
        if (!locate(xs, j, ix, &x)) continue;
        const bool has_low = x.low >= tile.first_cell && x.low < tile.end_cell;
        const bool has_high = x.high >= tile.first_cell && x.high < tile.end_cell;
        if (!has_low && !has_high) continue;
        if (!is_joined) {
          is_joined = true;
#pragma unroll
          for (int k = 0; k < size; ++k) joined[k] = 0.f;
          for (int i = 0; i < p.out_height; ++i) {
            const float weight = row_weights[i];
            if (weight == 0.f) continue;
            const auto packet = load<T, size>(
                upstream + (first_bin + static_cast<int64_t>(i) * p.out_width + j) * p.channels +
                channel);
#pragma unroll
            for (int k = 0; k < size; ++k) joined[k] += weight * to_float(packet.value[k]);
          }
        }
        if (has_low) {
          float* sum = sums + (x.low - tile.first_cell) * stride + lane;
#pragma unroll
          for (int k = 0; k < size; ++k) sum[k] += (1.f - x.fraction) * joined[k];
        }
        if (has_high) {
          float* sum = sums + (x.high - tile.first_cell) * stride + lane;
#pragma unroll
          for (int k = 0; k < size; ++k) sum[k] += x.fraction * joined[k];
        }
      }
    }
  };
  accumulate_tile<T, size>(p, tile, gradients.level[tile.level], sums, overlaps, add);
}

template <typename T, int size>
int launch_forward(const Problem& p, const T* const* features, T* pooled, void* stream) {
  const int64_t bins = static_cast<int64_t>(p.rois) * p.out_height * p.out_width;
  int lanes = 32;
  while (lanes < kThreads && lanes * size < p.channels) lanes *= 2;
  const dim3 block(lanes, kThreads / lanes);
  const int64_t blocks = (bins + block.y - 1) / block.y;
  roi_align_kernel<T, size><<<static_cast<unsigned>(blocks), block, 0,
                              static_cast<cudaStream_t>(stream)>>>(
      p, make_maps<const T>(features, p.levels), pooled, bins);
  return cudaGetLastError();
}

template <typename T, int size>
int launch_gradient(const Problem& p, const T* upstream, T* const* gradients, void* stream) {
  const int threads = tile_threads(p, size);
  const int chunks = (p.channels + threads * size - 1) / (threads * size);
  const size_t shared = sizeof(float) * ((p.out_height + 3) / 4 * 4 + kTileCells * threads * size);
  roi_align_gradient_kernel<T, size><<<dim3(count_tiles(p), chunks), threads, shared,
                                       static_cast<cudaStream_t>(stream)>>>(
      p, upstream, make_maps<T>(gradients, p.levels));
  return cudaGetLastError();
}

}  // namespace

template <typename T>
int roi_align_cuda(const Problem& p, const T* const* features, T* pooled, void* stream) {
  if (p.rois == 0 || p.channels == 0) return cudaSuccess;
  if (fits_packets(p, pooled, features))
    return launch_forward<T, 16 / sizeof(T)>(p, features, pooled, stream);
  return launch_forward<T, 1>(p, features, pooled, stream);
}

template <typename T>
int roi_align_gradient_cuda(const Problem& p, const T* upstream, T* const* gradients,
                            void* stream) {
  if (p.batch == 0 || p.channels == 0) return cudaSuccess;
  if (fits_packets(p, upstream, gradients))
    return launch_gradient<T, 16 / sizeof(T)>(p, upstream, gradients, stream);
  return launch_gradient<T, 1>(p, upstream, gradients, stream);
}

const char* cuda_error_text(int error) {
  return cudaGetErrorString(static_cast<cudaError_t>(error));
}

#define MASKRCNN_INSTANTIATE(T)                                                       \
  template int roi_align_cuda<T>(const Problem&, const T* const*, T*, void*);         \
  template int roi_align_gradient_cuda<T>(const Problem&, const T*, T* const*, void*)
MASKRCNN_INSTANTIATE(float);
MASKRCNN_INSTANTIATE(BFloat16);
MASKRCNN_INSTANTIATE(Half);
#undef MASKRCNN_INSTANTIATE

}  // namespace maskrcnn
