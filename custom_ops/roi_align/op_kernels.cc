// Reads the ops' inputs into a Problem and hands it to the kernels, on TensorFlow's own threads or
// its CUDA stream.
#include "errors.h"
#include "kernels.h"
#include "sampling.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/register_types.h"
#include "tensorflow/core/util/work_sharder.h"
#ifdef MASKRCNN_WITH_CUDA
#include "xla/stream_executor/stream.h"
#endif

namespace maskrcnn {
namespace {

using tensorflow::OpInputList;
using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::OpOutputList;
using tensorflow::Tensor;
using tensorflow::TensorShape;

struct Cpu {};
struct Gpu {};

// TensorFlow's type and the kernels' name for its bits.
template <typename T>
struct Storage {
  using type = T;
};
template <>
struct Storage<Eigen::bfloat16> {
  using type = BFloat16;
};
template <>
struct Storage<Eigen::half> {
  using type = Half;
};

ParallelFor worker_threads(OpKernelContext* context) {
  const auto* workers = context->device()->tensorflow_cpu_worker_threads();
  return [workers](int64_t total, int64_t cost, const Work& work) {
    tensorflow::Shard(workers->num_threads, workers->workers, total, cost, work);
  };
}

#ifdef MASKRCNN_WITH_CUDA
void* cuda_stream(OpKernelContext* context) {
  return context->op_device_context()->stream()->platform_specific_handle().stream;
}

absl::Status cuda_status(int error) {
  if (error == 0) return absl::OkStatus();
  return Internal("The RoIAlign kernel did not start: ", cuda_error_text(error),
                  ". Kernels built with CUDA 13 need a driver of version 580 or newer.");
}
#endif

// What the four kernels share: attributes, and the RoIs' inputs.
class RoiKernel : public OpKernel {
 public:
  explicit RoiKernel(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("scales", &scales_));
    if (context->HasAttr("output_height")) {
      OP_REQUIRES_OK(context, context->GetAttr("output_height", &problem_.out_height));
      OP_REQUIRES_OK(context, context->GetAttr("output_width", &problem_.out_width));
    }
    if (context->HasAttr("sampling_ratio")) {
      OP_REQUIRES_OK(context, context->GetAttr("sampling_ratio", &problem_.sampling_ratio));
      OP_REQUIRES(context, problem_.sampling_ratio <= kMaxSamples,
                  InvalidArgument("sampling_ratio must be 0 (adaptive) to ", kMaxSamples,
                                  " samples per bin and axis. Received: sampling_ratio=",
                                  problem_.sampling_ratio));
      OP_REQUIRES_OK(context, context->GetAttr("aligned", &problem_.aligned));
    }
  }

 protected:
  // shapes: of the features, [B, H, W, C].
  absl::Status make_problem(OpKernelContext* context, const std::vector<TensorShape>& shapes,
                            bool check_indices, Problem* problem) const {
    *problem = problem_;
    if (shapes.size() > kMaxLevels || shapes.size() != scales_.size())
      return InvalidArgument("RoIAlign takes up to ", kMaxLevels,
                             " levels and one scale for each. Received: ", shapes.size(),
                             " levels, ", scales_.size(), " scales");
    problem->levels = static_cast<int>(shapes.size());
    for (int i = 0; i < problem->levels; ++i) {
      const TensorShape& shape = shapes[i];
      if (shape.dims() != 4 || shape.dim_size(1) < 1 || shape.dim_size(2) < 1 ||
          shape.dim_size(0) != shapes[0].dim_size(0) || shape.dim_size(3) != shapes[0].dim_size(3))
        return InvalidArgument("Each level's features must be [B, H, W, C] with at least one cell "
                               "and the same B and C. Received: shape ", shape.DebugString(),
                               " at level ", i, ", ", shapes[0].DebugString(), " at level 0");
      if (shape.dim_size(1) * shape.dim_size(2) > std::numeric_limits<int32_t>::max())
        return InvalidArgument("A level's map may have at most 2^31 cells. Received: shape ",
                               shape.DebugString());
      problem->level[i] = {static_cast<int>(shape.dim_size(1)), static_cast<int>(shape.dim_size(2)),
                           scales_[i]};
    }
    problem->batch = static_cast<int>(shapes[0].dim_size(0));
    problem->channels = static_cast<int>(shapes[0].dim_size(3));

    const Tensor *boxes, *batch_indices, *levels;
    TF_RETURN_IF_ERROR(context->input("boxes", &boxes));
    TF_RETURN_IF_ERROR(context->input("batch_indices", &batch_indices));
    TF_RETURN_IF_ERROR(context->input("levels", &levels));
    if (boxes->dims() != 2 || boxes->dim_size(1) != 4)
      return InvalidArgument("boxes must be [R, 4], x1 y1 x2 y2. Received: shape ",
                             boxes->shape().DebugString());
    const TensorShape one_per_box({boxes->dim_size(0)});
    if (batch_indices->shape() != one_per_box || levels->shape() != one_per_box)
      return InvalidArgument("batch_indices and levels must be [R], one per box. Received: shapes ",
                             batch_indices->shape().DebugString(), " and ",
                             levels->shape().DebugString(), " for boxes of shape ",
                             boxes->shape().DebugString());
    problem->rois = static_cast<int>(boxes->dim_size(0));
    problem->boxes = boxes->flat<float>().data();
    problem->batch_indices = batch_indices->flat<int32_t>().data();
    problem->level_indices = levels->flat<int32_t>().data();
    for (int roi = 0; check_indices && roi < problem->rois; ++roi) {
      const int image = problem->batch_indices[roi], level = problem->level_indices[roi];
      if (image < 0 || image >= problem->batch)
        return InvalidArgument("batch_indices must lie in [0, ", problem->batch,
                               "), the images of the features. Received: ", image, " for box ",
                               roi);
      if (level < 0 || level >= problem->levels)
        return InvalidArgument("levels must lie in [0, ", problem->levels,
                               "), the feature maps. Received: ", level, " for box ", roi);
    }
    return absl::OkStatus();
  }

