#include "plugins/library.h"

#include <algorithm>
#include <mutex>

#include "base/error.h"

namespace tw::plugins {
namespace {

constexpr uint32_t kOldestInterface = 1;
constexpr int32_t kMostPlugins = 4096;

bool is(const tw_plugin& p, const std::string& name, const std::string& version, const std::string& name_space) {
  return name == p.name && version == p.version && name_space == p.name_space;
}

std::mutex mutex;
std::vector<std::shared_ptr<PluginLibrary>>& loaded() {
  static auto* list = new std::vector<std::shared_ptr<PluginLibrary>>();
  return *list;
}

}  // namespace

std::shared_ptr<PluginLibrary> PluginLibrary::open(const std::string& path) {
  const auto fail = [&](const std::string& why) -> Error { return {Code::kPlugin, path + ": " + why}; };
  std::shared_ptr<PluginLibrary> library(new PluginLibrary());
  library->path_ = path;
  library->file_ = DynamicLibrary(path);
  if (!library->file_.loaded()) throw fail("it is no library that can be loaded: " + library->file_.reason());
  const auto symbol = [&](const char* name) {
    void* found = library->file_.symbol(name);
    if (!found) throw fail(std::string("it is no plugin library: it does not export ") + name);
    return found;
  };
  const auto* interface_number = static_cast<const uint32_t*>(symbol("tensorwright_plugin_interface"));
  const auto list = reinterpret_cast<tw_plugins_function>(symbol("tensorwright_plugins"));
  const uint32_t number = *interface_number;
  if (number < kOldestInterface || number > TW_PLUGIN_INTERFACE)
    throw fail("it was built for plugin interface " + std::to_string(number) + ", this host knows " +
               std::to_string(kOldestInterface) + " to " + std::to_string(TW_PLUGIN_INTERFACE));
  int32_t count = 0;
  const tw_plugin* const* plugins = nullptr;
  try {
    plugins = list(number, &count);
  } catch (...) {
    throw fail("tensorwright_plugins threw an exception across the C interface");
  }
  if (!plugins || count < 1 || count > kMostPlugins) throw fail("it offers no plugins");
  for (int32_t i = 0; i < count; ++i) {
    const auto refuse = [&](const std::string& why) { return fail("plugin " + std::to_string(i) + ": " + why); };
    if (!plugins[i]) throw refuse("its record is missing");
    const std::string what = read_record(*plugins[i], library->plugins_.emplace_back());
    if (!what.empty()) throw refuse(what);
  }
  return library;
}

std::string title(const tw_plugin& plugin) {
  const std::string prefix = *plugin.name_space ? std::string(plugin.name_space) + "::" : std::string();
  return prefix + plugin.name + " " + plugin.version;
}

void add_library(std::shared_ptr<PluginLibrary> library) {
  const std::lock_guard lock(mutex);
  loaded().insert(loaded().begin(), std::move(library));
}

void remove_library(const PluginLibrary& library) {
  const std::lock_guard lock(mutex);
  std::erase_if(loaded(), [&](const auto& l) { return l.get() == &library; });
}

bool has_plugin(const std::string& name, const std::string& version, const std::string& name_space) {
  const std::lock_guard lock(mutex);
  return std::any_of(loaded().begin(), loaded().end(), [&](const auto& library) {
    const auto is_it = [&](const PluginRecord& r) { return is(r.plugin, name, version, name_space); };
    return std::any_of(library->plugins().begin(), library->plugins().end(), is_it);
  });
}

LoadedPlugin find_plugin(const std::string& name, const std::string& version, const std::string& name_space) {
  const std::lock_guard lock(mutex);
  std::string places;
  for (const auto& library : loaded()) {
    for (const PluginRecord& r : library->plugins())
      if (is(r.plugin, name, version, name_space)) return {library, &r.plugin};
    places += (places.empty() ? "" : ", ") + library->path();
  }
  const std::string wanted = (name_space.empty() ? "" : name_space + "::") + name + " " + version;
  throw Error(Code::kPlugin, "no loaded library has plugin " + wanted +
                                 (places.empty() ? ": none is loaded" : "; looked in " + places));
}

}  // namespace tw::plugins
