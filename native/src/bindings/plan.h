// A plan program as JavaScript has it, read into its description.
#pragma once
#include "bindings/reader.h"
#include "executor/description.h"

namespace tw {

ProgramDescription read_program(const Reader& from, int depth = 0);
// A value's index, or an operand object.
OperandDescription read_operand(const Reader& from);

}  // namespace tw
