#include "kernels/recurrent_activations.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "kernels/recurrent_loops.h"

namespace tw {
namespace {

struct Entry {
  RecurrentFunction function;
  std::optional<double> alpha, beta;  // defaults of those that take one
};

const std::map<std::string, Entry>& table() {
  using F = RecurrentFunction;
  // Never destroyed: threads go on while the process ends.
  static const auto& entries = *new std::map<std::string, Entry>{
      {"relu", {F::kRelu, {}, {}}},
      {"tanh", {F::kTanh, {}, {}}},
      {"sigmoid", {F::kSigmoid, {}, {}}},
      {"affine", {F::kAffine, 1.0, 0.0}},
      {"leakyrelu", {F::kLeakyRelu, 0.01, {}}},
      {"thresholdedrelu", {F::kThresholdedRelu, 1.0, {}}},
      {"scaledtanh", {F::kScaledTanh, 1.0, 1.0}},
      {"hardsigmoid", {F::kHardSigmoid, 0.2, 0.5}},
      {"elu", {F::kElu, 1.0, {}}},
      {"softsign", {F::kSoftsign, {}, {}}},
      {"softplus", {F::kSoftplus, {}, {}}},
  };
  return entries;
}

template <typename T>
void apply_plain(const RecurrentActivation& f, T* x, int64_t n) {
  const T a = static_cast<T>(f.alpha), b = static_cast<T>(f.beta);
  const auto map = [&](auto&& g) {
    for (int64_t i = 0; i < n; ++i) x[i] = g(x[i]);
  };
  switch (f.function) {
    case RecurrentFunction::kRelu: return map([](T v) { return v > 0 ? v : T(0); });
    case RecurrentFunction::kTanh: return map([](T v) { return std::tanh(v); });
    case RecurrentFunction::kSigmoid: return map([](T v) { return 1 / (1 + std::exp(-v)); });
    case RecurrentFunction::kAffine: return map([=](T v) { return a * v + b; });
    case RecurrentFunction::kLeakyRelu: return map([=](T v) { return v >= 0 ? v : a * v; });
    case RecurrentFunction::kThresholdedRelu: return map([=](T v) { return v >= a ? v : T(0); });
    case RecurrentFunction::kScaledTanh: return map([=](T v) { return a * std::tanh(b * v); });
    case RecurrentFunction::kHardSigmoid: return map([=](T v) { return std::min(std::max(a * v + b, T(0)), T(1)); });
    case RecurrentFunction::kElu: return map([=](T v) { return v >= 0 ? v : a * std::expm1(v); });
    case RecurrentFunction::kSoftsign: return map([](T v) { return v / (1 + std::abs(v)); });
    case RecurrentFunction::kSoftplus: return map([](T v) { return v > 0 ? v + std::log1p(std::exp(-v)) : std::log1p(std::exp(v)); });
  }
}

template <typename T>
void clip(T* x, int64_t n, double bound) {
  const T b = static_cast<T>(bound);
  if (b == 0) return;
  for (int64_t i = 0; i < n; ++i) x[i] = std::min(std::max(x[i], -b), b);
}

}  // namespace

void RecurrentActivation::apply(float* x, int64_t n) const {
  tw::clip(x, n, clip);
  if (function == RecurrentFunction::kSigmoid) return TW_SELECT_ISA(recurrent_loops)().sigmoid(x, n);
  if (function == RecurrentFunction::kTanh) return TW_SELECT_ISA(recurrent_loops)().tanh(x, n);
  apply_plain(*this, x, n);
}

void RecurrentActivation::apply(double* x, int64_t n) const {
  tw::clip(x, n, clip);
  apply_plain(*this, x, n);
}

std::vector<RecurrentActivation> recurrent_activations(const Attributes& attributes, const std::vector<std::string>& defaults, size_t directions) {
  std::vector<std::string> names = attributes.strings("activations");
  if (names.empty())
    for (size_t d = 0; d < directions; ++d) names.insert(names.end(), defaults.begin(), defaults.end());
  if (names.size() != defaults.size() * directions)
    throw Error(Code::kInvalidPlan, "a recurrent layer has " + std::to_string(names.size()) + " activations, expected " + std::to_string(defaults.size() * directions));
  const std::vector<double> alphas = attributes.numbers("activationAlpha"), betas = attributes.numbers("activationBeta");
  const double bound = attributes.number("clip", 0);
  size_t alpha = 0, beta = 0;
  std::vector<RecurrentActivation> out;
  for (std::string name : names) {
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const auto it = table().find(name);
    if (it == table().end()) throw Error(Code::kInvalidPlan, "unknown recurrent activation '" + name + "'");
    RecurrentActivation f{it->second.function, it->second.alpha.value_or(0), it->second.beta.value_or(0), bound};
    if (it->second.alpha && alpha < alphas.size()) f.alpha = alphas[alpha++];
    if (it->second.beta && beta < betas.size()) f.beta = betas[beta++];
    out.push_back(f);
  }
  return out;
}

}  // namespace tw
