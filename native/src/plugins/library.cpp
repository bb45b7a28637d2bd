#include "plugins/library.h"

#include <algorithm>
#include <cstring>
#include <mutex>

#include "base/error.h"

namespace tw::plugins {
namespace {

constexpr int32_t kMostPlugins = 4096, kMostOperands = 64;
// Of a record of the interface's first version, which ends before `flags`.
constexpr size_t kFirstRecordBytes = offsetof(tw_plugin, flags);

// The record as this host knows it: members that the library's version does not have are zero, which is their default;
// those that this one does not know are left behind.
tw_plugin current(const tw_plugin& record) {
  tw_plugin out{};
  std::memcpy(&out, &record, std::min<size_t>(record.size, sizeof(tw_plugin)));
  out.size = sizeof(tw_plugin);
  if (!out.name_space) out.name_space = "";
  return out;
}

bool has_names(const char* const* list, int32_t count) {
  if (count < 0 || count > kMostOperands || (count > 0 && !list)) return false;
  return std::all_of(list, list + count, [](const char* name) { return name && *name; });
}

// A default holds as many elements as it says; null lists are empty ones.
bool is_default_of(const tw_value& value, int32_t kind) {
  const bool ints = kind == TW_FIELD_INT || kind == TW_FIELD_BOOL || kind == TW_FIELD_INTS;
  const bool floats = kind == TW_FIELD_FLOAT || kind == TW_FIELD_FLOATS;
  const void* list = value.strings;
  if (ints) list = value.ints;
  if (floats) list = value.floats;
  if (value.kind != kind || value.count < 0 || (value.count > 0 && !list)) return false;
  if (kind < TW_FIELD_INTS && value.count != 1) return false;
  return ints || floats ||
         std::all_of(value.strings, value.strings + value.count, [](const char* text) { return text != nullptr; });
}

// What is wrong with a record; null when nothing is.
const char* fault(const tw_plugin& p) {
  if (!p.name || !*p.name || !p.version || !*p.version) return "it lacks a name or version";
  if (!has_names(p.inputs, p.input_count)) return "bad inputs: at most 64, each with a name";
  if (p.output_count < 1 || !has_names(p.outputs, p.output_count)) return "bad outputs: 1 to 64, each with a name";
  if (p.field_count < 0 || p.field_count > kMostPlugins || (p.field_count > 0 && !p.fields)) return "bad fields";
  for (const tw_field* f = p.fields; f != p.fields + p.field_count; ++f) {
    if (!f->name || !*f->name || f->kind < TW_FIELD_INT || f->kind > TW_FIELD_STRINGS)
      return "a field lacks a name or a kind";
    if (f->fallback && !is_default_of(*f->fallback, f->kind)) return "a field's default is not of its kind";
  }
  if (!p.infer || !p.enqueue) return "it lacks infer or enqueue";
  if (p.flags & ~uint32_t{TW_NOT_RECORDED}) return "it has flags that this version does not know";
  return nullptr;
}

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
  if (*interface_number != TW_PLUGIN_INTERFACE)
    throw fail("it was built for plugin interface " + std::to_string(*interface_number) + ", this is " +
               std::to_string(TW_PLUGIN_INTERFACE));
  int32_t count = 0;
  const tw_plugin* const* plugins = list(TW_PLUGIN_INTERFACE, &count);
  if (!plugins || count < 1 || count > kMostPlugins) throw fail("it offers no plugins");
  library->plugins_.reserve(static_cast<size_t>(count));
  for (int32_t i = 0; i < count; ++i) {
    const auto refuse = [&](const std::string& why) { return fail("plugin " + std::to_string(i) + ": " + why); };
    if (!plugins[i]) throw refuse("its record is missing");
    if (plugins[i]->size < kFirstRecordBytes) throw refuse("its record is too small");
    const tw_plugin& plugin = library->plugins_.emplace_back(current(*plugins[i]));
    if (const char* what = fault(plugin)) throw refuse(what);
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
    const auto is_it = [&](const tw_plugin& p) { return is(p, name, version, name_space); };
    return std::any_of(library->plugins().begin(), library->plugins().end(), is_it);
  });
}

LoadedPlugin find_plugin(const std::string& name, const std::string& version, const std::string& name_space) {
  const std::lock_guard lock(mutex);
  std::string places;
  for (const auto& library : loaded()) {
    for (const tw_plugin& p : library->plugins())
      if (is(p, name, version, name_space)) return {library, &p};
    places += (places.empty() ? "" : ", ") + library->path();
  }
  const std::string wanted = (name_space.empty() ? "" : name_space + "::") + name + " " + version;
  throw Error(Code::kPlugin, "no loaded library has plugin " + wanted +
                                 (places.empty() ? ": none is loaded" : "; looked in " + places));
}

}  // namespace tw::plugins
