// Pieces of the CUDA kernels: launches, vectors of 16 bytes, and the tiles that split the gradients.
#ifndef MASKRCNN_DEVICE_CUH_
#define MASKRCNN_DEVICE_CUH_

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "kernels.h"
#include "sampling.h"

namespace maskrcnn {

// Launches a kernel: without <<< >>>, so that test/emulated can stand in for CUDA. Returns a
// cudaError_t.
template <typename... Parameters, typename... Arguments>
int launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, void* stream,
           Arguments... arguments) {
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.stream = static_cast<cudaStream_t>(stream);
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

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

// The gradient kernels cut the maps into tiles of up to kTileCells cells of one row. A block owns a
// tile and writes it whole, so that the sums need no atomics.
constexpr int kTileCells = 32;

struct Tile {
  int level;
  int image;
  int row;
  int first_cell;
  int end_cell;
};

MASKRCNN_INLINE int tiles_of_row(const Level& level) {
  return (level.width + kTileCells - 1) / kTileCells;
}

inline int64_t count_tiles(const Problem& p) {
  int64_t tiles = 0;
  for (int l = 0; l < p.levels; ++l)
    tiles += static_cast<int64_t>(p.batch) * p.level[l].height * tiles_of_row(p.level[l]);
  return tiles;
}

__device__ __forceinline__ Tile find_tile(const Problem& p, int index) {
  Tile tile = {};
  for (;; ++tile.level) {
    const Level& level = p.level[tile.level];
    const int per_row = tiles_of_row(level);
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

}  // namespace maskrcnn

#endif  // MASKRCNN_DEVICE_CUH_
