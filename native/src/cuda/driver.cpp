#include "cuda/driver.h"

#include "cuda/library.h"
#include "cuda/once.h"

namespace tw::cuda {
namespace {

constexpr int kOldestDriver = 12000;

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

[[noreturn]] void unavailable(const std::string& why) { throw Error(Code::kBackendUnavailable, why); }

Driver load() {
#if defined(_WIN32)
  const Library library = Library::open("TENSORWRIGHT_CUDA_DRIVER", {"nvcuda.dll"});
#else
  const Library library = Library::open("TENSORWRIGHT_CUDA_DRIVER", {"libcuda.so.1", "libcuda.so"});
#endif
  if (!library.loaded()) unavailable("no NVIDIA driver: " + library.description());
  Driver d;
  std::string missing;
  const auto find = [&](const char* name, bool required) {
    void* symbol = library.symbol(name);
    if (!symbol && required && missing.empty()) missing = name;
    return symbol;
  };
#define TW_REQUIRED(name, ...) d.name = reinterpret_cast<decltype(d.name)>(find(#name, true));
#define TW_OPTIONAL(name, ...) d.name = reinterpret_cast<decltype(d.name)>(find(#name, false));
  TW_CUDA_DRIVER(TW_REQUIRED)
  TW_CUDA_DRIVER_OPTIONAL(TW_OPTIONAL)
#undef TW_REQUIRED
#undef TW_OPTIONAL
  if (d.cuDriverGetVersion) d.cuDriverGetVersion(&d.version);
  if (!missing.empty() || d.version < kOldestDriver)
    unavailable("the NVIDIA driver " + library.description() + " is too old: it speaks CUDA " +
                version_text(d.version) + (missing.empty() ? "" : " and lacks " + missing) + "; 12.0 is needed");
  if (const Result result = d.cuInit(0); result != kSuccess) {
    const char* text = nullptr;
    d.cuGetErrorString(result, &text);
    unavailable(std::string("the NVIDIA driver does not start: ") + (text ? text : "unknown error"));
  }
  return d;
}

}  // namespace

std::string Driver::describe(Result result) const {
  const char *name = nullptr, *text = nullptr;
  cuGetErrorName(result, &name);
  cuGetErrorString(result, &text);
  return (name ? name : "error " + std::to_string(result)) + (text ? std::string(", ") + text : "");
}

void Driver::fail(Result result, const char* call, const std::string& detail) const {
  throw Error(result == kErrorOutOfMemory ? Code::kOutOfMemory : Code::kDevice,
              std::string(call) + (detail.empty() ? "" : " (" + detail + ")") + ": " + describe(result));
}

const Driver& driver() {
  static auto& once = *new Once<Driver>;
  return once.get(load);
}

}  // namespace tw::cuda
