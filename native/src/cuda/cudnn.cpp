#include "cuda/cudnn.h"

#include <algorithm>
#include <map>
#include <memory>

#include "cuda/compiler.h"
#include "cuda/cublaslt.h"
#include "cuda/library.h"
#include "cuda/once.h"

namespace tw::cuda::cudnn {
namespace {

constexpr int kMajor = 9;
// Classes of cudnnStatus_t, in thousands, and single ones.
constexpr int kNotReady = 1, kBadParameter = 2, kNotSupported = 3;
constexpr Status kHostMemoryFailed = 4003, kDeviceMemoryFailed = 4004;

std::vector<std::string> candidates() {
#if defined(_WIN32)
  return {"cudnn64_9.dll"};
#else
  std::vector<std::string> names = toolkit_candidates("cudnn", {std::to_string(kMajor)});
  // Python packages keep it in a folder beside that of the compiler, which engines of its own look for by name: asking
  // for the folder opens it.
  if (const std::string folder = compiler_folder(); !folder.empty())
    names.push_back(folder + "/../../cudnn/lib/libcudnn.so.9");
  return names;
#endif
}

// cuDNN opens cuBLASLt itself, by its name, and ends the process where there is none: that of its own toolkit has to be
// open before anything is asked. `folder`: where cuDNN lies.
void require_cublaslt(const Library& l, const std::string& folder) {
  const std::string needed = std::to_string(l.cudnnGetCudartVersion() / 1000);
  std::string found;
  try {
    const std::string version = cublaslt::library().version;
    if (version.substr(0, version.find('.')) == needed) return;
    found = "found " + version;
  } catch (const Error& e) {
    found = e.what();
  }
#if defined(_WIN32)
  const std::vector<std::string> names = {"cublasLt64_" + needed + ".dll"};
  (void)folder;
#else
  std::vector<std::string> names = toolkit_candidates("cublasLt", {needed});
  for (const char* sibling : {"/../../cu13/lib", "/../../cublas/lib"})
    if (!folder.empty()) names.push_back(folder + sibling + "/libcublasLt.so." + needed);
#endif
  if (!tw::cuda::Library::open("", names).loaded())
    throw Error(tw::Code::kBackendUnavailable, "cuDNN " + l.version + " needs cuBLASLt " + needed + ": " + found);
}

Library load() {
  const tw::cuda::Library file = tw::cuda::Library::open("TENSORWRIGHT_CUDNN", candidates());
  if (!file.loaded()) throw Error(tw::Code::kBackendUnavailable, "no cuDNN: " + file.description());
  Library l;
  const auto find = [&](const char* name) {
    void* symbol = file.symbol(name);
    if (!symbol) throw Error(tw::Code::kBackendUnavailable, file.description() + " lacks " + name);
    return symbol;
  };
  l.cudnnGetVersion = reinterpret_cast<decltype(l.cudnnGetVersion)>(find("cudnnGetVersion"));
  const size_t version = l.cudnnGetVersion();
  // Until version 8 it had three digits after the major one.
  const size_t unit = version >= 10000 ? 10000 : 1000;
  const size_t major = version / unit;
  l.version = std::to_string(major) + "." + std::to_string(version % unit / 100) + "." + std::to_string(version % 100);
  if (major != kMajor)
    throw Error(tw::Code::kBackendUnavailable, "cuDNN " + l.version + " at " + file.description() + ": 9 is needed");
#define TW_FIND(name, ...) l.name = reinterpret_cast<decltype(l.name)>(find(#name));
  TW_CUDNN(TW_FIND)
#undef TW_FIND
  require_cublaslt(l, file.folder("cudnnGetVersion"));
  return l;
}

}  // namespace

void Library::check(Status status, const char* call) const {
  if (status == kOk) return;
  const char* name = cudnnGetErrorString(status);
  std::string text = std::string(call) + ": " + (name ? name : "status " + std::to_string(status));
  char reason[1024] = {};
  cudnnGetLastErrorString(reason, sizeof reason);
  reason[sizeof reason - 1] = 0;
  if (*reason) text += std::string(" (") + reason + ")";
  const int group = status / 1000;
  throw Error(status == kHostMemoryFailed || status == kDeviceMemoryFailed ? tw::Code::kOutOfMemory
              : group == kBadParameter || group == kNotSupported           ? tw::Code::kUnsupported
              : group == kNotReady                                         ? tw::Code::kBackendUnavailable
                                                                           : tw::Code::kDevice,
              text);
}

const Library& library() {
  static auto& once = *new Once<Library>;
  return once.get(load);
}

Contexts::Contexts(CudaDevice& device) : device_(device), maker_(make()) {}

HandlePointer Contexts::make() {
  const Library& l = library();
  return device_.with_memory([&] {
    HandlePointer made = nullptr;
    l.check(l.cudnnCreate(&made), "cudnnCreate");
    return made;
  });
}

Contexts& Contexts::of(CudaDevice& device) {
  static std::mutex mutex;
  static auto& all = *new std::map<int, std::unique_ptr<Contexts>>;
  device.make_current();
  std::lock_guard lock(mutex);
  std::unique_ptr<Contexts>& known = all[device.properties().ordinal];
  if (!known) known.reset(new Contexts(device));
  return *known;
}

HandlePointer Contexts::take() {
  {
    std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      const HandlePointer handle = free_.back();
      free_.pop_back();
      return handle;
    }
  }
  const HandlePointer made = make();
  std::lock_guard lock(mutex_);
  // give() then finds room.
  free_.reserve(++made_);
  return made;
}

void Contexts::give(HandlePointer handle) {
  // Its stream may go.
  library().cudnnSetStream(handle, nullptr);
  std::lock_guard lock(mutex_);
  free_.push_back(handle);
}

Descriptor::Descriptor(DescriptorType type) {
  const Library& l = library();
  l.check(l.cudnnBackendCreateDescriptor(type, &pointer_), "cudnnBackendCreateDescriptor");
}

Descriptor::~Descriptor() {
  if (pointer_) library().cudnnBackendDestroyDescriptor(pointer_);
}

void Descriptor::set(Attribute name, std::span<const Descriptor> values) {
  set(name, AttributeType::kDescriptor, static_cast<int64_t>(values.size()), values.data());
}

void Descriptor::finalize() {
  const Library& l = library();
  l.check(l.cudnnBackendFinalize(pointer_), "cudnnBackendFinalize");
}

std::vector<Descriptor> Descriptor::descriptors(Attribute name, DescriptorType type, size_t most) const {
  std::vector<Descriptor> values;
  for (size_t i = 0; i < most; ++i) values.emplace_back(type);
  const size_t found = get(name, AttributeType::kDescriptor, most, values.data());
  values.erase(values.begin() + static_cast<std::ptrdiff_t>(found), values.end());
  return values;
}

void Descriptor::set(Attribute name, AttributeType type, int64_t count, const void* values) {
  const Library& l = library();
  l.check(l.cudnnBackendSetAttribute(pointer_, name, type, count, values), "cudnnBackendSetAttribute");
}

size_t Descriptor::get(Attribute name, AttributeType type, size_t most, void* values) const {
  const Library& l = library();
  int64_t found = 0;
  l.check(l.cudnnBackendGetAttribute(pointer_, name, type, static_cast<int64_t>(most), &found, values),
          "cudnnBackendGetAttribute");
  // With nothing to write to, it tells how many there are.
  const size_t count = found < 0 ? 0 : static_cast<size_t>(found);
  return values ? std::min(count, most) : count;
}

}  // namespace tw::cuda::cudnn
