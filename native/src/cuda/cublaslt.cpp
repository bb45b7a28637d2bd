#include "cuda/cublaslt.h"

#include <map>
#include <mutex>

#include "cuda/compiler.h"
#include "cuda/library.h"
#include "cuda/once.h"

namespace tw::cuda::cublaslt {
namespace {

constexpr int kOldestMajor = 12;
constexpr Status kNotInitialized = 1, kAllocationFailed = 3, kInvalidValue = 7, kArchitectureMismatch = 8,
                 kNotSupported = 15;

std::vector<std::string> candidates() {
#if defined(_WIN32)
  return {"cublasLt64_13.dll", "cublasLt64_12.dll"};
#else
  std::vector<std::string> names = toolkit_candidates("cublasLt", {"13", "12"});
  // Python packages keep the libraries of CUDA 13 in one folder, those of CUDA 12 in folders side by side.
  if (const std::string folder = compiler_folder(); !folder.empty()) {
    names.push_back(folder + "/libcublasLt.so.13");
    names.push_back(folder + "/libcublasLt.so.12");
    names.push_back(folder + "/../../cublas/lib/libcublasLt.so.12");
  }
  return names;
#endif
}

Library load() {
  const tw::cuda::Library file = tw::cuda::Library::open("TENSORWRIGHT_CUBLASLT", candidates());
  if (!file.loaded()) throw Error(tw::Code::kBackendUnavailable, "no cuBLASLt: " + file.description());
  Library l;
  const auto find = [&](const char* name) {
    void* symbol = file.symbol(name);
    if (!symbol) throw Error(tw::Code::kBackendUnavailable, file.description() + " lacks " + name);
    return symbol;
  };
#define TW_FIND(name, ...) l.name = reinterpret_cast<decltype(l.name)>(find(#name));
  TW_CUBLASLT(TW_FIND)
#undef TW_FIND
  int version[3] = {};
  for (const int part : {kMajor, kMinor, kPatch}) l.check(l.cublasLtGetProperty(part, &version[part]), "cublasLtGetProperty");
  l.version = std::to_string(version[0]) + "." + std::to_string(version[1]) + "." + std::to_string(version[2]);
  if (version[0] < kOldestMajor)
    throw Error(tw::Code::kBackendUnavailable, "cuBLASLt " + l.version + " is too old: 12.0 is needed");
  return l;
}

}  // namespace

void Library::check(Status status, const char* call) const {
  if (status == kOk) return;
  const char* text = cublasLtGetStatusString(status);
  const bool refused = status == kNotSupported || status == kInvalidValue || status == kArchitectureMismatch;
  throw Error(status == kAllocationFailed ? tw::Code::kOutOfMemory
              : status == kNotInitialized ? tw::Code::kBackendUnavailable
              : refused                   ? tw::Code::kUnsupported
                                          : tw::Code::kDevice,
              std::string(call) + ": " + (text ? text : "status " + std::to_string(status)));
}

const Library& library() {
  static auto& once = *new Once<Library>;
  return once.get(load);
}

HandlePointer handle(CudaDevice& device) {
  static std::mutex mutex;
  // Kept for as long as the process lives, as the device's context is.
  static auto& handles = *new std::map<int, HandlePointer>;
  const Library& l = library();
  device.make_current();
  std::lock_guard lock(mutex);
  HandlePointer& known = handles[device.properties().ordinal];
  if (!known) {
    known = device.with_memory([&] {
      HandlePointer made = nullptr;
      l.check(l.cublasLtCreate(&made), "cublasLtCreate");
      return made;
    });
  }
  return known;
}

}  // namespace tw::cuda::cublaslt
