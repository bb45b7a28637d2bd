// Stacks that threads of a block run on, and the switch between them.
#pragma once
#include <cstddef>
#include <vector>

namespace tw_emulator {

// Where a suspended flow of control goes on: its stack pointer, everything else is saved on the stack.
using Continuation = void*;

// Goes on at `to`, and leaves in `from` where to come back.
void switch_to(Continuation* from, Continuation to);

// Where `entry(argument)` would start on a fresh stack. `entry` must not return.
Continuation start_of(char* stack_top, void (*entry)(void*), void* argument);

// Stacks of one size with a guard page below each, reused last in first out so that few of them are ever touched.
class StackPool {
 public:
  char* take();  // the top
  void give(char* top) { free_.push_back(top); }

 private:
  std::vector<char*> free_;
};

}  // namespace tw_emulator
