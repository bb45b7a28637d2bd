// Patterns of plugins in C++: subgraphs of built-in operators that a plugin takes the place of.
#pragma once
#include <cstdint>
#include <cstring>
#include <deque>
#include <initializer_list>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tensorwright/guarded.hpp"
#include "tensorwright/plugin.h"

namespace tensorwright TENSORWRIGHT_HIDDEN {

// A number, a flag, a text, or a list of numbers or texts. Texts are not copied: they must stay as long as it does.
class Value {
 public:
  // Any value.
  Value() = default;
  Value(bool flag) : kind_(TW_FIELD_BOOL), ints_{flag} {}
  Value(const char* text) : kind_(TW_FIELD_STRING), texts_{text} {}
  template <typename T, std::enable_if_t<std::is_integral<T>::value, int> = 0>
  Value(T number) : kind_(TW_FIELD_INT), ints_{static_cast<std::int64_t>(number)} {}
  template <typename T, std::enable_if_t<std::is_floating_point<T>::value, int> = 0>
  Value(T number) : kind_(TW_FIELD_FLOAT), floats_{static_cast<double>(number)} {}
  Value(std::initializer_list<double> numbers) : kind_(TW_FIELD_FLOATS), floats_(numbers) {}
  Value(std::vector<double> numbers) : kind_(TW_FIELD_FLOATS), floats_(std::move(numbers)) {}
  Value(std::vector<std::int64_t> numbers) : kind_(TW_FIELD_INTS), ints_(std::move(numbers)) {}
  Value(std::vector<const char*> texts) : kind_(TW_FIELD_STRINGS), texts_(std::move(texts)) {}

  bool any() const { return kind_ < 0; }
  // Points into this.
  tw_value record() const {
    return {kind_, static_cast<std::int32_t>(ints_.size() + floats_.size() + texts_.size()), ints_.data(),
            floats_.data(), texts_.data()};
  }

 private:
  std::int32_t kind_ = -1;
  std::vector<std::int64_t> ints_;
  std::vector<double> floats_;
  std::vector<const char*> texts_;
};

// What an attribute or a constant has to be. Of a constant, one number is that of all its elements.
struct Condition {
  const char* name;
  Value value = {};
};

// A built-in operator and the names of its tensors; "" is an omitted one.
struct PatternNode {
  const char* op;
  std::vector<const char*> inputs, outputs;
  std::vector<Condition> attributes = {};
};

namespace detail TENSORWRIGHT_HIDDEN {

// An element of a tensor whose data are in the host's memory. Throws std::runtime_error for types that have no numbers.
inline double element(const tw_tensor& tensor, std::int64_t i) {
  const auto at = [&](auto type) {
    std::memcpy(&type, static_cast<const char*>(tensor.data) + static_cast<std::size_t>(i) * sizeof type, sizeof type);
    return type;
  };
  switch (tensor.dtype) {
    case TW_FLOAT32: return at(float{});
    case TW_FLOAT64: return at(double{});
    case TW_INT8: return at(std::int8_t{});
    case TW_INT16: return at(std::int16_t{});
    case TW_INT32: return at(std::int32_t{});
    case TW_INT64: return static_cast<double>(at(std::int64_t{}));
    case TW_UINT8:
    case TW_BOOL: return at(std::uint8_t{});
    case TW_UINT16: return at(std::uint16_t{});
    case TW_UINT32: return at(std::uint32_t{});
    case TW_UINT64: return static_cast<double>(at(std::uint64_t{}));
    case TW_BFLOAT16: {
      const std::uint32_t bits = static_cast<std::uint32_t>(at(std::uint16_t{})) << 16;
      float value;
      std::memcpy(&value, &bits, sizeof value);
      return value;
    }
    case TW_FLOAT16: {
      const unsigned bits = at(std::uint16_t{}), exponent = bits >> 10 & 31, fraction = bits & 1023;
      // Of 2^-24, which the smallest float16 is.
      double value = exponent ? static_cast<double>(1024 + fraction) : static_cast<double>(fraction);
      for (unsigned e = 1; e < exponent; ++e) value *= 2;
      value /= 1 << 24;
      using Limits = std::numeric_limits<double>;
      if (exponent == 31) value = fraction ? Limits::quiet_NaN() : Limits::infinity();
      return bits & 0x8000 ? -value : value;
    }
    default: throw std::runtime_error("the tensor's elements are no numbers");
  }
}

}  // namespace detail TENSORWRIGHT_HIDDEN

// What a pattern has found, by its own names.
class Match {
 public:
  explicit Match(const tw_match* match) : match_(match) {}

