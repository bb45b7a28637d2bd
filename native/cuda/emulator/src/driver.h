// The driver interface's types, as the emulator lays them out, and what its files share.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
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
// Of the calling thread. Where it has none, the first one; calls that need a context fail then.
int current_device();
bool has_context();
// Whether the call may go on that wants `device` to be the current one; says on stderr why not.
bool is_current(int device, const char* what);

// Makes a device current while it lives.
class DeviceScope {
 public:
  explicit DeviceScope(int device);
  ~DeviceScope();
};

// What the devices report.
int capability_major();
int capability_minor();
size_t total_memory();
size_t max_dynamic_shared();  // per block, after opting in

// Of the current device.
size_t free_memory();
// Memory of the current device: that of another one is not.
bool is_device_range(DevicePointer begin, size_t bytes);
// The device whose memory the address lies in; -1 for none.
int device_of(DevicePointer p);
// The first allocation that something was written around of, described; empty if none.
std::string damaged_allocation();

// CUDA_MEMSET_NODE_PARAMS: `height` rows of `width` elements.
struct FillParameters {
  DevicePointer to;
  size_t pitch;
  unsigned value, element_bytes;
  size_t width, height;
};
// One operation of a stream: runs now, or is recorded while the stream is capturing. The stream's device is the current
// one. `fill`: what it does, if that is to fill memory.
using Operation = std::function<int()>;
int enqueue(void* stream, Operation operation, std::optional<FillParameters> fill = {});
// Whether what is queued on it is recorded, to be done when that is played.
bool is_captured(void* stream);
// The driver's error for calls that are not safe while a stream is captured, as the calling thread's mode has it: such
// as allocate, load code or wait. kSuccess where they are.
int refuse_unsafe(const char* call);
// Runs what is queued on the stream, or on all streams of the current device.
int flush(void* stream);
int flush_all();
// Whether it was allocated to be read and written by a device's copies while the host goes on.
bool is_locked(const void* host);

// A loaded kernel: CUfunction and CUkernel alike.
struct Function {
  const tw_emulator_kernel* kernel;
  const tw_emulator_module_info* module;
  std::string name;
  int device;
  unsigned max_dynamic_shared = 48 * 1024;
};
// Completes a launch, and checks it as the driver does.
int prepare(Function* function, Launch& launch, void** parameters, void** extra);
// Runs it, and inspects memory afterwards.
int run_checked(const Launch& launch);

}  // namespace tw_emulator
