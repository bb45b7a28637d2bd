// Runs a tape: binds the instructions to this run's operands and results, then walks the rows block by block.
#include <algorithm>
#include <vector>

#include "base/error.h"
#include "tape/execute.h"
#include "tape/tape.h"

namespace tw {
namespace {

// Where a loop's argument is found at row r, block j: data + r * row + j * block (bytes). Buffers stay where they are.
struct Place {
  const char* data;
  int64_t block;
  int64_t row;
  bool single;  // one value for the whole row
  bool unused;  // the stores take the value from before this instruction

  char* at(int64_t r, int64_t j) const { return const_cast<char*>(data) + r * row + j * block; }
};

Place buffer(const char* data) { return {data, 0, 0, false, false}; }
Place value_at(const uint64_t* cell) { return {reinterpret_cast<const char*>(cell), 0, 0, true, false}; }

struct Step {
  BlockFn fn;
  Place dst, args[3];
  int64_t stride;
};

// A list with room on the stack for ordinary tapes.
template <typename T, size_t N>
class SmallList {
 public:
  explicit SmallList(size_t capacity) {
    if (capacity > N) heap_.resize(capacity), data_ = heap_.data();
  }
  void push(const T& value) { data_[size_++] = value; }
  T& operator[](size_t i) { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }

 private:
  T stack_[N];
  std::vector<T> heap_;
  T* data_ = stack_;
  size_t size_ = 0;
};

int64_t bytes_of(DType t, int64_t elements) { return elements * info(t).bits / 8; }

[[noreturn]] void unreachable_dtype(const char* what, DType t) {
  throw Error(Code::kUnsupported,
              std::string("a tape cannot ") + what + " dtype " + std::string(info(t).name) + " with this stride");
}

class Run {
 public:
  Run(const Program& p, int64_t rows, int64_t count, std::span<const TapeOperand> operands,
      std::span<const TapeResult> results, std::span<const int64_t> operand_rows, std::span<const int64_t> result_rows,
      char* scratch)
      : program_(p),
        ops_(block_ops()),
        rows_(rows),
        count_(count),
        operands_(operands),
        results_(results),
        operand_rows_(operand_rows),
        result_rows_(result_rows),
        scratch_(scratch),
        places_(p.instructions.size()),
        cells_(p.instructions.size() + results.size()),
        row_steps_(2 * p.instructions.size() + results.size()),
        steps_(2 * p.instructions.size() + 3 * results.size()) {
    for (size_t i = 0; i < p.instructions.size(); ++i) places_.push(Place{});
  }

  void run() {
    // Without buffers one block may be the whole row.
    block_ = is_direct() ? count_ : program_.block;
    skip_fused_narrowing();
    choose_direct_results();
    for (size_t i = 0; i < program_.instructions.size(); ++i) bind(static_cast<int>(i));
    for (size_t i = 0; i < results_.size(); ++i) bind_store(i);
    for (int64_t r = 0; r < rows_; ++r) {
      for (const Step& s : row_steps_) call(s, 1, r, 0);
      for (int64_t j = 0, done = 0; done < count_; ++j, done += block_) {
        const int64_t n = std::min(block_, count_ - done);
        for (const Step& s : steps_) call(s, n, r, j);
      }
    }
  }

 private:
  static void call(const Step& s, int64_t n, int64_t r, int64_t j) {
    s.fn(n, s.dst.at(r, j), s.args[0].at(r, j), s.args[1].at(r, j), s.args[2].at(r, j), s.stride);
  }

  const Instruction& at(int i) const { return program_.instructions[static_cast<size_t>(i)]; }
  Place& place(int i) { return places_[static_cast<size_t>(i)]; }

  Place slot(ValueType t, int index) const {
    const size_t narrow = static_cast<size_t>(program_.slots4) * slot_bytes(program_, 4),
                 i = static_cast<size_t>(index);
    return buffer(size_of(t) == 4 ? scratch_ + i * slot_bytes(program_, 4)
                                  : scratch_ + narrow + i * slot_bytes(program_, 8));
  }
  Place spare() const { return slot(ValueType::kI64, program_.slots8 - 1); }
  Place cell(size_t i) { return value_at(&cells_[i]); }

  Place operand_place(int k) const {
    const TapeOperand& o = operands_[static_cast<size_t>(k)];
    const int64_t row = operand_rows_.empty() ? 0 : operand_rows_[static_cast<size_t>(k)];
    return {static_cast<const char*>(o.data), bytes_of(o.dtype, block_ * o.stride), bytes_of(o.dtype, row), false,
            false};
  }
  Place result_place(size_t k) const {
    const TapeResult& r = results_[k];
    const int64_t row = result_rows_.empty() ? 0 : result_rows_[k];
    return {static_cast<const char*>(r.data), bytes_of(r.dtype, block_ * r.stride), bytes_of(r.dtype, row), false,
            false};
  }

