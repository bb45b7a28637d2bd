// What a plugin's outputs are: its `infer`, called with extents that are numbers or unknowns.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "plugins/fields.h"
#include "plugins/library.h"

namespace tw::plugins {

// ONNX's number of an element type; 0 for types that plugins do not meet.
int32_t code_of(DType dtype);
std::optional<DType> dtype_of(int32_t code);

struct KnownShape {
  int32_t dtype = 0;          // 0: omitted
  std::vector<int64_t> dims;  // kUnknown: only the run knows it
};
constexpr int64_t kUnknown = -1;

// Postfix code: numbers; 'xK', the K-th unknown extent of the inputs in order; 'fK', the K-th data-dependent one;
// '+', '-', '*', 'floordiv', 'mod', 'min', 'max'.
using ExtentCode = std::vector<std::string>;

struct InferredShape {
  DType dtype = DType::kFloat32;
  std::vector<ExtentCode> dims;
};

struct Inference {
  std::vector<InferredShape> outputs;
  std::vector<std::pair<int64_t, int64_t>> data_dependent;  // bounds
};

// Throws kPlugin with what the plugin said.
Inference infer(const tw_plugin& plugin, const FieldValues& fields, const std::vector<KnownShape>& inputs);
// Whether it takes these types on the backend.
bool supports(const tw_plugin& plugin, int32_t backend, const FieldValues& fields,
              const std::vector<KnownShape>& inputs, const std::vector<KnownShape>& outputs);

}  // namespace tw::plugins
