#include "capture.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace tw_emulator {
namespace {

auto& begun = *new std::vector<std::weak_ptr<Capture>>;  // never destroyed: threads go on while the process ends
thread_local int thread_mode = kGlobalCapture;

// Disturbs the recordings that `is_disturbed` is true of.
template <typename Test>
int disturb_all(const char* call, int result, const Test& is_disturbed) {
  int refused = kSuccess;
  for (const auto& weak : begun) {
    const CapturePointer capture = weak.lock();
    if (capture && capture->is_open && is_disturbed(*capture)) refused = disturb(*capture, result, call);
  }
  return refused;
}

}  // namespace

CapturePointer begin_capture(int mode, uint64_t stream, bool blocking) {
  auto capture = std::make_shared<Capture>();
  capture->mode = mode;
  capture->origin = stream;
  capture->blocking = blocking;
  std::erase_if(begun, [](const auto& weak) { return weak.expired(); });
  begun.push_back(capture);
  return capture;
}

int end_capture(Capture& capture, const CaptureClock& origin) {
  capture.is_open = false;
  if (!capture.is_valid) return kStreamCaptureInvalidated;
  const bool joined = std::all_of(capture.issued.begin(), capture.issued.end(), [&](const auto& of) {
    const auto known = origin.find(of.first);
    return known != origin.end() && known->second >= of.second;
  });
  return joined ? kSuccess : kStreamCaptureUnjoined;
}

int disturb(Capture& capture, int result, const char* call) {
  std::fprintf(stderr, "tensorwright emulator: %s: not while a stream is captured\n", call);
  capture.is_valid = false;
  return result;
}

int refuse_unsafe(const char* call) {
  const std::lock_guard lock(driver_lock());
  if (thread_mode == kRelaxedCapture) return kSuccess;
  return disturb_all(call, kStreamCaptureUnsupported, [](const Capture& c) {
    const bool own = c.thread == std::this_thread::get_id() && c.mode != kRelaxedCapture;
    return own || (thread_mode == kGlobalCapture && c.mode == kGlobalCapture);
  });
}

int refuse_device_wait(const char* call) {
  const std::lock_guard lock(driver_lock());
  return disturb_all(call, kStreamCaptureUnsupported, [](const Capture& c) { return c.device == current_device(); });
}

int refuse_legacy(const char* call) {
  return disturb_all(call, kStreamCaptureImplicit,
                     [](const Capture& c) { return c.blocking && c.device == current_device(); });
}

int exchange_capture_mode(int* mode) {
  if (*mode < kGlobalCapture || *mode > kRelaxedCapture) return kInvalidValue;
  return std::swap(thread_mode, *mode), kSuccess;
}

}  // namespace tw_emulator
