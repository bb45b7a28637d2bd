#include "bindings/plugins.h"

#include "bindings/arguments.h"
#include "bindings/environment.h"
#include "bindings/tensors.h"
#include "plugins/fields.h"
#include "plugins/inference.h"
#include "plugins/library.h"
#include "plugins/match.h"

namespace tw {

template <>
struct HandleName<plugins::PluginLibrary> {
  static constexpr const char* value = "a plugin library";
};

namespace {

using plugins::PluginLibrary;

constexpr const char* kFieldKinds[] = {"int", "float", "bool", "string", "ints", "floats", "strings"};

Napi::Array names(Napi::Env env, const char* const* list, int32_t count) {
  Napi::Array out = Napi::Array::New(env);
  for (int32_t i = 0; i < count; ++i) out.Set(out.Length(), Napi::String::New(env, list[i]));
  return out;
}

Napi::Value element(Napi::Env env, const tw_value& value, int32_t i) {
  switch (value.kind) {
    case TW_FIELD_BOOL: return Napi::Boolean::New(env, value.ints[i] != 0);
    case TW_FIELD_INT:
    case TW_FIELD_INTS: return Napi::Number::New(env, static_cast<double>(value.ints[i]));
    case TW_FIELD_FLOAT:
    case TW_FIELD_FLOATS: return Napi::Number::New(env, value.floats[i]);
    default: return Napi::String::New(env, value.strings[i]);
  }
}

Napi::Value fallback(Napi::Env env, const tw_value& value) {
  if (value.kind < TW_FIELD_INTS) return element(env, value, 0);
  Napi::Array out = Napi::Array::New(env);
  for (int32_t i = 0; i < value.count; ++i) out.Set(out.Length(), element(env, value, i));
  return out;
}

// {NAME: value}, true where any value is right.
Napi::Object conditions(Napi::Env env, const tw_condition* list, int32_t count) {
  Napi::Object out = Napi::Object::New(env);
  for (const tw_condition* c = list; c != list + count; ++c)
    out.Set(c->name, c->value ? fallback(env, *c->value) : Napi::Boolean::New(env, true));
  return out;
}

Napi::Object describe(Napi::Env env, const tw_pattern& pattern) {
  Napi::Object o = Napi::Object::New(env);
  if (pattern.name) o.Set("name", pattern.name);
  Napi::Array nodes = Napi::Array::New(env);
  for (const tw_pattern_node* n = pattern.nodes; n != pattern.nodes + pattern.node_count; ++n) {
    Napi::Object node = Napi::Object::New(env);
    node.Set("op", n->op);
    node.Set("inputs", names(env, n->inputs, n->input_count));
    node.Set("outputs", names(env, n->outputs, n->output_count));
    node.Set("attributes", conditions(env, n->attributes, n->attribute_count));
    nodes.Set(nodes.Length(), node);
  }
  o.Set("nodes", nodes);
  o.Set("constants", conditions(env, pattern.constants, pattern.constant_count));
  o.Set("asks", pattern.accepts != nullptr);
  return o;
}

Napi::Object describe(Napi::Env env, const plugins::PluginRecord& record) {
  const tw_plugin& plugin = record.plugin;
  Napi::Object o = Napi::Object::New(env);
  o.Set("name", plugin.name);
  o.Set("version", plugin.version);
  o.Set("namespace", plugin.name_space);
  o.Set("inputs", names(env, plugin.inputs, plugin.input_count));
  o.Set("outputs", names(env, plugin.outputs, plugin.output_count));
  Napi::Array fields = Napi::Array::New(env);
  for (const tw_field* f = plugin.fields; f != plugin.fields + plugin.field_count; ++f) {
    Napi::Object field = Napi::Object::New(env);
    field.Set("name", f->name);
    field.Set("kind", kFieldKinds[f->kind]);
    if (f->fallback) field.Set("default", fallback(env, *f->fallback));
    fields.Set(fields.Length(), field);
  }
  o.Set("fields", fields);
  Napi::Object aliases = Napi::Object::New(env);
  for (const tw_alias* a = plugin.aliases; a != plugin.aliases + plugin.alias_count; ++a)
    aliases.Set(a->output, a->input);
  o.Set("aliases", aliases);
  Napi::Array patterns = Napi::Array::New(env);
  for (const tw_pattern& pattern : record.patterns) patterns.Set(patterns.Length(), describe(env, pattern));
  o.Set("patterns", patterns);
  return o;
}

Napi::Value open(const Napi::CallbackInfo& info) {
  auto library = PluginLibrary::open(argument(info, 0, "path").string());
  plugins::add_library(library);
  return make_handle(info.Env(), std::move(library));
}

Napi::Value release(const Napi::CallbackInfo& info) {
  plugins::remove_library(*handle<PluginLibrary>(info[0]));
  return info.Env().Undefined();
}

Napi::Value has(const Napi::CallbackInfo& info) {
  const auto text = [&](size_t i, const char* name) { return argument(info, i, name).string(); };
  const bool found = plugins::has_plugin(text(0, "name"), text(1, "version"), text(2, "namespace"));
  return Napi::Boolean::New(info.Env(), found);
}

Napi::Value list(const Napi::CallbackInfo& info) {
  Napi::Array out = Napi::Array::New(info.Env());
  for (const plugins::PluginRecord& record : handle<PluginLibrary>(info[0])->plugins())
    out.Set(out.Length(), describe(info.Env(), record));
  return out;
}

// A record by its position, with the library that holds its code.
struct Chosen {
  std::shared_ptr<PluginLibrary> library;
  const plugins::PluginRecord* record;
};

Chosen chosen(const Napi::CallbackInfo& info) {
  auto library = handle<PluginLibrary>(info[0]);
  const Reader position = argument(info, 1, "plugin");
  const int64_t i = position.integer();
  if (i < 0 || static_cast<size_t>(i) >= library->plugins().size()) position.fail("the position of a plugin");
  const plugins::PluginRecord* record = &library->plugins()[static_cast<size_t>(i)];
  return {std::move(library), record};
}

// The plugin of a call: library, position, fields.
struct Call {
  std::shared_ptr<PluginLibrary> library;
  const tw_plugin* plugin;
  plugins::FieldValues fields;
};

Call call(const Napi::CallbackInfo& info) {
  Chosen c = chosen(info);
  const tw_plugin* plugin = &c.record->plugin;
  return {std::move(c.library), plugin, plugins::FieldValues(*plugin, argument(info, 2, "fields").attributes())};
}

// Types and extents; null: an omitted input, an extent that only the run knows.
std::vector<plugins::KnownShape> shapes(const Reader& reader) {
  return reader.list([](const Reader& r) {
    plugins::KnownShape shape;
    if (r.null()) return shape;
    shape.dtype = plugins::code_of(dtype_from_name(r.field("dtype").string()));
    if (!shape.dtype) r.field("dtype").fail("a type that plugins know");
    shape.dims = r.field("dims").list([](const Reader& d) { return d.null() ? plugins::kUnknown : d.integer(); });
    if (shape.dims.size() > TW_MAX_RANK) r.field("dims").fail("at most 12 extents");
    return shape;
  });
}

Napi::Value infer(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Call c = call(info);
  auto inputs = shapes(argument(info, 3, "inputs"));
  inputs.resize(static_cast<size_t>(c.plugin->input_count));
  const plugins::Inference inference = plugins::infer(*c.plugin, c.fields, inputs);
  Napi::Array outputs = Napi::Array::New(env), bounds = Napi::Array::New(env);
  for (const plugins::InferredShape& shape : inference.outputs) {
    Napi::Object o = Napi::Object::New(env);
    o.Set("dtype", std::string(tw::info(shape.dtype).name));
    Napi::Array dims = Napi::Array::New(env);
    for (const auto& code : shape.dims) {
      Napi::Array tokens = Napi::Array::New(env);
      for (const std::string& token : code) tokens.Set(tokens.Length(), token);
      dims.Set(dims.Length(), tokens);
    }
    o.Set("dims", dims);
    outputs.Set(outputs.Length(), o);
  }
  for (const auto& [min, max] : inference.data_dependent) {
    Napi::Array pair = Napi::Array::New(env);
    pair.Set(0u, Napi::Number::New(env, static_cast<double>(min)));
    pair.Set(1u, Napi::Number::New(env, static_cast<double>(max)));
    bounds.Set(bounds.Length(), pair);
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("outputs", outputs);
  result.Set("dataDependent", bounds);
  return result;
}

Napi::Value supports(const Napi::CallbackInfo& info) {
  const Call c = call(info);
  auto inputs = shapes(argument(info, 3, "inputs"));
  inputs.resize(static_cast<size_t>(c.plugin->input_count));
  const Reader backend = argument(info, 5, "backend");
  const std::string name = backend.string();
  if (name != "cpu" && name != "cuda") backend.fail("cpu or cuda");
  auto outputs = shapes(argument(info, 4, "outputs"));
  outputs.resize(static_cast<size_t>(c.plugin->output_count));
  const bool yes = plugins::supports(*c.plugin, name == "cpu" ? TW_CPU : TW_CUDA, c.fields, inputs, outputs);
  return Napi::Boolean::New(info.Env(), yes);
}

// {dtype, dims, data?}; null dims: an unknown rank. Types that plugins have no number for come without their data.
// `copies` keeps what does not lie as its type wants it.
tw_tensor matched_tensor(const Reader& r, std::vector<Block>& copies) {
  tw_tensor out{};
  out.rank = -1;
  out.dtype = plugins::code_of(dtype_from_name(r.field("dtype").string()));
  if (!r.field("dims").null()) {
    const auto dims = r.field("dims").list([](const Reader& d) { return d.null() ? plugins::kUnknown : d.integer(); });
    if (dims.size() > TW_MAX_RANK) r.field("dims").fail("at most 12 extents");
    out.rank = static_cast<int32_t>(dims.size());
    std::copy(dims.begin(), dims.end(), out.dims);
  }
  // Its typed array lives as long as this call.
  if (out.dtype && !r.field("data").absent()) out.data = aligned_data(read_tensor(r), copies);
  return out;
}

Napi::Value value_of(Napi::Env env, const plugins::FieldChoice& choice) {
  std::vector<const char*> texts;
  tw_value value{choice.kind, 0, nullptr, nullptr, nullptr};
  const auto size_of = [&](const auto& list) { value.count = static_cast<int32_t>(list.size()); };
  std::visit(size_of, choice.values);
  if (const auto* ints = std::get_if<std::vector<int64_t>>(&choice.values)) {
    value.ints = ints->data();
  } else if (const auto* floats = std::get_if<std::vector<double>>(&choice.values)) {
    value.floats = floats->data();
  } else {
    for (const std::string& text : std::get<std::vector<std::string>>(choice.values)) texts.push_back(text.c_str());
    value.strings = texts.data();
  }
  return fallback(env, value);
}

// library, plugin, pattern, {tensors: {NAME: tensor}, attributes: {NODE: {NAME: value}}} -> {counts, fields}
Napi::Value match(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Chosen c = chosen(info);
  const Reader position = argument(info, 2, "pattern"), given = argument(info, 3, "match");
  const int64_t i = position.integer();
  if (i < 0 || static_cast<size_t>(i) >= c.record->patterns.size()) position.fail("the position of a pattern");
  const auto each = [](const Reader& object, auto&& f) {
    const Napi::Array keys = object.value().As<Napi::Object>().GetPropertyNames();
    for (uint32_t k = 0; k < keys.Length(); ++k) {
      const std::string name = keys.Get(k).ToString().Utf8Value();
      f(name, object.field(name.c_str()));
    }
  };
  plugins::FoundMatch found;
  std::vector<Block> copies;
  each(given.field("tensors"),
       [&](const std::string& name, const Reader& r) { found.tensors[name] = matched_tensor(r, copies); });
  each(given.field("attributes"),
       [&](const std::string& node, const Reader& r) { found.attributes[node] = r.attributes().all(); });
  const plugins::MatchAnswer answer =
      plugins::ask(c.record->plugin, c.record->patterns[static_cast<size_t>(i)], found);
  Napi::Object fields = Napi::Object::New(env);
  for (const plugins::FieldChoice& choice : answer.fields) fields.Set(choice.name, value_of(env, choice));
  Napi::Object out = Napi::Object::New(env);
  out.Set("counts", answer.counts);
  out.Set("fields", fields);
  return out;
}

}  // namespace

void export_plugins(Napi::Env env, Napi::Object exports) {
  const auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(env, function, name));
  };
  add("openPlugins", guarded<open>);
  add("hasPlugin", guarded<has>);
  add("releasePlugins", guarded<release>);
  add("listPlugins", guarded<list>);
  add("inferPlugin", guarded<infer>);
  add("supportsPlugin", guarded<supports>);
  add("matchPlugin", guarded<match>);
}

}  // namespace tw
