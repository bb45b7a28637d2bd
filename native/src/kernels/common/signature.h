// What a kernel may be given: how many tensors, of which types and shapes. Plans are not trusted, so each kernel says it.
#pragma once
#include <initializer_list>
#include <span>

#include "base/tensor.h"

namespace tw {

struct Signature {
  int min_inputs = 1, max_inputs = 1;    // the first min_inputs must be given, the others may be omitted
  int min_outputs = 1, max_outputs = 1;
  uint32_t same_inputs = 0;              // bit i: input i has input 0's dtype
  uint32_t same_outputs = 1;             // bit i: output i has input 0's dtype
  uint32_t int64_outputs = 0;            // bit i: output i is int64
  bool same_shape = false;               // output 0 has input 0's dims
  bool sizes_outputs = false;            // the kernel finds the outputs' dims and checks them itself
};

// Throw kInvalidPlan or kShapeMismatch. Types are known when a kernel is made, shapes before it runs.
void check_types(const Signature& signature, std::span<const Tensor> inputs, std::span<const Tensor> outputs);
void check_shapes(const Signature& signature, std::span<const Tensor> inputs, std::span<const Tensor> outputs);

// For what a signature cannot say. Omitted tensors pass.
void expect_rank(const char* what, const Tensor& t, int min, int max);
void expect_dims(const char* what, const Tensor& t, std::span<const int64_t> dims);
inline void expect_dims(const char* what, const Tensor& t, std::initializer_list<int64_t> dims) {
  expect_dims(what, t, std::span<const int64_t>(dims.begin(), dims.size()));
}
void expect_same_dims(const char* what, const Tensor& t, const Tensor& as);
// That t broadcasts to these dims in numpy's way.
void expect_broadcast(const char* what, const Tensor& t, std::span<const int64_t> dims);
inline std::span<const int64_t> extents(const Tensor& t) { return {t.dims, static_cast<size_t>(t.rank < 0 ? 0 : t.rank)}; }
void expect(bool ok, const char* message);  // kShapeMismatch

}  // namespace tw