  // Usable where it lies: a dense row of the domain's own type.
  static bool is_plain(DType dtype, ValueType t, int64_t stride) {
    return stride == 1 &&
           ((dtype == DType::kFloat32 && t == ValueType::kF32) || (dtype == DType::kFloat64 && t == ValueType::kF64) ||
            (dtype == DType::kInt64 && t == ValueType::kI64) || (dtype == DType::kUInt64 && t == ValueType::kU64));
  }

  // A single operation between plain operands and a plain result: the most common tape of all.
  bool is_direct() const {
    if (results_.size() != 1) return false;
    const Output& o = program_.outputs[0];
    const Instruction& last = at(o.value);
    if (last.op == Op::kIn || last.op == Op::kSelect || last.constant) return false;
    if (!is_plain(results_[0].dtype, last.type, results_[0].stride)) return false;
    bool any_block = false;
    for (size_t k = 0; k < program_.instructions.size(); ++k) {
      const Instruction& i = program_.instructions[k];
      if (i.constant || static_cast<int>(k) == o.value) continue;
      if (i.op != Op::kIn) return false;
      const TapeOperand& operand = operands_[static_cast<size_t>(i.operand)];
      if (operand.stride == 0) continue;
      if (!is_plain(operand.dtype, i.type, operand.stride)) return false;
      any_block = true;
    }
    return any_block;
  }

  // Is output `k` stored to the very dtype its register was narrowed to?
  bool narrows(size_t k) const {
    return program_.outputs[k].unnarrowed >= 0 && program_.outputs[k].dtype == results_[k].dtype;
  }
  bool quantizes(size_t k) const {
    return narrows(k) && program_.outputs[k].quantized >= 0 &&
           ops_.quantize[static_cast<int>(results_[k].dtype)][results_[k].stride != 1];
  }

  void skip_fused_narrowing() {
    for (size_t k = 0; k < results_.size(); ++k) {
      const Output& o = program_.outputs[k];
      if (!narrows(k) || !o.sole_user) continue;
      place(o.value).unused = true;
      if (quantizes(k) && o.sole_user_of_unnarrowed) place(o.unnarrowed).unused = true;
    }
  }

  // Registers computed straight into their output's memory. Not when an operand that shares that memory is read later.
  void choose_direct_results() {
    for (size_t k = 0; k < results_.size(); ++k) {
      const int r = program_.outputs[k].value;
      const Instruction& i = at(r);
      if (i.op == Op::kIn || i.constant || place(r).data || place(r).unused) continue;
      if (!is_plain(results_[k].dtype, i.type, results_[k].stride)) continue;
      const char* low = static_cast<const char*>(results_[k].data);
      const char* high = low + count_ * size_of(i.type);
      bool safe = true;
      for (const Instruction& in : program_.instructions) {
        if (in.op != Op::kIn || in.last_use <= r) continue;
        const TapeOperand& operand = operands_[static_cast<size_t>(in.operand)];
        const char* first = static_cast<const char*>(operand.data);
        const char* last = first + bytes_of(operand.dtype, (count_ - 1) * operand.stride);
        safe &= std::min(first, last) >= high || std::max(first, last) + 8 <= low;
      }
      if (safe) place(r) = result_place(k);
    }
  }

  void bind(int index) {
    const Instruction& i = at(index);
    Place& own = place(index);
    if (own.unused) return;
    if (i.constant) {
      own = value_at(&program_.constants[static_cast<size_t>(index)]);
      return;
    }
    if (i.op == Op::kIn) return bind_in(index);

    Step step{};
    int singles = 0, blocks = 0;
    for (size_t k = 0; k < 3; ++k) {
      if (i.args[k] < 0) continue;
      step.args[k] = place(i.args[k]);
      if (step.args[k].single)
        singles |= 1 << k;
      else
        ++blocks;
    }
    if (i.op == Op::kClipped || i.op == Op::kGatedClip || i.op == Op::kGelu)
      step.args[1] = buffer(reinterpret_cast<const char*>(i.numbers.data()));
    if (!blocks) {
      step.fn = loop_of(ops_, i, 0);
      own = step.dst = cell(static_cast<size_t>(index));
      row_steps_.push(step);
      return;
    }
    if (i.op == Op::kSelect && (singles & 1)) {
      push(ops_.fill[static_cast<int>(ValueType::kMask)], spare(), step.args[0]);
      step.args[0] = spare();
    }
    step.fn = loop_of(ops_, i, singles);
    if (!own.data) own = slot(i.type, i.slot);
    step.dst = own;
    steps_.push(step);
  }

