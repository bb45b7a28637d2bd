// Streams, events and graphs. Work runs at once, unless the environment plays that it is late: then it runs when the host
// waits for it. A capturing stream's operations are recorded, those of all streams of a capture in the order they were
// issued in, which is one that their edges allow.
#include <chrono>
#include <deque>
#include <memory>
#include <set>
#include <vector>

#include "driver.h"

using namespace tw_emulator;

namespace {

struct Graph {
  std::vector<Operation> operations;
  bool is_open = false;  // still captured into
};
struct Stream {
  std::shared_ptr<Graph> captured;  // into; no longer once it is closed
  bool is_capturing() const { return captured && captured->is_open; }
  bool is_origin = false;
  int priority = 0;
  int device = current_device();
  std::deque<Operation> late;
};
struct Event {
  int device = current_device();
  Stream* stream = nullptr;  // where it was recorded last
  std::shared_ptr<Graph> capture;  // where it was recorded, if that was one
  std::chrono::steady_clock::time_point time;
  bool recorded = false;
};

Stream default_stream;
std::set<Stream*> streams;

// 0, 1 and 2 are the default streams.
Stream& stream_of(void* handle) {
  return reinterpret_cast<uintptr_t>(handle) <= 2 ? default_stream : *static_cast<Stream*>(handle);
}

// What waits for work of a stream. A failure is the last word of the device, as it is of a real one.
int run_late(Stream& s) {
  if (s.late.empty()) return kSuccess;
  const DeviceScope scope(s.device);
  int result = kSuccess;
  while (!s.late.empty() && result == kSuccess) {
    const Operation operation = std::move(s.late.front());
    s.late.pop_front();
    result = operation();
  }
  s.late.clear();
  if (result != kSuccess) lose(s.device, result);
  return result;
}

}  // namespace

int tw_emulator::flush(void* stream) {
  const std::lock_guard lock(driver_lock());
  return run_late(stream_of(stream));
}

int tw_emulator::flush_all() {
  const std::lock_guard lock(driver_lock());
  for (Stream* s : streams)
    if (s->device == current_device())
      if (const int result = run_late(*s)) return result;
  return kSuccess;
}

int tw_emulator::enqueue(void* stream, Operation operation) {
  const std::lock_guard lock(driver_lock());
  Stream& s = stream_of(stream);
  if (!has_context()) return kInvalidContext;
  if (const int result = lost(current_device())) return result;
  if (&s != &default_stream && !is_current(s.device, "a stream")) return kInvalidHandle;
  if (!s.is_capturing()) {
    if (&s == &default_stream || played("late", 0) == 0) {
      if (const int result = run_late(s)) return result;
      return operation();
    }
    s.late.push_back(std::move(operation));
    return kSuccess;
  }
  s.captured->operations.push_back(std::move(operation));
  return kSuccess;
}

TW_DRIVER cuStreamCreateWithPriority(void** stream, unsigned, int priority) {
  const std::lock_guard lock(driver_lock());
  if (!has_context()) return kInvalidContext;
  if (const int result = lost(current_device())) return result;
  auto* s = new Stream;
  s->priority = priority;
  streams.insert(s);
  trace("stream");
  return *stream = s, kSuccess;
}
TW_DRIVER cuStreamCreate(void** stream, unsigned flags) { return cuStreamCreateWithPriority(stream, flags, 0); }
TW_DRIVER cuStreamDestroy_v2(void* stream) {
  const std::lock_guard lock(driver_lock());
  Stream& s = stream_of(stream);
  if (&s == &default_stream || !is_current(s.device, "a stream to destroy")) return kInvalidHandle;
  run_late(s);
  streams.erase(&s);
  return delete &s, kSuccess;
}
TW_DRIVER cuStreamSynchronize(void* stream) {
  const std::lock_guard lock(driver_lock());
  Stream& s = stream_of(stream);
  if (!has_context()) return kInvalidContext;
  if (s.is_capturing()) return kStreamCaptureUnsupported;
  if (const int result = run_late(s)) return result;
  return lost(&s == &default_stream ? current_device() : s.device);
}
TW_DRIVER cuStreamQuery(void* stream) {
  const std::lock_guard lock(driver_lock());
  const Stream& s = stream_of(stream);
  if (s.is_capturing()) return kStreamCaptureUnsupported;
  return s.late.empty() ? kSuccess : kNotReady;
}
TW_DRIVER cuStreamGetPriority(void* stream, int* priority) { return *priority = stream_of(stream).priority, kSuccess; }
TW_DRIVER cuStreamWaitEvent(void* stream, void* event, unsigned) {
  const std::lock_guard lock(driver_lock());
  Stream& s = stream_of(stream);
  const auto& capture = static_cast<Event*>(event)->capture;
  if (Stream* other = static_cast<Event*>(event)->stream; other && streams.count(other))
    if (const int result = run_late(*other)) return result;
  if (capture && capture->is_open && !s.is_capturing()) s.captured = capture;
  return kSuccess;
}
TW_DRIVER cuLaunchHostFunc(void* stream, void (*function)(void*), void* data) {
  return enqueue(stream, [=] { return function(data), kSuccess; });
}

