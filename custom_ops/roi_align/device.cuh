// Pieces of the CUDA kernels: vectors of 16 bytes, and the tiles that split the gradients.
#ifndef MASKRCNN_DEVICE_CUH_
#define MASKRCNN_DEVICE_CUH_

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "kernels.h"

namespace maskrcnn {

template <typename T>
struct Maps {
  T* level[kMaxLevels];
};

template <typename T>
Maps<T> make_maps(T* const* pointers, int levels) {
  Maps<T> maps = {};
  for (int i = 0; i < levels; ++i) maps.level[i] = pointers[i];
  return maps;
}

__device__ __forceinline__ float to_float(float value) { return value; }
__device__ __forceinline__ float to_float(BFloat16 value) {
  return __uint_as_float(static_cast<uint32_t>(value.bits) << 16);
}
__device__ __forceinline__ float to_float(Half value) {
  return __half2float(__ushort_as_half(value.bits));
}
__device__ __forceinline__ void from_float(float value, float* to) { *to = value; }
__device__ __forceinline__ void from_float(float value, BFloat16* to) {
  to->bits = __bfloat16_as_ushort(__float2bfloat16_rn(value));
}
__device__ __forceinline__ void from_float(float value, Half* to) {
  to->bits = __half_as_ushort(__float2half_rn(value));
}

// `size` neighbouring channels, read and written in one access.
template <typename T, int size>
struct alignas(sizeof(T) * size) Packet {
  T value[size];
};

template <typename T, int size>
__device__ __forceinline__ Packet<T, size> load(const T* from) {
  return *reinterpret_cast<const Packet<T, size>*>(from);
}

template <typename T, int size>
__device__ __forceinline__ void store(T* to, const float* values) {
  Packet<T, size> packet;
#pragma unroll
  for (int k = 0; k < size; ++k) from_float(values[k], &packet.value[k]);
  *reinterpret_cast<Packet<T, size>*>(to) = packet;
}

// Packets of 16 bytes fit when the channels and every pointer are multiples.
template <typename T>
bool fits_packets(const Problem& p, const void* pooled, T* const* maps) {
  bool fits = p.channels % (16 / sizeof(T)) == 0 && reinterpret_cast<uintptr_t>(pooled) % 16 == 0;
  for (int i = 0; i < p.levels; ++i) fits &= reinterpret_cast<uintptr_t>(maps[i]) % 16 == 0;
  return fits;
}

// A block of the gradient kernels owns up to kTileCells cells of one row of one map, and up to
// kTileChannels channels of them. It adds the RoIs' shares in the order of the RoIs, each thread
// to its own channels, so that the sums need no atomics and have one order.
constexpr int kTileCells = 32;
constexpr int kTileChannels = 256;

struct Tile {
  int level;
  int image;
  int row;
  int first_cell;
  int end_cell;
};

inline int tiles_of_level(const Problem& p, int level) {
  const int per_row = (p.level[level].width + kTileCells - 1) / kTileCells;
  return p.batch * p.level[level].height * per_row;
}

inline int count_tiles(const Problem& p) {
  int tiles = 0;
  for (int level = 0; level < p.levels; ++level) tiles += tiles_of_level(p, level);
  return tiles;
}

__device__ __forceinline__ Tile find_tile(const Problem& p, int index) {
  Tile tile = {};
  for (;; ++tile.level) {
    const Level& level = p.level[tile.level];
    const int per_row = (level.width + kTileCells - 1) / kTileCells;
    const int tiles = p.batch * level.height * per_row;
    if (index >= tiles) {
      index -= tiles;
      continue;
    }
    tile.first_cell = index % per_row * kTileCells;
    tile.end_cell = min(tile.first_cell + kTileCells, level.width);
    tile.row = index / per_row % level.height;
    tile.image = index / per_row / level.height;
    return tile;
  }
}

// Zeroes the tile's sums, calls add(roi) in every thread for the RoIs of the tile's map that
// overlaps(roi) keeps, in order, and writes the tile. sums: [kTileCells, blockDim.x * size].
template <typename T, int size, typename Overlaps, typename Add>
__device__ __forceinline__ void accumulate_tile(const Problem& p, const Tile& tile, T* map,
                                                float* sums, const Overlaps& overlaps,
                                                const Add& add) {
  const int cells = tile.end_cell - tile.first_cell;
  const int stride = blockDim.x * size;
  const int lane = threadIdx.x * size;
  for (int cell = 0; cell < cells; ++cell)
#pragma unroll
    for (int k = 0; k < size; ++k) sums[cell * stride + lane + k] = 0.f;

  __shared__ unsigned kept[kTileChannels / 32];  // one bit per thread
  for (int base = 0; base < p.rois; base += blockDim.x) {
    const int candidate = base + threadIdx.x;
    const bool keep = candidate < p.rois && p.level_indices[candidate] == tile.level &&
                      p.batch_indices[candidate] == tile.image && overlaps(candidate);
    const unsigned votes = __ballot_sync(0xffffffffu, keep);
    __syncthreads();  // the last round's bits have been read
    if (threadIdx.x % 32 == 0) kept[threadIdx.x / 32] = votes;
    __syncthreads();
    for (int warp = 0; warp < blockDim.x / 32; ++warp)
      for (unsigned bits = kept[warp]; bits != 0; bits &= bits - 1)
        add(base + 32 * warp + __ffs(bits) - 1);
  }

  const int channel = blockIdx.y * stride + lane;
  if (channel >= p.channels) return;
  const int64_t first = (static_cast<int64_t>(tile.image) * p.level[tile.level].height + tile.row) *
                            p.level[tile.level].width + tile.first_cell;
  for (int cell = 0; cell < cells; ++cell)
    store<T, size>(map + (first + cell) * p.channels + channel, sums + cell * stride + lane);
}

// Threads of a block, a multiple of a warp, and the blocks that cover all channels.
inline int tile_threads(const Problem& p, int size) {
  const int wanted = (p.channels + size - 1) / size;
  return (min(wanted, kTileChannels / size) + 31) / 32 * 32;
}

}  // namespace maskrcnn

#endif  // MASKRCNN_DEVICE_CUH_