  // The features' shapes of a gradient op, and the size of its bins from upstream.
  absl::Status make_gradient_problem(OpKernelContext* context, bool check_indices,
                                     std::vector<TensorShape>* shapes, Problem* problem) const {
    OpInputList sizes;
    TF_RETURN_IF_ERROR(context->input_list("shapes", &sizes));
    for (const Tensor& size : sizes) {
      TensorShape shape;
      TF_RETURN_IF_ERROR(tensorflow::TensorShapeUtils::MakeShape(size.vec<int32_t>(), &shape));
      shapes->push_back(shape);
    }
    TF_RETURN_IF_ERROR(make_problem(context, *shapes, check_indices, problem));
    const Tensor& upstream = context->input(0);
    if (upstream.dims() != 4 || upstream.dim_size(0) != problem->rois ||
        upstream.dim_size(3) != problem->channels)
      return InvalidArgument("upstream must be [R, ph, pw, C], here [", problem->rois,
                             ", ph, pw, ", problem->channels, "]. Received: shape ",
                             upstream.shape().DebugString());
    problem->out_height = static_cast<int>(upstream.dim_size(1));
    problem->out_width = static_cast<int>(upstream.dim_size(2));
    return absl::OkStatus();
  }

 private:
  Problem problem_ = {};
  std::vector<float> scales_;
};

template <typename Device, typename T, bool maximum>
class ForwardKernel : public RoiKernel {
 public:
  using RoiKernel::RoiKernel;

  void Compute(OpKernelContext* context) override {
    using S = typename Storage<T>::type;
    OpInputList features;
    OP_REQUIRES_OK(context, context->input_list("features", &features));
    std::vector<TensorShape> shapes;
    for (const Tensor& feature : features) shapes.push_back(feature.shape());
    Problem problem;
    OP_REQUIRES_OK(context, make_problem(context, shapes, std::is_same_v<Device, Cpu>, &problem));
    std::vector<const S*> maps;
    for (const Tensor& feature : features)
      maps.push_back(reinterpret_cast<const S*>(feature.flat<T>().data()));

    const TensorShape shape(
        {problem.rois, problem.out_height, problem.out_width, problem.channels});
    Tensor *pooled, *cells = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &pooled));
    if constexpr (maximum) OP_REQUIRES_OK(context, context->allocate_output(1, shape, &cells));
    if (shape.num_elements() == 0) return;
    S* out = reinterpret_cast<S*>(pooled->flat<T>().data());

