// What the self-test drives the two libraries with.
#pragma once
#include <dlfcn.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace test {

inline int& failures() {
  static int count = 0;
  return count;
}
inline void check(bool ok, const char* what) {
  if (!ok && ++failures() <= 20) std::printf("  failed: %s\n", what);
}
inline void check_near(double got, double expected, double tolerance, const char* what) {
  if (!(std::fabs(got - expected) <= tolerance) && ++failures() <= 20) {
    std::printf("  failed: %s: %.9g instead of %.9g\n", what, got, expected);
  }
}

inline uint32_t random_bits() {
  static uint64_t state = 1;
  state = state * 6364136223846793005u + 1442695040888963407u;
  return static_cast<uint32_t>(state >> 33);
}
inline std::vector<float> random_floats(size_t n) {
  std::vector<float> out(n);
  for (float& x : out) x = static_cast<float>(random_bits() % 20001) / 10000.0f - 1.0f;
  return out;
}
template <typename T>
std::vector<T> slice(const std::vector<T>& v, size_t begin, size_t end) {
  return {v.begin() + static_cast<std::ptrdiff_t>(begin), v.begin() + static_cast<std::ptrdiff_t>(end)};
}

inline std::string read_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) std::fprintf(stderr, "cannot read %s\n", path.c_str()), std::exit(2);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The prelude with the files it names, and the test's kernels.
inline std::string read_kernels() {
  const std::string folder = std::string(TW_KERNELS_FOLDER) + "/", prelude = read_file(folder + "prelude.cuh");
  std::string text;
  for (size_t at = 0; (at = prelude.find("#include \"", at)) != std::string::npos;) {
    at += 10;
    text += read_file(folder + prelude.substr(at, prelude.find('"', at) - at));
  }
  for (const char* file : {"kernels.cuh", "hopper.cuh"}) text += read_file(std::string(TW_TEST_FOLDER) + "/" + file);
  return text;
}

class Buffer;

class Device {
 public:
  Device(const char* driver, const char* nvrtc, const std::string& source)
      : driver_(dlopen(driver, RTLD_NOW)), nvrtc_(dlopen(nvrtc, RTLD_NOW)) {
    if (!driver_ || !nvrtc_) std::fprintf(stderr, "%s\n", dlerror()), std::exit(2);
    void* context;
    call("cuInit", 0u);
    call("cuDeviceGetAttribute", &major, 75, 0);
    call("cuDevicePrimaryCtxRetain", &context, 0);
    call("cuCtxSetCurrent", context);
    const std::string image = compile(source);
    call("cuModuleLoadData", &module_, static_cast<const void*>(image.data()));
  }

  // By name through cuGetProcAddress_v2, which gets base names.
  template <typename... Arguments>
  int try_call(const char* name, Arguments... arguments) {
    using Lookup = int (*)(const char*, void**, int, uint64_t, int*);
    std::string base = name;
    if (base.ends_with("_v2")) base.resize(base.size() - 3);
    void* function = nullptr;
    reinterpret_cast<Lookup>(dlsym(driver_, "cuGetProcAddress_v2"))(base.c_str(), &function, 13000, 0, nullptr);
    if (!function) std::fprintf(stderr, "no %s\n", name), std::exit(2);
    return reinterpret_cast<int (*)(Arguments...)>(function)(arguments...);
  }
  template <typename... Arguments>
  void call(const char* name, Arguments... arguments) {
    if (const int result = try_call(name, arguments...)) {
      std::fprintf(stderr, "%s: error %d\n", name, result);
      std::exit(2);
    }
  }

