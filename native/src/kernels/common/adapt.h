// Wraps a kernel written for dense tensors of ordinary types so that it takes every layout and the narrow types:
// inputs are copied and widened before it runs, outputs narrowed after. Tensors that fit as they are pass through.
#pragma once
#include <optional>

#include "base/kernel.h"
#include "kernels/common/signature.h"

namespace tw {

struct Adapt {
  bool dense = true;         // inputs and outputs row-major …
  bool channels_last = false;  // … but input 0 and output 0 as they are where both are channels-last
  bool widen_floats = true;  // 16-, 8- and 4-bit floats as float32
  // 2- and 4-bit elements one to a byte, as unsigned bit patterns: enough for kernels that only move elements.
  bool unpack = false;
};

// With a signature, what the kernel is given is checked against it, in the inner types.
std::unique_ptr<Kernel> adapt(const StepInfo& step, Adapt policy, KernelFactory factory, std::optional<Signature> signature = {});

template <KernelFactory factory, Adapt policy = Adapt{}>
std::unique_ptr<Kernel> adapted(const StepInfo& step) {
  return adapt(step, policy, factory);
}
template <KernelFactory factory, Adapt policy, Signature signature>
std::unique_ptr<Kernel> adapted(const StepInfo& step) {
  return adapt(step, policy, factory, signature);
}

// The kernel of class K, made from the step.
template <typename K>
std::unique_ptr<Kernel> make(const StepInfo& step) {
  return std::make_unique<K>(step);
}

constexpr Adapt kDenseNumbers{};
constexpr Adapt kImageNumbers{.channels_last = true};
constexpr Adapt kStridedNumbers{.dense = false};
constexpr Adapt kDenseMovement{.dense = true, .widen_floats = false, .unpack = true};
constexpr Adapt kStridedMovement{.dense = false, .widen_floats = false, .unpack = true};

}  // namespace tw
