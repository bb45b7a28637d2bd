// Modules and libraries: a 'cubin' is a shared object that the emulator's NVRTC compiled.
#include <dlfcn.h>
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <map>
#include <memory>

#include "driver.h"
#include "ptx.h"

using namespace tw_emulator;

namespace {

struct Module {
  int file = -1;  // open as long as the module lives: its number is part of the object's name
  void* object = nullptr;
  const tw_emulator_module_info* info = nullptr;
  int device = current_device();
  std::map<std::string, std::unique_ptr<Function>> functions;

  ~Module() {
    if (object) dlclose(object);
    if (file >= 0) close(file);
  }
};

// The size of an object file in memory; 0 if it is none of this machine's.
size_t image_size(const void* image) {
  Elf64_Ehdr header;
  std::memcpy(&header, image, sizeof header);
#if defined(__x86_64__)
  constexpr int kMachine = EM_X86_64;
#else
  constexpr int kMachine = EM_AARCH64;
#endif
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_machine != kMachine) return 0;
  return header.e_shoff + size_t{header.e_shnum} * header.e_shentsize;
}

// Kernels refer to the emulator's functions by name, wherever this library was opened and however privately.
void publish_symbols() {
  static const bool once = [] {
    Dl_info self;
    if (dladdr(reinterpret_cast<void*>(&publish_symbols), &self)) {
      dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL);
    }
    return true;
  }();
  (void)once;
}

int load(Module** out, const void* image) {
  if (const int result = begin_call("cuModuleLoadData")) return result;
  const std::lock_guard lock(driver_lock());
  if (!has_context()) return kInvalidContext;
  if (const int result = lost(current_device())) return result;
  if (const int result = refuse_unsafe("cuModuleLoadData")) return result;
  auto module = std::make_unique<Module>();
  if (image && is_ptx(image)) {
    module->info = &ptx_module;
    return *out = module.release(), kSuccess;
  }
  const size_t size = image ? image_size(image) : 0;
  if (!size) return kInvalidImage;
  publish_symbols();
  module->file = memfd_create("tensorwright-kernels", MFD_CLOEXEC);
  if (module->file < 0 || write(module->file, image, size) != static_cast<ssize_t>(size)) return kOutOfMemory;
  const std::string path = "/proc/self/fd/" + std::to_string(module->file);
  module->object = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!module->object) {
    std::fprintf(stderr, "tensorwright emulator: %s\n", dlerror());
    return kInvalidImage;
  }
  module->info = static_cast<const tw_emulator_module_info*>(dlsym(module->object, "tw_emulator_module"));
  if (!module->info || module->info->interface_number != TW_EMULATOR_INTERFACE) return kInvalidImage;
  if (module->info->architecture > 100 * capability_major() + 10 * capability_minor()) return kNoBinaryForGpu;
  *out = module.release();
  return kSuccess;
}

int find(Function** out, Module* module, const char* name) {
  const std::lock_guard lock(driver_lock());
  if (!is_current(module->device, "a module")) return kInvalidContext;
  auto& function = module->functions[name];
  if (!function) {
    const tw_emulator_kernel* kernel =
        module->object ? static_cast<const tw_emulator_kernel*>(
                             dlsym(module->object, (std::string("tw_emulator_kernel_") + name).c_str()))
                       : ptx_kernel(name);
    if (!kernel) {
      module->functions.erase(name);
      return kNotFound;
    }
    function = std::make_unique<Function>(Function{kernel, module->info, name, module->device});
  }
  *out = function.get();
  return kSuccess;
}

constexpr int kSharedBytes = 1, kMaxDynamicShared = 8;

int set_attribute(Function& function, int attribute, int value) {
  if (!is_current(function.device, "a kernel")) return kInvalidContext;
  if (attribute != kMaxDynamicShared) return kSuccess;
  const size_t fixed = static_cast<size_t>(function.module->static_shared_end - function.module->static_shared_begin);
  if (value < 0 || static_cast<size_t>(value) + fixed > max_dynamic_shared()) return kInvalidValue;
  function.max_dynamic_shared = static_cast<unsigned>(value);
  return kSuccess;
}

int get_attribute(int* value, int attribute, const Function& function) {
  switch (attribute) {
    case 0:
      return *value = function.kernel->max_threads ? static_cast<int>(function.kernel->max_threads) : 1024, kSuccess;
    case kSharedBytes:  // of all kernels of the file
      return *value = static_cast<int>(function.module->static_shared_end - function.module->static_shared_begin), kSuccess;
    case 4:  // registers: not known
      return *value = 32, kSuccess;
    case 5: case 6:
      return *value = function.module->architecture / 10, kSuccess;
    case kMaxDynamicShared:
      return *value = static_cast<int>(function.max_dynamic_shared), kSuccess;
    default:
      return *value = 0, kSuccess;
  }
}

}  // namespace

TW_DRIVER cuModuleLoadData(Module** module, const void* image) { return load(module, image); }
TW_DRIVER cuModuleLoadDataEx(Module** module, const void* image, unsigned, int*, void**) { return load(module, image); }
TW_DRIVER cuModuleUnload(Module* module) {
  if (!is_current(module->device, "a module to unload")) return kInvalidContext;
  if (const int result = refuse_unsafe("cuModuleUnload")) return result;
  return delete module, kSuccess;
}
TW_DRIVER cuModuleGetFunction(Function** function, Module* module, const char* name) {
  return find(function, module, name);
}
TW_DRIVER cuLibraryLoadData(Module** library, const void* code, int*, void**, unsigned, int*, void**, unsigned) {
  return load(library, code);
}
TW_DRIVER cuLibraryUnload(Module* library) {
  if (const int result = refuse_unsafe("cuLibraryUnload")) return result;
  return delete library, kSuccess;
}
TW_DRIVER cuLibraryGetKernel(Function** kernel, Module* library, const char* name) { return find(kernel, library, name); }
TW_DRIVER cuLibraryGetModule(Module** module, Module* library) { return *module = library, kSuccess; }
TW_DRIVER cuKernelGetFunction(Function** function, Function* kernel) { return *function = kernel, kSuccess; }
TW_DRIVER cuKernelSetAttribute(int attribute, int value, Function* kernel, int) {
  return set_attribute(*kernel, attribute, value);
}
TW_DRIVER cuKernelGetAttribute(int* value, int attribute, Function* kernel, int) {
  return get_attribute(value, attribute, *kernel);
}
TW_DRIVER cuFuncSetAttribute(Function* function, int attribute, int value) {
  return set_attribute(*function, attribute, value);
}
TW_DRIVER cuFuncGetAttribute(int* value, int attribute, Function* function) {
  return get_attribute(value, attribute, *function);
}
TW_DRIVER cuFuncSetCacheConfig(Function*, int) { return kSuccess; }
TW_DRIVER cuFuncLoad(Function*) { return kSuccess; }
