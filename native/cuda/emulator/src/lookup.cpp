// cuGetProcAddress: base names lead to the newest form of a function that the emulator has.
#include <dlfcn.h>

#include <string>

#include "driver.h"

using namespace tw_emulator;

TW_DRIVER cuGetProcAddress_v2(const char* symbol, void** function, int, uint64_t, int* status) {
  static void* const self = [] {
    Dl_info info;
    return dladdr(reinterpret_cast<void*>(&cuGetProcAddress_v2), &info)
               ? dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD)
               : nullptr;
  }();
  const std::string name = symbol;
  *function = nullptr;
  if (name == "cuGraphInstantiate") *function = dlsym(self, "cuGraphInstantiateWithFlags");
  for (const char* suffix : {"_v2", ""}) {
    if (!*function) *function = dlsym(self, (name + suffix).c_str());
  }
  constexpr int kFound = 0, kNotThere = 1;
  if (status) *status = *function ? kFound : kNotThere;
  return *function ? kSuccess : kNotFound;
}
TW_DRIVER cuGetProcAddress(const char* symbol, void** function, int version, uint64_t flags) {
  return cuGetProcAddress_v2(symbol, function, version, flags, nullptr);
}
