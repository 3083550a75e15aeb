// The CPU kernels alone, on threads of their own: against a plain double-precision RoIAlign and
// RoIPool, the gradient against the forward pass (both are linear once the maxima are known), and
// the same bits for any number of threads. Built with sanitizers by sanitize.sh.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "../roi_align/kernels.h"
#include "../roi_align/pooling.h"
#include "../roi_align/sampling.h"

using namespace maskrcnn;

namespace {

int failures = 0;

ParallelFor threads(int count) {
  return [count](int64_t total, int64_t, const Work& work) {
    std::vector<std::thread> workers;
    for (int i = 0; i < count; ++i)
      workers.emplace_back(work, total * i / count, total * (i + 1) / count);
    for (std::thread& worker : workers) worker.join();
  };
}

// Inputs are multiples of 1/8 up to 2, which all three types hold.
float decode(float value) { return value; }
float decode(BFloat16 value) {
  const uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
  float result;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}
float decode(Half value) {
  const int exponent = value.bits >> 10 & 31, mantissa = value.bits & 1023;
  const float magnitude = exponent ? std::ldexp(1024.f + mantissa, exponent - 25)
                                   : std::ldexp(static_cast<float>(mantissa), -24);
  return value.bits & 0x8000 ? -magnitude : magnitude;
}
void encode(float value, float* to) { *to = value; }
void encode(float value, BFloat16* to) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  to->bits = static_cast<uint16_t>(bits >> 16);
}
void encode(float value, Half* to) {
  int exponent;
  const float fraction = std::frexp(std::fabs(value), &exponent);
  const int mantissa = static_cast<int>(fraction * 2048) & 1023;
  const int bits = value == 0 ? 0 : (exponent + 14) << 10 | mantissa;
  to->bits = static_cast<uint16_t>(bits | (std::signbit(value) ? 0x8000 : 0));
}

template <typename T>
struct Case {
  Problem problem = {};
  std::vector<float> boxes;
  std::vector<int32_t> images, levels;
  std::vector<std::vector<T>> features, gradients;
  std::vector<const T*> feature_pointers;
  std::vector<T*> gradient_pointers;
  std::vector<T> pooled, upstream;

  Case(int batch, int channels, int level_count, int rois, int height, int width,
       int sampling_ratio, bool aligned, unsigned seed) {
    std::mt19937 random(seed);
    const auto grid = [&] { return static_cast<float>(static_cast<int>(random() % 33) - 16) / 8; };
    Problem& p = problem;
    p.batch = batch;
    p.channels = channels;
    p.levels = level_count;
    for (int l = 0; l < level_count; ++l) {
      p.level[l] = {std::max(1, 37 >> l), std::max(1, 29 >> l), 1.f / (4 << l)};
      const size_t cells = static_cast<size_t>(batch) * p.level[l].height * p.level[l].width;
      std::vector<T> map(cells * channels);
      for (T& value : map) encode(grid(), &value);
      features.push_back(map);
      gradients.push_back(map);
    }
    const float awkward[][4] = {
        {0, 0, 0, 0},         {-1e6, -1e6, 1e6, 1e6},   {50, 40, 20, 10},
        {NAN, 0, 10, 10},     {0, 0, INFINITY, 20},     {-40, -40, -20, -20},
        {115, 147, 117, 149}, {-4, -4, 116, 148},       {30.25, 30.25, 30.5, 30.5},
    };
    for (int roi = 0; roi < rois; ++roi) {
      const float* box = awkward[roi % 9];
      const float side[2] = {random() % 9000 / 100.f, random() % 9000 / 100.f};
      const float corner[2] = {random() % 10000 / 100.f - 10, random() % 12000 / 100.f - 10};
      const float usual[4] = {corner[0], corner[1], corner[0] + side[0], corner[1] + side[1]};
      const bool is_awkward = roi % 3 == 0 && (sampling_ratio > 0 || roi % 9 != 1);
      boxes.insert(boxes.end(), is_awkward ? box : usual, (is_awkward ? box : usual) + 4);
      images.push_back(static_cast<int>(random() % batch));
      levels.push_back(static_cast<int>(random() % level_count));
    }
    p.rois = rois;
    p.boxes = boxes.data();
    p.batch_indices = images.data();
    p.level_indices = levels.data();
    p.out_height = height;
    p.out_width = width;
    p.sampling_ratio = sampling_ratio;
    p.aligned = aligned;
    for (auto& map : features) feature_pointers.push_back(map.data());
    for (auto& map : gradients) gradient_pointers.push_back(map.data());
    pooled.resize(static_cast<size_t>(rois) * height * width * channels);
    upstream.resize(pooled.size());
    for (T& value : upstream) encode(grid(), &value);
  }

  float feature(int level, int image, int y, int x, int channel) const {
    const Level& l = problem.level[level];
    return decode(features[level][((static_cast<size_t>(image) * l.height + y) * l.width + x) *
                                      problem.channels + channel]);
  }
};

