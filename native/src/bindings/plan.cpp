#include "bindings/plan.h"

#include <array>
#include <string_view>

namespace tw {
namespace {

constexpr int kDeepest = 32;

using Op = Expression::Op;

Expression::Token read_token(const Reader& r) {
  if (r.value().IsNumber()) return {Op::kConstant, r.integer()};
  const std::string text = r.value().IsString() ? r.string() : "";
  constexpr std::array<std::pair<std::string_view, Op>, 6> kOps = {{{"+", Op::kAdd},
                                                                    {"*", Op::kMul},
                                                                    {"floordiv", Op::kFloorDiv},
                                                                    {"mod", Op::kMod},
                                                                    {"min", Op::kMin},
                                                                    {"max", Op::kMax}}};
  for (const auto& [name, op] : kOps)
    if (text == name) return {op};
  constexpr size_t kMostDigits = 9;
  if (text.size() > 1 && text.size() <= kMostDigits + 1 && text[0] == 's' &&
      text.find_first_not_of("0123456789", 1) == std::string::npos)
    return {Op::kSymbol, std::stoll(text.substr(1))};
  r.fail("an integer, a symbol like 's3' or an operator");
}

SymbolDescription read_symbol(const Reader& r) {
  return {r.field("name").string(), r.field("min").integer(), r.field("max").integer()};
}

std::pair<int64_t, int64_t> read_pair(const Reader& r) {
  const auto pair = r.integers();
  if (pair.size() != 2) r.fail("two integers");
  return {pair[0], pair[1]};
}

std::vector<std::pair<int64_t, int64_t>> read_pairs(const Reader& r) {
  if (r.absent()) return {};
  return r.list(read_pair);
}

AgreementDescription read_agreement(const Reader& r) {
  const Reader names = r.field("names");
  if (names.length() != 2) names.fail("two names");
  AgreementDescription a;
  a.left = r.field("left").integer();
  a.right = r.field("right").integer();
  a.what = r.field("what").string();
  a.left_name = names.element(0).string();
  a.right_name = names.element(1).string();
  return a;
}

std::vector<int64_t> read_integers(const Reader& r) { return r.integers(); }

ValueDescription read_value(const Reader& r) {
  ValueDescription v;
  v.dtype = r.field("dtype").optional([](const Reader& f) { return f.string(); });
  v.dims = r.field("dims").optional(read_integers);
  v.order = r.field("order").optional(read_integers);
  if (const Reader memory = r.field("memory"); !memory.absent()) {
    if (memory.string() != "cuda") memory.fail("'cuda'");
    v.on_device = true;
  }
  v.binds = read_pairs(r.field("binds"));
  const Reader names = r.field("names");
  if (!names.absent() && names.length() > 0) v.name = names.element(0).string();
  const Reader storage = r.field("storage"), kind = storage.field("kind");
  const std::string name = kind.string();
  if (name == "input") {
    v.storage = Storage::kInput;
    v.index = storage.field("index").integer();
  } else if (name == "constant" || name == "arena") {
    v.storage = name == "arena" ? Storage::kArena : Storage::kConstant;
    v.offset = storage.field("offset").integer();
    v.bytes = storage.field("bytes").integer();
  } else if (name == "heap") {
    v.storage = Storage::kHeap;
  } else if (name == "dims") {
    v.storage = Storage::kDims;
    v.elements = storage.field("elements").integers();
  } else if (name != "object") {
    kind.fail("'input', 'constant', 'arena', 'heap', 'dims' or 'object'");
  }
  return v;
}

std::optional<OperandDescription> read_optional_operand(const Reader& r) {
  if (r.null()) return std::nullopt;
  return read_operand(r);
}

StepDescription read_step(const Reader& r, int depth) {
  StepDescription s;
  s.kernel = r.field("kernel").string();
  s.attributes = r.field("attributes").attributes();
  s.inputs = r.field("inputs").list(read_optional_operand);
  s.outputs = r.field("outputs").list(read_optional_operand);
  if (const Reader programs = r.field("programs"); !programs.absent())
    s.programs = programs.list([&](const Reader& p) { return read_program(p, depth + 1); });
  if (const Reader layer = r.field("layer"); !layer.absent()) s.layer = layer.field("name").string();
  return s;
}

}  // namespace

OperandDescription read_operand(const Reader& r) {
  OperandDescription o;
  if (r.value().IsNumber()) {
    o.value = r.integer();
    return o;
  }
  o.value = r.field("value").integer();
  o.offset = r.field("offset").optional([](const Reader& f) { return f.integer(); });
  o.dims = r.field("dims").optional(read_integers);
  o.strides = r.field("strides").optional(read_integers);
  return o;
}

ProgramDescription read_program(const Reader& r, int depth) {
  if (depth > kDeepest) throw Error(Code::kInvalidPlan, r.path() + ": programs are nested too deeply");
  ProgramDescription p;
  p.symbols = r.field("symbols").list(read_symbol);
  p.inherits = read_pairs(r.field("inherits"));
  p.expressions = r.field("expressions").list([](const Reader& e) { return e.list(read_token); });
  if (const Reader agreements = r.field("agreements"); !agreements.absent())
    p.agreements = agreements.list(read_agreement);
  p.values = r.field("values").list(read_value);
  p.inputs = r.field("inputs").integers();
  p.outputs = r.field("outputs").integers();
  p.steps = r.field("steps").list([&](const Reader& s) { return read_step(s, depth); });
  p.segments = r.field("segments").list([](const Reader& s) {
    return SegmentDescription{s.field("backend").string(), s.field("begin").integer(), s.field("end").integer()};
  });
  p.arena_bytes = r.field("arenaBytes").integer();
  if (const Reader bytes = r.field("deviceArenaBytes"); !bytes.absent()) p.device_arena_bytes = bytes.integer();
  return p;
}

}  // namespace tw
