// Runs the registered tests of one executable.
#include <cstdlib>
#include <vector>

#include "support/check.h"

namespace test {
namespace {

struct Entry {
  const char* name;
  void (*body)();
};

std::vector<Entry>& entries() {
  static std::vector<Entry> list;
  return list;
}

int failures = 0;
constexpr int kShown = 20;

}  // namespace

Registration::Registration(const char* name, void (*body)()) { entries().push_back({name, body}); }

void fail(const char* file, int line, const std::string& message) {
  if (++failures <= kShown) std::fprintf(stderr, "  %s:%d: %s\n", file, line, message.c_str());
}

}  // namespace test

int main(int argc, char** argv) {
  const std::string_view filter = argc > 1 ? argv[1] : "";
  int ran = 0, failed = 0;
  for (const auto& entry : test::entries()) {
    if (std::string_view(entry.name).find(filter) == std::string_view::npos) continue;
    ++ran;
    test::failures = 0;
    try {
      entry.body();
    } catch (const std::exception& e) {
      test::fail(entry.name, 0, std::string("unexpected exception: ") + e.what());
    }
    if (test::failures) ++failed;
    std::printf("%s %s", test::failures ? "FAIL" : "ok  ", entry.name);
    std::printf(test::failures > test::kShown ? " (%d failures)\n" : "\n", test::failures);
  }
  std::printf("%d tests, %d failed\n", ran, failed);
  return failed || !ran ? EXIT_FAILURE : EXIT_SUCCESS;
}
