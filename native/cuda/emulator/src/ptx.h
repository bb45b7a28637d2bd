// Kernels that the addon brings as PTX, which nothing here reads: each has a body of its own, of the same name.
#pragma once
#include "driver.h"

namespace tw_emulator {

bool is_ptx(const void* image);
extern const tw_emulator_module_info ptx_module;
const tw_emulator_kernel* ptx_kernel(const std::string& name);  // null for none

}  // namespace tw_emulator
