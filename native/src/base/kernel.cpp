// The kernel registry: names to factories, filled once from the list in kernels/kernels.list.
#include "base/kernel.h"

#include <map>
#include <mutex>

namespace tw {

void register_all_kernels();  // kernels/register.cpp

namespace {

using Registry = std::map<std::string, KernelFactory, std::less<>>;

Registry& storage() {
  // Never destroyed: threads go on while the process ends.
  static auto& registry = *new Registry;
  return registry;
}

const Registry& registry() {
  static std::once_flag once;
  std::call_once(once, register_all_kernels);
  return storage();
}

}  // namespace

void register_kernel(std::string_view name, KernelFactory factory) {
  if (!storage().emplace(name, factory).second)
    throw Error(Code::kInternal, "kernel '" + std::string(name) + "' is registered twice");
}

std::unique_ptr<Kernel> make_kernel(std::string_view name, const StepInfo& step) {
  const auto it = registry().find(name);
  if (it == registry().end()) throw Error(Code::kInvalidPlan, "unknown kernel '" + std::string(name) + "'");
  return it->second(step);
}

std::vector<std::string> kernel_names() {
  std::vector<std::string> names;
  for (const auto& [name, factory] : registry()) names.push_back(name);
  return names;
}

}  // namespace tw
