// The kernels that a test runs, of either kind.
#ifndef MASKRCNN_TEST_KERNELS_H_
#define MASKRCNN_TEST_KERNELS_H_

#include "../roi_align/kernels.h"

namespace maskrcnn {

template <typename T>
struct Kernels {
  decltype(&roi_align_cpu<T>) align;
  decltype(&roi_align_gradient_cpu<T>) align_gradient;
  decltype(&roi_pool_cpu<T>) pool;
  decltype(&roi_pool_gradient_cpu<T>) pool_gradient;
};

template <typename T>
Kernels<T> cpu_kernels() {
  return {roi_align_cpu<T>, roi_align_gradient_cpu<T>, roi_pool_cpu<T>, roi_pool_gradient_cpu<T>};
}

// The CUDA kernels, on the emulated GPU or a real one. They need no ParallelFor. An error ends the
// process.
template <typename T>
Kernels<T> cuda_kernels();

}  // namespace maskrcnn

#endif  // MASKRCNN_TEST_KERNELS_H_
