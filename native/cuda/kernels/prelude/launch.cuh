// Programmatic dependent launch: a kernel may start while its predecessor still runs.

// Returns once everything that precedes this kernel in its stream is complete and visible. Every kernel calls it before
// it first reads an activation or writes anything; constants may be read before.
TW_DEVICE void wait_for_predecessor() {
#if !defined(TW_EMULATOR) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Lets the next kernel start its own preamble; it still waits for our end in wait_for_predecessor().
TW_DEVICE void let_successor_start() {
#if !defined(TW_EMULATOR) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}
