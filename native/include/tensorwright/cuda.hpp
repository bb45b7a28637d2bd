// Kernels for libraries of plugins, by the NVIDIA driver and NVRTC, which are opened at run time: a library that uses
// this is built without the CUDA toolkit, and loads on machines without a device. All functions throw
// std::runtime_error, which plugin.hpp turns into an error of the engine.
//
// The engine has made its device current when it calls `attach`, `detach` and `enqueue`. A library that is built with
// the toolkit needs none of this: the engine's context is the device's primary one, which the CUDA runtime uses too.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "tensorwright/plugin.hpp"

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace tensorwright TENSORWRIGHT_HIDDEN {
namespace cuda TENSORWRIGHT_HIDDEN {

using Kernel = struct KernelTag*;  // CUfunction

namespace detail TENSORWRIGHT_HIDDEN {

// Texts are UTF-8 everywhere; Windows' own functions take UTF-16.
#if defined(_WIN32)
inline std::wstring wide(const std::string& text) {
  const int length = static_cast<int>(text.size());
  std::wstring out(static_cast<std::size_t>(MultiByteToWideChar(CP_UTF8, 0, text.data(), length, nullptr, 0)), L'\0');
  MultiByteToWideChar(CP_UTF8, 0, text.data(), length, &out[0], static_cast<int>(out.size()));
  return out;
}
#endif

// Empty where the variable is not set.
inline std::string environment(const char* variable) {
#if defined(_WIN32)
  std::wstring value(GetEnvironmentVariableW(wide(variable).c_str(), nullptr, 0), L'\0');
  const DWORD size = GetEnvironmentVariableW(wide(variable).c_str(), &value[0], static_cast<DWORD>(value.size()));
  value.resize(size < value.size() ? size : 0);
  const int length = static_cast<int>(value.size());
  const int bytes = WideCharToMultiByte(CP_UTF8, 0, value.data(), length, nullptr, 0, nullptr, nullptr);
  std::string out(static_cast<std::size_t>(bytes), '\0');
  WideCharToMultiByte(CP_UTF8, 0, value.data(), length, &out[0], bytes, nullptr, nullptr);
  return out;
#else
  const char* value = std::getenv(variable);
  return value ? value : std::string();
#endif
}

// Opened for good: the engine uses these libraries too.
class Library {
 public:
  // What the environment variable names, else the first of the names that opens.
  Library(const char* variable, const std::vector<std::string>& names) {
    const std::string named = environment(variable);
    for (const std::string& name : named.empty() ? names : std::vector<std::string>{named})
      if ((handle_ = open(name))) return;
    throw std::runtime_error("none of these libraries is here: " + list(names) + " (" + variable + " may name one)");
  }
  template <typename F>
  void find(F*& function, const char* name) const {
#if defined(_WIN32)
    function = reinterpret_cast<F*>(GetProcAddress(static_cast<HMODULE>(handle_), name));
#else
    function = reinterpret_cast<F*>(dlsym(handle_, name));
#endif
    if (!function) throw std::runtime_error(std::string(name) + " is missing");
  }

 private:
  static void* open(const std::string& name) {
#if defined(_WIN32)
    return LoadLibraryW(wide(name).c_str());
#else
    return dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
#endif
  }
  static std::string list(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
    return text;
  }
  void* handle_ = nullptr;
};

struct Driver {
  int (*cuCtxGetDevice)(int*);
  int (*cuDeviceGetAttribute)(int*, int, int);
  int (*cuModuleLoadData)(void**, const void*);
  int (*cuModuleUnload)(void*);
  int (*cuModuleGetFunction)(Kernel*, void*, const char*);
  int (*cuLaunchKernel)(Kernel, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*, void**,
                        void**);
  int (*cuMemsetD8Async)(std::uint64_t, unsigned char, std::size_t, void*);
  int (*cuMemcpyDtoHAsync)(void*, std::uint64_t, std::size_t, void*);
  int (*cuStreamSynchronize)(void*);
  int (*cuGetErrorString)(int, const char**);

  void check(int result, const char* call) const {
    if (result == 0) return;
    const char* text = nullptr;
    cuGetErrorString(result, &text);
    throw std::runtime_error(std::string(call) + ": " + (text ? text : "error " + std::to_string(result)));
  }
};

inline const Driver& driver() {
  static const Driver loaded = [] {
#if defined(_WIN32)
    const Library library("TENSORWRIGHT_CUDA_DRIVER", {"nvcuda.dll"});
#else
    const Library library("TENSORWRIGHT_CUDA_DRIVER", {"libcuda.so.1", "libcuda.so"});
#endif
    Driver d{};
    library.find(d.cuCtxGetDevice, "cuCtxGetDevice");
    library.find(d.cuDeviceGetAttribute, "cuDeviceGetAttribute");
    library.find(d.cuModuleLoadData, "cuModuleLoadData");
    library.find(d.cuModuleUnload, "cuModuleUnload");
    library.find(d.cuModuleGetFunction, "cuModuleGetFunction");
    library.find(d.cuLaunchKernel, "cuLaunchKernel");
    library.find(d.cuMemsetD8Async, "cuMemsetD8Async");
    library.find(d.cuMemcpyDtoHAsync, "cuMemcpyDtoHAsync_v2");
    library.find(d.cuStreamSynchronize, "cuStreamSynchronize");
    library.find(d.cuGetErrorString, "cuGetErrorString");
    return d;
  }();
  return loaded;
}

struct Compiler {
  int (*nvrtcCreateProgram)(void**, const char*, const char*, int, const char* const*, const char* const*);
  int (*nvrtcCompileProgram)(void*, int, const char* const*);
  int (*nvrtcGetProgramLogSize)(void*, std::size_t*);
  int (*nvrtcGetProgramLog)(void*, char*);
  int (*nvrtcGetCUBINSize)(void*, std::size_t*);
  int (*nvrtcGetCUBIN)(void*, char*);
  int (*nvrtcDestroyProgram)(void**);
};

inline const Compiler& compiler() {
  static const Compiler loaded = [] {
#if defined(_WIN32)
    const Library library("TENSORWRIGHT_NVRTC", {"nvrtc64_130_0.dll", "nvrtc64_120_0.dll"});
#else
    std::vector<std::string> names = {"libnvrtc.so.13", "libnvrtc.so.12"};
    for (const char* variable : {"CUDA_HOME", "CUDA_PATH"})
      if (const std::string home = environment(variable); !home.empty()) names.push_back(home + "/lib64/libnvrtc.so");
    names.push_back("/usr/local/cuda/lib64/libnvrtc.so");
    const Library library("TENSORWRIGHT_NVRTC", names);
#endif
    Compiler c{};
    library.find(c.nvrtcCreateProgram, "nvrtcCreateProgram");
    library.find(c.nvrtcCompileProgram, "nvrtcCompileProgram");
    library.find(c.nvrtcGetProgramLogSize, "nvrtcGetProgramLogSize");
    library.find(c.nvrtcGetProgramLog, "nvrtcGetProgramLog");
    library.find(c.nvrtcGetCUBINSize, "nvrtcGetCUBINSize");
    library.find(c.nvrtcGetCUBIN, "nvrtcGetCUBIN");
    library.find(c.nvrtcDestroyProgram, "nvrtcDestroyProgram");
    return c;
  }();
  return loaded;
}

// The architecture of the current device, 90 say.
inline int architecture() {
  constexpr int kMajor = 75, kMinor = 76;
  const Driver& d = driver();
  int device = 0, major = 0, minor = 0;
  d.check(d.cuCtxGetDevice(&device), "cuCtxGetDevice");
  d.check(d.cuDeviceGetAttribute(&major, kMajor, device), "cuDeviceGetAttribute");
  d.check(d.cuDeviceGetAttribute(&minor, kMinor, device), "cuDeviceGetAttribute");
  return 10 * major + minor;
}

}  // namespace detail TENSORWRIGHT_HIDDEN

// CUDA C++ as a cubin for the current device. The text has no headers; its kernels are `extern "C" __global__`. Further
// options are NVRTC's, "-DTILE=32" say.
inline std::string compile(const std::string& text, const std::vector<std::string>& options = {}) {
  const detail::Compiler& c = detail::compiler();
  const auto check = [](int result, const char* call) {
    if (result != 0) throw std::runtime_error(std::string(call) + ": error " + std::to_string(result));
  };
  struct Program {
    void* handle = nullptr;
    ~Program() { detail::compiler().nvrtcDestroyProgram(&handle); }
  } program;
  check(c.nvrtcCreateProgram(&program.handle, text.c_str(), "plugin.cu", 0, nullptr, nullptr), "nvrtcCreateProgram");
  const std::string target = "--gpu-architecture=sm_" + std::to_string(detail::architecture());
  std::vector<const char*> flags = {target.c_str(), "-std=c++17"};
  for (const std::string& option : options) flags.push_back(option.c_str());
  std::size_t size = 0;
  if (c.nvrtcCompileProgram(program.handle, static_cast<int>(flags.size()), flags.data()) != 0) {
    c.nvrtcGetProgramLogSize(program.handle, &size);
    std::string log(size, '\0');
    if (size) c.nvrtcGetProgramLog(program.handle, &log[0]);
    throw std::runtime_error(std::string("a kernel does not compile:\n") + log.c_str());
  }
  check(c.nvrtcGetCUBINSize(program.handle, &size), "nvrtcGetCUBINSize");
  std::string image(size, '\0');
  check(c.nvrtcGetCUBIN(program.handle, &image[0]), "nvrtcGetCUBIN");
  return image;
}

// Kernels in the memory of the device that is current.
class Module {
 public:
  // A cubin, a fatbin, or PTX.
  explicit Module(const std::string& image) {
    detail::driver().check(detail::driver().cuModuleLoadData(&handle_, image.c_str()), "cuModuleLoadData");
  }
  ~Module() {
    if (handle_) detail::driver().cuModuleUnload(handle_);
  }
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  Kernel kernel(const char* name) const {
    Kernel found = nullptr;
    detail::driver().check(detail::driver().cuModuleGetFunction(&found, handle_, name), name);
    return found;
  }

 private:
  void* handle_ = nullptr;
};

struct Extents {
  unsigned x = 1, y = 1, z = 1;
};

// Queues a kernel on a stream. The arguments must have exactly the types of the kernel's parameters. A grid without
// blocks is nothing to do.
template <typename... Arguments>
void launch(void* stream, Kernel kernel, Extents grid, Extents block, unsigned shared_bytes, Arguments... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  void* pointers[] = {static_cast<void*>(&arguments)..., nullptr};
  detail::driver().check(detail::driver().cuLaunchKernel(kernel, grid.x, grid.y, grid.z, block.x, block.y, block.z,
                                                         shared_bytes, stream, pointers, nullptr),
                         "cuLaunchKernel");
}

// Queues the same value for each byte of the device's memory.
inline void fill(void* stream, void* to, unsigned char value, std::size_t bytes) {
  if (bytes == 0) return;
  detail::driver().check(detail::driver().cuMemsetD8Async(reinterpret_cast<std::uintptr_t>(to), value, bytes, stream),
                         "cuMemsetD8Async");
}

// Copies from the device's memory to the host's, and waits for the stream: for sizes that only the values decide. Other
// plugins never wait.
inline void read(void* stream, void* to, const void* from, std::size_t bytes) {
  const detail::Driver& d = detail::driver();
  d.check(d.cuMemcpyDtoHAsync(to, reinterpret_cast<std::uintptr_t>(from), bytes, stream), "cuMemcpyDtoHAsync");
  d.check(d.cuStreamSynchronize(stream), "cuStreamSynchronize");
}

}  // namespace cuda TENSORWRIGHT_HIDDEN
}  // namespace tensorwright TENSORWRIGHT_HIDDEN
