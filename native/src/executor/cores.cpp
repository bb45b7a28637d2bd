// How many cores this process has for itself.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <thread>

#include "executor/threads.h"

#if defined(__linux__)
#include <sched.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <vector>
#endif

namespace tw {
namespace {

[[maybe_unused]] constexpr int kMostCpus = 4096;

#if defined(__linux__)

std::string first_line(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

// Cores, not hyperthreads, in the affinity mask: CPUs of one core list the same siblings.
int allowed_cores() {
  cpu_set_t* set = CPU_ALLOC(kMostCpus);
  const size_t size = CPU_ALLOC_SIZE(kMostCpus);
  std::set<std::string> cores;
  int cpus = 0;
  if (set && sched_getaffinity(0, size, set) == 0) {
    for (int cpu = 0; cpu < kMostCpus; ++cpu) {
      if (!CPU_ISSET_S(static_cast<size_t>(cpu), size, set)) continue;
      ++cpus;
      const std::string siblings =
          first_line("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
      cores.insert(siblings.empty() ? "cpu " + std::to_string(cpu) : siblings);
    }
  }
  CPU_FREE(set);
  return cpus ? static_cast<int>(cores.size()) : static_cast<int>(std::thread::hardware_concurrency());
}

// CPUs' worth of time one control group allows; infinite without a limit.
double quota_of(const std::string& folder) {
  std::istringstream two(first_line(folder + "/cpu.max"));  // version 2: "max 100000" or "150000 100000"
  double quota = 0, period = 0;
  if (two >> quota >> period && period > 0) return quota / period;
  std::istringstream q(first_line(folder + "/cpu.cfs_quota_us")), p(first_line(folder + "/cpu.cfs_period_us"));
  if (q >> quota && p >> period && quota > 0 && period > 0) return quota / period;
  return INFINITY;
}

// The tightest limit of this process's control group and those around it.
double quota() {
  double least = std::min(quota_of("/sys/fs/cgroup"), quota_of("/sys/fs/cgroup/cpu"));
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && controllers.find("cpu") == std::string::npos) continue;
    const std::string root = controllers.empty() ? "/sys/fs/cgroup" : "/sys/fs/cgroup/" + controllers;
    for (std::string path = line.substr(second + 1); path.size() > 1; path = path.substr(0, path.rfind('/')))
      least = std::min(least, quota_of(root + path));
  }
  return least;
}

#endif

int count_cores() {
#if defined(__linux__)
  const double limit = quota();
  const int cores = allowed_cores();
  return std::isfinite(limit) ? std::min(cores, static_cast<int>(std::ceil(limit))) : cores;
#elif defined(__APPLE__)
  int cores = 0;
  size_t size = sizeof(cores);
  return sysctlbyname("hw.physicalcpu", &cores, &size, nullptr, 0) == 0
             ? cores
             : static_cast<int>(std::thread::hardware_concurrency());
#elif defined(_WIN32)
  DWORD bytes = 0;
  GetLogicalProcessorInformation(nullptr, &bytes);
  std::vector<SYSTEM_LOGICAL_PROCESSOR_INFORMATION> list(bytes / sizeof(SYSTEM_LOGICAL_PROCESSOR_INFORMATION));
  if (!GetLogicalProcessorInformation(list.data(), &bytes))
    return static_cast<int>(std::thread::hardware_concurrency());
  return static_cast<int>(
      std::count_if(list.begin(), list.end(), [](const auto& p) { return p.Relationship == RelationProcessorCore; }));
#else
  return static_cast<int>(std::thread::hardware_concurrency());
#endif
}

}  // namespace

int default_threads() {
  static const int cores = std::max(1, count_cores());
  return cores;
}

}  // namespace tw
