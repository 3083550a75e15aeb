// The kernels behind one plain C function, to call from Python (check_gpu.py) without TensorFlow.
// Built by the C++ compiler with the CPU kernels, by nvcc (-x cu -DMASKRCNN_WITH_CUDA) with CUDA's.
#include "../roi_align/kernels.h"

namespace {

using namespace maskrcnn;

template <typename T>
int run(const Problem& p, int operation, void* const* maps, void* bins, int32_t* cells,
        void* stream) {
  T* const* gradients = reinterpret_cast<T* const*>(maps);
  const T* const* features = reinterpret_cast<const T* const*>(maps);
  T* values = static_cast<T*>(bins);
#ifdef MASKRCNN_WITH_CUDA
  switch (operation) {
    case 0: return roi_align_cuda<T>(p, features, values, stream);
    case 1: return roi_align_gradient_cuda<T>(p, values, gradients, stream);
    case 2: return roi_pool_cuda<T>(p, features, values, cells, stream);
    default: return roi_pool_gradient_cuda<T>(p, values, cells, gradients, stream);
  }
#else
  (void)stream;
  const ParallelFor serial = [](int64_t total, int64_t, const Work& work) { work(0, total); };
  switch (operation) {
    case 0: roi_align_cpu<T>(p, features, values, serial); break;
    case 1: roi_align_gradient_cpu<T>(p, values, gradients, serial); break;
    case 2: roi_pool_cpu<T>(p, features, values, cells, serial); break;
    default: roi_pool_gradient_cpu<T>(p, values, cells, gradients, serial);
  }
  return 0;
#endif
}

}  // namespace

// type: 0 float, 1 bfloat16, 2 half. operation: 0 RoIAlign, 1 its gradient, 2 RoIPool, 3 its
// gradient. maps: the levels' features or gradients. bins: pooled or upstream. Returns a cudaError.
extern "C" int maskrcnn_run(const maskrcnn::Problem* problem, int type, int operation,
                            void* const* maps, void* bins, int32_t* cells, void* stream) {
  switch (type) {
    case 0: return run<float>(*problem, operation, maps, bins, cells, stream);
    case 1: return run<BFloat16>(*problem, operation, maps, bins, cells, stream);
    default: return run<Half>(*problem, operation, maps, bins, cells, stream);
  }
}
