// A plan program as it was read, before anything about it has been checked but its types.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/attributes.h"
#include "executor/expression.h"

namespace tw {

struct SymbolDescription {
  std::string name;
  int64_t min = 0, max = 0;
};

enum class Storage : uint8_t { kInput, kConstant, kArena, kHeap, kDims, kObject };

struct ValueDescription {
  std::optional<std::string> dtype;
  std::optional<std::vector<int64_t>> dims;  // expressions
  std::optional<std::vector<int64_t>> order;
  Storage storage = Storage::kObject;
  bool on_device = false;
  int64_t index = 0, offset = 0, bytes = 0;  // what the storage kind has of these
  std::vector<int64_t> elements;             // expressions, of kDims
  std::vector<std::pair<int64_t, int64_t>> binds;
  std::string name;  // may be empty
};

struct OperandDescription {
  int64_t value = 0;
  std::optional<int64_t> offset;
  std::optional<std::vector<int64_t>> dims, strides;
};

struct ProgramDescription;

struct StepDescription {
  std::string kernel;
  Attributes attributes;
  std::vector<std::optional<OperandDescription>> inputs, outputs;
  std::vector<ProgramDescription> programs;
  std::string layer;
};

struct SegmentDescription {
  std::string backend;
  int64_t begin = 0, end = 0;
};

// Two extents, as expressions, that a run needs to be equal.
struct AgreementDescription {
  int64_t left = 0, right = 0;
  std::string what, left_name, right_name;  // for messages
};

struct ProgramDescription {
  std::vector<SymbolDescription> symbols;
  std::vector<std::pair<int64_t, int64_t>> inherits;
  std::vector<std::vector<Expression::Token>> expressions;
  std::vector<AgreementDescription> agreements;
  std::vector<ValueDescription> values;
  std::vector<int64_t> inputs, outputs;
  std::vector<StepDescription> steps;
  std::vector<SegmentDescription> segments;
  int64_t arena_bytes = 0, device_arena_bytes = 0;
};

}  // namespace tw
