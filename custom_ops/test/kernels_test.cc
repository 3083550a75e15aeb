// The CPU kernels alone, on threads of their own, or the CUDA kernels: with -DMASKRCNN_EMULATED on an
// emulated GPU, with -DMASKRCNN_ON_GPU on a real one (check_gpu.py). Against plain computations, the
// gradient against the forward pass (both are linear once the maxima are known), and the same bits
// for any number of threads, or any order of them. Built with sanitizers by sanitize.sh.
#include <cstdio>
#include <thread>
#include <type_traits>

#include "cases.h"
#include "comparing.h"
#include "plain.h"
#include "tested_kernels.h"
#ifdef MASKRCNN_ON_GPU
#define MASKRCNN_TEST_CUDA
#endif
#ifdef MASKRCNN_EMULATED
#define MASKRCNN_TEST_CUDA
#include <sys/mman.h>

#include "emulated/writes.h"
#endif

using namespace maskrcnn;

namespace {

int failures = 0;

void expect(bool holds, const char* what, const char* name) {
  if (holds) return;
  std::printf("FAILED %s: %s\n", name, what);
  ++failures;
}

ParallelFor threads(int count) {
  return [count](int64_t total, int64_t, const Work& work) {
    std::vector<std::thread> workers;
    for (int i = 0; i < count; ++i)
      workers.emplace_back(work, total * i / count, total * (i + 1) / count);
    for (std::thread& worker : workers) worker.join();
  };
}

// The four operations on a case.
template <typename T>
struct Runs {
  Kernels<T> kernels;
  Case<T>& c;

