// Asking a plugin whether the match of one of its patterns counts.
#pragma once
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/attributes.h"
#include "base/tensor.h"
#include "plugins/library.h"

namespace tw::plugins {

// What a pattern has found, by its own names.
struct FoundMatch {
  std::map<std::string, tw_tensor, std::less<>> tensors;
  std::map<std::string, std::map<std::string, AttributeValue, std::less<>>, std::less<>> attributes;  // by nodes
};

// A field's value, with its kind.
struct FieldChoice {
  std::string name;
  int32_t kind;
  std::variant<std::vector<int64_t>, std::vector<double>, std::vector<std::string>> values;
};

struct MatchAnswer {
  bool counts = true;
  std::vector<FieldChoice> fields;
};

// Throws kPlugin with what the plugin said.
MatchAnswer ask(const tw_plugin& plugin, const tw_pattern& pattern, const FoundMatch& found);

}  // namespace tw::plugins
