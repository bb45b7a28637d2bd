#include "kernels/contraction/narrow.h"

#include "kernels/common/shape.h"

namespace tw {
namespace {

// The axis of a vector of the columns, however many dims of 1 surround it.
int column_axis(const Tensor& bias) {
  int axis = 0;
  for (int i = 1; i < bias.rank; ++i) {
    if (bias.dims[i] > bias.dims[axis]) axis = i;
  }
  return axis;
}

}  // namespace

Narrow::Narrow(const StepInfo& step, const char* kernel) : packed_(step.attributes.flag("packed")) {
  const auto expect = [&](bool holds, const char* what) {
    if (!holds) throw Error(Code::kInvalidPlan, std::string(kernel) + ": " + what);
  };
  expect(step.inputs.size() >= 2 && step.outputs.size() == 1, "expected inputs a, b, bias, … and one output");
  a_ = step.inputs[0].dtype;
  weights_ = packed_ ? dtype_from_name(step.attributes.string("weights")) : step.inputs[1].dtype;
  words_ = words_of(a_);
  expect(words_of(weights_) == words_, "a and b must both be bfloat16 or both of 8-bit integers");
  const std::string sums = step.attributes.string("sums", "float32");
  expect(sums == "float32" || (sums == "int32" && words_ == Words::kInt8), "sums are float32 or, of integers, int32");
  to_float_ = sums == "float32";
  const int64_t sign = step.attributes.integer("biasSign", 1);
  expect(sign == 1 || (sign == -1 && words_ == Words::kInt8), "biasSign is 1 or, of integers, -1");
  bias_sign_ = static_cast<int32_t>(sign);
  epilogue_ = make_epilogue(step.attributes, to_float_ ? "f32" : "i64");
}

void Narrow::check(std::span<const Tensor> inputs, int64_t columns) const {
  require(inputs[0].dtype == a_ && (packed_ || inputs[1].dtype == weights_), Code::kInvalidPlan,
          "a narrow product's dtypes differ from those the kernel was made for");
  if (!present(inputs, 2)) return;
  const Tensor& bias = inputs[2];
  const bool integers = words_ == Words::kInt8;
  // Every dim but one is 1.
  const bool line = bias.count() == columns && bias.rank > 0 && bias.dims[column_axis(bias)] == columns;
  require(bias.dtype == (integers ? DType::kInt32 : DType::kFloat32) && line && (integers || bias.contiguous()),
          Code::kInvalidPlan, "a narrow product's bias has one float32 or, of integers, int32 a column");
}

std::vector<Tensor> Narrow::with_float_bias(std::span<const Tensor> inputs) const {
  std::vector<Tensor> list(inputs.begin(), inputs.end());
  if (words_ == Words::kInt8 && list.size() > 2) list[2].data = nullptr, list[2].rank = -1;
  return list;
}

void Narrow::run(KernelContext& context, const GemmShape& shape, int64_t depth, const RowSource& rows,
                 const PanelSource& panels, const int32_t* column_sums, std::span<const Tensor> inputs,
                 const Sink& sink, int64_t batch_columns) const {
  GemmJob job{shape, &rows, &panels, &sink};
  job.words = words_;
  IntegerSums integers;
  if (words_ == Words::kInt8) {
    integers.a_offset = a_ == DType::kInt8 ? 128 : 0;
    integers.b_offset = weights_ == DType::kUInt8 ? 128 : 0;
    integers.depth = depth;
    integers.column_sums = column_sums;
    integers.to_float = to_float_;
    if (present(inputs, 2)) {
      integers.bias = inputs[2].as<int32_t>();
      integers.bias_stride = inputs[2].strides[column_axis(inputs[2])];
      integers.bias_batch_stride = batch_columns * integers.bias_stride;
      integers.bias_sign = bias_sign_;
    }
    job.integers = &integers;
  }
  run_gemms(context.pool, context.workspace, {&job, 1});
}

size_t Narrow::lane_bytes(const GemmShape& shape, int threads, const Sink& sink) const {
  const bool direct = Finish(sink, true, words_).direct;
  return static_cast<size_t>(threads) * gemm_lane_bytes(shape, threads, !packed_, direct, {}, words_);
}

}  // namespace tw
