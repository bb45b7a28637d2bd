// A minimal test harness: TEST(name) { CHECK(…); }. One executable per test/*.cpp; `test_xxx <substring>` filters.
#pragma once
#include <cstdio>
#include <exception>
#include <functional>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>

namespace test {

struct Registration {
  Registration(const char* name, void (*body)());
};

void fail(const char* file, int line, const std::string& message);  // counted; the test goes on

template <typename T>
std::string show(const T& value) {
  std::ostringstream out;
  out.precision(17);
  if constexpr (std::is_same_v<T, bool>) {
    out << (value ? "true" : "false");
  } else if constexpr (std::is_integral_v<T>) {
    out << +value;
  } else if constexpr (std::is_enum_v<T>) {
    out << static_cast<long long>(value);
  } else {
    out << value;
  }
  return out.str();
}

template <typename A, typename B>
void check_equal(const A& actual, const B& expected, const char* text, const char* file, int line) {
  if (!(actual == expected))
    fail(file, line, std::string(text) + ": got " + show(actual) + ", expected " + show(expected));
}

}  // namespace test

#define TEST(name)                                                            \
  static void test_body_##name();                                             \
  static const test::Registration test_entry_##name(#name, test_body_##name); \
  static void test_body_##name()

#define CHECK(condition)                                          \
  do {                                                            \
    if (!(condition)) test::fail(__FILE__, __LINE__, #condition); \
  } while (false)

// CHECK with a message that is only built on failure.
#define CHECK_MSG(condition, message)                                                             \
  do {                                                                                            \
    if (!(condition)) test::fail(__FILE__, __LINE__, std::string(#condition) + ": " + (message)); \
  } while (false)

#define CHECK_EQ(actual, expected) test::check_equal((actual), (expected), #actual, __FILE__, __LINE__)

#define CHECK_THROWS(expression, type)                                                 \
  do {                                                                                 \
    bool thrown = false;                                                               \
    try {                                                                              \
      expression;                                                                      \
    } catch (const type&) {                                                            \
      thrown = true;                                                                   \
    }                                                                                  \
    if (!thrown) test::fail(__FILE__, __LINE__, #expression " does not throw " #type); \
  } while (false)