template <typename T>
double plain_align(const Case<T>& c, int roi, int i, int j, int channel) {
  const int l = c.levels[roi], image = c.images[roi];
  const Level& level = c.problem.level[l];
  const Axis ys = y_axis(c.problem, roi, level), xs = x_axis(c.problem, roi, level);
  double sum = 0;
  for (int iy = 0; iy < ys.samples; ++iy)
    for (int ix = 0; ix < xs.samples; ++ix) {
      Sample y, x;
      if (!locate(ys, i, iy, &y) || !locate(xs, j, ix, &x)) continue;
      const double fy = y.fraction, fx = x.fraction;
      sum += (1 - fy) * (1 - fx) * c.feature(l, image, y.low, x.low, channel) +
             (1 - fy) * fx * c.feature(l, image, y.low, x.high, channel) +
             fy * (1 - fx) * c.feature(l, image, y.high, x.low, channel) +
             fy * fx * c.feature(l, image, y.high, x.high, channel);
    }
  return sum / std::max(ys.samples * xs.samples, 1);
}

template <typename T>
double plain_pool(const Case<T>& c, int roi, int i, int j, int channel) {
  const int l = c.levels[roi], image = c.images[roi];
  const Level& level = c.problem.level[l];
  int y, y_end, first_x, x_end;
  bin_range(y_pool_axis(c.problem, roi, level), i, &y, &y_end);
  bin_range(x_pool_axis(c.problem, roi, level), j, &first_x, &x_end);
  double maximum = y < y_end && first_x < x_end ? -INFINITY : 0;
  for (; y < y_end; ++y)
    for (int x = first_x; x < x_end; ++x)
      maximum = std::max<double>(maximum, c.feature(l, image, y, x, channel));
  return maximum;
}

void expect(bool holds, const char* what, const char* name) {
  if (holds) return;
  std::printf("FAILED %s: %s\n", name, what);
  ++failures;
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

template <typename T, typename Forward, typename Gradient, typename Plain>
void check(Case<T>& c, const char* name, double tolerance, const Forward& forward,
           const Gradient& gradient, const Plain& plain) {
  forward(threads(4));
  size_t at = 0;
  bool equal = true;
  for (int roi = 0; roi < c.problem.rois; ++roi)
    for (int i = 0; i < c.problem.out_height; ++i)
      for (int j = 0; j < c.problem.out_width; ++j)
        for (int k = 0; k < c.problem.channels; ++k, ++at)
          equal &= std::fabs(decode(c.pooled[at]) - plain(c, roi, i, j, k)) <= tolerance;
  expect(equal, "differs from the plain computation", name);
  gradient(threads(1));
  const auto once = c.gradients;
  expect(is_adjoint(c, tolerance), "the gradient is not the adjoint", name);
  gradient(threads(3));
  bool same = true;
  for (size_t l = 0; l < once.size(); ++l)
    same &= std::memcmp(once[l].data(), c.gradients[l].data(), once[l].size() * sizeof(T)) == 0;
  expect(same, "the gradient depends on the number of threads", name);
}

template <typename T>
void run(double tolerance) {
  const int shapes[][8] = {
      // batch, channels, levels, rois, height, width, sampling ratio, aligned
      {1, 256, 4, 60, 7, 7, 2, 1}, {2, 3, 1, 28, 7, 7, 0, 0},   {2, 64, 4, 40, 14, 14, 2, 0},
      {1, 1, 8, 50, 2, 3, 1, 1},   {1, 17, 2, 30, 28, 28, 3, 1}, {3, 80, 3, 36, 1, 1, 2, 1},
      {1, 100, 2, 33, 7, 7, 0, 1}, {2, 16, 4, 0, 7, 7, 2, 1},
      // Results beyond the caches, with rows that are and are not aligned.
      {1, 256, 4, 220, 7, 7, 2, 1}, {1, 66, 2, 900, 7, 7, 1, 1},
  };
  unsigned seed = 0;
  for (const auto& s : shapes) {
    Case<T> c(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7] != 0, ++seed);
    const Problem& p = c.problem;
    check(
        c, "RoIAlign", tolerance,
        [&](const ParallelFor& f) {
          roi_align_cpu<T>(p, c.feature_pointers.data(), c.pooled.data(), f);
        },
        [&](const ParallelFor& f) {
          roi_align_gradient_cpu<T>(p, c.upstream.data(), c.gradient_pointers.data(), f);
        },
        plain_align<T>);
    std::vector<int32_t> cells(c.pooled.size());
    check(
        c, "RoIPool", tolerance,
        [&](const ParallelFor& f) {
          roi_pool_cpu<T>(p, c.feature_pointers.data(), c.pooled.data(), cells.data(), f);
        },
        [&](const ParallelFor& f) {
          roi_pool_gradient_cpu<T>(p, c.upstream.data(), cells.data(),
                                   c.gradient_pointers.data(), f);
        },
        plain_pool<T>);
  }
}

}  // namespace

int main() {
  run<float>(1e-5);
  run<BFloat16>(2e-2);
  run<Half>(2e-3);
  std::printf(failures ? "%d checks failed\n" : "all checks passed\n", failures);
  return failures != 0;
}
