// What is loaded by the first call, or its failure, which is remembered as well: what is missing now stays missing for
// this process. Never to be destroyed: threads go on while the process ends.
#pragma once
#include <mutex>
#include <optional>

#include "base/error.h"

namespace tw::cuda {

template <typename T>
class Once {
 public:
  // Throws what `load` has thrown, in every call.
  template <typename Load>
  const T& get(Load load) {
    std::call_once(once_, [&] {
      try {
        value_.emplace(load());
      } catch (const Error& e) {
        failure_.emplace(e);
      }
    });
    if (failure_) throw *failure_;
    return *value_;
  }

 private:
  std::once_flag once_;
  std::optional<T> value_;
  std::optional<Error> failure_;
};

}  // namespace tw::cuda