  void align(int count = 1) {
    kernels.align(c.problem, c.feature_pointers.data(), c.pooled.data(), threads(count));
  }
  void align_gradient(int count = 1) {
    kernels.align_gradient(c.problem, c.upstream.data(), c.gradient_pointers.data(),
                           threads(count));
  }
  void pool(int count = 1) {
    kernels.pool(c.problem, c.feature_pointers.data(), c.pooled.data(), c.cells.data(),
                 threads(count));
  }
  void pool_gradient(int count = 1) {
    kernels.pool_gradient(c.problem, c.upstream.data(), c.cells.data(),
                          c.gradient_pointers.data(), threads(count));
  }
};

template <typename T>
Runs<T> on_cpu(Case<T>& c) {
  return {cpu_kernels<T>(), c};
}

template <typename T>
Runs<T> tested(Case<T>& c) {
#ifdef MASKRCNN_TEST_CUDA
  return {cuda_kernels<T>(), c};
#else
  return on_cpu(c);
#endif
}

#ifdef MASKRCNN_TEST_CUDA
// What the case holds of RoIAlign or of RoIPool against what the CPU makes of it.
template <typename T>
void compare_with_cpu(const Case<T>& c, bool is_pool, double tolerance) {
  const char* name = is_pool ? "RoIPool" : "RoIAlign";
  Case<T> cpu = c;
  for (size_t l = 0; l < cpu.features.size(); ++l) {
    cpu.feature_pointers[l] = cpu.features[l].data();
    cpu.gradient_pointers[l] = cpu.gradients[l].data();
  }
  is_pool ? on_cpu(cpu).pool() : on_cpu(cpu).align();
  is_pool ? on_cpu(cpu).pool_gradient() : on_cpu(cpu).align_gradient();
  bool near = true;
  for (size_t k = 0; k < c.pooled.size(); ++k)
    near &= is_near(decode(c.pooled[k]), decode(cpu.pooled[k]), tolerance);
  // The CPU joins samples that read the same cells, which rounds otherwise.
  expect(near && (!is_pool || same_bits(c.pooled, cpu.pooled)), "differs from the CPU's", name);
  expect(same_bits(c.cells, cpu.cells), "the cells differ from the CPU's", name);
  Maps expected;
  for (const auto& map : cpu.gradients) {
    expected.emplace_back();
    for (T value : map) expected.back().push_back(decode(value));
  }
  expect(are_near(c.gradients, expected, tolerance), "the gradient differs from the CPU's", name);
}
#endif

template <typename T>
void check_align(Case<T>& c, double tolerance) {
  const char* name = "RoIAlign";
  c.poison_results();
  tested(c).align(4);
  bool near = true, same = true;
  each_element(c, [&](int roi, int i, int j, int channel, size_t at) {
    const float value = decode(c.pooled[at]);
    near &= std::fabs(value - plain_align<double>(c, roi, i, j, channel)) <= tolerance;
    same &= value == plain_align<float>(c, roi, i, j, channel);
  });
  expect(near, "differs from the plain computation", name);
#ifdef MASKRCNN_TEST_CUDA
  if (std::is_same_v<T, float>) expect(same, "differs in bits from the plain computation", name);
#endif
  tested(c).align_gradient(1);
  expect(are_near(c.gradients, plain_align_gradient(c), tolerance),
         "the gradient differs from the plain computation", name);
  expect(is_adjoint(c, tolerance), "the gradient is not the adjoint", name);
  const auto once = c.gradients;
  for (auto& map : c.gradients) poison(map);
  tested(c).align_gradient(3);
  expect(same_bits(once, c.gradients), "the gradient depends on the threads", name);
#ifdef MASKRCNN_TEST_CUDA
  compare_with_cpu(c, false, tolerance);
#endif
}

template <typename T>
void check_pool(Case<T>& c, double tolerance) {
  const char* name = "RoIPool";
  c.poison_results();
  tested(c).pool(4);
  bool same = true;
  each_element(c, [&](int roi, int i, int j, int channel, size_t at) {
    const Maximum expected = plain_pool(c, roi, i, j, channel);
    same &= decode(c.pooled[at]) == expected.value && c.cells[at] == expected.cell;
  });
  expect(same, "differs from the plain computation", name);
  tested(c).pool_gradient(1);
  expect(are_near(c.gradients, plain_pool_gradient(c), tolerance),
         "the gradient differs from the plain computation", name);
  const auto once = c.gradients;
  for (auto& map : c.gradients) poison(map);
  tested(c).pool_gradient(3);
  expect(same_bits(once, c.gradients), "the gradient depends on the threads", name);
#ifdef MASKRCNN_TEST_CUDA
  compare_with_cpu(c, true, tolerance);
#endif
}

// Not a number is no maximum: of all of a bin, in its first cell, or elsewhere.
template <typename T>
void check_not_a_number(double tolerance) {
  Case<T> c({1, 7, 2, 30, 3, 3, 2, true, 9, 71}, 2);
  for (auto& map : c.features)
    for (size_t k = 0; k < map.size(); ++k)
      if (k / 7 % 5 < 3 || k < map.size() / 2) encode(NAN, &map[k]);
  check_pool(c, tolerance);
}

#ifdef MASKRCNN_TEST_CUDA
// Infinities in the upstream gradient reach the cells that have a share in them, no others: samples
// at the middle of cells give their neighbours nothing. (On the CPU, as in torchvision, 0 times an
// infinity is not a number, and spreads.)
template <typename T>
void check_infinite_upstream(double tolerance) {
  Case<T> c({1, 64, 1, 12, 4, 4, 1, false, 9, 71}, 1);
  for (int roi = 0; roi < c.problem.rois; ++roi) {
    const float box[4] = {16.f * roi, 0, 16.f * roi + 32, 32};  // bins of 2 cells
    std::copy(box, box + 4, &c.boxes[4 * roi]);
  }
  for (size_t at = 0; at < c.upstream.size(); at += 37)
    encode(at % 2 ? INFINITY : -INFINITY, &c.upstream[at]);
  encode(NAN, &c.upstream[5]);
  tested(c).align_gradient();
  expect(are_near(c.gradients, plain_align_gradient(c), tolerance),
         "infinities of the upstream gradient spread", "RoIAlign");
}

// RoIs of no level or no image give zeros and take no part in the gradient. (The op checks indices
// on the CPU alone.)
template <typename T>
void check_unknown_indices() {
  Case<T> c({2, 64, 2, 20, 3, 3, 2, true, 5, 33}, 3);
  Case<T> expected({2, 64, 2, 20, 3, 3, 2, true, 5, 33}, 3);
  const int bins = 9 * 64;
  for (int roi = 0; roi < c.problem.rois; roi += 2) {
    int32_t& index = roi % 4 ? c.levels[roi] : c.images[roi];
    index = roi % 3 ? 2 : roi % 5 ? -1 : INT32_MAX;
    // As a box that is nowhere.
    std::fill_n(&expected.boxes[4 * roi], 4, -1e4f);
  }
  const auto compare = [&](const char* name) {
    bool zero = true;
    for (int roi = 0; roi < c.problem.rois; roi += 2)
      for (int k = roi * bins; k < (roi + 1) * bins; ++k) zero &= decode(c.pooled[k]) == 0;
    expect(zero, "an index out of range does not give zeros", name);
    expect(same_bits(c.pooled, expected.pooled), "an index out of range changes others", name);
    expect(same_bits(c.gradients, expected.gradients),
           "an index out of range takes part in the gradient", name);
  };
  for (Case<T>* one : {&c, &expected}) {
    one->poison_results();
    tested(*one).align();
    tested(*one).align_gradient();
  }
  compare("RoIAlign");
  for (Case<T>* one : {&c, &expected}) {
    one->poison_results();
    tested(*one).pool();
    tested(*one).pool_gradient();
  }
  compare("RoIPool");
  expect(same_bits(c.cells, expected.cells), "an index out of range gives cells", "RoIPool");
}

// The same where packets do not fit: in the maps, or in the bins.
template <typename T>
void check_unaligned(double tolerance) {
  Case<T> c({1, 64, 1, 9, 3, 3, 2, true, 5, 33}, 4);
  check_align(c, tolerance);
  const Kernels<T> kernels = cuda_kernels<T>();
  for (int of_maps : {0, 1}) {
    const int of_bins = 1 - of_maps;
    const auto shifted = [](std::vector<T> values, int count) {
      values.insert(values.begin(), count, T{});
      return values;
    };
    const auto features = shifted(c.features[0], of_maps);
    const auto upstream = shifted(c.upstream, of_bins);
    auto gradients = shifted(c.gradients[0], of_maps), pooled = shifted(c.pooled, of_bins);
    const auto expected_gradients = gradients, expected_pooled = pooled;
    poison(gradients);
    poison(pooled);
    const T* from = features.data() + of_maps;
    T* to = gradients.data() + of_maps;
    kernels.align(c.problem, &from, pooled.data() + of_bins, threads(1));
    kernels.align_gradient(c.problem, upstream.data() + of_bins, &to, threads(1));
    // What stands before the results is not theirs.
    if (of_maps) gradients[0] = T{};
    if (of_bins) pooled[0] = T{};
    expect(same_bits(pooled, expected_pooled) && same_bits(gradients, expected_gradients),
           "results depend on the alignment", "RoIAlign");
  }
}

#ifdef MASKRCNN_EMULATED
template <typename T>
void check_writes(int channels) {
  Case<T> c({2, channels, 2, 5, 3, 3, 2, true, 3, 71}, 5);
  emulated::Writes writes;
  const auto check = [&](const char* what, const char* name) {
    expect(writes.each_once(), what, name);
  };
  writes.watch(c.pooled);
  tested(c).align();
  check("not every value is written by one block", "RoIAlign");
  for (auto& map : c.gradients) writes.watch(map);
  tested(c).align_gradient();
  check("not every gradient is written by one block", "RoIAlign");
  writes.watch(c.pooled);
  writes.watch(c.cells);
  tested(c).pool();
  check("not every value is written by one block", "RoIPool");
  for (auto& map : c.gradients) writes.watch(map);
  tested(c).pool_gradient();
  check("not every gradient is written by one block", "RoIPool");
}

// A map of more elements than an int counts, of which few are ever touched.
void check_far_cells() {
  constexpr int kSide = 50000, kFirst = kSide - 10;
  const size_t bytes = sizeof(float) * kSide * kSide;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    std::printf("not checked: far cells, no address space of %zu bytes\n", bytes);
    return;
  }
  float* map = static_cast<float*>(memory);
  for (int y = 0; y < 4; ++y)
    for (int x = 0; x < 4; ++x)
      map[static_cast<size_t>(kFirst + y) * kSide + kFirst + x] = static_cast<float>(y + 10 * x);
  Case<float> c({1, 1, 1, 1, 2, 2, 1, true}, 6);
  c.problem.level[0] = {kSide, kSide, 1};
  c.boxes.assign({kFirst, kFirst, kFirst + 4, kFirst + 4});
  c.problem.boxes = c.boxes.data();
  c.feature_pointers[0] = map;
  tested(c).align();
  // The ramp at the bins' centres, half a cell in.
  expect(c.pooled == std::vector<float>{5.5, 25.5, 7.5, 27.5}, "far cells are not found", "RoIAlign");
  munmap(memory, bytes);
}
#endif

