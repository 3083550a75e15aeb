#ifndef MASKRCNN_EMULATED_CUDA_BF16_H_
#define MASKRCNN_EMULATED_CUDA_BF16_H_

#include <cstdint>
#include <cstring>

struct __nv_bfloat16 {
  uint16_t bits;
};

// To the nearest, ties to even; CUDA has one bfloat16 that is not a number.
inline __nv_bfloat16 __float2bfloat16_rn(float value) {
  if (value != value) return {0x7fff};
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return {static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}

inline uint16_t __bfloat16_as_ushort(__nv_bfloat16 value) { return value.bits; }

#endif  // MASKRCNN_EMULATED_CUDA_BF16_H_
