// When results count as the same.
#ifndef MASKRCNN_TEST_COMPARING_H_
#define MASKRCNN_TEST_COMPARING_H_

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "cases.h"
#include "plain.h"

namespace maskrcnn {

inline bool is_near(double value, double expected, double tolerance) {
  if (!std::isfinite(expected))
    return std::isnan(expected) ? std::isnan(value) : value == expected;
  return std::fabs(value - expected) <= tolerance * std::max(1., std::fabs(expected));
}

template <typename T>
bool are_near(const std::vector<std::vector<T>>& maps, const Maps& expected, double tolerance) {
  bool near = true;
  for (size_t l = 0; l < maps.size(); ++l)
    for (size_t k = 0; k < maps[l].size(); ++k)
      near &= is_near(decode(maps[l][k]), expected[l][k], tolerance);
  return near;
}

template <typename T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

template <typename T>
bool same_bits(const std::vector<std::vector<T>>& a, const std::vector<std::vector<T>>& b) {
  bool same = true;
  for (size_t l = 0; l < a.size(); ++l) same &= same_bits(a[l], b[l]);
  return same;
}

// <upstream, forward(features)> equals <gradient(upstream), features>.
template <typename T>
bool is_adjoint(const Case<T>& c, double tolerance) {
  double forward = 0, backward = 0, size = 1;
  for (size_t k = 0; k < c.pooled.size(); ++k) {
    forward += static_cast<double>(decode(c.upstream[k])) * decode(c.pooled[k]);
    size += std::fabs(static_cast<double>(decode(c.upstream[k])) * decode(c.pooled[k]));
  }
  for (size_t l = 0; l < c.features.size(); ++l)
    for (size_t k = 0; k < c.features[l].size(); ++k)
      backward += static_cast<double>(decode(c.features[l][k])) * decode(c.gradients[l][k]);
  return std::fabs(forward - backward) <= tolerance * size;
}

}  // namespace maskrcnn

#endif  // MASKRCNN_TEST_COMPARING_H_
