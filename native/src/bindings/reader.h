// Reading plain JavaScript data with every type checked; a wrong one is an error that names its place.
#pragma once
#include <napi.h>

#include <optional>
#include <string>
#include <vector>

#include "base/attributes.h"
#include "base/error.h"

namespace tw {

// A value and how it was reached: "steps[12].inputs[1].value". Readers of parts refer to the reader of the whole.
class Reader {
 public:
  Reader(Napi::Value value, const char* name, Code code) : value_(value), name_(name), code_(code) {}

  Napi::Value value() const { return value_; }
  bool absent() const { return value_.IsUndefined(); }
  bool null() const { return value_.IsNull(); }

  Reader field(const char* name) const;
  bool array() const { return value_.IsArray(); }
  uint32_t length() const;  // throws unless it is an array
  Reader element(uint32_t i) const;

  int64_t integer() const;
  double number() const;
  std::string string() const;
  std::vector<int64_t> integers() const;
  Attributes attributes() const;

  template <typename F>
  auto optional(F read) const -> std::optional<decltype(read(*this))> {
    if (absent()) return std::nullopt;
    return read(*this);
  }
  // F for every element.
  template <typename F>
  auto list(F read) const {
    std::vector<decltype(read(*this))> out;
    const uint32_t n = length();
    for (uint32_t i = 0; i < n; ++i) {
      Napi::HandleScope scope(value_.Env());
      out.push_back(read(element(i)));
    }
    return out;
  }

  std::string path() const;
  [[noreturn]] void fail(const std::string& expected) const;

 private:
  Reader(Napi::Value value, const Reader* whole, const char* name, int64_t index, Code code)
      : value_(value), whole_(whole), name_(name), index_(index), code_(code) {}

  Napi::Value value_;
  const Reader* whole_ = nullptr;
  const char* name_ = nullptr;
  int64_t index_ = -1;
  Code code_;
};

}  // namespace tw