  // Type and shape, -1 where only the run knows it; the data of a constant, null for others. Throws where there is no
  // such tensor.
  tw_tensor tensor(const char* name) const {
    tw_tensor found{};
    if (!match_->tensor(match_->host, name, &found))
      throw std::runtime_error(std::string("there is no tensor ") + name);
    return found;
  }
  // The element of a constant at a position; throws where it has none.
  double number(const char* constant, std::int64_t i = 0) const {
    const tw_tensor found = tensor(constant);
    std::int64_t size = 1;
    for (int axis = 0; axis < found.rank; ++axis) size *= found.dims[axis];
    if (!found.data || i < 0 || i >= size)
      throw std::runtime_error(std::string("there is no such element of ") + constant);
    return detail::element(found, i);
  }
  // Of the node whose first output is called so. Throws where it has none.
  tw_value attribute(const char* node, const char* name) const {
    tw_value found{};
    if (!match_->attribute(match_->host, node, name, &found))
      throw std::runtime_error(std::string(node) + " has no attribute " + name);
    return found;
  }
  // A field of the call that takes the place.
  void set(const char* field, const Value& value) const {
    const tw_value record = value.record();
    match_->set_field(match_->host, field, &record);
  }

 private:
  const tw_match* match_;
};

// A subgraph. Tensors called like an input of the plugin are given to it, those called like an output are replaced by
// it, and others inside are made by a node or named in `constants`. The last node is looked for first.
struct Pattern {
  const char* name;
  std::vector<PatternNode> nodes;
  std::vector<Condition> constants = {};
  // Whether a match counts; sets the fields of the call.
  bool (*accepts)(const Match&) = nullptr;
};

namespace detail TENSORWRIGHT_HIDDEN {

inline std::int32_t accepts(const tw_match* match) {
  bool counts = false;
  guarded(match, [&] { counts = static_cast<const Pattern*>(match->data)->accepts(Match(match)); });
  return counts;
}

// Patterns as the C interface has them. Owns what its records point to.
class PatternRecords {
 public:
  explicit PatternRecords(std::vector<Pattern> patterns) : patterns_(std::move(patterns)) {
    for (Pattern& p : patterns_) {
      auto& nodes = nodes_.emplace_back();
      for (const PatternNode& n : p.nodes) {
        const auto& attributes = conditions(n.attributes);
        nodes.push_back({n.op, n.inputs.data(), count(n.inputs), n.outputs.data(), count(n.outputs), attributes.data(),
                         count(attributes)});
      }
      const auto& constants = conditions(p.constants);
      records_.push_back({sizeof(tw_pattern), p.name, nodes.data(), count(nodes), constants.data(), count(constants),
                          p.accepts ? &detail::accepts : nullptr, &p});
    }
    for (const tw_pattern& r : records_) list_.push_back(&r);
  }
  PatternRecords(const PatternRecords&) = delete;
  PatternRecords& operator=(const PatternRecords&) = delete;

  const tw_pattern* const* data() const { return list_.data(); }
  std::int32_t size() const { return count(list_); }

 private:
  template <typename T>
  static std::int32_t count(const std::vector<T>& list) {
    return static_cast<std::int32_t>(list.size());
  }
  const std::vector<tw_condition>& conditions(const std::vector<Condition>& list) {
    auto& out = conditions_.emplace_back();
    for (const Condition& c : list) {
      if (!c.value.any()) values_.push_back(c.value.record());
      out.push_back({c.name, c.value.any() ? nullptr : &values_.back()});
    }
    return out;
  }

  std::vector<Pattern> patterns_;
  std::deque<std::vector<tw_pattern_node>> nodes_;
  std::deque<std::vector<tw_condition>> conditions_;
  std::deque<tw_value> values_;
  std::vector<tw_pattern> records_;
  std::vector<const tw_pattern*> list_;
};

}  // namespace detail TENSORWRIGHT_HIDDEN
}  // namespace tensorwright TENSORWRIGHT_HIDDEN
