// The CUDA kernels on a GPU, with pointers of the CPU, for kernels_test.cc. Every array has an
// allocation of its own, of exactly its size, so that compute-sanitizer finds what reads or writes
// beside it.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <cuda_runtime.h>

#include "tested_kernels.h"

namespace maskrcnn {
namespace {

void expect_success(int error) {
  if (error == 0) return;
  std::printf("FAILED: %s\n", cuda_error_text(error));
  std::exit(1);
}

// An array on the GPU for as long as this lives.
template <typename T>
class Copy {
 public:
  Copy(const T* host, size_t count) : bytes_(count * sizeof(T)) {
    if (bytes_ == 0) return;
    expect_success(cudaMalloc(&device_, bytes_));
    expect_success(cudaMemcpy(device_, host, bytes_, cudaMemcpyHostToDevice));
  }
  Copy(Copy&& other) : device_(other.device_), bytes_(other.bytes_) { other.device_ = nullptr; }
  ~Copy() { cudaFree(device_); }

  T* get() const { return static_cast<T*>(device_); }
  void read(T* host) const {
    if (bytes_ != 0) expect_success(cudaMemcpy(host, device_, bytes_, cudaMemcpyDeviceToHost));
  }

 private:
  void* device_ = nullptr;
  size_t bytes_;
};

// A problem whose RoIs lie on the GPU.
struct OnGpu {
  explicit OnGpu(const Problem& p)
      : boxes(p.boxes, 4 * static_cast<size_t>(p.rois)),
        images(p.batch_indices, p.rois),
        levels(p.level_indices, p.rois),
        problem(p) {
    problem.boxes = boxes.get();
    problem.batch_indices = images.get();
    problem.level_indices = levels.get();
  }
  Copy<float> boxes;
  Copy<int32_t> images, levels;
  Problem problem;
};

size_t bins_of(const Problem& p) {
  return static_cast<size_t>(p.rois) * p.out_height * p.out_width * p.channels;
}

// All levels' maps, and their pointers.
template <typename T>
struct Pyramid {
  template <typename Pointer>
  Pyramid(const Problem& p, Pointer const* host) {
    for (int l = 0; l < p.levels; ++l)
      maps.emplace_back(host[l], static_cast<size_t>(p.batch) * p.level[l].height *
                                     p.level[l].width * p.channels);
    for (const Copy<T>& map : maps) pointers.push_back(map.get());
  }
  std::vector<Copy<T>> maps;
  std::vector<T*> pointers;
};

template <typename T>
void align(const Problem& p, const T* const* features, T* pooled, const ParallelFor&) {
  const OnGpu gpu(p);
  const Pyramid<T> maps(p, features);
  const Copy<T> out(pooled, bins_of(p));
  expect_success(roi_align_cuda<T>(gpu.problem, maps.pointers.data(), out.get(), nullptr));
  out.read(pooled);
}

template <typename T>
void align_gradient(const Problem& p, const T* upstream, T* const* gradients,
                            const ParallelFor&) {
  const OnGpu gpu(p);
  const Pyramid<T> maps(p, gradients);
  const Copy<T> in(upstream, bins_of(p));
  expect_success(roi_align_gradient_cuda<T>(gpu.problem, in.get(), maps.pointers.data(), nullptr));
  for (int l = 0; l < p.levels; ++l) maps.maps[l].read(gradients[l]);
}

template <typename T>
void pool(const Problem& p, const T* const* features, T* pooled, int32_t* cells,
                  const ParallelFor&) {
  const OnGpu gpu(p);
  const Pyramid<T> maps(p, features);
  const Copy<T> out(pooled, bins_of(p));
  const Copy<int32_t> found(cells, bins_of(p));
  expect_success(
      roi_pool_cuda<T>(gpu.problem, maps.pointers.data(), out.get(), found.get(), nullptr));
  out.read(pooled);
  found.read(cells);
}

template <typename T>
void pool_gradient(const Problem& p, const T* upstream, const int32_t* cells,
                           T* const* gradients, const ParallelFor&) {
  const OnGpu gpu(p);
  const Pyramid<T> maps(p, gradients);
  const Copy<T> in(upstream, bins_of(p));
  const Copy<int32_t> found(cells, bins_of(p));
  expect_success(roi_pool_gradient_cuda<T>(gpu.problem, in.get(), found.get(),
                                           maps.pointers.data(), nullptr));
  for (int l = 0; l < p.levels; ++l) maps.maps[l].read(gradients[l]);
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
