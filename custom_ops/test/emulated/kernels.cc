#include "../tested_kernels.h"

#include <cstdio>
#include <cstdlib>

namespace maskrcnn {
namespace {

void expect_success(int error) {
  if (error == 0) return;
  std::fprintf(stderr, "FAILED launch: %s\n", cuda_error_text(error));
  std::exit(1);
}

template <typename T>
void align(const Problem& p, const T* const* features, T* pooled, const ParallelFor&) {
  expect_success(roi_align_cuda<T>(p, features, pooled, nullptr));
}

template <typename T>
void align_gradient(const Problem& p, const T* upstream, T* const* gradients, const ParallelFor&) {
  expect_success(roi_align_gradient_cuda<T>(p, upstream, gradients, nullptr));
}

template <typename T>
void pool(const Problem& p, const T* const* features, T* pooled, int32_t* cells,
          const ParallelFor&) {
  expect_success(roi_pool_cuda<T>(p, features, pooled, cells, nullptr));
}

template <typename T>
void pool_gradient(const Problem& p, const T* upstream, const int32_t* cells, T* const* gradients,
                   const ParallelFor&) {
  expect_success(roi_pool_gradient_cuda<T>(p, upstream, cells, gradients, nullptr));
}

}  // namespace

template <typename T>
Kernels<T> cuda_kernels() {
  return {align<T>, align_gradient<T>, pool<T>, pool_gradient<T>};
}

template Kernels<float> cuda_kernels<float>();
template Kernels<BFloat16> cuda_kernels<BFloat16>();
template Kernels<Half> cuda_kernels<Half>();

}  // namespace maskrcnn
