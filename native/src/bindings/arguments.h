// Arguments of the addon's functions.
#pragma once
#include "bindings/handle.h"
#include "bindings/reader.h"

namespace tw {

inline Reader argument(const Napi::CallbackInfo& info, size_t i, const char* name) {
  return {info[i], name, Code::kInvalidArgument};
}

// One that nobody can cancel by, where none is given.
inline std::shared_ptr<Flag> token(const Napi::Value& value) {
  return value.IsExternal() ? handle<Flag>(value) : std::make_shared<Flag>(false);
}

}  // namespace tw
