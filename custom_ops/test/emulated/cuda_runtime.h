// The part of CUDA that the kernels use, for g++: see gpu.h. What is missing here does not compile.
#ifndef MASKRCNN_EMULATED_CUDA_RUNTIME_H_
#define MASKRCNN_EMULATED_CUDA_RUNTIME_H_

#include <cmath>
#include <cstdint>
#include <cstring>
#include <tuple>

#include "gpu.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __grid_constant__
// As many empty instructions before the kernel, which the launch counts: see gpu.cc.
#define __launch_bounds__(threads, ...) \
  __attribute__((patchable_function_entry(0 + (threads), 0 + (threads))))
// One block runs at a time, and all its fibers on one thread of the system. What is thread-local has
// known bounds, so that each block can find it poisoned. (Sections are not for templates.)
#define __shared__ static thread_local

#define __syncthreads() ::emulated::barrier(__LINE__)
#define __ballot_sync(mask, value) ::emulated::vote(mask, value, __LINE__)
#define __shfl_sync(mask, value, from_lane) \
  ::emulated::shuffle_value(mask, value, from_lane, __LINE__)
#define __popc(bits) __builtin_popcount(bits)
#define __ffs(bits) __builtin_ffs(static_cast<int>(bits))
#define __clz(bits) __builtin_clz(static_cast<unsigned>(bits))

enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorInvalidConfiguration = 9 };
inline const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    default: return "invalid argument";
  }
}

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
using cudaStream_t = struct CUstream_st*;
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
};

inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
inline float __uint_as_float(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

namespace emulated {

// Members x, y and z of threadIdx and its like.
template <Index (*read)(), unsigned Index::*member>
struct Coordinate {
  operator unsigned() const { return read().*member; }
};
template <Index (*read)()>
struct Coordinates {
  Coordinate<read, &Index::x> x;
  Coordinate<read, &Index::y> y;
  Coordinate<read, &Index::z> z;
};

template <typename T>
T shuffle_value(unsigned mask, T value, int from_lane, int line) {
  static_assert(sizeof(T) == sizeof(uint32_t), "shuffles are of four bytes here");
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  bits = shuffle(mask, bits, from_lane, line);
  std::memcpy(&value, &bits, sizeof(bits));
  return value;
}

}  // namespace emulated

inline constexpr emulated::Coordinates<emulated::thread_index> threadIdx{};
inline constexpr emulated::Coordinates<emulated::block_index> blockIdx{};
inline constexpr emulated::Coordinates<emulated::block_size> blockDim{};
inline constexpr emulated::Coordinates<emulated::grid_size> gridDim{};

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               const Arguments&... arguments) {
  static_assert((sizeof(Parameters) + ...) <= 4096, "a kernel's parameters take at most 4 KB");
  if (config->dynamicSmemBytes != 0) return cudaErrorInvalidValue;
  const std::tuple<Parameters...> copies(arguments...);
  const auto call = [&] { std::apply(kernel, copies); };
  const dim3 grid = config->gridDim, block = config->blockDim;
  return static_cast<cudaError_t>(emulated::run_grid(
      reinterpret_cast<const char*>(kernel), {grid.x, grid.y, grid.z}, {block.x, block.y, block.z},
      [](const void* body) { (*static_cast<decltype(call)*>(body))(); }, &call));
}

#endif  // MASKRCNN_EMULATED_CUDA_RUNTIME_H_
