#include <mutex>
#include <vector>

#include "executor/device.h"

namespace tw {
namespace {

struct Reclaimers {
  std::mutex mutex;
  std::vector<Reclaimer> all;
};

Reclaimers& reclaimers() {
  static auto* known = new Reclaimers();
  return *known;
}

}  // namespace

void add_reclaimer(Reclaimer reclaimer) {
  const std::lock_guard lock(reclaimers().mutex);
  reclaimers().all.push_back(reclaimer);
}

bool reclaim(const Device& device) {
  std::vector<Reclaimer> all;
  {
    const std::lock_guard lock(reclaimers().mutex);
    all = reclaimers().all;
  }
  bool any = false;
  for (const Reclaimer r : all) any = r(device) || any;
  return any;
}

}  // namespace tw
