#include "cuda/library.h"

#include <cstdlib>

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace tw::cuda {
namespace {

#if defined(_WIN32)
void* open_file(const std::string& name) { return reinterpret_cast<void*>(LoadLibraryA(name.c_str())); }
std::string reason() { return "error " + std::to_string(GetLastError()); }
#else
void* open_file(const std::string& name) { return dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL); }
std::string reason() {
  const char* text = dlerror();
  return text ? text : "not found";
}
#endif

}  // namespace

Library Library::open(const char* variable, const std::vector<std::string>& candidates) {
  Library library;
  const char* named = std::getenv(variable);
  const std::vector<std::string> names = named && *named ? std::vector<std::string>{named} : candidates;
  for (const std::string& name : names) {
    library.handle_ = open_file(name);
    if (library.handle_) {
      library.description_ = name;
      return library;
    }
    // The loader's own words name the file already.
    if (library.description_.empty()) library.description_ = reason();
  }
  return library;
}

void* Library::symbol(const char* name) const {
#if defined(_WIN32)
  return handle_ ? reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(handle_), name)) : nullptr;
#else
  return handle_ ? dlsym(handle_, name) : nullptr;
#endif
}

std::string Library::folder(const char* symbol_name) const {
#if defined(_WIN32)
  (void)symbol_name;
  return {};
#else
  Dl_info info{};
  if (!dladdr(symbol(symbol_name), &info) || !info.dli_fname) return {};
  const std::string file = info.dli_fname;
  const size_t slash = file.rfind('/');
  return slash == std::string::npos ? std::string() : file.substr(0, slash);
#endif
}

std::vector<std::string> toolkit_candidates(const std::string& file, const std::vector<std::string>& majors) {
  std::vector<std::string> names;
#if defined(_WIN32)
  for (const std::string& major : majors) names.push_back(file + "64_" + major + "0_0.dll");
#else
  for (const std::string& major : majors) names.push_back("lib" + file + ".so." + major);
  std::vector<std::string> folders;
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"})
    if (const char* home = std::getenv(variable)) folders.push_back(std::string(home) + "/lib64");
  folders.push_back("/usr/local/cuda/lib64");
  for (const std::string& folder : folders)
    for (const std::string& major : majors) names.push_back(folder + "/lib" + file + ".so." + major);
#endif
  return names;
}

}  // namespace tw::cuda
