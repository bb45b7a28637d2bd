// Errors between C++ and JavaScript: tw::Error becomes an error with a `code`, made by the function the loader gave.
#pragma once
#include <napi.h>

#include <string>

#include "base/error.h"

namespace tw {

// An exception as data, to be carried to the JavaScript thread.
struct Failure {
  Code code = Code::kInternal;
  std::string message;
  // Of the exception being handled.
  static Failure current();
};

Napi::Value make_error(Napi::Env env, const Failure& failure);

// Calls F; what it throws becomes a JavaScript exception.
template <Napi::Value (*F)(const Napi::CallbackInfo&)>
Napi::Value guarded(const Napi::CallbackInfo& info) {
  try {
    return F(info);
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    const Failure failure = Failure::current();
    throw Napi::Error(info.Env(), make_error(info.Env(), failure));
  }
}

}  // namespace tw
