// The values of a program: symbols, shapes, where they lie, and which are inputs and outputs.
#include <algorithm>

#include "executor/layout.h"
#include "executor/program_compiler.h"

namespace tw {

std::vector<int> ProgramCompiler::expressions(const std::vector<int64_t>& list, const std::string& where) const {
  std::vector<int> out;
  out.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i)
    out.push_back(
        index_in(list[i], program_->expressions_.size(), where + '[' + std::to_string(i) + ']', "expressions"));
  return out;
}

void ProgramCompiler::symbols() {
  Program& p = *program_;
  p.symbols_ = std::move(from_.symbols);
  for (size_t i = 0; i < p.symbols_.size(); ++i)
    if (p.symbols_[i].min > p.symbols_[i].max) invalid(at("symbols", i), "its minimum is above its maximum");
  for (size_t i = 0; i < from_.expressions.size(); ++i)
    p.expressions_.emplace_back(std::move(from_.expressions[i]), p.symbols_.size(), at("expressions", i));
  for (size_t i = 0; i < from_.inherits.size(); ++i) {
    const int own = index_in(from_.inherits[i].first, p.symbols_.size(), at("inherits", i) + "[0]", "symbols");
    // The enclosing program checks the other index when it takes this one for a body.
    if (from_.inherits[i].second < 0 || from_.inherits[i].second > INT32_MAX)
      invalid(at("inherits", i) + "[1]", "not the index of a symbol");
    p.inherits_.push_back({own, static_cast<int>(from_.inherits[i].second)});
  }
}

void ProgramCompiler::values() {
  Program& p = *program_;
  if (from_.arena_bytes < 0) invalid("arenaBytes", "negative");
  if (from_.device_arena_bytes < 0) invalid("deviceArenaBytes", "negative");
  p.arena_bytes_ = static_cast<size_t>(from_.arena_bytes);
  p.device_arena_bytes_ = static_cast<size_t>(from_.device_arena_bytes);
  p.values_.reserve(from_.values.size());
  for (size_t i = 0; i < from_.values.size(); ++i) p.values_.push_back(value(from_.values[i], at("values", i), i));
}

ProgramValue ProgramCompiler::value(const ValueDescription& d, const std::string& where, size_t index) {
  Program& p = *program_;
  ProgramValue v;
  v.name = d.name.empty() ? "value " + std::to_string(index) : "'" + d.name + "'";
  v.storage = d.storage;
  v.on_device = d.on_device;
  if (v.on_device && (d.storage == Storage::kDims || d.storage == Storage::kObject))
    invalid(where + ".memory", "values of this storage are the host's");
  if (d.dtype) {
    try {
      v.dtype = dtype_from_name(*d.dtype);
    } catch (const Error& e) {
      invalid(where + ".dtype", e.what());
    }
    v.tensor = v.dtype != DType::kString && d.storage != Storage::kObject;
  }
  if (d.dims) {
    v.dims = expressions(*d.dims, where + ".dims");
    if (v.dims.size() > kMaxRank) invalid(where + ".dims", "a rank above " + std::to_string(kMaxRank));
    v.rank = static_cast<int>(v.dims.size());
  }
  for (size_t b = 0; b < d.binds.size(); ++b) {
    const std::string bind = where + '.' + at("binds", b);
    const int axis = index_in(d.binds[b].first, d.dims ? v.dims.size() : kMaxRank, bind + "[0]", "axes");
    v.binds.push_back({axis, index_in(d.binds[b].second, p.symbols_.size(), bind + "[1]", "symbols")});
  }
  if (d.order) order(v, *d.order, where + ".order");
  storage(v, d, where + ".storage");
  return v;
}

void ProgramCompiler::order(ProgramValue& v, const std::vector<int64_t>& order, const std::string& where) {
  if (v.rank < 0 || order.size() != v.dims.size()) invalid(where, "expected one entry for each axis");
  std::vector<char> seen(order.size());
  bool row_major = true;
  for (size_t k = 0; k < order.size(); ++k) {
    const int axis = index_in(order[k], order.size(), where + '[' + std::to_string(k) + ']', "axes");
    if (seen[static_cast<size_t>(axis)]++) invalid(where, "names an axis twice");
    v.order.push_back(static_cast<int8_t>(axis));
    row_major = row_major && axis == static_cast<int>(k);
  }
  if (row_major) v.order.clear();
  if (!v.order.empty() && is_sub_byte(v.dtype)) invalid(where, "elements below 8 bits are always row-major");
}

