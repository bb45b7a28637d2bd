// The driver interface's types, as the emulator lays them out, and what its files share.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "block.h"
#include "play.h"
#include "results.h"

#define TW_DRIVER extern "C" __attribute__((visibility("default"))) int

using DevicePointer = uint64_t;

namespace tw_emulator {

// Every call that touches memory, streams or kernels holds it: work runs at once, in the calling thread.
std::recursive_mutex& driver_lock();

constexpr int kMostDevices = 16;
int device_count();
// Of the calling thread; the first one where none has been set.
int current_device();

// What the devices report.
int capability_major();
int capability_minor();
size_t total_memory();
size_t max_dynamic_shared();  // per block, after opting in

// Device memory.
bool is_device_range(DevicePointer begin, size_t bytes);
// The first allocation that something was written around of, described; empty if none.
std::string damaged_allocation();

// One operation of a stream: runs now, or is recorded while the stream is capturing. The stream's device is the current
// one.
using Operation = std::function<int()>;
int enqueue(void* stream, Operation operation);

// A loaded kernel: CUfunction and CUkernel alike.
struct Function {
  const tw_emulator_kernel* kernel;
  const tw_emulator_module_info* module;
  std::string name;
  unsigned max_dynamic_shared = 48 * 1024;
};

}  // namespace tw_emulator
