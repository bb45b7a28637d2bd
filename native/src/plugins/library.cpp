#include "plugins/library.h"

#include <algorithm>
#include <mutex>

#include "base/error.h"

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace tw::plugins {
namespace {

constexpr int32_t kMostPlugins = 4096, kMostOperands = 64;

#if defined(_WIN32)
void* open_file(const char* path) { return reinterpret_cast<void*>(LoadLibraryA(path)); }
void close_file(void* handle) { FreeLibrary(static_cast<HMODULE>(handle)); }
void* symbol(void* handle, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(handle), name));
}
std::string reason() { return "error " + std::to_string(GetLastError()); }
#else
void* open_file(const char* path) { return dlopen(path, RTLD_NOW | RTLD_LOCAL); }
void close_file(void* handle) { dlclose(handle); }
void* symbol(void* handle, const char* name) { return dlsym(handle, name); }
std::string reason() {
  const char* text = dlerror();
  return text ? text : "it cannot be opened";
}
#endif

// What is wrong with a record; null when nothing is.
const char* fault(const tw_plugin* p) {
  if (!p) return "a record is missing";
  if (p->size < sizeof(tw_plugin)) return "a record is too small";
  if (!p->name || !*p->name || !p->version || !*p->version || !p->name_space) return "a plugin lacks a name or version";
  if (p->input_count < 0 || p->input_count > kMostOperands || (p->input_count && !p->inputs)) return "bad inputs";
  if (p->output_count < 1 || p->output_count > kMostOperands || !p->outputs) return "bad outputs";
  if (p->field_count < 0 || p->field_count > kMostPlugins || (p->field_count && !p->fields)) return "bad fields";
  if (std::any_of(p->inputs, p->inputs + p->input_count, [](const char* name) { return !name || !*name; }))
    return "an input lacks a name";
  if (std::any_of(p->outputs, p->outputs + p->output_count, [](const char* name) { return !name || !*name; }))
    return "an output lacks a name";
  for (const tw_field* f = p->fields; f != p->fields + p->field_count; ++f)
    if (!f->name || f->kind < TW_FIELD_INT || f->kind > TW_FIELD_STRINGS ||
        (f->fallback && f->fallback->kind != f->kind))
      return "a field lacks a name or a kind";
  if (!p->infer || !p->enqueue) return "a plugin lacks infer or enqueue";
  return nullptr;
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
  library->handle_ = open_file(path.c_str());
  if (!library->handle_) throw fail("it is no library that can be loaded: " + reason());
  const auto* interface_number =
      static_cast<const uint32_t*>(symbol(library->handle_, "tensorwright_plugin_interface"));
  const auto list = reinterpret_cast<tw_plugins_function>(symbol(library->handle_, "tensorwright_plugins"));
  if (!interface_number || !list) throw fail("it is no plugin library: it does not export tensorwright_plugins");
  if (*interface_number != TW_PLUGIN_INTERFACE)
    throw fail("it was built for plugin interface " + std::to_string(*interface_number) + ", this is " +
               std::to_string(TW_PLUGIN_INTERFACE));
  int32_t count = 0;
  const tw_plugin* const* plugins = list(TW_PLUGIN_INTERFACE, &count);
  if (!plugins || count < 1 || count > kMostPlugins) throw fail("it offers no plugins");
  for (int32_t i = 0; i < count; ++i) {
    if (const char* what = fault(plugins[i])) throw fail(std::string("plugin ") + std::to_string(i) + ": " + what);
    library->plugins_.push_back(plugins[i]);
  }
  return library;
}

PluginLibrary::~PluginLibrary() {
  if (handle_) close_file(handle_);
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

LoadedPlugin find_plugin(const std::string& name, const std::string& version, const std::string& name_space) {
  const std::lock_guard lock(mutex);
  std::string places;
  for (const auto& library : loaded()) {
    for (const tw_plugin* p : library->plugins())
      if (name == p->name && version == p->version && name_space == p->name_space) return {library, p};
    places += (places.empty() ? "" : ", ") + library->path();
  }
  const std::string wanted = (name_space.empty() ? "" : name_space + "::") + name + " " + version;
  throw Error(Code::kPlugin, "no loaded library has plugin " + wanted +
                                 (places.empty() ? ": none is loaded" : "; looked in " + places));
}

}  // namespace tw::plugins