    if constexpr (std::is_same_v<Device, Cpu>) {
      if constexpr (maximum)
        roi_pool_cpu<S>(problem, maps.data(), out, cells->flat<int32_t>().data(),
                        worker_threads(context));
      else
        roi_align_cpu<S>(problem, maps.data(), out, worker_threads(context));
    }
#ifdef MASKRCNN_WITH_CUDA
    if constexpr (std::is_same_v<Device, Gpu>) {
      int error;
      if constexpr (maximum)
        error = roi_pool_cuda<S>(problem, maps.data(), out, cells->flat<int32_t>().data(),
                                 cuda_stream(context));
      else
        error = roi_align_cuda<S>(problem, maps.data(), out, cuda_stream(context));
      OP_REQUIRES_OK(context, cuda_status(error));
    }
#endif
  }
};

template <typename Device, typename T, bool maximum>
class GradientKernel : public RoiKernel {
 public:
  using RoiKernel::RoiKernel;

  void Compute(OpKernelContext* context) override {
    using S = typename Storage<T>::type;
    std::vector<TensorShape> shapes;
    Problem problem;
    OP_REQUIRES_OK(context, make_gradient_problem(context, std::is_same_v<Device, Cpu>, &shapes,
                                                  &problem));
    const S* upstream = reinterpret_cast<const S*>(context->input(0).flat<T>().data());
    const int32_t* cells = nullptr;
    if constexpr (maximum) {
      OP_REQUIRES(context, context->input(1).shape() == context->input(0).shape(),
                  InvalidArgument("cells must have upstream's shape. Received: ",
                                  context->input(1).shape().DebugString()));
      cells = context->input(1).flat<int32_t>().data();
    }
    std::vector<S*> maps;
    for (int level = 0; level < problem.levels; ++level) {
      Tensor* gradient;
      OP_REQUIRES_OK(context, context->allocate_output(level, shapes[level], &gradient));
      maps.push_back(reinterpret_cast<S*>(gradient->flat<T>().data()));
    }

    if constexpr (std::is_same_v<Device, Cpu>) {
      if constexpr (maximum)
        roi_pool_gradient_cpu<S>(problem, upstream, cells, maps.data(), worker_threads(context));
      else
        roi_align_gradient_cpu<S>(problem, upstream, maps.data(), worker_threads(context));
    }
#ifdef MASKRCNN_WITH_CUDA
    if constexpr (std::is_same_v<Device, Gpu>) {
      int error;
      if constexpr (maximum)
        error = roi_pool_gradient_cuda<S>(problem, upstream, cells, maps.data(),
                                          cuda_stream(context));
      else
        error = roi_align_gradient_cuda<S>(problem, upstream, maps.data(), cuda_stream(context));
      OP_REQUIRES_OK(context, cuda_status(error));
    }
#endif
  }
};

#define MASKRCNN_REGISTER_OP(name, place, type, ...) \
  REGISTER_KERNEL_BUILDER(Name(name).Device(place).TypeConstraint<type>("T"), __VA_ARGS__)
#define MASKRCNN_REGISTER_GRADIENT(name, place, type, ...)                                   \
  REGISTER_KERNEL_BUILDER(                                                                   \
      Name(name).Device(place).TypeConstraint<type>("T").HostMemory("shapes"), __VA_ARGS__)
#define MASKRCNN_REGISTER_ON(place, where, type)                                             \
  MASKRCNN_REGISTER_OP("MaskrcnnRoiAlign", place, type, ForwardKernel<where, type, false>);  \
  MASKRCNN_REGISTER_OP("MaskrcnnRoiPool", place, type, ForwardKernel<where, type, true>);    \
  MASKRCNN_REGISTER_GRADIENT("MaskrcnnRoiAlignGradient", place, type,                        \
                             GradientKernel<where, type, false>);                            \
  MASKRCNN_REGISTER_GRADIENT("MaskrcnnRoiPoolGradient", place, type,                         \
                             GradientKernel<where, type, true>)
MASKRCNN_REGISTER_ON(tensorflow::DEVICE_CPU, Cpu, float);
MASKRCNN_REGISTER_ON(tensorflow::DEVICE_CPU, Cpu, Eigen::bfloat16);
MASKRCNN_REGISTER_ON(tensorflow::DEVICE_CPU, Cpu, Eigen::half);
#ifdef MASKRCNN_WITH_CUDA
MASKRCNN_REGISTER_ON(tensorflow::DEVICE_GPU, Gpu, float);
MASKRCNN_REGISTER_ON(tensorflow::DEVICE_GPU, Gpu, Eigen::bfloat16);
MASKRCNN_REGISTER_ON(tensorflow::DEVICE_GPU, Gpu, Eigen::half);
#endif

}  // namespace
}  // namespace maskrcnn
