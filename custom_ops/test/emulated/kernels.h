// The kernels that a test runs, of either kind.
#ifndef MASKRCNN_EMULATED_KERNELS_H_
#define MASKRCNN_EMULATED_KERNELS_H_

#include "../../roi_align/kernels.h"

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

// The CUDA kernels on the emulated GPU. They need no ParallelFor: blocks and threads run in another
// order each time. An error ends the process.
template <typename T>
Kernels<T> emulated_kernels();

}  // namespace maskrcnn

#endif  // MASKRCNN_EMULATED_KERNELS_H_
