#include "plugins/fields.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <utility>

#include "plugins/library.h"

namespace tw::plugins {
namespace {

// Numbers that JSON does not know are texts: 'NaN', '-Infinity', '-0'. None where one is no number.
std::optional<std::vector<double>> numbers_of(const AttributeValue& value) {
  if (const auto* one = std::get_if<double>(&value)) return std::vector{*one};
  if (const auto* list = std::get_if<std::vector<double>>(&value)) return *list;
  const auto* text = std::get_if<std::string>(&value);
  std::vector<double> out;
  for (const std::string& t : text ? std::vector{*text} : std::get<std::vector<std::string>>(value)) {
    char* end = nullptr;
    out.push_back(std::strtod(t.c_str(), &end));
    if (t.empty() || end != t.c_str() + t.size()) return {};
  }
  return out;
}

std::optional<std::vector<int64_t>> integers_of(const AttributeValue& value) {
  const auto numbers = numbers_of(value);
  const auto is_whole = [](double v) { return std::trunc(v) == v && std::abs(v) < 0x1p63; };
  if (!numbers || !std::all_of(numbers->begin(), numbers->end(), is_whole)) return {};
  return std::vector<int64_t>(numbers->begin(), numbers->end());
}

}  // namespace

FieldValues::FieldValues(const tw_plugin& plugin, const Attributes& attributes) {
  for (const tw_field* f = plugin.fields; f != plugin.fields + plugin.field_count; ++f) {
    const std::string name = std::string("field:") + f->name;
    if (!attributes.has(name)) {
      if (!f->fallback) throw Error(Code::kPlugin, "plugin " + title(plugin) + ": field '" + f->name + "' is missing");
      values_.push_back(*f->fallback);
      continue;
    }
    tw_value value{};
    value.kind = f->kind;
    // Its numbers, if they are what the kind wants.
    const auto take = [&](auto numbers, auto& into, const char* what) {
      if (!numbers || (f->kind < TW_FIELD_INTS && numbers->size() != 1))
        throw Error(Code::kInvalidPlan, "plugin " + title(plugin) + ": field '" + f->name + "' is no " + what);
      into.push_back(std::move(*numbers));
    };
    switch (f->kind) {
      case TW_FIELD_INT:
      case TW_FIELD_BOOL:
        take(integers_of(attributes.all().at(name)), ints_, "integer");
        break;
      case TW_FIELD_INTS:
        take(integers_of(attributes.all().at(name)), ints_, "list of integers");
        break;
      case TW_FIELD_FLOAT:
        take(numbers_of(attributes.all().at(name)), floats_, "number");
        break;
      case TW_FIELD_FLOATS:
        take(numbers_of(attributes.all().at(name)), floats_, "list of numbers");
        break;
      default: {
        std::vector<const char*> list;
        const auto texts = f->kind == TW_FIELD_STRING ? std::vector{attributes.string(name)} : attributes.strings(name);
        for (const std::string& text : texts) list.push_back(texts_.emplace_back(text).c_str());
        strings_.push_back(std::move(list));
      }
    }
    if (f->kind == TW_FIELD_INT || f->kind == TW_FIELD_BOOL || f->kind == TW_FIELD_INTS) {
      value.ints = ints_.back().data();
      value.count = static_cast<int32_t>(ints_.back().size());
    } else if (f->kind == TW_FIELD_FLOAT || f->kind == TW_FIELD_FLOATS) {
      value.floats = floats_.back().data();
      value.count = static_cast<int32_t>(floats_.back().size());
    } else {
      value.strings = strings_.back().data();
      value.count = static_cast<int32_t>(strings_.back().size());
    }
    values_.push_back(value);
  }
}

}  // namespace tw::plugins
