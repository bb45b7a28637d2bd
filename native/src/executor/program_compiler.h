// From a plan's description to a checked program, part by part; see the three files that hold its functions.
#pragma once
#include <string>
#include <vector>

#include "executor/program.h"

namespace tw {

class ProgramCompiler {
 public:
  ProgramCompiler(ProgramDescription description, std::shared_ptr<const Weights> weights, int device, bool body)
      : from_(std::move(description)), program_(new Program), device_(device), body_(body) {
    program_->weights_ = std::move(weights);
  }

  std::shared_ptr<const Program> compile();

 private:
  // program_values.cpp
  std::vector<int> expressions(const std::vector<int64_t>& list, const std::string& where) const;
  void symbols();
  void values();
  ProgramValue value(const ValueDescription& d, const std::string& where, size_t index);
  void order(ProgramValue& v, const std::vector<int64_t>& order, const std::string& where);
  void storage(ProgramValue& v, const ValueDescription& d, const std::string& where);
  void interface();
  void bound_symbols();
  void agreements();
  // program_steps.cpp
  void segments();
  ProgramOperand operand(const std::optional<OperandDescription>& d, const std::string& where, bool native);
  void operands(size_t i);
  static void memory(const ProgramStep& step, const std::string& kernel, ProgramValue& value, bool leading,
                     const std::string& where);
  static size_t host_inputs(const std::string& kernel);
  static void touch(ProgramValue& value, size_t step);
  void liveness();
  void dynamics();
  bool is_recordable(const ProgramStep& step) const;
  void recordable();
  void late();
  LateSteps late_steps(size_t begin, size_t end) const;
  void exchanges();
  bool changed_in_place(const Exchange& e) const;
  void roaming();
  // program_kernels.cpp
  void upload_constants();
  Tensor known(const ProgramOperand& o, const std::string& where) const;
  void make(size_t i);
  void bodies(size_t i);
  static void body_memory(const ProgramStep& step, const Program& body);

  ProgramDescription from_;
  std::shared_ptr<Program> program_;
  const int device_;
  const bool body_;
};

// What every part says of a plan it cannot take.
[[noreturn]] inline void invalid(const std::string& where, const std::string& what) {
  throw Error(Code::kInvalidPlan, where + ": " + what);
}

inline std::string at(const char* list, size_t i) { return std::string(list) + '[' + std::to_string(i) + ']'; }

inline int index_in(int64_t index, size_t size, const std::string& where, const char* of) {
  if (index < 0 || static_cast<uint64_t>(index) >= size)
    invalid(where, std::to_string(index) + " is not the index of one of the " + std::to_string(size) + " " + of);
  return static_cast<int>(index);
}

}  // namespace tw
