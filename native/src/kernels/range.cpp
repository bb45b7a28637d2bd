// Kernel `range`(start, limit, delta): numbers at equal distances, as many as lie before the limit.
#include <cmath>

#include "base/convert.h"
#include "kernels/common/shape.h"
#include "kernels/common/signature.h"

namespace tw {
namespace {

constexpr int64_t kMost = (int64_t{1} << 31) - 1;

[[noreturn]] void fail(const std::string& what) { throw Error(Code::kInvalidArgument, "range: " + what); }

class Range final : public Kernel {
 public:
  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    check_shapes({.min_inputs = 3, .max_inputs = 3, .same_inputs = 0b110, .sizes_outputs = true}, inputs, outputs);
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const DType dtype = inputs[0].dtype;
    if (info(dtype).domain == Domain::kI64 || info(dtype).domain == Domain::kU64)
      return integers(context, inputs, outputs);
    const double start = read_number(inputs[0], "range's start"), limit = read_number(inputs[1], "range's limit"),
                 delta = read_number(inputs[2], "range's delta");
    if (delta == 0) fail("delta is 0");
    const double count = std::ceil((limit - start) / delta);
    if (!(count <= static_cast<double>(kMost))) fail("too many elements");
    const int64_t n = make(context, outputs, count > 0 ? static_cast<int64_t>(count) : 0);
    const auto value = [&](int64_t i) { return start + delta * static_cast<double>(i); };
    const Tensor& y = outputs[0];
    switch (dtype) {
      case DType::kFloat32:
        return write<float>(y, n, [&](int64_t i) { return static_cast<float>(value(i)); });
      case DType::kFloat64:
        return write<double>(y, n, value);
      case DType::kFloat16:
        return write<uint16_t>(y, n, [&](int64_t i) {
          return static_cast<uint16_t>(encode_small_float<kFloat16Format>(to_odd_float(value(i)), false));
        });
      case DType::kBFloat16:
        return write<uint16_t>(
            y, n, [&](int64_t i) { return static_cast<uint16_t>(encode_bfloat16(to_odd_float(value(i)))); });
      default:
        unsupported_dtype("range", dtype);
    }
  }

 private:
  static int64_t make(KernelContext& context, std::span<Tensor> outputs, int64_t n) {
    resolve_output(context, outputs, 0, {n});
    return n;
  }
  template <typename T, typename F>
  static void write(const Tensor& y, int64_t n, F value) {
    for (int64_t i = 0; i < n; ++i) y.as<T>()[i * y.strides[0]] = value(i);
  }

  static void integers(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) {
    // Wide enough for both signed and unsigned 64-bit numbers.
    using Wide = __int128;
    const auto read = [&](size_t i, const char* what) -> Wide {
      if (inputs[i].count() != 1) fail(std::string(what) + " must be one number");
      return inputs[i].dtype == DType::kUInt64 ? static_cast<Wide>(*inputs[i].as<uint64_t>())
                                               : static_cast<Wide>(read_integer(inputs[i], what));
    };
    const Wide start = read(0, "range's start"), limit = read(1, "range's limit"), delta = read(2, "range's delta");
    if (delta == 0) fail("delta is 0");
    const Wide span = delta > 0 ? limit - start : start - limit, size = delta > 0 ? delta : -delta;
    const Wide count = span > 0 ? (span + size - 1) / size : 0;
    if (count > kMost) fail("too many elements");
    const int64_t n = make(context, outputs, static_cast<int64_t>(count));
    visit_number("range", outputs[0].dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      write<T>(outputs[0], n, [&](int64_t i) { return static_cast<T>(start + delta * i); });
    });
  }
};

}  // namespace

void register_range() {
  register_kernel("range", [](const StepInfo&) -> std::unique_ptr<Kernel> { return std::make_unique<Range>(); });
}

}  // namespace tw
