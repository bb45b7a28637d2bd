#include "play.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string_view>
#include <thread>

#include "driver.h"

namespace tw_emulator {
namespace {

std::atomic<int> lost_results[kMostDevices];

// Whether `take` wants an entry of the list.
bool any_entry(const std::function<bool(std::string_view name, std::string_view value)>& take) {
  const char* text = std::getenv("TENSORWRIGHT_EMULATOR_PLAY");
  for (std::string_view rest = text ? text : ""; !rest.empty();) {
    const std::string_view entry = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), entry.size() + 1));
    const size_t colon = entry.find(':');
    if (colon != entry.npos && take(entry.substr(0, colon), entry.substr(colon + 1))) return true;
  }
  return false;
}

}  // namespace

int64_t played(const char* name, int64_t fallback) {
  int64_t found = fallback;
  any_entry([&](std::string_view entry, std::string_view value) {
    if (entry != name) return false;
    found = std::strtoll(std::string(value).c_str(), nullptr, 10);
    return true;
  });
  return found;
}

bool played_for(const char* name, const std::string& kernel) {
  return any_entry([&](std::string_view entry, std::string_view value) { return entry == name && value == kernel; });
}

int begin_call(const char* call) {
  constexpr auto kPause = std::chrono::milliseconds(10);
  constexpr int kMostPauses = 2000;
  if (played_for("hang", call)) trace(std::string("hang ") + call);
  for (int i = 0; i < kMostPauses && played_for("hang", call); ++i) std::this_thread::sleep_for(kPause);
  constexpr size_t kNeeded = size_t{1} << 20;
  if (!played_for("needs", call) || free_memory() >= kNeeded) return kSuccess;
  trace(std::string("short of memory ") + call);
  return kOutOfMemory;
}

int lost(int device) { return lost_results[device].load(); }
void lose(int device, int result) { lost_results[device].store(result); }

void trace(const std::string& line) {
  const char* path = std::getenv("TENSORWRIGHT_EMULATOR_TRACE");
  if (!path || !*path) return;
  if (std::FILE* file = std::fopen(path, "a")) {
    std::fprintf(file, "%s\n", line.c_str());
    std::fclose(file);
  }
}

}  // namespace tw_emulator
