#include "bindings/reader.h"

#include <cmath>

namespace tw {
namespace {

constexpr uint32_t kLongestArray = uint32_t{1} << 24;
constexpr double kSafeInteger = 9007199254740991.0;

const char* kind(const Napi::Value& v) {
  if (v.IsNull()) return "null";
  if (v.IsArray()) return "an array";
  switch (v.Type()) {
    case napi_undefined:
      return "nothing";
    case napi_boolean:
      return "a boolean";
    case napi_number:
      return "a number";
    case napi_string:
      return "a string";
    case napi_bigint:
      return "a bigint";
    case napi_function:
      return "a function";
    default:
      return "an object";
  }
}

}  // namespace

std::string Reader::path() const {
  std::string whole = whole_ ? whole_->path() : "";
  if (index_ >= 0) return whole + "[" + std::to_string(index_) + "]";
  if (!name_ || !*name_) return whole;
  return whole.empty() ? name_ : whole + "." + name_;
}

void Reader::fail(const std::string& expected) const {
  const std::string where = path();
  std::string received = kind(value_);
  if (value_.IsNumber()) received = "the number " + value_.ToString().Utf8Value();
  if (value_.IsString()) received = "'" + value_.As<Napi::String>().Utf8Value() + "'";
  throw Error(code_, (where.empty() ? "" : where + ": ") + "expected " + expected + ", received " + received);
}

Reader Reader::field(const char* name) const {
  if (!value_.IsObject()) fail("an object");
  return {value_.As<Napi::Object>().Get(name), this, name, -1, code_};
}

uint32_t Reader::length() const {
  if (!value_.IsArray()) fail("an array");
  const uint32_t n = value_.As<Napi::Array>().Length();
  if (n > kLongestArray) throw Error(code_, path() + ": an array of " + std::to_string(n) + " elements is too long");
  return n;
}

Reader Reader::element(uint32_t i) const { return {value_.As<Napi::Array>().Get(i), this, nullptr, i, code_}; }

int64_t Reader::integer() const {
  const double n = value_.IsNumber() ? value_.As<Napi::Number>().DoubleValue() : NAN;
  if (!(std::abs(n) <= kSafeInteger) || n != std::trunc(n)) fail("an integer");
  return static_cast<int64_t>(n);
}

double Reader::number() const {
  if (!value_.IsNumber()) fail("a number");
  return value_.As<Napi::Number>().DoubleValue();
}

std::string Reader::string() const {
  if (!value_.IsString()) fail("a string");
  return value_.As<Napi::String>().Utf8Value();
}

std::vector<int64_t> Reader::integers() const {
  return list([](const Reader& r) { return r.integer(); });
}

Attributes Reader::attributes() const {
  if (!value_.IsObject() || value_.IsArray()) fail("an object");
  Attributes out;
  const Napi::Object object = value_.As<Napi::Object>();
  const Napi::Array names = object.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); ++i) {
    Napi::HandleScope scope(value_.Env());
    const std::string name = names.Get(i).ToString().Utf8Value();
    const Reader r = field(name.c_str());
    if (r.value_.IsBoolean()) {
      out.set(name, r.value_.As<Napi::Boolean>().Value() ? 1.0 : 0.0);
    } else if (r.value_.IsNumber()) {
      out.set(name, r.number());
    } else if (r.value_.IsString()) {
      out.set(name, r.string());
    } else if (r.array() && r.length() > 0 && r.element(0).value_.IsString()) {
      out.set(name, r.list([](const Reader& e) { return e.string(); }));
    } else if (r.array()) {
      out.set(name, r.list([](const Reader& e) { return e.number(); }));
    } else {
      r.fail("a number, a string, a boolean or a list of numbers or strings");
    }
  }
  return out;
}

}  // namespace tw
