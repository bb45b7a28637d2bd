// Evaluates what is constant, and gives every other register a block buffer that is free while it lives.
#include <algorithm>

#include "base/error.h"
#include "tape/block_ops.h"
#include "tape/execute.h"

namespace tw {

void fold_constants(Program& program) {
  for (size_t i = 0; i < program.instructions.size(); ++i) {
    Instruction& instruction = program.instructions[i];
    if (instruction.op == Op::kIn || instruction.op == Op::kConst) continue;
    const void* args[3] = {};
    bool constant = true;
    for (int k = 0; k < 3; ++k) {
      const int a = instruction.args[static_cast<size_t>(k)];
      if (a < 0) continue;
      constant &= program.instructions[static_cast<size_t>(a)].constant;
      args[k] = &program.constants[static_cast<size_t>(a)];
    }
    if (!constant) continue;
    instruction.constant = true;
    loop_of(block_ops(), instruction, 0)(1, &program.constants[i], args[0], args[1], args[2], 0);
  }
}

void allocate_slots(Program& program) {
  auto& list = program.instructions;
  const int end = static_cast<int>(list.size());
  for (int i = 0; i < end; ++i)
    for (const int a : list[static_cast<size_t>(i)].args)
      if (a >= 0) list[static_cast<size_t>(a)].last_use = i;
  // Outputs are stored after the last instruction, from whichever register their dtype allows.
  for (const Output& o : program.outputs)
    for (const int r : {o.value, o.unnarrowed, o.quantized})
      if (r >= 0) list[static_cast<size_t>(r)].last_use = end;

  std::vector<int> users(list.size());
  for (const Instruction& i : list)
    for (const int a : i.args)
      if (a >= 0) ++users[static_cast<size_t>(a)];
  for (const Output& o : program.outputs) ++users[static_cast<size_t>(o.value)];
  for (Output& o : program.outputs) {
    if (o.unnarrowed < 0) continue;
    o.sole_user = users[static_cast<size_t>(o.value)] == 1;
    o.sole_user_of_unnarrowed = o.sole_user && users[static_cast<size_t>(o.unnarrowed)] == 1;
  }

  // Buffers by width, so that a result may take the place of an argument that dies with it: loops read an element
  // before they write it.
  std::vector<int> free[2];
  int count[2] = {};
  for (int i = 0; i < end; ++i) {
    Instruction& instruction = list[static_cast<size_t>(i)];
    auto args = instruction.args;
    std::sort(args.begin(), args.end());
    const auto last = std::unique(args.begin(), args.end());
    for (auto it = args.begin(); it != last; ++it) {
      const int a = *it;
      if (a < 0) continue;
      const Instruction& dying = list[static_cast<size_t>(a)];
      if (dying.last_use == i && dying.slot >= 0) free[size_of(dying.type) == 8].push_back(dying.slot);
    }
    if (instruction.constant) continue;
    const bool wide = size_of(instruction.type) == 8;
    if (free[wide].empty()) {
      instruction.slot = count[wide]++;
    } else {
      instruction.slot = free[wide].back();
      free[wide].pop_back();
    }
  }
  program.slots4 = count[0];
  program.slots8 = count[1] + 1;  // the last one is spare: for loads and stores by way of another domain

  program.block = kMaxBlock;
  while (scratch_bytes(program) > kScratchBytes) {
    program.block /= 2;
    if (program.block < kMinBlock) throw Error(Code::kLimitExceeded, "a tape keeps too many registers alive");
  }
}

}  // namespace tw