// Fibers are slow: small maps, but wider than two tiles; all of the ways that the kernels branch.
const Shape kShapes[] = {
    // batch, channels, levels, rois, out height and width, sampling ratio, aligned, height, width
    {1, 256, 3, 24, 7, 7, 2, true, 9, 71},
    {2, 7, 1, 20, 7, 7, 0, false, 9, 40},
    {2, 64, 3, 18, 14, 14, 2, false, 9, 71},
    {1, 1, 8, 40, 2, 3, 1, true, 13, 71},
    {1, 128, 2, 9, 40, 20, 1, true, 7, 71},  // more bins than a warp looks at in one go
    {1, 100, 2, 20, 7, 7, 0, true, 9, 33},
    {1, 512, 1, 10, 3, 3, 2, true, 5, 33},
    {1, 4, 1, 900, 1, 1, 2, true, 12, 33},  // more RoIs than a block looks at, or lists, in one go
    {2, 16, 2, 0, 7, 7, 2, true, 5, 33},
};
#else
const Shape kShapes[] = {
    // batch, channels, levels, rois, out height and width, sampling ratio, aligned
    {1, 256, 4, 60, 7, 7, 2, true},
    {2, 3, 1, 28, 7, 7, 0, false},
    {2, 64, 4, 40, 14, 14, 2, false, 37, 71},
    {1, 1, 8, 50, 2, 3, 1, true},
    {1, 17, 2, 30, 28, 28, 3, true},
    {3, 80, 3, 36, 1, 1, 2, true},
    {1, 100, 2, 33, 7, 7, 0, true},
    {2, 16, 4, 0, 7, 7, 2, true},
    // Results beyond the caches, with rows that are and are not aligned.
    {1, 256, 4, 220, 7, 7, 2, true},
    {1, 66, 2, 900, 7, 7, 1, true},
};
#endif

template <typename T>
void run(double tolerance) {
  unsigned seed = 0;
  for (const Shape& shape : kShapes) {
    Case<T> c(shape, ++seed);
    check_align(c, tolerance);
    check_pool(c, tolerance);
  }
  check_not_a_number<T>(tolerance);
#ifdef MASKRCNN_TEST_CUDA
  check_infinite_upstream<T>(tolerance);
  check_unknown_indices<T>();
  check_unaligned<T>(tolerance);
#endif
#ifdef MASKRCNN_EMULATED
  for (int channels : {7, 64, 512}) check_writes<T>(channels);
#endif
}

}  // namespace

// Of the types that are named, or of all.
int main(int count, char** names) {
  const auto is_wanted = [&](const char* type) {
    return count == 1 ||
           std::any_of(names + 1, names + count, [&](auto name) { return !std::strcmp(name, type); });
  };
  if (is_wanted("float")) run<float>(1e-5);
#ifdef MASKRCNN_EMULATED
  check_far_cells();
#endif
  if (is_wanted("bfloat16")) run<BFloat16>(2e-2);
  if (is_wanted("half")) run<Half>(2e-3);
  std::printf(failures ? "%d checks failed\n" : "all checks passed\n", failures);
  return failures != 0;
}
