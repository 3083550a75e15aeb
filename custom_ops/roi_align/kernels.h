// The kernels' plain interface. T: float, BFloat16 or Half. Indices have been checked by the caller
// on the CPU; the CUDA kernels treat a RoI with an index out of range as one without samples.
//
// RoIAlign: Mask R-CNN section 3. RoIPool: Fast R-CNN section 2.1, with torchvision's rounding.
#ifndef MASKRCNN_KERNELS_H_
#define MASKRCNN_KERNELS_H_

#include <cstdint>
#include <functional>

#include "problem.h"

namespace maskrcnn {

// Calls work(begin, end) on parts of [0, total) from several threads; cost: nanoseconds per unit.
using Work = std::function<void(int64_t, int64_t)>;
using ParallelFor = std::function<void(int64_t total, int64_t cost, const Work& work)>;

// features[l]: level l. pooled: [rois, out_height, out_width, channels].
template <typename T>
void roi_align_cpu(const Problem& problem, const T* const* features, T* pooled,
                   const ParallelFor& parallel_for);

// gradients[l]: of level l, written whole. The same bits for any number of threads.
template <typename T>
void roi_align_gradient_cpu(const Problem& problem, const T* upstream, T* const* gradients,
                            const ParallelFor& parallel_for);

// cells: index y * width + x of each maximum, -1 for an empty bin; shaped as pooled.
template <typename T>
void roi_pool_cpu(const Problem& problem, const T* const* features, T* pooled, int32_t* cells,
                  const ParallelFor& parallel_for);

template <typename T>
void roi_pool_gradient_cpu(const Problem& problem, const T* upstream, const int32_t* cells,
                           T* const* gradients, const ParallelFor& parallel_for);

// The same on a GPU: device pointers (features and gradients: host arrays of them), a cudaStream_t.
// Each returns a cudaError_t. Deterministic.
template <typename T>
int roi_align_cuda(const Problem& problem, const T* const* features, T* pooled, void* stream);

template <typename T>
int roi_align_gradient_cuda(const Problem& problem, const T* upstream, T* const* gradients,
                            void* stream);

template <typename T>
int roi_pool_cuda(const Problem& problem, const T* const* features, T* pooled, int32_t* cells,
                  void* stream);

template <typename T>
int roi_pool_gradient_cuda(const Problem& problem, const T* upstream, const int32_t* cells,
                           T* const* gradients, void* stream);

const char* cuda_error_text(int error);

}  // namespace maskrcnn

#endif  // MASKRCNN_KERNELS_H_
