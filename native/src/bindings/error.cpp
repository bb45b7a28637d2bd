#include "bindings/error.h"

#include <new>

#include "bindings/environment.h"

namespace tw {
namespace {

const char* code_name(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return "ERR_INVALID_ARGUMENT";
    case Code::kInvalidPlan:
      return "ERR_INVALID_PLAN";
    case Code::kShapeMismatch:
      return "ERR_SHAPE_MISMATCH";
    case Code::kDTypeMismatch:
      return "ERR_DTYPE_MISMATCH";
    case Code::kOutOfMemory:
      return "ERR_OUT_OF_MEMORY";
    case Code::kLimitExceeded:
      return "ERR_LIMIT_EXCEEDED";
    case Code::kAborted:
      return "ERR_ABORTED";
    case Code::kUnsupported:
      return "ERR_UNSUPPORTED";
    case Code::kBackendUnavailable:
      return "ERR_BACKEND_UNAVAILABLE";
    case Code::kCompilation:
      return "ERR_COMPILATION";
    case Code::kDevice:
      return "ERR_DEVICE";
    case Code::kPlugin:
      return "ERR_PLUGIN";
    case Code::kInternal:
      break;
  }
  return "ERR_INTERNAL";
}

}  // namespace

Failure Failure::current() {
  try {
    throw;
  } catch (const Error& e) {
    return {e.code, e.what()};
  } catch (const std::bad_alloc&) {
    return {Code::kOutOfMemory, "out of memory"};
  } catch (const std::exception& e) {
    return {Code::kInternal, std::string("internal error: ") + e.what()};
  } catch (...) {
    return {Code::kInternal, "internal error"};
  }
}

Napi::Value make_error(Napi::Env env, const Failure& failure) {
  const auto code = Napi::String::New(env, code_name(failure.code)), message = Napi::String::New(env, failure.message);
  if (const auto& factory = Environment::of(env).error_factory; !factory.IsEmpty())
    return factory.Call({code, message});
  Napi::Object error = Napi::Error::New(env, failure.message).Value();
  error.Set("code", code);
  return error;
}

}  // namespace tw
