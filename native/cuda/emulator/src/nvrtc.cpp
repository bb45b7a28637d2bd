// NVRTC's interface on top of the host's C++ compiler. A 'cubin' is a shared object for the emulator's driver.
//   CXX                                 the compiler (g++)
//   TENSORWRIGHT_EMULATOR_FLAGS         more options for it
//   TENSORWRIGHT_EMULATOR_CACHE         the folder of compiled kernels (a folder in the system's temporary one)
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#define TW_NVRTC extern "C" __attribute__((visibility("default")))

extern char** environ;

// The texts of device/*.h, put into this library by the assembler.
#define TW_EMBED(name, file)                                                                                \
  asm(".section .rodata\n.globl " #name "\n.hidden " #name "\n" #name ":\n.incbin \"" TW_DEVICE_FOLDER "/" file \
      "\"\n.byte 0\n.previous\n");                                                                          \
  extern "C" const char name[];
TW_EMBED(tw_interface_text, "interface.h")
TW_EMBED(tw_builtins_text, "builtins.h")

namespace {

enum Result : int {
  kSuccess = 0,
  kInvalidInput = 3,
  kInvalidProgram = 4,
  kInvalidOption = 5,
  kCompilation = 6,
  kInternal = 11,
};

struct Program {
  std::string source, name, log, object;
};

std::string variable(const char* name, const char* fallback) {
  const char* value = std::getenv(name);
  return value && *value ? value : fallback;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

uint64_t hash(const std::string& text, uint64_t h) {
  for (const unsigned char c : text) h = (h ^ c) * 1099511628211u;
  return h;
}

std::string cache_folder() {
  const std::string temporary = variable("TMPDIR", "/tmp");
  const std::string fallback = temporary + "/tensorwright-emulator-" + std::to_string(getuid());
  const std::string folder = variable("TENSORWRIGHT_EMULATOR_CACHE", fallback.c_str());
  mkdir(folder.c_str(), 0700);
  return folder;
}

struct Kernel {
  std::string name, max_threads = "0";
  size_t end = 0;  // of its definition, in the source
};

// Comments and literals blanked, so that the search below sees code only.
std::string code_only(const std::string& text) {
  std::string out = text;
  for (size_t i = 0; i < out.size(); ++i) {
    size_t end = i;
    if (out.compare(i, 2, "//") == 0) end = std::min(out.find('\n', i), out.size());
    else if (out.compare(i, 2, "/*") == 0) end = std::min(out.find("*/", i + 2), out.size() - 2) + 2;
    else if (out[i] == '"') {
      for (end = i + 1; end < out.size() && out[end] != '"' && out[end] != '\n'; ++end) end += out[end] == '\\';
      end = std::min(end + 1, out.size());
    }
    for (; i < end; ++i) {
      if (out[i] != '\n') out[i] = ' ';
    }
    if (end > i) i = end;
  }
  return out;
}

// Behind the definition whose parameter list begins at `at`; 0 if only a declaration follows.
size_t end_of_definition(const std::string& text, size_t at) {
  at = text.find_first_of("{;", at);
  if (at == std::string::npos || text[at] == ';') return 0;
  int depth = 0;
  do {
    depth += (text[at] == '{') - (text[at] == '}');
  } while (++at < text.size() && depth > 0);
  return at;
}

// `extern "C" __global__ void __launch_bounds__(N) name(…) {`, in any order of the words.
std::vector<Kernel> find_kernels(const std::string& source) {
  const std::string text = code_only(source);
  const auto is_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
  std::vector<Kernel> kernels;
  for (size_t at = 0; (at = text.find("__global__", at)) != std::string::npos;) {
    at += 10;
    Kernel kernel;
    std::string word;
    for (size_t i = at; i < text.size(); ++i) {
      if (is_word(text[i])) {
        const size_t begin = i;
        while (i < text.size() && is_word(text[i])) ++i;
        word = text.substr(begin, i-- - begin);
      } else if (text[i] == '(') {
        if (word.rfind("__", 0) != 0) {
          kernel.name = word;
          kernel.end = end_of_definition(text, i);
          break;
        }
        const size_t begin = i + 1;  // an attribute's arguments
        for (int depth = 1; depth > 0 && ++i < text.size();) depth += (text[i] == '(') - (text[i] == ')');
        if (word == "__launch_bounds__") {
          int depth = 0;
          size_t end = begin;
          while (end < i && !(depth == 0 && text[end] == ',')) depth += (text[end] == '(') - (text[end] == ')'), ++end;
          kernel.max_threads = text.substr(begin, end - begin);
        }
      } else if (!std::isspace(static_cast<unsigned char>(text[i]))) {
        break;  // no declaration of a kernel
      }
    }
    if (kernel.end) kernels.push_back(std::move(kernel));
  }
  return kernels;
}

// Runs a command with its output in a file; whether it succeeded.
bool execute(const std::vector<std::string>& words, const std::string& output) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t child;
  const int failed = posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed) {
    std::ofstream(output) << "cannot run " << words[0] << ": " << std::strerror(failed) << "\n";
    return false;
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int compile(Program& program, int architecture, bool is_specific, const std::vector<std::string>& defines) {
  std::ostringstream unit;
  unit << tw_interface_text << "\n" << tw_builtins_text << "\n#line 1 \"" << program.name << "\"\n";
  // A kernel's entry follows it in the same line: inside of the same #if, and line numbers stay.
  size_t at = 0;
  for (const Kernel& kernel : find_kernels(program.source)) {
    unit << program.source.substr(at, kernel.end - at);
    unit << " TW_EMULATOR_KERNEL(" << kernel.name << ", (" << kernel.max_threads << "))";
    at = kernel.end;
  }
  unit << program.source.substr(at) << "\nTW_EMULATOR_MODULE(" << architecture << ")\n";

  std::vector<std::string> words = {variable("CXX", "g++"), "-x", "c++", "-std=c++20", "-O1", "-shared", "-fPIC",
                                    "-DTW_EMULATOR", "-D__CUDA_ARCH__=" + std::to_string(architecture)};
  if (architecture == 900 && is_specific) words.push_back("-D__CUDA_ARCH_FEAT_SM90_ALL=1");
  for (const char* flag : {"-w", "-fwrapv", "-fno-strict-aliasing", "-ffp-contract=off", "-fno-exceptions", "-fno-rtti",
                           "-fno-gnu-unique", "-fvisibility=hidden", "-fno-stack-protector", "-fcf-protection=none",
                           "-nostartfiles", "-Wl,--build-id=none"}) {
    words.push_back(flag);
  }
  words.insert(words.end(), defines.begin(), defines.end());
  std::istringstream more(variable("TENSORWRIGHT_EMULATOR_FLAGS", ""));
  for (std::string word; more >> word;) words.push_back(word);

  const std::string text = unit.str();
  uint64_t low = hash(text, 14695981039346656037u), high = hash(text, 1469598103934665603u);
  for (const std::string& word : words) low = hash(word + "\n", low), high = hash(word + "\n", high);
  char key[40];
  std::snprintf(key, sizeof key, "%016llx%016llx", static_cast<unsigned long long>(high), static_cast<unsigned long long>(low));
  const std::string stored = cache_folder() + "/" + key + ".so";
  program.object = read_file(stored);
  if (!program.object.empty()) return kSuccess;

  static std::atomic<unsigned> serial{0};
  const std::string base = stored + "." + std::to_string(getpid()) + "." + std::to_string(serial++);
  const std::string input = base + ".cpp", object = base + ".o", output = base + ".txt";
  std::ofstream(input) << text;
  for (const std::string& word : {std::string("-o"), object, input}) words.push_back(word);
  const bool compiled = execute(words, output);
  program.log = read_file(output);
  if (compiled) {
    program.object = read_file(object);
    std::rename(object.c_str(), stored.c_str());
  }
  for (const std::string& path : {input, object, output}) unlink(path.c_str());
  return compiled ? kSuccess : kCompilation;
}

}  // namespace

// Caches of compiled kernels go by the version: the emulator's is never a real one, and new with every change of the
// texts that kernels are compiled with.
TW_NVRTC int nvrtcVersion(int* major, int* minor) {
  static const int digest = static_cast<int>(hash(tw_builtins_text, hash(tw_interface_text, 14695981039346656037u)) % 1000000);
  return *major = 13, *minor = 1000 + digest, kSuccess;
}
TW_NVRTC const char* nvrtcGetErrorString(int result) {
  switch (result) {
    case kSuccess:
      return "NVRTC_SUCCESS";
    case kInvalidInput:
      return "NVRTC_ERROR_INVALID_INPUT";
    case kInvalidProgram:
      return "NVRTC_ERROR_INVALID_PROGRAM";
    case kInvalidOption:
      return "NVRTC_ERROR_INVALID_OPTION";
    case kCompilation:
      return "NVRTC_ERROR_COMPILATION";
    default:
      return "NVRTC_ERROR_INTERNAL_ERROR";
  }
}

constexpr int kArchitectures[] = {75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121};
TW_NVRTC int nvrtcGetNumSupportedArchs(int* count) { return *count = std::size(kArchitectures), kSuccess; }
TW_NVRTC int nvrtcGetSupportedArchs(int* out) {
  return std::copy(std::begin(kArchitectures), std::end(kArchitectures), out), kSuccess;
}

TW_NVRTC int nvrtcCreateProgram(Program** program, const char* source, const char* name, int headers, const char* const*,
                                const char* const*) {
  if (!program || !source) return kInvalidInput;
  if (headers != 0) return kInvalidInput;  // our texts have none
  *program = new Program{source, name ? name : "kernel.cu", {}, {}};
  return kSuccess;
}
TW_NVRTC int nvrtcDestroyProgram(Program** program) {
  delete *program;
  *program = nullptr;
  return kSuccess;
}

TW_NVRTC int nvrtcCompileProgram(Program* program, int count, const char* const* options) {
  if (!program) return kInvalidProgram;
  int architecture = 0;
  bool is_specific = false;  // sm_90a rather than sm_90
  std::vector<std::string> defines;
  for (int i = 0; i < count; ++i) {
    const std::string option = options[i];
    const size_t digits = option.find("sm_") != std::string::npos        ? option.find("sm_") + 3
                          : option.find("compute_") != std::string::npos ? option.find("compute_") + 8
                                                                         : std::string::npos;
    const bool is_architecture = option.rfind("--gpu-architecture=", 0) == 0 || option.rfind("-arch=", 0) == 0;
    if (is_architecture && digits != std::string::npos) {
      architecture = 10 * std::atoi(option.c_str() + digits);
      is_specific = option.back() == 'a';
    } else if (option.rfind("-D", 0) == 0 && option.size() > 2) {
      defines.push_back(option);
    } else if (option.rfind("--define-macro=", 0) == 0) {
      defines.push_back("-D" + option.substr(15));
    } else if (option.empty() || option[0] != '-') {
      return program->log = "unknown option " + option, kInvalidOption;
    }
  }
  return compile(*program, architecture ? architecture : 750, is_specific, defines);
}

TW_NVRTC int nvrtcGetCUBINSize(Program* program, size_t* size) { return *size = program->object.size(), kSuccess; }
TW_NVRTC int nvrtcGetCUBIN(Program* program, char* out) {
  return std::memcpy(out, program->object.data(), program->object.size()), kSuccess;
}
TW_NVRTC int nvrtcGetProgramLogSize(Program* program, size_t* size) { return *size = program->log.size() + 1, kSuccess; }
TW_NVRTC int nvrtcGetProgramLog(Program* program, char* out) {
  return std::memcpy(out, program->log.c_str(), program->log.size() + 1), kSuccess;
}
