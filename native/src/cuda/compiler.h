// NVRTC: from a text without includes to machine code.
#pragma once
#include <string>
#include <vector>

#include "executor/block.h"

namespace tw::cuda {

// '13.0'. Throws kBackendUnavailable saying what is missing.
std::string compiler_version();

// Where its library lies; empty where there is none, or where the system does not tell.
std::string compiler_folder();

struct Code {
  Block block;
  size_t bytes = 0;
};

// Throws kCompilation with the compiler's log.
Code compile(const std::string& text, const std::vector<std::string>& options);

}  // namespace tw::cuda
