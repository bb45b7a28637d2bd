// The one exception type of the native library. Bindings turn it into a JavaScript error with `code`.
#pragma once
#include <stdexcept>
#include <string>

namespace tw {

enum class Code {
  kInvalidArgument, kInvalidPlan, kShapeMismatch, kOutOfMemory, kLimitExceeded, kAborted, kUnsupported, kInternal,
  kDTypeMismatch, kBackendUnavailable, kCompilation, kDevice, kPlugin
};

class Error : public std::runtime_error {
 public:
  Error(Code code, const std::string& message) : std::runtime_error(message), code(code) {}
  const Code code;
};

// For conditions that input can violate; never for our own invariants.
inline void require(bool ok, Code code, const char* message) {
  if (!ok) throw Error(code, message);
}
}  // namespace tw
