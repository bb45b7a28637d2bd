// Streams and events. Work runs at once, unless the environment plays that it is late: then it runs when the
// host waits for it. A capturing stream's operations are recorded, those of all streams of a capture in the order they
// were issued in, which is one that their edges allow.
#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <set>
#include <vector>

#include "capture.h"
#include "driver.h"
#include "graph.h"

using namespace tw_emulator;

namespace {

struct Stream {
  uint64_t id = next_id++;
  CapturePointer captured;  // into; no longer once that has ended
  CaptureClock clock;       // what of it comes before what this stream does next
  bool is_capturing() const { return captured && captured->is_open; }
  bool blocking = false;  // waits for the legacy stream, which waits for it
  int priority = 0;
  int device = current_device();
  std::deque<Operation> late;

  static inline uint64_t next_id = 1;
};
struct Event {
  int device = current_device();
  Stream* stream = nullptr;  // where it was recorded last
  CapturePointer capture;    // into which, if that was one
  CaptureClock clock;
  std::chrono::steady_clock::time_point time;
  bool recorded = false;
};

// Never destroyed: threads go on while the process ends.
Stream& default_stream = *new Stream;
auto& streams = *new std::set<Stream*>;

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

// Waiting for a stream that is captured, or for any other one while that is not safe.
int refuse_wait(Stream& s, const char* call) {
  if (s.is_capturing()) return disturb(*s.captured, kStreamCaptureUnsupported, call);
  if (&s == &default_stream)
    if (const int result = refuse_legacy(call)) return result;
  return refuse_unsafe(call);
}

// The stream joins the recording, or has joined it and waits for another stream's part of it.
int wait_captured(Stream& s, const Event& e) {
  constexpr const char* kCall = "cuStreamWaitEvent";
  if (!e.capture->is_valid) return kStreamCaptureInvalidated;
  if (&s == &default_stream) return disturb(*e.capture, kStreamCaptureImplicit, kCall);
  if (s.is_capturing() && s.captured != e.capture) {
    disturb(*s.captured, kStreamCaptureMerge, kCall);
    return disturb(*e.capture, kStreamCaptureMerge, kCall);
  }
  if (!s.is_capturing()) s.clock.clear();
  s.captured = e.capture;
  for (const auto& [id, operations] : e.clock) s.clock[id] = std::max(s.clock[id], operations);
  return kSuccess;
}

// Waiting for an event, or asking for it.
int refuse_event(const Event& e, const char* call) {
  if (e.capture && e.capture->is_open) return disturb(*e.capture, kCapturedEvent, call);
  return e.capture ? static_cast<int>(kCapturedEvent) : refuse_unsafe(call);
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

int tw_emulator::enqueue(void* stream, Operation operation, std::optional<FillParameters> fill) {
  const std::lock_guard lock(driver_lock());
  Stream& s = stream_of(stream);
  if (!has_context()) return kInvalidContext;
  if (const int result = lost(current_device())) return result;
  if (&s != &default_stream && !is_current(s.device, "a stream")) return kInvalidHandle;
  if (&s == &default_stream)
    if (const int result = refuse_legacy("work on the legacy stream")) return result;
  if (!s.is_capturing()) {
    if (&s == &default_stream || played("late", 0) == 0) {
      if (const int result = run_late(s)) return result;
      return operation();
    }
    s.late.push_back(std::move(operation));
    return kSuccess;
  }
  if (!s.captured->is_valid) return kStreamCaptureInvalidated;
  s.captured->operations.push_back({std::move(operation), fill});
  s.clock[s.id] = ++s.captured->issued[s.id];
  return kSuccess;
}

bool tw_emulator::is_captured(void* stream) {
  const std::lock_guard lock(driver_lock());
  return stream_of(stream).is_capturing();
}

TW_DRIVER cuStreamCreateWithPriority(void** stream, unsigned flags, int priority) {
  if (const int result = begin_call("cuStreamCreate")) return result;
  const std::lock_guard lock(driver_lock());
  if (!has_context()) return kInvalidContext;
  if (const int result = lost(current_device())) return result;
  auto* s = new Stream;
  s->priority = priority;
  constexpr unsigned kNonBlocking = 1;
  s->blocking = flags != kNonBlocking;
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
  if (s.is_capturing()) {
    disturb(*s.captured, kStreamCaptureUnsupported, "cuStreamDestroy");
    s.captured->is_open = s.captured->origin != s.id;
  }
  streams.erase(&s);
  return delete &s, kSuccess;
}
TW_DRIVER cuStreamSynchronize(void* stream) {
  const std::lock_guard lock(driver_lock());
  Stream& s = stream_of(stream);
  if (!has_context()) return kInvalidContext;
  if (const int result = refuse_wait(s, "cuStreamSynchronize")) return result;
  if (const int result = run_late(s)) return result;
  return lost(&s == &default_stream ? current_device() : s.device);
}
TW_DRIVER cuStreamQuery(void* stream) {
  const std::lock_guard lock(driver_lock());
  Stream& s = stream_of(stream);
  if (const int result = refuse_wait(s, "cuStreamQuery")) return result;
  return s.late.empty() ? kSuccess : kNotReady;
}
TW_DRIVER cuStreamGetPriority(void* stream, int* priority) { return *priority = stream_of(stream).priority, kSuccess; }
TW_DRIVER cuStreamWaitEvent(void* stream, void* event, unsigned) {
  const std::lock_guard lock(driver_lock());
  Stream& s = stream_of(stream);
  const auto& e = *static_cast<Event*>(event);
  if (e.capture && e.capture->is_open) return wait_captured(s, e);
  if (e.capture) return kCapturedEvent;
  if (!e.recorded) return kSuccess;
  if (s.is_capturing()) return disturb(*s.captured, kStreamCaptureIsolation, "cuStreamWaitEvent");
  if (e.stream && streams.count(e.stream))
    if (const int result = run_late(*e.stream)) return result;
  return kSuccess;
}
TW_DRIVER cuLaunchHostFunc(void* stream, void (*function)(void*), void* data) {
  return enqueue(stream, [=] { return function(data), kSuccess; });
}

TW_DRIVER cuStreamBeginCapture_v2(void* stream, int mode) {
  const std::lock_guard lock(driver_lock());
  Stream& s = stream_of(stream);
  if (mode < kGlobalCapture || mode > kRelaxedCapture) return kInvalidValue;
  if (&s == &default_stream) return kStreamCaptureUnsupported;
  if (s.is_capturing()) return disturb(*s.captured, kStreamCaptureUnsupported, "cuStreamBeginCapture");
  s.captured = begin_capture(mode, s.id, s.blocking);
  s.clock.clear();
  return kSuccess;
}
TW_DRIVER cuStreamEndCapture(void* stream, void** graph) {
  const std::lock_guard lock(driver_lock());
  Stream& s = stream_of(stream);
  *graph = nullptr;
  if (!s.is_capturing()) return kInvalidValue;
  Capture& capture = *s.captured;
  if (capture.origin != s.id) return disturb(capture, kStreamCaptureUnmatched, "cuStreamEndCapture");
  if (capture.mode != kRelaxedCapture && capture.thread != std::this_thread::get_id()) return kStreamCaptureWrongThread;
  const int result = end_capture(capture, s.clock);
  if (result == kSuccess) *graph = make_graph(std::move(capture.operations));
  return s.captured.reset(), result;
}
TW_DRIVER cuStreamIsCapturing(void* stream, int* status) {
  const std::lock_guard lock(driver_lock());
  constexpr int kNone = 0, kActive = 1, kInvalidated = 2;
  const Stream& s = stream_of(stream);
  *status = !s.is_capturing() ? kNone : s.captured->is_valid ? kActive : kInvalidated;
  return kSuccess;
}
TW_DRIVER cuThreadExchangeStreamCaptureMode(int* mode) { return exchange_capture_mode(mode); }

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
  if (s.is_capturing() && !s.captured->is_valid) return kStreamCaptureInvalidated;
  e.capture = s.is_capturing() ? s.captured : nullptr;
  e.clock = s.clock;
  e.stream = &s == &default_stream ? nullptr : &s;
  e.time = std::chrono::steady_clock::now();
  e.recorded = true;
  return kSuccess;
}
TW_DRIVER cuEventRecordWithFlags(void* event, void* stream, unsigned) { return cuEventRecord(event, stream); }
TW_DRIVER cuEventSynchronize(void* event) {
  const std::lock_guard lock(driver_lock());
  return refuse_event(*static_cast<Event*>(event), "cuEventSynchronize");
}
TW_DRIVER cuEventQuery(void* event) {
  const std::lock_guard lock(driver_lock());
  return refuse_event(*static_cast<Event*>(event), "cuEventQuery");
}
TW_DRIVER cuEventElapsedTime_v2(float* milliseconds, void* begin, void* end) {
  const std::lock_guard lock(driver_lock());
  const auto &b = *static_cast<Event*>(begin), &e = *static_cast<Event*>(end);
  for (const Event* event : {&b, &e})
    if (event->capture) return refuse_event(*event, "cuEventElapsedTime");
  if (!b.recorded || !e.recorded) return kInvalidHandle;
  *milliseconds = std::chrono::duration<float, std::milli>(e.time - b.time).count();
  return kSuccess;
}
TW_DRIVER cuEventElapsedTime(float* milliseconds, void* begin, void* end) {
  return cuEventElapsedTime_v2(milliseconds, begin, end);
}

TW_DRIVER cuGraphUpload(void*, void* stream) {
  if (const int result = begin_call("cuGraphUpload")) return result;
  const std::lock_guard lock(driver_lock());
  Stream& s = stream_of(stream);
  return s.is_capturing() ? disturb(*s.captured, kStreamCaptureUnsupported, "cuGraphUpload") : kSuccess;
}
