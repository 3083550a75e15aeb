// What Python asks the library about GPUs before the first use, through ctypes. Built by nvcc, and
// by the C++ compiler for a library without CUDA.
#ifdef __CUDACC__

#include <cuda_runtime.h>

#include <cstdio>
#include <thread>

namespace {

// Built for the same GPUs as the kernels: where it can be loaded, so can they.
__global__ void probe() {}

cudaError_t load_probe(int device) {
  cudaError_t error = cudaSetDevice(device);
  cudaFuncAttributes attributes;
  if (error == cudaSuccess) error = cudaFuncGetAttributes(&attributes, probe);
  return error;
}

}  // namespace

// The CUDA that the library was built with, as 1000 * major + 10 * minor; 0 without.
extern "C" int maskrcnn_cuda_version() { return CUDART_VERSION; }

// Why the kernels cannot run on this GPU, or null. The text lasts until the next call.
extern "C" const char* maskrcnn_gpu_problem(int device) {
  cudaError_t error;
  // The current device belongs to a thread: the caller keeps its own.
  std::thread([&] { error = load_probe(device); }).join();
  if (error == cudaSuccess) return nullptr;
  if (error != cudaErrorInsufficientDriver) return cudaGetErrorString(error);
  int driver = 0;
  cudaDriverGetVersion(&driver);
  static char text[200];
  std::snprintf(text, sizeof(text),
                "the driver serves CUDA up to %d.%d, and the op was built with CUDA %d.%d. Update "
                "the driver (CUDA 13 needs 580 or newer), or build with an older toolkit "
                "(CUDA_HOME)",
                driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000,
                CUDART_VERSION % 1000 / 10);
  return text;
}

#else

extern "C" int maskrcnn_cuda_version() { return 0; }
extern "C" const char* maskrcnn_gpu_problem(int) { return "built without CUDA"; }

#endif
