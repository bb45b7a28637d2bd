#include "plugins/record.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>

namespace tw::plugins {
namespace {

constexpr int32_t kMostOperands = 64, kMostFields = 4096, kMostPatterns = 4096, kMostNodes = 4096;
// Of records of the interface's first version, whatever is added to them.
constexpr size_t kFirstRecordBytes = offsetof(tw_plugin, flags);
constexpr size_t kFirstPatternBytes = offsetof(tw_pattern, data) + sizeof(tw_pattern::data);
// What libraries that are built have in them, on systems whose pointers have 8 bytes: members are added at the end, and
// none in the padding of an older record, which would be read there.
static_assert(sizeof(void*) != 8 ||
              (kFirstRecordBytes == 128 && offsetof(tw_plugin, aliases) == 136 && kFirstPatternBytes == 64));

template <typename T>
T current(const T& record) {
  T out{};
  std::memcpy(&out, &record, std::min<size_t>(record.size, sizeof(T)));
  out.size = sizeof(T);
  return out;
}

template <typename T>
bool is_list(const T* list, int32_t count, int32_t most) {
  return count >= 0 && count <= most && (count == 0 || list);
}

bool has_names(const char* const* list, int32_t count) {
  return is_list(list, count, kMostOperands) &&
         std::all_of(list, list + count, [](const char* name) { return name && *name; });
}

bool has_texts(const char* const* list, int32_t count) {
  return is_list(list, count, kMostOperands) &&
         std::all_of(list, list + count, [](const char* name) { return name != nullptr; });
}

// Without the '?' of what may be omitted.
std::string_view bare(std::string_view name) {
  if (!name.empty() && name.back() == '?') name.remove_suffix(1);
  return name;
}

int32_t position(const char* const* list, int32_t count, const char* name) {
  const auto it = std::find_if(list, list + count, [&](const char* n) { return bare(n) == name; });
  return it == list + count ? -1 : static_cast<int32_t>(it - list);
}

const char* field_fault(const tw_field& f) {
  if (!f.name || !*f.name || f.kind < TW_FIELD_INT || f.kind > TW_FIELD_STRINGS)
    return "a field lacks a name or a kind";
  if (f.fallback && (f.fallback->kind != f.kind || !is_value(*f.fallback)))
    return "a field's default is not of its kind";
  return nullptr;
}

bool are_conditions(const tw_condition* list, int32_t count) {
  return is_list(list, count, kMostOperands) && std::all_of(list, list + count, [](const tw_condition& c) {
           return c.name && *c.name && (!c.value || is_value(*c.value));
         });
}

bool is_node(const tw_pattern_node& n) {
  return n.op && has_texts(n.inputs, n.input_count) && has_texts(n.outputs, n.output_count) &&
         are_conditions(n.attributes, n.attribute_count);
}

const char* pattern_fault(const tw_pattern& p) {
  if (!is_list(p.nodes, p.node_count, kMostNodes) || !std::all_of(p.nodes, p.nodes + p.node_count, is_node))
    return "a pattern's nodes lack an operator, names or conditions";
  if (!are_conditions(p.constants, p.constant_count)) return "a pattern's constants lack names, or are no conditions";
  return nullptr;
}

const char* alias_fault(const tw_plugin& p, const tw_alias& alias) {
  if (!alias.output || position(p.outputs, p.output_count, alias.output) < 0)
    return "an alias names an output that is none";
  if (!alias.input || position(p.inputs, p.input_count, alias.input) < 0) return "an alias names an input that is none";
  const auto meets = [&](const tw_alias& other) {
    return &other != &alias && other.output && other.input &&
           (std::string_view(other.output) == alias.output || std::string_view(other.input) == alias.input);
  };
  if (std::any_of(p.aliases, p.aliases + p.alias_count, meets)) return "two aliases share an output or an input";
  return nullptr;
}

// Null when nothing is wrong.
const char* fault(const tw_plugin& p) {
  if (!p.name || !*p.name || !p.version || !*p.version) return "it lacks a name or version";
  if (!has_names(p.inputs, p.input_count)) return "bad inputs: at most 64, each with a name";
  if (p.output_count < 1 || !has_names(p.outputs, p.output_count)) return "bad outputs: 1 to 64, each with a name";
  if (!is_list(p.fields, p.field_count, kMostFields)) return "bad fields";
  for (const tw_field* f = p.fields; f != p.fields + p.field_count; ++f)
    if (const char* what = field_fault(*f)) return what;
  if (!p.infer || !p.enqueue) return "it lacks infer or enqueue";
  if (p.flags & ~uint32_t{TW_NOT_RECORDED}) return "it has flags that this version does not know";
  if (!is_list(p.aliases, p.alias_count, kMostOperands)) return "bad aliases";
  for (const tw_alias* a = p.aliases; a != p.aliases + p.alias_count; ++a)
    if (const char* what = alias_fault(p, *a)) return what;
  if (!is_list(p.patterns, p.pattern_count, kMostPatterns)) return "bad patterns";
  return nullptr;
}

}  // namespace

bool is_value(const tw_value& value) {
  const int32_t kind = value.kind;
  if (kind < TW_FIELD_INT || kind > TW_FIELD_STRINGS || value.count < 0) return false;
  const bool ints = kind == TW_FIELD_INT || kind == TW_FIELD_BOOL || kind == TW_FIELD_INTS;
  const bool floats = kind == TW_FIELD_FLOAT || kind == TW_FIELD_FLOATS;
  const void* list = value.strings;
  if (ints) list = value.ints;
  if (floats) list = value.floats;
  // Null lists are empty ones.
  if (value.count > 0 && !list) return false;
  if (kind < TW_FIELD_INTS && value.count != 1) return false;
  return ints || floats ||
         std::all_of(value.strings, value.strings + value.count, [](const char* text) { return text != nullptr; });
}

std::string read_record(const tw_plugin& record, PluginRecord& out) {
  if (record.size < kFirstRecordBytes) return "its record is too small";
  tw_plugin& plugin = out.plugin = current(record);
  if (!plugin.name_space) plugin.name_space = "";
  if (const char* what = fault(plugin)) return what;
  for (int32_t i = 0; i < plugin.pattern_count; ++i) {
    const tw_pattern* pattern = plugin.patterns[i];
    if (!pattern || pattern->size < kFirstPatternBytes) return "the record of a pattern is missing or too small";
    out.patterns.push_back(current(*pattern));
    if (const char* what = pattern_fault(out.patterns.back())) return what;
  }
  return {};
}

std::vector<Alias> aliases_of(const tw_plugin& p) {
  std::vector<Alias> out;
  for (const tw_alias* a = p.aliases; a != p.aliases + p.alias_count; ++a)
    out.push_back({static_cast<size_t>(position(p.outputs, p.output_count, a->output)),
                   static_cast<size_t>(position(p.inputs, p.input_count, a->input))});
  return out;
}

}  // namespace tw::plugins
