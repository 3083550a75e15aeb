// Sixteen floats at a time, from and to any storage type, in the compiler's own vector extension:
// one source for SSE2, AVX2 and AVX-512 (or NEON), picked at run time by MASKRCNN_CLONES.
#ifndef MASKRCNN_VECTORS_H_
#define MASKRCNN_VECTORS_H_

#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "problem.h"

// By features, not by model: "arch=haswell" and the like match Intel's processors only, and others
// would silently run the baseline.
#if !defined(__x86_64__) || defined(MASKRCNN_NO_CLONES)
#define MASKRCNN_CLONES
#elif __GNUC__ >= 12
#define MASKRCNN_CLONES \
  __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define MASKRCNN_CLONES __attribute__((target_clones("default", "avx2", "avx512f")))
#endif
#define MASKRCNN_ALWAYS_INLINE inline __attribute__((always_inline))

namespace maskrcnn {

constexpr int kLanes = 16;
typedef float Floats __attribute__((vector_size(4 * kLanes)));
typedef uint32_t Words __attribute__((vector_size(4 * kLanes)));
typedef uint16_t Shorts __attribute__((vector_size(2 * kLanes)));

template <typename To, typename From>
static MASKRCNN_ALWAYS_INLINE To bit_cast(const From& from) {
  static_assert(sizeof(To) == sizeof(From), "bit_cast needs equal sizes");
  To to;
  std::memcpy(&to, &from, sizeof(to));
  return to;
}

template <typename V>
static MASKRCNN_ALWAYS_INLINE V load_raw(const void* from) {
  V v;
  std::memcpy(&v, from, sizeof(v));
  return v;
}

static MASKRCNN_ALWAYS_INLINE Floats load(const float* from) { return load_raw<Floats>(from); }

static MASKRCNN_ALWAYS_INLINE Floats load(const BFloat16* from) {
  return bit_cast<Floats>(__builtin_convertvector(load_raw<Shorts>(from), Words) << 16);
}

static MASKRCNN_ALWAYS_INLINE Floats load(const Half* from) {
  const Words half = __builtin_convertvector(load_raw<Shorts>(from), Words);
  // Exponent and mantissa in place, exponent rebiased; infinities and NaNs once more. Never through
  // a denormal float, which TensorFlow's threads flush to zero.
  Words bits = ((half & 0x7fffu) << 13) + (112u << 23);
  const Words is_special = bit_cast<Words>((half & 0x7c00u) == 0x7c00u);
  const Words is_tiny = bit_cast<Words>((half & 0x7c00u) == 0u);
  bits += is_special & (112u << 23);
  const float smallest_normal = 0x1p-14f;
  const Words tiny = bit_cast<Words>(bit_cast<Floats>(bits + (1u << 23)) - smallest_normal);
  bits = (is_tiny & tiny) | (~is_tiny & bits);
  return bit_cast<Floats>(bits | (half & 0x8000u) << 16);
}

static MASKRCNN_ALWAYS_INLINE void store(float* to, Floats v) { std::memcpy(to, &v, sizeof(v)); }

static MASKRCNN_ALWAYS_INLINE void store_low_halves(void* to, Words words) {
  const Shorts shorts = __builtin_convertvector(words, Shorts);
  std::memcpy(to, &shorts, sizeof(shorts));
}

// Both round to the nearest value, ties to even.
static MASKRCNN_ALWAYS_INLINE void store(BFloat16* to, Floats v) {
  const Words bits = bit_cast<Words>(v);
  const Words rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const Words nan = bit_cast<Words>(v != v);
  store_low_halves(to, (nan & 0x7fc0u) | (~nan & rounded));
}

static MASKRCNN_ALWAYS_INLINE void store(Half* to, Floats v) {
  const Words bits = bit_cast<Words>(v);
  const Words magnitude = bits & 0x7fffffffu;
  const Words sign = (bits >> 16) & 0x8000u;
  // Normal halves: rebias and round the 13 bits that fall away.
  const Words normal = (magnitude - (112u << 23) + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  // Below 2^-14: adding 0.5 leaves the denormal's bits, rounded, at the end of the mantissa.
  const float half_unit = 0.5f;
  const Words tiny = bit_cast<Words>(bit_cast<Floats>(magnitude) + half_unit) - 0x3f000000u;
  const Words is_tiny = bit_cast<Words>(magnitude < (113u << 23));
  const Words too_large = bit_cast<Words>(magnitude >= 0x477ff000u);  // rounds beyond 65504
  const Words is_nan = bit_cast<Words>(magnitude > 0x7f800000u);
  Words half = (is_tiny & tiny) | (~is_tiny & normal);
  half = (too_large & 0x7c00u) | (~too_large & half);
  half |= is_nan & 0x0200u;
  store_low_halves(to, sign | half);
}

// What becomes of a sum: it is added to what is there, overwrites it, or overwrites it past the
// caches. The last is for results that are larger than the caches: a line need not be fetched in
// order to be overwritten, and the features stay where they are.
enum class Write { kAdd, kStore, kStream };

// `to` must be a multiple of 16 bytes.
template <typename T>
static MASKRCNN_ALWAYS_INLINE void stream(T* to, Floats v) {
#if defined(__SSE2__)
  T lanes[kLanes];
  store(lanes, v);
  constexpr size_t kParts = kLanes * sizeof(T) / sizeof(__m128i);
  __m128i parts[kParts];
  std::memcpy(parts, lanes, sizeof(lanes));
  __m128i* line = reinterpret_cast<__m128i*>(to);
  for (const __m128i& part : parts) _mm_stream_si128(line++, part);
#else
  store(to, v);
#endif
}

// Makes streamed results visible to the threads that read them next.
static inline void finish_streams() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

// The last channels that fill no vector.
template <typename T>
static MASKRCNN_ALWAYS_INLINE Floats load_some(const T* from, int count) {
  T padded[kLanes] = {};
  std::memcpy(padded, from, count * sizeof(T));
  return load(padded);
}

template <typename T>
static MASKRCNN_ALWAYS_INLINE void store_some(T* to, Floats v, int count) {
  T padded[kLanes];
  store(padded, v);
  std::memcpy(to, padded, count * sizeof(T));
}

// to[c] = (kAdd ? to[c] : 0) + sum over n of weights[n] * from[offsets[n] + c]
template <Write write, typename From, typename To>
MASKRCNN_CLONES void weighted_sum(const From* from, const int64_t* offsets, const float* weights,
                                  int n, int channels, To* to) {
  constexpr int kUnroll = 4;
  constexpr bool add = write == Write::kAdd;
  const bool streams = write == Write::kStream && reinterpret_cast<uintptr_t>(to) % 16 == 0;
  int c = 0;
  for (; c + kUnroll * kLanes <= channels; c += kUnroll * kLanes) {
    Floats sum[kUnroll];
    for (int k = 0; k < kUnroll; ++k) sum[k] = add ? load(to + c + k * kLanes) : Floats{};
    for (int i = 0; i < n; ++i) {
      const From* cell = from + offsets[i] + c;
      for (int k = 0; k < kUnroll; ++k) sum[k] += weights[i] * load(cell + k * kLanes);
    }
    if (streams) {
      for (int k = 0; k < kUnroll; ++k) stream(to + c + k * kLanes, sum[k]);
    } else {
      for (int k = 0; k < kUnroll; ++k) store(to + c + k * kLanes, sum[k]);
    }
  }
  for (; c < channels; c += kLanes) {
    const int count = channels - c < kLanes ? channels - c : kLanes;
    Floats sum = add ? load_some(to + c, count) : Floats{};
    for (int i = 0; i < n; ++i) sum += weights[i] * load_some(from + offsets[i] + c, count);
    store_some(to + c, sum, count);
  }
}

}  // namespace maskrcnn

#endif  // MASKRCNN_VECTORS_H_
