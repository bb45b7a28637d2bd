// Step attributes as the plan carries them: numbers, strings, booleans and flat lists.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

namespace tw {

using AttributeValue = std::variant<double, std::string, std::vector<double>, std::vector<std::string>>;  // a boolean is 0 or 1

class Attributes {
 public:
  void set(std::string name, AttributeValue value) { values_[std::move(name)] = std::move(value); }
  const std::map<std::string, AttributeValue, std::less<>>& all() const { return values_; }
  bool has(std::string_view name) const { return values_.find(name) != values_.end(); }

  int64_t integer(std::string_view name, int64_t fallback) const { return static_cast<int64_t>(number(name, static_cast<double>(fallback))); }
  double number(std::string_view name, double fallback) const {
    auto* v = find<double>(name);
    return v ? *v : fallback;
  }
  bool flag(std::string_view name, bool fallback = false) const { return number(name, fallback ? 1 : 0) != 0; }
  std::string string(std::string_view name, std::string fallback = {}) const {
    auto* v = find<std::string>(name);
    return v ? *v : fallback;
  }
  std::vector<int64_t> integers(std::string_view name) const {
    auto* v = find<std::vector<double>>(name);
    return v ? std::vector<int64_t>(v->begin(), v->end()) : std::vector<int64_t>{};
  }
  std::vector<double> numbers(std::string_view name) const {
    auto* v = find<std::vector<double>>(name);
    return v ? *v : std::vector<double>{};
  }
  std::vector<std::string> strings(std::string_view name) const {
    // An empty list does not say what of.
    const auto it = values_.find(name);
    const auto* numbers = it == values_.end() ? nullptr : std::get_if<std::vector<double>>(&it->second);
    if (numbers && numbers->empty()) return {};
    auto* v = find<std::vector<std::string>>(name);
    return v ? *v : std::vector<std::string>{};
  }

 private:
  template <typename T> const T* find(std::string_view name) const {
    auto it = values_.find(name);
    if (it == values_.end()) return nullptr;
    auto* v = std::get_if<T>(&it->second);
    if (!v) throw Error(Code::kInvalidPlan, "attribute '" + std::string(name) + "' has the wrong type");
    return v;
  }
  std::map<std::string, AttributeValue, std::less<>> values_;
};

}  // namespace tw