  struct Extent {
    size_t x, y = 1, z = 1;
  };
  // Arguments are 8 bytes each, but for tensor maps, which come first.
  template <typename... Arguments>
  int try_launch_on(void* stream, const char* kernel, Extent grid, Extent block, unsigned shared, const Arguments&... arguments) {
    alignas(64) char buffer[1024];
    size_t size = 0;
    (put(buffer, size, arguments), ...);
    void* parameters[] = {buffer};
    void* function;
    if (const int result = try_call("cuModuleGetFunction", &function, module_, kernel)) return result;
    const auto u = [](size_t n) { return static_cast<unsigned>(n); };
    if (cluster == 1) {
      return try_call("cuLaunchKernel", function, u(grid.x), u(grid.y), u(grid.z), u(block.x), u(block.y), u(block.z), shared,
                      stream, static_cast<void**>(parameters), static_cast<void**>(nullptr));
    }
    struct {
      unsigned id = 4, padding = 0, x, y = 1, z = 1, rest[13] = {};
    } attribute;
    attribute.x = cluster;
    struct {
      unsigned grid[3], block[3], shared;
      void *stream, *attributes;
      unsigned count;
    } config{{u(grid.x), u(grid.y), u(grid.z)}, {u(block.x), u(block.y), u(block.z)}, shared, stream, &attribute, 1};
    return try_call("cuLaunchKernelEx", static_cast<const void*>(&config), function, static_cast<void**>(parameters),
                    static_cast<void**>(nullptr));
  }
  template <typename... Arguments>
  int try_launch(const char* kernel, Extent grid, Extent block, unsigned shared, const Arguments&... arguments) {
    return try_launch_on(nullptr, kernel, grid, block, shared, arguments...);
  }
  template <typename... Arguments>
  void launch_on(void* stream, const char* kernel, Extent grid, Extent block, unsigned shared, const Arguments&... arguments) {
    const int result = try_launch_on(stream, kernel, grid, block, shared, arguments...);
    if (result) std::printf("  launch of %s: error %d\n", kernel, result), ++failures();
  }
  template <typename... Arguments>
  void launch(const char* kernel, Extent grid, Extent block, unsigned shared, const Arguments&... arguments) {
    launch_on(nullptr, kernel, grid, block, shared, arguments...);
  }
  void allow_shared(const char* kernel, int bytes) {
    void* function;
    call("cuModuleGetFunction", &function, module_, kernel);
    call("cuFuncSetAttribute", function, 8, bytes);
  }

  int major = 0;
  unsigned cluster = 1;  // blocks along x

 private:
  template <typename T>
  static void put(char* buffer, size_t& size, const T& value) {
    if constexpr (requires { value.pointer(); }) {
      const uint64_t p = value.pointer();
      std::memcpy(buffer + size, &p, 8);
      size += 8;
    } else {
      static_assert(sizeof(T) % 8 == 0);
      std::memcpy(buffer + size, &value, sizeof value);
      size += sizeof value;
    }
  }

  std::string compile(const std::string& source) {
    const auto nvrtc = [&](const char* name, auto... arguments) {
      return reinterpret_cast<int (*)(decltype(arguments)...)>(dlsym(nvrtc_, name))(arguments...);
    };
    void* program;
    const char* options[] = {major >= 9 ? "--gpu-architecture=sm_90a" : "--gpu-architecture=sm_80", "--std=c++17"};
    nvrtc("nvrtcCreateProgram", &program, source.c_str(), "kernels.cu", 0, static_cast<void*>(nullptr), static_cast<void*>(nullptr));
    const int result = nvrtc("nvrtcCompileProgram", program, 2, static_cast<const char* const*>(options));
    size_t size;
    if (result) {
      nvrtc("nvrtcGetProgramLogSize", program, &size);
      std::string log(size, ' ');
      nvrtc("nvrtcGetProgramLog", program, log.data());
      std::fprintf(stderr, "%s\n", log.c_str());
      std::exit(2);
    }
    nvrtc("nvrtcGetCUBINSize", program, &size);
    std::string image(size, ' ');
    nvrtc("nvrtcGetCUBIN", program, image.data());
    nvrtc("nvrtcDestroyProgram", &program);
    return image;
  }

  void *driver_, *nvrtc_, *module_ = nullptr;
};

// Device memory.
class Buffer {
 public:
  Buffer(Device& device, size_t bytes) : device_(device), bytes_(bytes) { device.call("cuMemAlloc_v2", &pointer_, bytes); }
  template <typename T>
  Buffer(Device& device, const std::vector<T>& values) : Buffer(device, values.size() * sizeof(T)) {
    device.call("cuMemcpyHtoD_v2", pointer_, static_cast<const void*>(values.data()), bytes_);
  }
  ~Buffer() { free(); }
  void free() {
    device_.try_call("cuMemFree_v2", pointer_);
    pointer_ = 0;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  uint64_t pointer() const { return pointer_; }
  template <typename T>
  std::vector<T> read() const {
    std::vector<T> out(bytes_ / sizeof(T));
    device_.call("cuMemcpyDtoH_v2", static_cast<void*>(out.data()), pointer_, out.size() * sizeof(T));
    return out;
  }

 private:
  Device& device_;
  size_t bytes_;
  uint64_t pointer_ = 0;
};

}  // namespace test
