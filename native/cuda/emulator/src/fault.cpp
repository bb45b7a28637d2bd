#include "fault.h"

#include <signal.h>

#include <cstddef>

#include "results.h"

namespace tw_emulator {
namespace {

constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
struct sigaction previous[4];
stack_t previous_stack;
sigjmp_buf back_to;
thread_local bool is_launching = false;
alignas(16) char handler_stack[64 * 1024];  // fibers may have run out of theirs

void handle(int signal, siginfo_t* info, void* context) {
  if (is_launching) siglongjmp(back_to, signal);
  for (size_t i = 0; i < 4; ++i) {
    if (kSignals[i] != signal) continue;
    if (previous[i].sa_flags & SA_SIGINFO) return previous[i].sa_sigaction(signal, info, context);
    if (previous[i].sa_handler != SIG_DFL && previous[i].sa_handler != SIG_IGN) return previous[i].sa_handler(signal);
    sigaction(signal, &previous[i], nullptr);  // the instruction runs again and meets the default
  }
}

}  // namespace

FaultHandler::FaultHandler() {
  stack_t stack{};
  stack.ss_sp = handler_stack;
  stack.ss_size = sizeof handler_stack;
  sigaltstack(&stack, &previous_stack);
  struct sigaction action {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (size_t i = 0; i < 4; ++i) sigaction(kSignals[i], &action, &previous[i]);
  is_launching = true;
}

FaultHandler::~FaultHandler() {
  is_launching = false;
  for (size_t i = 0; i < 4; ++i) sigaction(kSignals[i], &previous[i], nullptr);
  sigaltstack(&previous_stack, nullptr);
}

sigjmp_buf& FaultHandler::back() { return back_to; }

const char* describe_signal(int signal) {
  switch (signal) {
    case SIGFPE:
      return "divided an integer by zero";
    case SIGILL:
      return "reached code that cannot be reached";
    default:
      return "accessed memory that is not allocated (or overflowed its stack of 68 kB)";
  }
}

int signal_result(int signal) { return signal == SIGFPE || signal == SIGILL ? kLaunchFailed : kIllegalAddress; }

}  // namespace tw_emulator
