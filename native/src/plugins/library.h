// Plugin libraries: shared libraries of users, which export plugins through tensorwright/plugin.h.
#pragma once
#include <deque>
#include <memory>
#include <string>

#include "base/dynamic_library.h"
#include "plugins/record.h"
#include "tensorwright/plugin.h"

namespace tw::plugins {

// A library that is loaded. Its plugins stay valid as long as it lives.
class PluginLibrary {
 public:
  // Throws kPlugin saying what the file is not: a library, a library of plugins, or one for this interface.
  static std::shared_ptr<PluginLibrary> open(const std::string& path);
  PluginLibrary(const PluginLibrary&) = delete;
  PluginLibrary& operator=(const PluginLibrary&) = delete;

  const std::string& path() const { return path_; }
  const std::deque<PluginRecord>& plugins() const { return plugins_; }

 private:
  PluginLibrary() = default;

  DynamicLibrary file_;
  std::string path_;
  std::deque<PluginRecord> plugins_;
};

// A plugin with the library that holds its code.
struct LoadedPlugin {
  std::shared_ptr<PluginLibrary> library;
  const tw_plugin* plugin = nullptr;
};

// 'acme::Scale 1', for messages.
std::string title(const tw_plugin& plugin);

// The libraries that plans of this process may call, newest first.
void add_library(std::shared_ptr<PluginLibrary> library);
void remove_library(const PluginLibrary& library);
bool has_plugin(const std::string& name, const std::string& version, const std::string& name_space);
// Throws kPlugin naming the plugin and the libraries that were looked through.
LoadedPlugin find_plugin(const std::string& name, const std::string& version, const std::string& name_space);

}  // namespace tw::plugins
