#include "kernels/common/shape.h"

#include <algorithm>

#include "base/convert.h"

#include "base/convert.h"

namespace tw {

int normalize_axis(int64_t axis, int rank, const char* what) {
  const int64_t a = axis < 0 ? axis + rank : axis;
  if (a < 0 || a >= rank)
    throw Error(Code::kInvalidArgument, std::string(what) + " is " + std::to_string(axis) + ", expected a value in [" +
                                            std::to_string(-rank) + ", " + std::to_string(rank - 1) + "]");
  return static_cast<int>(a);
}

std::vector<int64_t> read_integers(const Tensor& tensor, const char* what) {
  std::vector<int64_t> out;
  Walk<1> walk;
  for (int i = 0; i < tensor.rank; ++i) walk.add(tensor.dims[i], {tensor.strides[i]});
  const int64_t n = tensor.count();
  out.reserve(static_cast<size_t>(n));
  walk.seek(0);
  for (int64_t i = 0; i < n; ++i, walk.next()) {
    const int64_t o = walk.offset[0];
    switch (tensor.dtype) {
      case DType::kInt64: case DType::kUInt64: out.push_back(tensor.as<int64_t>()[o]); break;
      case DType::kInt32: out.push_back(tensor.as<int32_t>()[o]); break;
      case DType::kUInt32: out.push_back(tensor.as<uint32_t>()[o]); break;
      case DType::kInt16: out.push_back(tensor.as<int16_t>()[o]); break;
      case DType::kUInt16: out.push_back(tensor.as<uint16_t>()[o]); break;
      case DType::kInt8: out.push_back(tensor.as<int8_t>()[o]); break;
      case DType::kUInt8: case DType::kBool: out.push_back(tensor.as<uint8_t>()[o]); break;
      default:
        throw Error(Code::kInvalidArgument,
                    std::string(what) + " is " + std::string(info(tensor.dtype).name) + ", expected an integer tensor");
    }
  }
  return out;
}

int64_t read_integer(const Tensor& tensor, const char* what) {
  if (tensor.count() != 1)
    throw Error(Code::kInvalidArgument, std::string(what) + " has " + std::to_string(tensor.count()) + " elements, expected 1");
  return read_integers(tensor, what)[0];
}

double read_number(const Tensor& tensor, const char* what) {
  if (tensor.count() != 1)
    throw Error(Code::kInvalidArgument, std::string(what) + " has " + std::to_string(tensor.count()) + " elements, expected 1");
  if (tensor.dtype == DType::kFloat32) return *tensor.as<float>();
  if (tensor.dtype == DType::kFloat64) return *tensor.as<double>();
  if (tensor.dtype == DType::kFloat16) return static_cast<double>(decode_small_float<kFloat16Format>(*tensor.as<uint16_t>()));
  if (tensor.dtype == DType::kBFloat16) return static_cast<double>(decode_bfloat16(*tensor.as<uint16_t>()));
  if (tensor.dtype == DType::kFloat16) return decode_small_float<kFloat16Format>(*tensor.as<uint16_t>());
  if (tensor.dtype == DType::kBFloat16) return decode_bfloat16(*tensor.as<uint16_t>());
  return static_cast<double>(read_integers(tensor, what)[0]);
}

std::string dims_text(std::span<const int64_t> dims) {
  std::string text = "[";
  for (size_t i = 0; i < dims.size(); ++i) text += (i ? "," : "") + std::to_string(dims[i]);
  return text + "]";
}

void resolve_output(KernelContext& context, std::span<Tensor> outputs, size_t index, std::span<const int64_t> dims) {
  if (index >= outputs.size()) return;
  Tensor& y = outputs[index];
  if (y.rank < 0) {
    context.outputs_of_unknown_shape.allocate(index, dims);
    return;
  }
  if (static_cast<size_t>(y.rank) != dims.size() || !std::equal(dims.begin(), dims.end(), y.dims))
    throw Error(Code::kShapeMismatch, "output " + std::to_string(index) + " would have shape " + dims_text(dims) +
                                          ", the plan has " + dims_text({y.dims, static_cast<size_t>(y.rank)}));
}

void unsupported_dtype(const char* kernel, DType dtype) {
  throw Error(Code::kUnsupported, std::string(kernel) + " does not take elements of type " + std::string(info(dtype).name));
}

}  // namespace tw
