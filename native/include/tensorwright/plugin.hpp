// The C interface of plugins for C++: a plugin is a class with static members, and what it throws becomes an error of
// the engine.
#pragma once
#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <vector>

#include "tensorwright/guarded.hpp"
#include "tensorwright/pattern.hpp"
#include "tensorwright/plugin.h"

namespace tensorwright TENSORWRIGHT_HIDDEN {

// The fields of a call, in the order of the plugin's list.
class Fields {
 public:
  explicit Fields(const tw_value* values) : values_(values) {}
  std::int64_t integer(std::size_t i) const { return values_[i].ints[0]; }
  double number(std::size_t i) const { return values_[i].floats[0]; }
  bool flag(std::size_t i) const { return values_[i].ints[0] != 0; }
  const char* text(std::size_t i) const { return values_[i].strings[0]; }
  const tw_value& operator[](std::size_t i) const { return values_[i]; }

 private:
  const tw_value* values_;
};

// An extent with the operators of integers.
class Extent {
 public:
  Extent(const tw_builder* builder, tw_extent handle) : builder_(builder), handle_(handle) {}
  tw_extent handle() const { return handle_; }
  // True when it is a number, which `value` then gets.
  bool known(std::int64_t& value) const { return builder_->known(builder_->host, handle_, &value) != 0; }

  friend Extent operator+(Extent a, Extent b) { return a.with(TW_ADD, b); }
  friend Extent operator-(Extent a, Extent b) { return a.with(TW_SUBTRACT, b); }
  friend Extent operator*(Extent a, Extent b) { return a.with(TW_MULTIPLY, b); }
  friend Extent operator/(Extent a, Extent b) { return a.with(TW_FLOOR_DIVIDE, b); }
  friend Extent operator%(Extent a, Extent b) { return a.with(TW_MODULO, b); }
  friend Extent min(Extent a, Extent b) { return a.with(TW_MINIMUM, b); }
  friend Extent max(Extent a, Extent b) { return a.with(TW_MAXIMUM, b); }
  Extent operator+(std::int64_t b) const { return *this + number(b); }
  Extent operator-(std::int64_t b) const { return *this - number(b); }
  Extent operator*(std::int64_t b) const { return *this * number(b); }
  Extent operator/(std::int64_t b) const { return *this / number(b); }
  Extent operator%(std::int64_t b) const { return *this % number(b); }

 private:
  Extent number(std::int64_t value) const { return {builder_, builder_->number(builder_->host, value)}; }
  Extent with(std::int32_t operation, Extent b) const {
    return {builder_, builder_->combine(builder_->host, operation, handle_, b.handle_)};
  }
  const tw_builder* builder_;
  tw_extent handle_;
};

class Builder {
 public:
  explicit Builder(const tw_builder* builder) : builder_(builder) {}
  Extent number(std::int64_t value) const { return {builder_, builder_->number(builder_->host, value)}; }
  Extent extent(const tw_shape& shape, int axis) const { return {builder_, shape.dims[axis]}; }
  // Only the values decide it.
  Extent data_dependent(std::int64_t min, std::int64_t max) const {
    return {builder_, builder_->data_dependent(builder_->host, min, max)};
  }
  tw_shape shape(std::int32_t dtype, std::initializer_list<Extent> dims) const {
    tw_shape out{};
    out.dtype = dtype;
    for (const Extent& d : dims) out.dims[out.rank++] = d.handle();
    return out;
  }

