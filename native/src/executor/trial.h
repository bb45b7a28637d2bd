// A program on random inputs: how long it takes, which tactics are chosen by, and what it computes, to compare them by.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "executor/context.h"

namespace tw {

struct TimingOptions {
  int64_t min_nanoseconds = 10'000'000;  // measure at least this long in all …
  int64_t max_runs = 1000;               // … but not more often than this; 0: not at all
  bool cold_constants = false;           // a device times it with constants that its cache does not hold, as where a
                                         // network's other constants displace them
  bool outputs = false;                  // also give what the last step computes in memory that was full of NaNs:
                                         // of a large tensor, a sample of its elements
};

struct Trial {
  std::vector<double> nanoseconds;  // of every run, ascending
  std::vector<OutputSlot> outputs;
};

// Runs the program on random inputs of these dims, the same for all programs, warmed up.
Trial try_program(std::shared_ptr<const Program> program, const std::vector<std::vector<int64_t>>& input_dims,
                  std::shared_ptr<ThreadPool> pool, const TimingOptions& options, const std::atomic<bool>& cancelled);

}  // namespace tw
