#include "plugins/match.h"

#include <cmath>
#include <deque>

#include "base/error.h"

namespace tw::plugins {
namespace {

// One call of `accepts`. What goes wrong comes out at its end, the first of it: no exception may cross its frames.
struct Asked {
  const FoundMatch& found;
  MatchAnswer answer;
  std::string failure;
  // What values that were handed out point to.
  std::deque<std::vector<double>> floats;
  std::deque<std::vector<int64_t>> ints;
  std::deque<std::vector<const char*>> texts;

  void refuse(const char* why) {
    if (failure.empty()) failure = why;
  }
};

Asked& asked(void* host) { return *static_cast<Asked*>(host); }

int32_t tensor(void* host, const char* name, tw_tensor* out) {
  const auto& tensors = asked(host).found.tensors;
  const auto it = name ? tensors.find(name) : tensors.end();
  if (it == tensors.end()) return 0;
  *out = it->second;
  return 1;
}

void give_numbers(Asked& a, const std::vector<double>& numbers, tw_value& out) {
  const auto is_whole = [](double v) { return std::trunc(v) == v && std::abs(v) < 9e15; };
  out.floats = a.floats.emplace_back(numbers).data();
  out.count = static_cast<int32_t>(numbers.size());
  for (const double v : numbers)
    if (!is_whole(v)) return;
  out.ints = a.ints.emplace_back(numbers.begin(), numbers.end()).data();
}

void give_texts(Asked& a, const std::string* first, size_t count, tw_value& out) {
  auto& list = a.texts.emplace_back();
  for (size_t i = 0; i < count; ++i) list.push_back(first[i].c_str());
  out.strings = list.data();
  out.count = static_cast<int32_t>(count);
}

int32_t attribute(void* host, const char* node, const char* name, tw_value* out) {
  Asked& a = asked(host);
  if (!node || !name) return 0;
  const auto of_node = a.found.attributes.find(node);
  if (of_node == a.found.attributes.end()) return 0;
  const auto it = of_node->second.find(name);
  if (it == of_node->second.end()) return 0;
  *out = {};
  const AttributeValue& value = it->second;
  if (const auto* number = std::get_if<double>(&value)) {
    out->kind = TW_FIELD_FLOAT;
    give_numbers(a, {*number}, *out);
  } else if (const auto* numbers = std::get_if<std::vector<double>>(&value)) {
    out->kind = TW_FIELD_FLOATS;
    give_numbers(a, *numbers, *out);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    out->kind = TW_FIELD_STRING;
    give_texts(a, text, 1, *out);
  } else {
    const auto& texts = std::get<std::vector<std::string>>(value);
    out->kind = TW_FIELD_STRINGS;
    give_texts(a, texts.data(), texts.size(), *out);
  }
  return 1;
}

void set_field(void* host, const char* field, const tw_value* value) {
  Asked& a = asked(host);
  if (!field || !value || !is_value(*value)) return a.refuse("it set a field without a name or a value");
  FieldChoice choice{field, value->kind, {}};
  switch (value->kind) {
    case TW_FIELD_INT:
    case TW_FIELD_BOOL:
    case TW_FIELD_INTS:
      choice.values = std::vector<int64_t>(value->ints, value->ints + value->count);
      break;
    case TW_FIELD_FLOAT:
    case TW_FIELD_FLOATS:
      choice.values = std::vector<double>(value->floats, value->floats + value->count);
      break;
    default:
      choice.values = std::vector<std::string>(value->strings, value->strings + value->count);
  }
  a.answer.fields.push_back(std::move(choice));
}

void fail(void* host, const char* message) { asked(host).refuse(message ? message : "it failed"); }

}  // namespace

MatchAnswer ask(const tw_plugin& plugin, const tw_pattern& pattern, const FoundMatch& found) {
  if (!pattern.accepts) return {};
  Asked a{found, {}, {}, {}, {}, {}};
  const auto refuse = [&](const std::string& why) {
    const std::string name = pattern.name ? std::string(pattern.name) : "a pattern";
    return Error(Code::kPlugin, "plugin " + title(plugin) + ": " + name + ": accepts " + why);
  };
  const tw_match match{sizeof(tw_match), &a, pattern.data, tensor, attribute, set_field, fail};
  try {
    a.answer.counts = pattern.accepts(&match) != 0;
  } catch (...) {
    throw refuse("threw an exception across the C interface");
  }
  if (!a.failure.empty()) throw refuse("failed: " + a.failure);
  return std::move(a.answer);
}

}  // namespace tw::plugins
