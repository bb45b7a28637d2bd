// What a contraction does to its accumulator before storing it: an optional tape whose operand 0 is the
// accumulator and whose further operands are the side tensors, in order, broadcast to the output's dims.
#pragma once
#include <memory>
#include <vector>

#include "base/kernel.h"
#include "kernels/contraction/activation.h"
#include "tape/tape.h"

namespace tw {

// The forms every CNN and transformer uses are recognised when the kernel is made and run inside the register tile:
// y = min(high, max(low, acc + sides…)). Every other program runs over pieces of rows still in cache: activations by
// loops of their own, unless the kernel computes them itself, and the rest as a tape.
struct Epilogue {
  std::shared_ptr<const Tape> tape;  // never null: without a program it stores the accumulator as it is
  bool present = false;
  bool recognised = true;
  std::vector<int> addends;  // of the recognised form: indices of side operands, each added once
  bool clip = false;
  float low = 0, high = 0;
  Activation activation = Activation::kNone;  // only where not `recognised`; `addends` are set then too
  float scale = 1, shift = 0;
  ActivationNumbers numbers() const { return {low, high, scale, shift}; }
};

// Reads attributes "tape" (strings) and "results" (one register). Without a tape the sums, of this domain, are stored.
Epilogue make_epilogue(const Attributes& attributes, const std::string& domain = "f32");

}  // namespace tw
