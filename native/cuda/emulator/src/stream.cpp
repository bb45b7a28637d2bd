// Streams, events and graphs. Work runs at once, so a stream only matters while it captures: its operations are then
// recorded, those of all streams of a capture in the order they were issued in, which is one that their edges allow.
#include <chrono>
#include <memory>
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
};
struct Event {
  std::shared_ptr<Graph> capture;  // where it was recorded, if that was one
  std::chrono::steady_clock::time_point time;
  bool recorded = false;
};

Stream default_stream;

// 0, 1 and 2 are the default streams.
Stream& stream_of(void* handle) {
  return reinterpret_cast<uintptr_t>(handle) <= 2 ? default_stream : *static_cast<Stream*>(handle);
}

}  // namespace

int tw_emulator::enqueue(void* stream, Operation operation) {
  const std::lock_guard lock(driver_lock());
  Stream& s = stream_of(stream);
  if (const int result = lost(current_device())) return result;
  if (&s != &default_stream && s.device != current_device()) return kInvalidHandle;
  if (!s.is_capturing()) return operation();
  s.captured->operations.push_back(std::move(operation));
  return kSuccess;
}

TW_DRIVER cuStreamCreate(void** stream, unsigned) {
  if (const int result = lost(current_device())) return result;
  return *stream = new Stream, kSuccess;
}
TW_DRIVER cuStreamCreateWithPriority(void** stream, unsigned, int priority) {
  auto* s = new Stream;
  s->priority = priority;
  return *stream = s, kSuccess;
}
TW_DRIVER cuStreamDestroy_v2(void* stream) {
  if (&stream_of(stream) == &default_stream) return kInvalidHandle;
  return delete static_cast<Stream*>(stream), kSuccess;
}
TW_DRIVER cuStreamSynchronize(void* stream) {
  return stream_of(stream).is_capturing() ? kStreamCaptureUnsupported : lost(current_device());
}
TW_DRIVER cuStreamQuery(void* stream) { return stream_of(stream).is_capturing() ? kStreamCaptureUnsupported : kSuccess; }
TW_DRIVER cuStreamGetPriority(void* stream, int* priority) { return *priority = stream_of(stream).priority, kSuccess; }
TW_DRIVER cuStreamWaitEvent(void* stream, void* event, unsigned) {
  const std::lock_guard lock(driver_lock());
  Stream& s = stream_of(stream);
  const auto& capture = static_cast<Event*>(event)->capture;
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

TW_DRIVER cuEventCreate(void** event, unsigned) { return *event = new Event, kSuccess; }
TW_DRIVER cuEventDestroy_v2(void* event) { return delete static_cast<Event*>(event), kSuccess; }
TW_DRIVER cuEventRecord(void* event, void* stream) {
  const std::lock_guard lock(driver_lock());
  auto& e = *static_cast<Event*>(event);
  e.capture = stream_of(stream).captured;
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
