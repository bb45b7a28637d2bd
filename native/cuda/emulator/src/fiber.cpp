#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <new>

#ifndef __x86_64__
#include <ucontext.h>
#endif

namespace tw_emulator {

#ifdef __x86_64__

extern "C" void tw_emulator_switch(Continuation* from, Continuation to);
extern "C" void tw_emulator_enter();

// The callee-saved registers of the System V ABI; a new fiber finds its entry and argument in two of them.
asm(R"(
.text
.globl tw_emulator_switch
.hidden tw_emulator_switch
.type tw_emulator_switch, @function
tw_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size tw_emulator_switch, .-tw_emulator_switch
.globl tw_emulator_enter
.hidden tw_emulator_enter
.type tw_emulator_enter, @function
tw_emulator_enter:
  movq %r12, %rdi
  callq *%rbx
  ud2
.size tw_emulator_enter, .-tw_emulator_enter
)");

void switch_to(Continuation* from, Continuation to) { tw_emulator_switch(from, to); }

Continuation start_of(char* stack_top, void (*entry)(void*), void* argument) {
  auto* frame = reinterpret_cast<uintptr_t*>(stack_top) - 9;  // six registers, the return address, alignment
  std::memset(frame, 0, 9 * sizeof(uintptr_t));
  frame[3] = reinterpret_cast<uintptr_t>(argument);  // r12
  frame[4] = reinterpret_cast<uintptr_t>(entry);     // rbx
  frame[6] = reinterpret_cast<uintptr_t>(&tw_emulator_enter);
  return frame;
}

#else

namespace {
// ucontext objects live at the top of their stacks; the scheduler's own are kept on its stack frame.
void enter(unsigned entry_high, unsigned entry_low, unsigned argument_high, unsigned argument_low) {
  const auto join = [](unsigned high, unsigned low) { return static_cast<uintptr_t>(uint64_t{high} << 32 | low); };
  reinterpret_cast<void (*)(void*)>(join(entry_high, entry_low))(
      reinterpret_cast<void*>(join(argument_high, argument_low)));
}
}  // namespace

void switch_to(Continuation* from, Continuation to) {
  ucontext_t here;
  *from = &here;
  swapcontext(&here, static_cast<ucontext_t*>(to));
}

Continuation start_of(char* stack_top, void (*entry)(void*), void* argument) {
  const auto split = [](const void* p, int shift) { return static_cast<unsigned>(uint64_t(uintptr_t(p)) >> shift); };
  auto* context = reinterpret_cast<ucontext_t*>(stack_top) - 1;
  getcontext(context);
  constexpr size_t kBytes = 60 * 1024;
  context->uc_stack.ss_sp = reinterpret_cast<char*>(context) - kBytes;
  context->uc_stack.ss_size = kBytes;
  context->uc_link = nullptr;
  const void* target = reinterpret_cast<void*>(entry);
  makecontext(context, reinterpret_cast<void (*)()>(enter), 4, split(target, 32), split(target, 0),
              split(argument, 32), split(argument, 0));
  return context;
}

#endif

char* StackPool::take() {
  constexpr size_t kStackBytes = 68 * 1024, kGuardBytes = 4096, kStacks = 64;
  if (free_.empty()) {
    constexpr size_t kEach = kStackBytes + kGuardBytes;
    void* memory = mmap(nullptr, kEach * kStacks, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    for (size_t i = kStacks; i-- > 0;) {
      char* bottom = static_cast<char*>(memory) + kEach * i;
      mprotect(bottom, kGuardBytes, PROT_NONE);
      free_.push_back(bottom + kEach);
    }
  }
  char* top = free_.back();
  free_.pop_back();
  return top;
}

}  // namespace tw_emulator