 private:
  const tw_builder* builder_;
};

namespace detail TENSORWRIGHT_HIDDEN {

template <typename P>
std::int32_t infer(const tw_builder* builder, const tw_value* fields, const tw_shape* inputs, tw_shape* outputs) {
  return guarded(builder, [&] { P::infer(Builder(builder), Fields(fields), inputs, outputs); });
}

template <typename P>
void* attach(const tw_attachment* attachment) {
  void* state = nullptr;
  guarded(attachment, [&] { state = P::attach(attachment->backend, Fields(attachment->fields)); });
  return state;
}

template <typename P>
std::int32_t enqueue(const tw_run* run, const tw_tensor* inputs, tw_tensor* outputs) {
  return guarded(run, [&] { P::enqueue(*run, Fields(run->fields), inputs, outputs); });
}

template <typename P>
constexpr auto supports_of(int) -> decltype(&P::supports) {
  return &P::supports;
}
template <typename P>
constexpr std::int32_t (*supports_of(long))(std::int32_t, const tw_value*, const tw_shape*, const tw_shape*) {
  return nullptr;
}
template <typename P>
constexpr auto workspace_of(int) -> decltype(&P::workspace_bytes) {
  return &P::workspace_bytes;
}
template <typename P>
constexpr std::int64_t (*workspace_of(long))(std::int32_t, const tw_value*, const tw_tensor*, const tw_tensor*) {
  return nullptr;
}
template <typename P>
constexpr auto attach_of(decltype(&P::attach)) -> void* (*)(const tw_attachment*) {
  return &attach<P>;
}
template <typename P>
constexpr void* (*attach_of(...))(const tw_attachment*) {
  return nullptr;
}
template <typename P>
constexpr auto detach_of(int) -> decltype(&P::detach) {
  return &P::detach;
}
template <typename P>
constexpr void (*detach_of(long))(void*) {
  return nullptr;
}
template <typename P>
constexpr auto flags_of(int) -> decltype(static_cast<std::uint32_t>(P::flags)) {
  return P::flags;
}
template <typename P>
constexpr std::uint32_t flags_of(long) {
  return 0;
}
template <typename P>
constexpr const tw_field* fields_of(decltype(&P::fields[0])) {
  return P::fields;
}
template <typename P>
constexpr const tw_field* fields_of(...) {
  return nullptr;
}
template <typename P>
constexpr std::int32_t field_count(decltype(&P::fields[0])) {
  return static_cast<std::int32_t>(sizeof(P::fields) / sizeof(tw_field));
}
template <typename P>
constexpr std::int32_t field_count(...) {
  return 0;
}

template <typename P>
constexpr const tw_alias* aliases_of(decltype(&P::aliases[0])) {
  return P::aliases;
}
template <typename P>
constexpr const tw_alias* aliases_of(...) {
  return nullptr;
}
template <typename P>
constexpr std::int32_t alias_count(decltype(&P::aliases[0])) {
  return static_cast<std::int32_t>(sizeof(P::aliases) / sizeof(tw_alias));
}
template <typename P>
constexpr std::int32_t alias_count(...) {
  return 0;
}
template <typename P>
auto patterns_of(int) -> decltype(std::vector<Pattern>(P::patterns())) {
  return P::patterns();
}
template <typename P>
std::vector<Pattern> patterns_of(long) {
  return {};
}

template <typename T, std::size_t N>
constexpr std::int32_t length(const T (&)[N]) {
  return static_cast<std::int32_t>(N);
}

// The record of a class with the static members name, version, name_space, inputs, outputs, infer and enqueue, and
// where it has them fields, supports, workspace_bytes, attach, detach, flags, aliases and patterns.
template <typename P>
const tw_plugin* record() {
  static const PatternRecords patterns(patterns_of<P>(0));
  static const tw_plugin value = {
      sizeof(tw_plugin), P::name,           P::version,             P::name_space,           P::inputs,
      length(P::inputs), P::outputs,        length(P::outputs),     fields_of<P>(nullptr),   field_count<P>(nullptr),
      &infer<P>,         supports_of<P>(0), workspace_of<P>(0),     attach_of<P>(nullptr),   detach_of<P>(0),
      &enqueue<P>,       flags_of<P>(0),    aliases_of<P>(nullptr), alias_count<P>(nullptr), patterns.data(),
      patterns.size(),
  };
  return &value;
}

template <typename... P>
const tw_plugin* const* list(std::uint32_t interface_number, std::int32_t* count) {
  static const tw_plugin* const records[] = {record<P>()...};
  *count = static_cast<std::int32_t>(sizeof...(P));
  return interface_number == TW_PLUGIN_INTERFACE ? records : nullptr;
}

}  // namespace detail TENSORWRIGHT_HIDDEN
}  // namespace tensorwright TENSORWRIGHT_HIDDEN

// Exports the classes as the plugins of the library. Once in a library.
#define TENSORWRIGHT_PLUGINS(...)                                                                            \
  extern "C" {                                                                                               \
  TW_PLUGIN_EXPORT extern const uint32_t tensorwright_plugin_interface = TW_PLUGIN_INTERFACE;                \
  TW_PLUGIN_EXPORT const tw_plugin* const* tensorwright_plugins(uint32_t interface_number, int32_t* count) { \
    return tensorwright::detail::list<__VA_ARGS__>(interface_number, count);                                 \
  }                                                                                                          \
  }
