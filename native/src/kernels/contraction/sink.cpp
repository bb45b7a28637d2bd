#include "kernels/contraction/sink.h"

namespace tw {

void Sink::set_operands(const Tensor& out, std::span<const Tensor> sides) {
  require(sides.size() < Space::kOperands, Code::kUnsupported, "a contraction has too many side operands");
  data[0] = out.data;
  dtype[0] = out.dtype;
  for (size_t i = 0; i < sides.size(); ++i) {
    data[i + 1] = sides[i].data;
    dtype[i + 1] = sides[i].dtype;
  }
  batch.operands = rows.operands = columns.operands = static_cast<int>(sides.size()) + 1;
}

void check_operands(const Epilogue& epilogue, std::span<const Tensor> sides, const Tensor& out) {
  require(epilogue.tape->operands() <= static_cast<int>(sides.size()) + 1, Code::kInvalidPlan,
          "a contraction's tape names more operands than the step has");
  require(out.rank >= 0 && !is_sub_byte(out.dtype), Code::kInvalidPlan,
          "a contraction's output has whole-byte elements");
  for (const Tensor& side : sides) {
    bool fits = side.rank >= 0 && side.rank <= out.rank && !is_sub_byte(side.dtype);
    for (int i = 0; fits && i < side.rank; ++i) {
      fits = side.dims[i] == 1 || side.dims[i] == out.dims[out.rank - side.rank + i];
    }
    require(fits, Code::kInvalidPlan, "a contraction's side operand does not broadcast to its output");
  }
}

void check_packed(const Tensor& packed, int64_t floats) {
  require(packed.dtype == DType::kUInt8 && packed.rank >= 0 && packed.contiguous() &&
              packed.count() == floats * int64_t{sizeof(float)},
          Code::kInvalidPlan, "packed weights have the wrong size");
}

Finish::Finish(const Sink& sink, bool activations, Words words) {
  const Epilogue& e = *sink.epilogue;
  const bool narrow_words = words == Words::kBFloat16;
  direct = sink.dtype[0] == DType::kFloat32 && sink.columns.is_unit_line(0) && words != Words::kInt8;
  narrow = sink.dtype[0] == DType::kBFloat16 && sink.columns.is_unit_line(0) && narrow_words;
  in_tile = (direct || narrow) && (e.recognised || (activations && e.activation != Activation::kNone));
  if (!in_tile) return;
  activation = e.activation;
  for (const int side : e.addends) {
    const int operand = side + 1;
    const bool in_place = operand < sink.rows.operands && sink.columns.is_unit_line(operand);
    const bool wide = in_place && sink.dtype[operand] == DType::kFloat32;
    const bool usable = wide || (in_place && narrow_words && sink.dtype[operand] == DType::kBFloat16);
    bool same_for_all_rows = true;
    for (const Space* space : {&sink.batch, &sink.rows}) {
      for (int i = 0; i < space->rank; ++i) same_for_all_rows &= space->stride[operand][i] == 0;
    }
    if (wide && same_for_all_rows && bias < 0 && !sink.bias)
      bias = operand;
    else if (usable && residual < 0)
      residual = operand;
    else
      in_tile = false;
  }
  if (!in_tile) activation = Activation::kNone;
}

void run_tape(const Sink& sink, int64_t batch, int64_t row, int rows, int64_t n, int64_t n_end, const TapeOperand& sums,
              int64_t apart) {
  const Space& columns = sink.columns;
  const size_t operands = static_cast<size_t>(columns.operands);
  const auto address = [&](int64_t r, int64_t column, size_t t) {
    const int operand = static_cast<int>(t);
    const int64_t offset =
        sink.batch.offset(batch, operand) + sink.rows.offset(r, operand) + columns.offset(column, operand);
    return const_cast<std::byte*>(static_cast<const std::byte*>(sink.data[t])) +
           offset * (info(sink.dtype[t]).bits / 8);
  };
  const int64_t bytes = info(sums.dtype).bits / 8;
  TapeOperand in[Space::kOperands];
  TapeResult result{nullptr, sink.dtype[0], columns.rank ? columns.inner(0) : 1};
  const auto set = [&](int64_t r, int64_t column) {
    in[0] = {static_cast<const std::byte*>(sums.data) + ((r - row) * apart + column - n) * bytes, sums.dtype, 1};
    for (size_t t = 1; t < operands; ++t)
      in[t] = {address(r, column, t), sink.dtype[t], columns.inner(static_cast<int>(t))};
    result.data = address(r, column, 0);
  };
  const Epilogue& epilogue = *sink.epilogue;
  if (epilogue.activation != Activation::kNone && epilogue.addends.empty() && sums.dtype == DType::kFloat32 &&
      sink.dtype[0] == DType::kFloat32 && sink.rows.is_line() && columns.is_unit_line(0)) {
    activation_table().rows({epilogue.activation, epilogue.numbers(), static_cast<const float*>(sums.data),
                             reinterpret_cast<float*>(address(row, n, 0)), rows, n_end - n, apart,
                             sink.rows.inner(0)});
    return;
  }
  const Tape& tape = *epilogue.tape;
  if (sink.rows.is_line() && columns.is_line()) {
    int64_t steps[Space::kOperands] = {apart};
    for (size_t t = 1; t < operands; ++t) steps[t] = sink.rows.inner(static_cast<int>(t));
    const int64_t result_step = sink.rows.inner(0);
    set(row, n);
    tape.run_rows(rows, n_end - n, {in, operands}, {&result, 1}, {steps, operands}, {&result_step, 1});
    return;
  }
  const int64_t line = columns.is_line() ? n_end : columns.size[columns.rank - 1];
  for (int64_t r = row; r < row + rows; ++r) {
    for (int64_t column = n, end; column < n_end; column = end) {
      end = columns.is_line() ? n_end : std::min(n_end, column / line * line + line);
      set(r, column);
      tape.run(end - column, {in, operands}, {&result, 1});
    }
  }
}

void run_tape(const Sink& sink, int64_t batch, int64_t row, int rows, int64_t n, int64_t n_end, float* const* sums) {
  // Rows evenly apart go together.
  for (int first = 0, last; first < rows; first = last) {
    last = first + 1;
    const int64_t apart = last < rows ? sums[last] - sums[first] : 0;
    while (last < rows && sums[last] - sums[last - 1] == apart) ++last;
    run_tape(sink, batch, row + first, last - first, n, n_end, {sums[first] + n, DType::kFloat32, 1}, apart);
  }
}

}  // namespace tw
