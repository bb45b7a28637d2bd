// Kernel launches: checked as the driver does, recorded or run, and memory inspected afterwards.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

#include "driver.h"

using namespace tw_emulator;

namespace {

struct Attribute {
  int id;
  char padding[4];
  union {
    uint3 cluster;
    char bytes[64];
  };
};
struct Config {
  uint3 grid, block;
  unsigned shared_bytes;
  void* stream;
  const Attribute* attributes;
  unsigned attribute_count;
};
constexpr int kClusterDimension = 4;

int check(const Function& function, const Launch& launch) {
  const uint3 g = launch.grid, b = launch.block, c = launch.cluster;
  const unsigned threads = b.x * b.y * b.z;
  if (!g.x || !g.y || !g.z || g.x > 0x7FFFFFFF || g.y > 65535 || g.z > 65535) return kInvalidValue;
  if (!b.x || !b.y || !b.z || b.x > 1024 || b.y > 1024 || b.z > 64 || threads > 1024) return kInvalidValue;
  if (function.kernel->max_threads && threads > function.kernel->max_threads) return kInvalidValue;
  if (launch.shared_bytes > function.max_dynamic_shared) return kInvalidValue;
  // More than eight blocks are for functions that allow sizes which not every device has.
  if (!c.x || !c.y || !c.z || g.x % c.x || g.y % c.y || g.z % c.z || c.x * c.y * c.z > 8) return kInvalidClusterSize;
  if (c.x * c.y * c.z > 1 && capability_major() < 9) return kNotSupported;
  return kSuccess;
}

// What the environment wants of the kernel: true where it took the place of the launch.
bool play(const Launch& launch) {
  if (played_for("crash", launch.name)) std::abort();
  while (played_for("hang", launch.name)) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  if (played_for("fault", launch.name)) return lose(current_device(), kIllegalAddress), true;
  return played_for("skip", launch.name);
}

// The parameters, copied; from an array of pointers or from one buffer, which holds the only parameter of our kernels.
int copy_parameters(const Function& function, void** parameters, void** extra, Launch& launch) {
  const tw_emulator_kernel& kernel = *function.kernel;
  const void* buffer = nullptr;
  for (size_t i = 0; extra && extra[i]; i += 2) {
    if (reinterpret_cast<uintptr_t>(extra[i]) == 1) buffer = extra[i + 1];
  }
  if (kernel.parameter_count > 0 && !parameters && !(buffer && kernel.parameter_count == 1)) return kInvalidValue;
  for (unsigned i = 0; i < kernel.parameter_count; ++i) {
    const auto* from = static_cast<const char*>(parameters ? parameters[i] : buffer);
    launch.parameters.emplace_back(from, from + kernel.parameter_sizes[i]);
  }
  return kSuccess;
}

// Whether no parameter is an address in another device's memory.
bool is_own_memory(const Launch& launch) {
  for (const auto& parameter : launch.parameters) {
    for (size_t at = 0; at + sizeof(DevicePointer) <= parameter.size(); at += sizeof(DevicePointer)) {
      DevicePointer word;
      std::memcpy(&word, parameter.data() + at, sizeof word);
      const int device = device_of(word);
      if (device >= 0 && !is_current(device, ("an argument of kernel '" + launch.name + '\'').c_str())) return false;
    }
  }
  return true;
}

}  // namespace

int tw_emulator::run_checked(const Launch& launch) {
  trace("launch " + launch.name);
  if (play(launch)) return kSuccess;
  if (const int result = run(launch)) return result;
  const std::string damage = damaged_allocation();
  if (damage.empty()) return kSuccess;
  std::fprintf(stderr, "tensorwright emulator: kernel '%s': %s\n", launch.name.c_str(), damage.c_str());
  return kIllegalAddress;
}

int tw_emulator::prepare(Function* function, Launch& launch, void** parameters, void** extra) {
  if (!function) return kInvalidHandle;
  launch.name = function->name;
  launch.kernel = function->kernel;
  launch.module = function->module;
  if (const int result = check(*function, launch)) {
    std::fprintf(stderr,
                 "tensorwright emulator: kernel '%s': bad launch: grid (%u, %u, %u), block (%u, %u, %u), %u bytes of "
                 "shared memory (at most %u)\n",
                 launch.name.c_str(), launch.grid.x, launch.grid.y, launch.grid.z, launch.block.x, launch.block.y,
                 launch.block.z, launch.shared_bytes, function->max_dynamic_shared);
    return result;
  }
  if (!is_current(function->device, ("kernel '" + launch.name + '\'').c_str())) return kInvalidHandle;
  if (const int result = copy_parameters(*function, parameters, extra, launch)) return result;
  return is_own_memory(launch) ? kSuccess : kInvalidValue;
}

namespace {

int submit(Function* function, void* stream, const std::shared_ptr<Launch>& launch, void** parameters, void** extra) {
  if (const int result = prepare(function, *launch, parameters, extra)) return result;
  return enqueue(stream, [launch] { return run_checked(*launch); });
}

}  // namespace

TW_DRIVER cuLaunchKernel(Function* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                         unsigned shared_bytes, void* stream, void** parameters, void** extra) {
  auto launch = std::make_shared<Launch>();
  launch->grid = {gx, gy, gz};
  launch->block = {bx, by, bz};
  launch->shared_bytes = shared_bytes;
  return submit(function, stream, launch, parameters, extra);
}

TW_DRIVER cuLaunchKernelEx(const Config* config, Function* function, void** parameters, void** extra) {
  auto launch = std::make_shared<Launch>();
  launch->grid = config->grid;
  launch->block = config->block;
  launch->shared_bytes = config->shared_bytes;
  for (unsigned i = 0; i < config->attribute_count; ++i) {
    if (config->attributes[i].id == kClusterDimension) launch->cluster = config->attributes[i].cluster;
  }
  return submit(function, config->stream, launch, parameters, extra);
}

TW_DRIVER cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, Function* function, int threads, size_t shared_bytes) {
  if (!function || threads <= 0 || threads > 1024) return kInvalidValue;
  const auto fixed = static_cast<size_t>(function->module->static_shared_end - function->module->static_shared_begin);
  const size_t per_block = fixed + shared_bytes + 1024, shared = max_dynamic_shared() + 1024;
  *blocks = per_block > shared ? 0 : static_cast<int>(std::min({size_t{32}, size_t{2048} / threads, shared / per_block}));
  return kSuccess;
}
TW_DRIVER cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, Function* function, int threads,
                                                               size_t shared_bytes, unsigned) {
  return cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, function, threads, shared_bytes);
}
TW_DRIVER cuOccupancyMaxActiveClusters(int* clusters, Function*, const Config*) { return *clusters = 8, kSuccess; }
