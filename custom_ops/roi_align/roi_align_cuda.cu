#include "device.cuh"
#include "sampling.h"

namespace maskrcnn {
namespace {

constexpr int kWarps = 8;
constexpr unsigned kAll = 0xffffffffu;

// The axis with its number of samples known to the compiler, which turns a division into a product;
// 0: not known.
template <int samples>
__device__ __forceinline__ Axis with_samples(Axis axis) {
  if (samples > 0) axis.samples = samples;
  return axis;
}

// A warp per bin (threadIdx.y). Each lane reads `packets` packets of neighbouring channels, those
// of a packet side by side in memory over the lanes.
template <typename T, int size, int packets, int samples>
__global__ void __launch_bounds__(32 * kWarps)
    roi_align_kernel(const __grid_constant__ Problem p,
                     const __grid_constant__ Maps<const T> features, T* __restrict__ pooled,
                     int bins) {
  const int bin = blockIdx.x * kWarps + threadIdx.y;
  if (bin >= bins) return;
  const int roi = bin / (p.out_height * p.out_width);
  const int i = bin / p.out_width % p.out_height;
  const int j = bin % p.out_width;
  const int l = p.level_indices[roi];
  const int image = p.batch_indices[roi];
  const bool known = l >= 0 && l < p.levels && image >= 0 && image < p.batch;
  const Level level = p.level[known ? l : 0];
  const Axis ys = with_samples<samples>(y_axis(p, roi, level));
  const Axis xs = with_samples<samples>(x_axis(p, roi, level));
  const T* map = features.level[known ? l : 0] +
                 static_cast<int64_t>(known ? image : 0) * level.height * level.width * p.channels;
  const float count = static_cast<float>(max(ys.samples * xs.samples, 1));

  constexpr int stride = 32 * size;
  for (int c = threadIdx.x * size; c < p.channels; c += packets * stride) {
    float sum[packets][size] = {};
#pragma unroll 1
    for (int iy = 0; iy < ys.samples && known; ++iy) {
      Sample y;
      if (!locate(ys, i, iy, &y)) continue;
      const T* low_row = map + static_cast<int64_t>(y.low) * level.width * p.channels + c;
      const T* high_row = map + static_cast<int64_t>(y.high) * level.width * p.channels + c;
#pragma unroll 1
      for (int ix = 0; ix < xs.samples; ++ix) {
        Sample x;
        if (!locate(xs, j, ix, &x)) continue;
        const int64_t low = static_cast<int64_t>(x.low) * p.channels;
        const int64_t high = static_cast<int64_t>(x.high) * p.channels;
        Packet<T, size> cells[packets][4];
#pragma unroll
        for (int q = 0; q < packets; ++q) {
          cells[q][0] = load<T, size>(low_row + low + q * stride);
          cells[q][1] = load<T, size>(low_row + high + q * stride);
          cells[q][2] = load<T, size>(high_row + low + q * stride);
          cells[q][3] = load<T, size>(high_row + high + q * stride);
        }
        const float w00 = (1.f - y.fraction) * (1.f - x.fraction);
        const float w01 = (1.f - y.fraction) * x.fraction;
        const float w10 = y.fraction * (1.f - x.fraction);
        const float w11 = y.fraction * x.fraction;
#pragma unroll
        for (int q = 0; q < packets; ++q)
#pragma unroll
          for (int k = 0; k < size; ++k)
            sum[q][k] +=
                w00 * to_float(cells[q][0].value[k]) + w01 * to_float(cells[q][1].value[k]) +
                w10 * to_float(cells[q][2].value[k]) + w11 * to_float(cells[q][3].value[k]);
      }
    }
    T* out = pooled + static_cast<int64_t>(bin) * p.channels + c;
#pragma unroll
    for (int q = 0; q < packets; ++q) {
#pragma unroll
      for (int k = 0; k < size; ++k) sum[q][k] /= count;
      store<T, size>(out + q * stride, sum[q]);
    }
  }
}

// Whether samples of an axis can read a cell in [cell, end].
__device__ __forceinline__ bool touches(const Axis& axis, int bins, int cell, int end) {
  const float other = axis.start + bins * axis.bin_size;
  return fminf(axis.start, other) <= end + 1 && fmaxf(axis.start, other) >= cell - 1;
}

// Weight of `cell` in bin `bin`, not yet divided by the number of samples.
__device__ __forceinline__ float cell_weight(const Axis& axis, int bin, int cell) {
  float weight = 0.f;
  for (int s = 0; s < axis.samples; ++s) {
    Sample sample;
    if (!locate(axis, bin, s, &sample)) continue;
    if (sample.low == cell) weight += 1.f - sample.fraction;
    if (sample.high == cell) weight += sample.fraction;
  }
  return weight;
}

// sums += part * values, each rounded once.
template <typename T, int size, int packets>
__device__ __forceinline__ void add_scaled(float part, const Packet<T, size> (&values)[packets],
                                           float (&sums)[packets][size]) {
#pragma unroll
  for (int q = 0; q < packets; ++q)
#pragma unroll
    for (int k = 0; k < size; ++k)
      sums[q][k] = fmaf(part, to_float(values[q].value[k]), sums[q][k]);
}

template <int size, int packets>
__device__ __forceinline__ void add_scaled(float part, const float (&values)[packets][size],
                                           float (&sums)[packets][size]) {
#pragma unroll
  for (int q = 0; q < packets; ++q)
#pragma unroll
    for (int k = 0; k < size; ++k) sums[q][k] = fmaf(part, values[q][k], sums[q][k]);
}

// A RoI whose samples may read cells of the tile.
struct Near {
  int roi;
  Axis ys;
  Axis xs;
};

// Each warp owns kOwnCells neighbouring cells of the block's tile, whose sums stay in registers,
// and adds the RoIs' shares in their order: no atomics, and one order of every sum. The block
// only finds together which RoIs are near, and lists many before its warps part.
constexpr int kOwnCells = kTileCells / kWarps;
constexpr int kColumns = 32 / kOwnCells;  // of bins, whose weights the lanes compute at a time
constexpr int kAhead = 4;                 // bins that are read before the first is added

template <typename T, int size, int packets, int samples>
__global__ void __launch_bounds__(32 * kWarps, 2)
    roi_align_gradient_kernel(const __grid_constant__ Problem p, const T* __restrict__ upstream,
                              const __grid_constant__ Maps<T> gradients) {
  __shared__ unsigned votes[kWarps];
  __shared__ Near near[2 * 32 * kWarps];
  // The coarsest maps first: as many RoIs lie on few tiles there, which take longest.
  const Tile tile = find_tile(p, gridDim.x - 1 - blockIdx.x);
  const Level level = p.level[tile.level];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int own = tile.first_cell + warp * kOwnCells;  // the first
  constexpr int stride = 32 * size;
  const int channel = blockIdx.y * packets * stride + lane * size;
  const bool has_channel = channel < p.channels;
  float sums[kOwnCells][packets][size] = {};

  for (int base = 0; base < p.rois;) {
    int count = 0;
    for (; base < p.rois && count <= 32 * kWarps; base += 32 * kWarps) {
      const int candidate = base + threadIdx.x;
      bool is_near = candidate < p.rois && p.level_indices[candidate] == tile.level &&
                     p.batch_indices[candidate] == tile.image;
      Near found;
      if (is_near) {
        found = {candidate, y_axis(p, candidate, level), x_axis(p, candidate, level)};
        is_near = touches(found.ys, p.out_height, tile.row, tile.row) &&
                  touches(found.xs, p.out_width, tile.first_cell, tile.end_cell - 1);
      }
      const unsigned vote = __ballot_sync(kAll, is_near);
      __syncthreads();  // the last votes, and the last list, have been read
      if (lane == 0) votes[warp] = vote;
      __syncthreads();
      int place = count + __popc(vote & ((1u << lane) - 1));
      for (int w = 0; w < kWarps; ++w) {
        if (w < warp) place += __popc(votes[w]);
        count += __popc(votes[w]);
      }
      if (is_near) near[place] = found;
    }
    __syncthreads();

    for (int n = 0; n < count; ++n) {
      const Axis ys = with_samples<samples>(near[n].ys), xs = with_samples<samples>(near[n].xs);
      if (!touches(xs, p.out_width, own, own + kOwnCells - 1)) continue;
      const float share = 1.f / static_cast<float>(max(ys.samples * xs.samples, 1));
      for (int first_i = 0; first_i < p.out_height; first_i += 32) {
        const int i = first_i + lane;
        const float row_weight = i < p.out_height ? cell_weight(ys, i, tile.row) * share : 0.f;
        const unsigned rows = __ballot_sync(kAll, row_weight != 0.f);
        if (rows == 0) continue;
        // Positions never turn back along an axis: what reads a cell is in one piece.
        const int first_row = __ffs(rows) - 1, end_row = 32 - __clz(rows);
        for (int first_j = 0; first_j < p.out_width; first_j += kColumns) {
          const int j = first_j + lane / kOwnCells;
          const float weight =
              j < p.out_width ? cell_weight(xs, j, own + lane % kOwnCells) : 0.f;
          const unsigned columns = __ballot_sync(kAll, weight != 0.f);
          if (columns == 0) continue;
          const int first_column = (__ffs(columns) - 1) / kOwnCells;
          const int end_column = (31 - __clz(columns)) / kOwnCells + 1;
          // Lanes without a channel read another's.
          const T* bins = upstream + (has_channel ? channel : 0) +
                          ((static_cast<int64_t>(near[n].roi) * p.out_height + first_i) *
                               p.out_width + first_j) * p.channels;
          int row = first_row, column = first_column;            // the next to add
          int ahead_row = first_row, ahead_column = first_column;  // the next to read
          float joined[packets][size] = {};  // a column's bins, joined along y
          while (column < end_column) {
            Packet<T, size> ahead[kAhead][packets];
#pragma unroll
            for (int a = 0; a < kAhead; ++a) {
              if (ahead_column < end_column) {
                const T* bin = bins + static_cast<int64_t>(ahead_row * p.out_width + ahead_column) *
                                          p.channels;
#pragma unroll
                for (int q = 0; q < packets; ++q) ahead[a][q] = load<T, size>(bin + q * stride);
              }
              if (++ahead_row == end_row) ahead_row = first_row, ++ahead_column;
            }
#pragma unroll
            for (int a = 0; a < kAhead; ++a) {
              if (column == end_column) break;
              const float part = __shfl_sync(kAll, row_weight, row);
              // Not what weighs nothing, here and below: it may be infinite.
              if (part != 0.f) add_scaled(part, ahead[a], joined);
              if (++row < end_row) continue;
#pragma unroll
              for (int cell = 0; cell < kOwnCells; ++cell) {
                const float part = __shfl_sync(kAll, weight, column * kOwnCells + cell);
                if (part != 0.f) add_scaled(part, joined, sums[cell]);
              }
#pragma unroll
              for (int q = 0; q < packets; ++q)
#pragma unroll
                for (int k = 0; k < size; ++k) joined[q][k] = 0.f;
              row = first_row, ++column;
            }
          }
        }
      }
    }
  }

  if (!has_channel) return;
  const int64_t first =
      (static_cast<int64_t>(tile.image) * level.height + tile.row) * level.width + own;
  T* out = gradients.level[tile.level] + first * p.channels + channel;
#pragma unroll
  for (int cell = 0; cell < kOwnCells; ++cell)
    if (own + cell < tile.end_cell)
#pragma unroll
      for (int q = 0; q < packets; ++q)
        store<T, size>(out + static_cast<int64_t>(cell) * p.channels + q * stride, sums[cell][q]);
}

template <typename T, int size, int packets, int samples>
int launch_forward(const Problem& p, const T* const* features, T* pooled, void* stream) {
  const int64_t bins = static_cast<int64_t>(p.rois) * p.out_height * p.out_width;
  if (bins > INT32_MAX - kWarps) return cudaErrorInvalidValue;
  const unsigned blocks = static_cast<unsigned>((bins + kWarps - 1) / kWarps);
  return launch(roi_align_kernel<T, size, packets, samples>, blocks, dim3(32, kWarps), stream, p,
                make_maps<const T>(features, p.levels), pooled, static_cast<int>(bins));
}

template <typename T, int size, int packets, int samples>
int launch_gradient(const Problem& p, const T* upstream, T* const* gradients, void* stream) {
  constexpr int channels = 32 * size * packets;  // of a block
  const int64_t tiles = count_tiles(p);
  if (tiles > INT32_MAX) return cudaErrorInvalidValue;
  return launch(roi_align_gradient_kernel<T, size, packets, samples>,
                dim3(static_cast<unsigned>(tiles), (p.channels + channels - 1) / channels),
                32 * kWarps, stream, p, upstream, make_maps<T>(gradients, p.levels));
}

}  // namespace

// 256 channels of a lane's whole packets and two samples are what models have: those are compiled
// for themselves.
template <typename T>
int roi_align_cuda(const Problem& p, const T* const* features, T* pooled, void* stream) {
  constexpr int size = 16 / sizeof(T), packets = 8 / size;
  if (p.rois == 0 || p.channels == 0) return cudaSuccess;
  if (!fits_packets(p, pooled, features))
    return launch_forward<T, 1, 1, 0>(p, features, pooled, stream);
  if (p.channels % (32 * size * packets) != 0)
    return launch_forward<T, size, 1, 0>(p, features, pooled, stream);
  if (p.sampling_ratio != 2)
    return launch_forward<T, size, packets, 0>(p, features, pooled, stream);
  return launch_forward<T, size, packets, 2>(p, features, pooled, stream);
}

template <typename T>
int roi_align_gradient_cuda(const Problem& p, const T* upstream, T* const* gradients,
                            void* stream) {
  constexpr int size = 16 / sizeof(T), packets = 8 / size;
  if (p.batch == 0 || p.channels == 0) return cudaSuccess;
  if (!fits_packets(p, upstream, gradients))
    return launch_gradient<T, 1, 1, 0>(p, upstream, gradients, stream);
  if (p.channels % (32 * size * packets) != 0)
    return launch_gradient<T, size, 1, 0>(p, upstream, gradients, stream);
  if (p.sampling_ratio != 2)
    return launch_gradient<T, size, packets, 0>(p, upstream, gradients, stream);
  return launch_gradient<T, size, packets, 2>(p, upstream, gradients, stream);
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
