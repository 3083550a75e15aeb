#ifndef MASKRCNN_EMULATED_CUDA_FP16_H_
#define MASKRCNN_EMULATED_CUDA_FP16_H_

#include <cstdint>
#include <cstring>

struct __half {
  uint16_t bits;
};

inline __half __ushort_as_half(uint16_t bits) { return {bits}; }
inline uint16_t __half_as_ushort(__half value) { return value.bits; }

// The compiler's own half rounds as a GPU does: to the nearest, ties to even.
inline float __half2float(__half value) {
  _Float16 half;
  std::memcpy(&half, &value.bits, sizeof(half));
  return static_cast<float>(half);
}

inline __half __float2half_rn(float value) {
  const _Float16 half = static_cast<_Float16>(value);
  __half result;
  std::memcpy(&result.bits, &half, sizeof(half));
  return result;
}

#endif  // MASKRCNN_EMULATED_CUDA_FP16_H_
