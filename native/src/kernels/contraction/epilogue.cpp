// Recognising the epilogues that the register tile computes itself.
#include "kernels/contraction/epilogue.h"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <locale>
#include <optional>
#include <sstream>

namespace tw {
namespace {

// A register's value as the recogniser sees it: a constant, min(high, max(low, scale ([acc] + sides) + shift)), or an
// activation of such sums.
struct Form {
  bool known = false, constant = false;
  float value = 0;
  bool accumulator = false;
  std::vector<int> sides;
  bool clip = false;
  float low = -std::numeric_limits<float>::infinity(), high = std::numeric_limits<float>::infinity();
  bool scaled = false;
  float scale = 1, shift = 0;
  Activation activation = Activation::kNone;
  enum { kNoErf, kErf, kErfPlusOne, kTimesSum } gelu = kNoErf;  // how much of a GELU it is
  size_t of = 0;  // of a scaled or activated form: the register that holds the plain sums

  bool plain() const {
    return known && !constant && !clip && !scaled && activation == Activation::kNone && gelu == kNoErf;
  }
  bool only_scaled() const {
    return known && scaled && !clip && shift == 0 && activation == Activation::kNone && gelu == kNoErf;
  }
};

std::vector<std::string> words(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> list;
  for (std::string word; in >> word;) list.push_back(word);
  return list;
}

float number(const std::string& text) {
  if (text == "inf" || text == "Infinity") return std::numeric_limits<float>::infinity();
  if (text == "-inf" || text == "-Infinity") return -std::numeric_limits<float>::infinity();
  std::istringstream in(text);
  in.imbue(std::locale::classic());
  float value = std::numeric_limits<float>::quiet_NaN();
  in >> value;
  return value;
}

Form add(const Form& a, const Form& b) {
  Form r;
  const Form &x = a.constant ? b : a, &c = a.constant ? a : b;
  if (c.constant && x.only_scaled()) {
    r = x;
    r.shift = c.value;
    return r;
  }
  if (c.constant && c.value == 1 && x.gelu == Form::kErf) {
    r = x;
    r.gelu = Form::kErfPlusOne;
    return r;
  }
  if (!a.plain() || !b.plain() || (a.accumulator && b.accumulator)) return r;
  r = a;
  r.accumulator |= b.accumulator;
  r.sides.insert(r.sides.end(), b.sides.begin(), b.sides.end());
  return r;
}

Form activated(const Form& x, size_t of, Activation activation) {
  Form r = x;
  r.activation = activation;
  r.of = of;
  return r;
}

Form scaled(const Form& x, size_t of, float scale) {
  Form r = x;
  r.scaled = true;
  r.scale = scale;
  r.of = of;
  return r;
}

// By a constant, or of a register with its gate.
Form multiply(const Form& a, size_t a_register, const Form& b, size_t b_register) {
  for (const bool swapped : {false, true}) {
    const Form &x = swapped ? b : a, &y = swapped ? a : b;
    const size_t of = swapped ? b_register : a_register;
    if (x.gelu == Form::kTimesSum && y.constant && y.value == 0.5f) {
      Form r = x;
      r.gelu = Form::kNoErf;
      r.activation = Activation::kGelu;
      return r;
    }
    if (!x.plain()) continue;
    if (y.constant) return scaled(x, of, y.value);
    if (y.gelu == Form::kErfPlusOne && y.of == of) {
      Form r = y;
      r.gelu = Form::kTimesSum;
      return r;
    }
    if (!y.known || y.of != of) continue;
    if (y.activation == Activation::kSigmoid) return activated(y, of, Activation::kSwish);
    if (y.activation == Activation::kNone && y.scaled && y.clip) return activated(y, of, Activation::kHardSwish);
  }
  return {};
}

Form bound(const Form& a, const Form& b, bool upper) {
  const Form &x = a.constant ? b : a, &limit = a.constant ? a : b;
  if (!limit.constant || x.constant || x.activation != Activation::kNone || x.gelu != Form::kNoErf ||
      std::isnan(limit.value))
    return {};
  Form r = x;
  r.clip = true;
  if (upper) {
    if (limit.value < r.low) return {};
    r.high = std::fmin(r.high, limit.value);
  } else {
    if (limit.value > r.high) return {};
    r.low = std::fmax(r.low, limit.value);
  }
  return r;
}

std::optional<Form> recognise(const std::vector<std::string>& program, int64_t result) {
  std::vector<Form> registers;
  const auto index = [](const std::string& word) {
    return static_cast<size_t>(std::strtoul(word.c_str(), nullptr, 10));
  };
  const auto get = [&](const std::string& word) -> const Form& {
    // Never destroyed: threads go on while the process ends.
    static const auto& unknown = *new Form;
    return index(word) < registers.size() ? registers[index(word)] : unknown;
  };
  for (const std::string& line : program) {
    const auto w = words(line);
    Form r;
    if (w.size() >= 3 && w[1] == "f32") {
      if (w[0] == "in") {
        const int operand = static_cast<int>(std::strtol(w[2].c_str(), nullptr, 10));
        r.known = true;
        r.accumulator = operand == 0;
        if (operand > 0) r.sides.push_back(operand - 1);
      } else if (w[0] == "const") {
        r.known = r.constant = true;
        r.value = number(w[2]);
      } else if (w.size() == 3 && w[0] == "sigmoid" && get(w[2]).plain()) {
        r = activated(get(w[2]), index(w[2]), Activation::kSigmoid);
      } else if (w.size() == 3 && w[0] == "erf" && get(w[2]).only_scaled()) {
        r = get(w[2]);
        r.gelu = Form::kErf;
      } else if (w.size() == 4 && get(w[2]).known && get(w[3]).known) {
        if (w[0] == "add") r = add(get(w[2]), get(w[3]));
        if (w[0] == "div" && get(w[2]).plain() && get(w[3]).constant)
          r = scaled(get(w[2]), index(w[2]), 1 / get(w[3]).value);
        if (w[0] == "mul") r = multiply(get(w[2]), index(w[2]), get(w[3]), index(w[3]));
        if (w[0] == "max" || w[0] == "min") r = bound(get(w[2]), get(w[3]), w[0] == "min");
      }
    }
    registers.push_back(r);
  }
  if (result < 0 || result >= static_cast<int64_t>(registers.size())) return std::nullopt;
  Form r = registers[static_cast<size_t>(result)];
  if (!r.known || r.constant || !r.accumulator) return std::nullopt;
  if (r.scaled && r.activation == Activation::kNone) {
    if (!r.clip || r.gelu != Form::kNoErf) return std::nullopt;
    r.activation = Activation::kHardSigmoid;
  }
  return r;
}

}  // namespace

Epilogue make_epilogue(const Attributes& attributes, const std::string& domain) {
  Epilogue e;
  if (!attributes.has("tape")) {
    e.tape = Tape::parse({"in " + domain + " 0"}, {0});
    return e;
  }
  const auto program = attributes.strings("tape");
  auto results = attributes.integers("results");
  if (results.empty()) results.push_back(static_cast<int64_t>(program.size()) - 1);
  require(results.size() == 1, Code::kInvalidPlan, "the tape of a contraction has one result");
  e.tape = Tape::parse(program, results);
  e.present = true;
  const auto form = recognise(program, results[0]);
  e.recognised = form && form->activation == Activation::kNone;
  if (form) {
    e.addends = form->sides;
    e.clip = form->clip && e.recognised;
    e.low = form->low;
    e.high = form->high;
    e.activation = form->activation;
    e.scale = form->scale;
    e.shift = form->shift;
  }
  return e;
}

}  // namespace tw