TW_DRIVER cuStreamBeginCapture_v2(void* stream, int) {
  const std::lock_guard lock(driver_lock());
  Stream& s = stream_of(stream);
  if (&s == &default_stream || s.is_capturing()) return kStreamCaptureUnsupported;
  s.captured = std::make_shared<Graph>();
  s.captured->is_open = true;
  s.is_origin = true;
  return kSuccess;
}
TW_DRIVER cuStreamEndCapture(void* stream, void** graph) {
  const std::lock_guard lock(driver_lock());
  Stream& s = stream_of(stream);
  *graph = nullptr;
  if (!s.is_capturing() || !s.is_origin) return kInvalidValue;
  s.captured->is_open = false;
  *graph = new Graph(*s.captured);
  s.captured.reset();
  s.is_origin = false;
  return kSuccess;
}
TW_DRIVER cuStreamIsCapturing(void* stream, int* status) { return *status = stream_of(stream).is_capturing() ? 1 : 0, kSuccess; }
TW_DRIVER cuThreadExchangeStreamCaptureMode(int*) { return kSuccess; }

TW_DRIVER cuEventCreate(void** event, unsigned) {
  if (!has_context()) return kInvalidContext;
  return *event = new Event, kSuccess;
}
TW_DRIVER cuEventDestroy_v2(void* event) {
  auto* e = static_cast<Event*>(event);
  if (!is_current(e->device, "an event to destroy")) return kInvalidHandle;
  return delete e, kSuccess;
}
TW_DRIVER cuEventRecord(void* event, void* stream) {
  const std::lock_guard lock(driver_lock());
  auto& e = *static_cast<Event*>(event);
  Stream& s = stream_of(stream);
  if (!is_current(e.device, "an event") || (&s != &default_stream && e.device != s.device)) return kInvalidHandle;
  // Nobody measures what is late.
  if (const int result = run_late(s)) return result;
  e.capture = s.captured;
  e.stream = &s == &default_stream ? nullptr : &s;
  e.time = std::chrono::steady_clock::now();
  e.recorded = true;
  return kSuccess;
}
TW_DRIVER cuEventRecordWithFlags(void* event, void* stream, unsigned) { return cuEventRecord(event, stream); }
TW_DRIVER cuEventSynchronize(void*) { return kSuccess; }
TW_DRIVER cuEventQuery(void*) { return kSuccess; }
TW_DRIVER cuEventElapsedTime_v2(float* milliseconds, void* begin, void* end) {
  const auto &b = *static_cast<Event*>(begin), &e = *static_cast<Event*>(end);
  if (!b.recorded || !e.recorded) return kInvalidHandle;
  *milliseconds = std::chrono::duration<float, std::milli>(e.time - b.time).count();
  return kSuccess;
}
TW_DRIVER cuEventElapsedTime(float* milliseconds, void* begin, void* end) {
  return cuEventElapsedTime_v2(milliseconds, begin, end);
}

TW_DRIVER cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long) {
  return *executable = new Graph(*static_cast<Graph*>(graph)), kSuccess;
}
TW_DRIVER cuGraphUpload(void*, void*) { return kSuccess; }
TW_DRIVER cuGraphLaunch(void* executable, void* stream) {
  const std::lock_guard lock(driver_lock());
  trace("graph " + std::to_string(static_cast<Graph*>(executable)->operations.size()));
  for (const Operation& operation : static_cast<Graph*>(executable)->operations) {
    if (const int result = enqueue(stream, operation)) return result;
  }
  return kSuccess;
}
TW_DRIVER cuGraphExecDestroy(void* executable) { return delete static_cast<Graph*>(executable), kSuccess; }
TW_DRIVER cuGraphDestroy(void* graph) { return delete static_cast<Graph*>(graph), kSuccess; }
TW_DRIVER cuGraphGetNodes(void* graph, void** nodes, size_t* count) {
  if (nodes) return kNotSupported;
  return *count = static_cast<Graph*>(graph)->operations.size(), kSuccess;
}
