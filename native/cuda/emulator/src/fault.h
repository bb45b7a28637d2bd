// Turns a kernel's invalid memory access into a failed launch instead of a dead process.
#pragma once
#include <csetjmp>

namespace tw_emulator {

// While one lives, SIGSEGV, SIGBUS, SIGFPE and SIGILL of this thread jump to back() with the signal's number; those of
// other threads go where they went before.
class FaultHandler {
 public:
  FaultHandler();
  ~FaultHandler();
  FaultHandler(const FaultHandler&) = delete;
  FaultHandler& operator=(const FaultHandler&) = delete;
  sigjmp_buf& back();
};

const char* describe_signal(int signal);
int signal_result(int signal);

}  // namespace tw_emulator