void ProgramCompiler::storage(ProgramValue& v, const ValueDescription& d, const std::string& where) {
  Program& p = *program_;
  const auto range = [&](size_t size, const char* of) {
    if (d.offset < 0) invalid(where + ".offset", "negative");
    if (d.bytes < 0) invalid(where + ".bytes", "negative");
    v.offset = static_cast<size_t>(d.offset);
    v.bytes = static_cast<size_t>(d.bytes);
    if (v.offset > size || v.bytes > size - v.offset)
      invalid(where, "bytes " + std::to_string(v.offset) + " to " + std::to_string(d.offset) + " + " +
                         std::to_string(d.bytes) + " are beyond the " + std::to_string(size) + " bytes of " + of);
    const size_t alignment = static_cast<size_t>(std::max(1, info(v.dtype).bits / 8));
    if (v.offset % std::min<size_t>(alignment, 8)) invalid(where + ".offset", "not aligned to the elements");
  };
  switch (d.storage) {
    case Storage::kInput:
      v.index = static_cast<size_t>(index_in(d.index, from_.inputs.size(), where + ".index", "inputs"));
      break;
    case Storage::kConstant:
      range(p.weights_ ? p.weights_->bytes() : 0, "the weights");
      break;
    case Storage::kArena:
      range(v.on_device ? p.device_arena_bytes_ : p.arena_bytes_, "the arena");
      break;
    case Storage::kDims: {
      v.elements = expressions(d.elements, where + ".elements");
      if (v.dtype != DType::kInt64 || !v.tensor) invalid(where, "a tensor of dimensions is int64");
      if (v.rank != 1 && !(v.rank == 0 && v.elements.size() == 1))
        invalid(where, "a tensor of dimensions is a vector or one element");
      if (v.rank == 1) {
        const Expression& extent = p.expressions_[static_cast<size_t>(v.dims[0])];
        if (!extent.constant() || extent.evaluate({}) != static_cast<int64_t>(v.elements.size()))
          invalid(where + ".elements", "their number is not the dimension");
      }
      v.elements_at = p.dims_elements_;
      p.dims_elements_ += v.elements.size();
      break;
    }
    case Storage::kHeap:
    case Storage::kObject:
      break;
  }
}

void ProgramCompiler::interface() {
  Program& p = *program_;
  for (size_t i = 0; i < from_.inputs.size(); ++i) {
    const int v = index_in(from_.inputs[i], p.values_.size(), at("inputs", i), "values");
    const ProgramValue& value = p.values_[static_cast<size_t>(v)];
    if (value.storage != Storage::kObject && (value.storage != Storage::kInput || value.index != i))
      invalid(at("inputs", i), "the storage of value " + std::to_string(v) + " is not that input");
    p.inputs_.push_back(v);
  }
  for (size_t i = 0; i < p.values_.size(); ++i)
    if (p.values_[i].storage == Storage::kInput && p.inputs_[p.values_[i].index] != static_cast<int>(i))
      invalid(at("values", i) + ".storage.index", "that input is another value");
  for (size_t i = 0; i < from_.outputs.size(); ++i) {
    const int v = index_in(from_.outputs[i], p.values_.size(), at("outputs", i), "values");
    p.outputs_.push_back(v);
    ProgramValue& value = p.values_[static_cast<size_t>(v)];
    if (value.tensor && value.storage == Storage::kHeap && value.order.empty() && value.direct_output < 0)
      value.direct_output = static_cast<int>(i);
  }
}

// What the inputs and the enclosing program tell; everything else waits for steps.
void ProgramCompiler::bound_symbols() {
  Program& p = *program_;
  p.start_symbol_.assign(p.symbols_.size(), 0);
  for (const auto& [own, enclosing] : p.inherits_) p.start_symbol_[static_cast<size_t>(own)] = 1;
  for (const int i : p.inputs_) {
    const ProgramValue& v = p.values_[static_cast<size_t>(i)];
    if (!v.tensor) continue;
    for (const auto& [axis, symbol] : v.binds) p.start_symbol_[static_cast<size_t>(symbol)] = 1;
    for (const int e : v.dims)
      if (const int s = p.expressions_[static_cast<size_t>(e)].single_symbol(); s >= 0)
        p.start_symbol_[static_cast<size_t>(s)] = 1;
  }
  for (const Expression& e : p.expressions_)
    p.static_expression_.push_back(!e.any_symbol([&](size_t s) { return !p.start_symbol_[s]; }));
}

void ProgramCompiler::agreements() {
  Program& p = *program_;
  p.late_agreements_.resize(p.symbols_.size());
  for (size_t i = 0; i < from_.agreements.size(); ++i) {
    const AgreementDescription& a = from_.agreements[i];
    const auto side = [&](int64_t expression, const char* name) -> const Expression& {
      return p.expressions_[static_cast<size_t>(
          index_in(expression, p.expressions_.size(), at("agreements", i) + name, "expressions"))];
    };
    const Expression &left = side(a.left, ".left"), &right = side(a.right, ".right");
    bool late = false;
    for (size_t s = 0; s < p.symbols_.size(); ++s) {
      const auto is_this = [&](size_t symbol) { return symbol == s; };
      if (p.start_symbol_[s] || !(left.any_symbol(is_this) || right.any_symbol(is_this))) continue;
      late = true;
      p.late_agreements_[s].push_back(a);
    }
    if (!late) p.agreements_.push_back(a);
  }
}

}  // namespace tw
