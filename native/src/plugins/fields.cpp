#include "plugins/fields.h"

#include <cstdlib>

#include "plugins/library.h"

namespace tw::plugins {
namespace {

// Numbers that JSON does not know are texts: 'NaN', '-Infinity', '-0'.
std::vector<double> numbers_of(const AttributeValue& value) {
  const auto number = [](const std::string& text) { return std::strtod(text.c_str(), nullptr); };
  if (const auto* one = std::get_if<double>(&value)) return {*one};
  if (const auto* list = std::get_if<std::vector<double>>(&value)) return *list;
  if (const auto* text = std::get_if<std::string>(&value)) return {number(*text)};
  std::vector<double> out;
  for (const std::string& text : std::get<std::vector<std::string>>(value)) out.push_back(number(text));
  return out;
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
    switch (f->kind) {
      case TW_FIELD_INT:
      case TW_FIELD_BOOL:
        ints_.push_back({attributes.integer(name, 0)});
        break;
      case TW_FIELD_INTS:
        ints_.push_back(attributes.integers(name));
        break;
      case TW_FIELD_FLOAT:
      case TW_FIELD_FLOATS:
        floats_.push_back(numbers_of(attributes.all().at(name)));
        if (f->kind == TW_FIELD_FLOAT && floats_.back().size() != 1)
          throw Error(Code::kInvalidPlan, "plugin " + title(plugin) + ": field '" + f->name + "' is no number");
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
