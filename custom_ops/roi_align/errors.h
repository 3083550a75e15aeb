// Errors that Python sees as tf.errors.InvalidArgumentError and InternalError.
#ifndef MASKRCNN_ERRORS_H_
#define MASKRCNN_ERRORS_H_

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace maskrcnn {

template <typename... Parts>
absl::Status InvalidArgument(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

template <typename... Parts>
absl::Status Internal(const Parts&... parts) {
  return absl::InternalError(absl::StrCat(parts...));
}

}  // namespace maskrcnn

#endif  // MASKRCNN_ERRORS_H_
