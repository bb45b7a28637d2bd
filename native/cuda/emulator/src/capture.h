// What streams record instead of doing it, and the driver's rules for who does what meanwhile. A call that breaks one
// fails, and the recordings that it disturbs are lost: all that follows on their streams fails too, until they end.
#pragma once
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "driver.h"

namespace tw_emulator {

// CUstreamCaptureMode, of a recording and of a thread.
enum CaptureMode : int { kGlobalCapture, kThreadLocalCapture, kRelaxedCapture };

// How many operations of each stream of a recording come before.
using CaptureClock = std::map<uint64_t, size_t>;

struct Capture {
  int mode = kGlobalCapture;
  uint64_t origin = 0;  // the stream that it began on
  bool blocking = false;  // which the legacy stream waits for
  int device = current_device();
  std::thread::id thread = std::this_thread::get_id();
  bool is_open = true, is_valid = true;
  struct Recorded {
    Operation run;
    std::optional<FillParameters> fill;
  };
  std::vector<Recorded> operations;
  CaptureClock issued;
};
using CapturePointer = std::shared_ptr<Capture>;

CapturePointer begin_capture(int mode, uint64_t stream, bool blocking);
// Gives what keeps the recording from being one: disturbed, or work of a stream that `origin` has not waited for.
int end_capture(Capture& capture, const CaptureClock& origin);

// Loses the recording, and gives `result`.
int disturb(Capture& capture, int result, const char* call);
// Refuses to wait for all work of the current device while some of it is recorded.
int refuse_device_wait(const char* call);
// Refuses what uses the legacy stream while a stream that it waits for is recorded.
int refuse_legacy(const char* call);

// The calling thread's mode becomes `*mode`, which gets the one it had.
int exchange_capture_mode(int* mode);

}  // namespace tw_emulator
