#include "executor/program.h"

#include "executor/program_compiler.h"

namespace tw {

std::shared_ptr<const Program> ProgramCompiler::compile() {
  symbols();
  values();
  interface();
  bound_symbols();
  agreements();
  segments();
  for (size_t i = 0; i < from_.steps.size(); ++i) operands(i);
  liveness();
  dynamics();
  exchanges();
  upload_constants();
  for (size_t i = 0; i < from_.steps.size(); ++i) make(i);
  recordable();
  late();
  roaming();
  return program_;
}

std::shared_ptr<const Program> Program::create(ProgramDescription description, std::shared_ptr<const Weights> weights,
                                               int device, bool body) {
  return ProgramCompiler(std::move(description), std::move(weights), device, body).compile();
}

}  // namespace tw
