#include "base/dynamic_library.h"

#include <utility>

#include "base/utf8.h"

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace tw {
namespace {

#if defined(_WIN32)
void* open_file(const std::string& file) { return reinterpret_cast<void*>(LoadLibraryW(wide(file).c_str())); }
std::string last_error() { return "error " + std::to_string(GetLastError()); }
#else
void* open_file(const std::string& file) { return dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL); }
std::string last_error() {
  const char* text = dlerror();
  return text ? text : "not found";
}
#endif

}  // namespace

DynamicLibrary::DynamicLibrary(const std::string& file) : handle_(open_file(file)) {
  if (!handle_) reason_ = last_error();
}

DynamicLibrary::~DynamicLibrary() {
  if (!handle_ || kept_) return;
#if defined(_WIN32)
  FreeLibrary(static_cast<HMODULE>(handle_));
#else
  dlclose(handle_);
#endif
}

DynamicLibrary::DynamicLibrary(DynamicLibrary&& other) noexcept { *this = std::move(other); }

DynamicLibrary& DynamicLibrary::operator=(DynamicLibrary&& other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(kept_, other.kept_);
  std::swap(reason_, other.reason_);
  return *this;
}

void* DynamicLibrary::symbol(const char* name) const {
#if defined(_WIN32)
  return handle_ ? reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(handle_), name)) : nullptr;
#else
  return handle_ ? dlsym(handle_, name) : nullptr;
#endif
}

std::string DynamicLibrary::folder(const char* symbol_name) const {
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

}  // namespace tw