  void bind_in(int index) {
    const Instruction& i = at(index);
    const TapeOperand& operand = operands_[static_cast<size_t>(i.operand)];
    const ValueType natural = value_type(info(operand.dtype).domain);
    const bool from_float = natural == ValueType::kF32 || natural == ValueType::kF64;
    const bool as_float = i.from == ValueType::kF32 || i.from == ValueType::kF64;
    if (from_float && !as_float)
      throw Error(Code::kInvalidPlan,
                  "a tape reads a " + std::string(info(operand.dtype).name) + " operand as integers");
    Place& own = place(index);
    const Place source = operand_place(i.operand);
    if (is_plain(operand.dtype, i.type, operand.stride)) {
      own = source;
      return;
    }
    const bool single = operand.stride == 0, strided = !single && operand.stride != 1;
    const auto& loads = ops_.load[static_cast<int>(operand.dtype)];
    const BlockFn direct = loads[static_cast<int>(i.type)][strided];
    const BlockFn load = direct ? direct : loads[static_cast<int>(natural)][strided];
    if (!load) unreachable_dtype("read operands of", operand.dtype);
    own = single ? cell(static_cast<size_t>(index)) : slot(i.type, i.slot);
    auto& steps = single ? row_steps_ : steps_;
    Step step{};
    step.fn = load, step.dst = direct ? own : spare(), step.args[0] = source, step.stride = operand.stride;
    steps.push(step);
    if (direct) return;
    step.fn = ops_.convert[static_cast<int>(i.type)][static_cast<int>(natural)][0];
    step.dst = own, step.args[0] = spare();
    steps.push(step);
  }

  void push(BlockFn fn, const Place& dst, const Place& a) {
    Step step{};
    step.fn = fn, step.dst = dst, step.args[0] = a;
    steps_.push(step);
  }

  void bind_store(size_t k) {
    const Output& o = program_.outputs[k];
    const TapeResult& result = results_[k];
    const int dtype = static_cast<int>(result.dtype);
    const bool strided = result.stride != 1;
    const ValueType natural = value_type(info(result.dtype).domain);
    int r = o.value;
    // Computed there already, or the operand itself.
    const Place target = result_place(k);
    if (place(r).data == target.data && place(r).row == target.row && is_plain(result.dtype, at(r).type, result.stride))
      return;

    BlockFn store = nullptr;
    bool as_is = false;  // takes the register as it is, whatever the dtype's domain
    if (quantizes(k)) {
      r = o.quantized;
      store = ops_.quantize[dtype][strided];
      as_is = true;
    } else if (at(r).type == ValueType::kMask && result.dtype == DType::kBool) {
      store = ops_.store_mask[strided];
      as_is = true;
    } else {
      if (narrows(k)) r = o.unnarrowed;
      store = ops_.store[dtype][narrows(k) ? o.kind.index() : 0][strided];
    }
    if (!store) unreachable_dtype("write results of", result.dtype);
    Place value = place(r);
    ValueType type = at(r).type;
    if (!as_is && type != natural) {
      const BlockFn convert = ops_.convert[static_cast<int>(natural)][static_cast<int>(type)][0];
      if (value.single) {
        Step step{};
        step.fn = convert, step.args[0] = value;
        step.dst = value = cell(program_.instructions.size() + k);
        row_steps_.push(step);
      } else {
        push(convert, spare(), value);
        value = spare();
      }
      type = natural;
    }
    if (value.single) {
      push(ops_.fill[static_cast<int>(type)], spare(), value);
      value = spare();
    }
    Step step{};
    step.fn = store, step.dst = target, step.args[0] = value, step.stride = result.stride;
    steps_.push(step);
  }

  const Program& program_;
  const BlockOps& ops_;
  const int64_t rows_, count_;
  std::span<const TapeOperand> operands_;
  std::span<const TapeResult> results_;
  std::span<const int64_t> operand_rows_, result_rows_;
  char* scratch_;
  int64_t block_ = 0;
  SmallList<Place, 40> places_;
  SmallList<uint64_t, 40> cells_;  // single values
  SmallList<Step, 32> row_steps_;  // once a row
  SmallList<Step, 32> steps_;      // once a block
};

class ParsedTape final : public Tape {
 public:
  explicit ParsedTape(Program program) : program_(std::move(program)) {}
  int operands() const override { return program_.operands; }
  int instructions() const override { return static_cast<int>(program_.instructions.size()); }
  void run_rows(int64_t rows, int64_t count, std::span<const TapeOperand> operands, std::span<const TapeResult> results,
                std::span<const int64_t> operand_rows, std::span<const int64_t> result_rows) const override {
    if (static_cast<int>(operands.size()) < program_.operands || results.size() != program_.outputs.size())
      throw Error(Code::kInvalidPlan, "a tape is run with the wrong number of operands or results");
    if (rows <= 0 || count <= 0) return;
    alignas(64) char scratch[kScratchBytes];
    Run(program_, rows, count, operands, results, operand_rows, result_rows, scratch).run();
  }

 private:
  Program program_;
};

}  // namespace

std::shared_ptr<const Tape> Tape::parse(const std::vector<std::string>& instructions,
                                        const std::vector<int64_t>& results) {
  return std::make_shared<ParsedTape>(parse_program(instructions, results));
}

}  // namespace tw
