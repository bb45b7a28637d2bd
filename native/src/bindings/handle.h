// Native objects as JavaScript holds them: an external that owns a shared pointer until it is closed or collected.
#pragma once
#include <napi.h>

#include <memory>

#include "base/error.h"
#include "executor/context.h"

namespace tw {

struct LoadedProgram {
  std::shared_ptr<const Program> program;
  std::shared_ptr<ThreadPool> pool;
};
using Flag = std::atomic<bool>;

template <typename T>
struct HandleName;
template <>
struct HandleName<const Weights> {
  static constexpr const char* value = "weights";
};
template <>
struct HandleName<LoadedProgram> {
  static constexpr const char* value = "a program";
};
template <>
struct HandleName<Context> {
  static constexpr const char* value = "a context";
};
template <>
struct HandleName<DeviceMemory> {
  static constexpr const char* value = "a device buffer";
};
template <>
struct HandleName<Flag> {
  static constexpr const char* value = "a cancel token";
};

// Every handle begins with its kind, so that one of another kind is told apart.
struct HandleBase {
  const char* kind;
  std::shared_ptr<void> object;
};

template <typename T>
Napi::Value make_handle(Napi::Env env, std::shared_ptr<T> object) {
  auto* base = new HandleBase{HandleName<T>::value, std::const_pointer_cast<std::remove_const_t<T>>(std::move(object))};
  return Napi::External<HandleBase>::New(env, base, [](Napi::BasicEnv, HandleBase* handle) { delete handle; });
}

template <typename T>
std::shared_ptr<T> handle(const Napi::Value& value) {
  if (value.IsExternal()) {
    const auto* base = value.As<Napi::External<HandleBase>>().Data();
    if (base->kind == HandleName<T>::value && base->object) return std::static_pointer_cast<T>(base->object);
  }
  throw Error(Code::kInvalidArgument, std::string("expected ") + HandleName<T>::value);
}

}  // namespace tw
