// How long a program takes: what tactics are chosen by.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "executor/program.h"

namespace tw {

struct TimingOptions {
  int64_t min_nanoseconds = 10'000'000;  // measure at least this long in all …
  int64_t max_runs = 1000;               // … but not more often than this
};

// Runs the program on random inputs of these dims, warmed up, and returns every run's nanoseconds in ascending order.
std::vector<double> time_program(std::shared_ptr<const Program> program,
                                 const std::vector<std::vector<int64_t>>& input_dims, std::shared_ptr<ThreadPool> pool,
                                 const TimingOptions& options, const std::atomic<bool>& cancelled);

}  // namespace tw
