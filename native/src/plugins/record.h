// The records of a library's plugins: brought to this host's version of the interface, and checked.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tensorwright/plugin.h"

namespace tw::plugins {

// A plugin's record as this host knows it: members that the library's version does not have are zero, which is their
// default; those that this one does not know are left behind. Its patterns are these, not the library's.
struct PluginRecord {
  tw_plugin plugin{};
  std::vector<tw_pattern> patterns;
};

// What is wrong with a record; empty when nothing is, and `out` has it then.
std::string read_record(const tw_plugin& record, PluginRecord& out);

// A value holds as many elements as it says.
bool is_value(const tw_value& value);

// Of an output and an input that share memory: their positions. Of a plugin whose record was checked.
struct Alias {
  size_t output, input;
};
std::vector<Alias> aliases_of(const tw_plugin& plugin);

}  // namespace tw::plugins
