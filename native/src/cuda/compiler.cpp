#include "cuda/compiler.h"

#include <memory>

#include "base/error.h"
#include "cuda/library.h"
#include "cuda/once.h"

namespace tw::cuda {
namespace {

using ProgramHandle = struct CompilerProgram*;

struct Nvrtc {
  int (*nvrtcVersion)(int*, int*) = nullptr;
  const char* (*nvrtcGetErrorString)(int) = nullptr;
  int (*nvrtcCreateProgram)(ProgramHandle*, const char*, const char*, int, const char* const*, const char* const*) =
      nullptr;
  int (*nvrtcCompileProgram)(ProgramHandle, int, const char* const*) = nullptr;
  int (*nvrtcGetProgramLogSize)(ProgramHandle, size_t*) = nullptr;
  int (*nvrtcGetProgramLog)(ProgramHandle, char*) = nullptr;
  int (*nvrtcGetCUBINSize)(ProgramHandle, size_t*) = nullptr;
  int (*nvrtcGetCUBIN)(ProgramHandle, char*) = nullptr;
  int (*nvrtcDestroyProgram)(ProgramHandle*) = nullptr;
  int major = 0, minor = 0;
  std::string folder;
};

Nvrtc load() {
  const Library library = Library::open("TENSORWRIGHT_NVRTC", toolkit_candidates("nvrtc", {"13", "12"}));
  if (!library.loaded()) throw Error(tw::Code::kBackendUnavailable, "no NVRTC: " + library.description());
  Nvrtc n;
  const auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(library.symbol(name));
    if (!function) throw Error(tw::Code::kBackendUnavailable, library.description() + " lacks " + name);
  };
#define TW_FIND(name) find(n.name, #name)
  TW_FIND(nvrtcVersion);
  TW_FIND(nvrtcGetErrorString);
  TW_FIND(nvrtcCreateProgram);
  TW_FIND(nvrtcCompileProgram);
  TW_FIND(nvrtcGetProgramLogSize);
  TW_FIND(nvrtcGetProgramLog);
  TW_FIND(nvrtcGetCUBINSize);
  TW_FIND(nvrtcGetCUBIN);
  TW_FIND(nvrtcDestroyProgram);
#undef TW_FIND
  n.nvrtcVersion(&n.major, &n.minor);
  n.folder = library.folder("nvrtcVersion");
  return n;
}

const Nvrtc& nvrtc() {
  static auto& once = *new Once<Nvrtc>;
  return once.get(load);
}

void check(int result, const char* call) {
  if (result != 0)
    throw Error(tw::Code::kCompilation, std::string(call) + ": " + nvrtc().nvrtcGetErrorString(result));
}

}  // namespace

std::string compiler_version() { return std::to_string(nvrtc().major) + "." + std::to_string(nvrtc().minor); }

std::string compiler_folder() {
  try {
    return nvrtc().folder;
  } catch (const Error&) {
    return {};
  }
}

Code compile(const std::string& text, const std::vector<std::string>& options) {
  const Nvrtc& n = nvrtc();
  ProgramHandle program = nullptr;
  check(n.nvrtcCreateProgram(&program, text.c_str(), "kernel.cu", 0, nullptr, nullptr), "nvrtcCreateProgram");
  const auto destroy = [&](ProgramHandle* p) { n.nvrtcDestroyProgram(p); };
  const std::unique_ptr<ProgramHandle, decltype(destroy)> owner(&program, destroy);
  std::vector<const char*> flags;
  for (const std::string& option : options) flags.push_back(option.c_str());
  if (const int result = n.nvrtcCompileProgram(program, static_cast<int>(flags.size()), flags.data()); result != 0) {
    size_t size = 0;
    n.nvrtcGetProgramLogSize(program, &size);
    std::string log(size, '\0');
    if (size) n.nvrtcGetProgramLog(program, log.data());
    throw Error(tw::Code::kCompilation,
                std::string("a kernel does not compile: ") + n.nvrtcGetErrorString(result) + "\n" + log.c_str());
  }
  Code code;
  check(n.nvrtcGetCUBINSize(program, &code.bytes), "nvrtcGetCUBINSize");
  code.block.reserve(code.bytes);
  check(n.nvrtcGetCUBIN(program, reinterpret_cast<char*>(code.block.data())), "nvrtcGetCUBIN");
  return code;
}

}  // namespace tw::cuda
