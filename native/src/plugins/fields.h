// The fields of one call of a plugin, as the plugin sees them.
#pragma once
#include <deque>
#include <string>
#include <vector>

#include "base/attributes.h"
#include "tensorwright/plugin.h"

namespace tw::plugins {

// Owns what its values point to.
class FieldValues {
 public:
  // From the attributes 'field:NAME' of a step. Throws naming the plugin and the field: kPlugin where one is missing,
  // kInvalidPlan where one is of another kind.
  FieldValues(const tw_plugin& plugin, const Attributes& attributes);
  FieldValues(FieldValues&&) = default;
  const tw_value* data() const { return values_.data(); }

 private:
  std::vector<tw_value> values_;
  std::deque<std::vector<int64_t>> ints_;
  std::deque<std::vector<double>> floats_;
  std::deque<std::string> texts_;
  std::deque<std::vector<const char*>> strings_;
};

}  // namespace tw::plugins
