// The kernels of single ONNX operators against ONNX's own conformance data: each case at every instruction set, with
// dense and permuted memory layouts, with known and unknown output shapes.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "base/convert.h"
#include "base/isa.h"
#include "base/kernel.h"
#include "support/check.h"
#include "support/kernels.h"
#include "support/onnx.h"

using namespace tw;

namespace {

namespace fs = std::filesystem;

// Where the archive lies: beside the repository.
fs::path archive() { return fs::path(__FILE__).parent_path() / "../../../shared/onnx-conformance/node.tar.gz"; }

struct Folder {
  Folder() : path(fs::temp_directory_path() / ("tw-conformance-" + std::to_string(getpid()))) { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  fs::path path;
};

struct Step {
  std::string kernel;
  Attributes attributes;
  std::vector<onnx::Data> inputs;
};

std::string lower_camel(const std::string& name) {
  static const std::map<std::string, std::string> special = {
      {"LSTM", "lstm"}, {"GRU", "gru"}, {"RNN", "rnn"}, {"LRN", "lrn"}, {"DFT", "dft"}, {"STFT", "stft"}, {"Col2Im", "col2im"}, {"LayerNormalization", "layerNorm"},
      {"RMSNormalization", "rmsNorm"}, {"GroupNormalization", "groupNorm"}, {"InstanceNormalization", "instanceNorm"}};
  if (auto it = special.find(name); it != special.end()) return it->second;
  std::string out = name;
  out[0] = static_cast<char>(std::tolower(out[0]));
  return out;
}

std::string camel(const std::string& snake) {
  std::string out;
  for (size_t i = 0; i < snake.size(); ++i)
    if (snake[i] == '_' && i + 1 < snake.size()) out += static_cast<char>(std::toupper(snake[++i]));
    else out += snake[i];
  return out;
}

std::vector<double> integers(const onnx::Data& d) {
  std::vector<double> out;
  for (size_t i = 0; i + 8 <= d.bytes.size(); i += 8) {
    int64_t v;
    std::memcpy(&v, d.bytes.data() + i, 8);
    out.push_back(static_cast<double>(v));
  }
  return out;
}

// SAME and VALID as explicit pads.
void resolve_auto_pad(Attributes& a, const onnx::Data& x) {
  const std::string mode = a.string("autoPad", "NOTSET");
  if (mode == "NOTSET") return;
  const auto kernel = a.integers("kernelShape");
  auto strides = a.integers("strides"), dilations = a.integers("dilations");
  strides.resize(kernel.size(), 1), dilations.resize(kernel.size(), 1);
  std::vector<double> pads(2 * kernel.size(), 0);
  if (mode != "VALID")
    for (size_t i = 0; i < kernel.size(); ++i) {
      const int64_t out = (x.dims[i + 2] + strides[i] - 1) / strides[i];
      const int64_t total = std::max<int64_t>(0, (out - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - x.dims[i + 2]);
      pads[i] = static_cast<double>(mode == "SAME_UPPER" ? total / 2 : total - total / 2);
      pads[i + kernel.size()] = static_cast<double>(total) - pads[i];
    }
  a.set("pads", pads);
}

// The step a node becomes, or nothing where no kernel of this name exists or an importer would decompose the form.
std::optional<Step> step_of(const onnx::Node& node, int64_t opset, std::vector<onnx::Data> inputs, size_t outputs, bool dynamic) {
  static const std::vector<std::string> names = kernel_names();
  Step s{lower_camel(node.op), {}, std::move(inputs)};
  for (const auto& [name, value] : node.attributes) {
    const std::string key = camel(name);
    if (auto* v = std::get_if<float>(&value)) s.attributes.set(key, static_cast<double>(*v));
    if (auto* v = std::get_if<int64_t>(&value)) s.attributes.set(key, static_cast<double>(*v));
    if (auto* v = std::get_if<std::string>(&value)) s.attributes.set(key, *v);
    if (auto* v = std::get_if<std::vector<float>>(&value)) s.attributes.set(key, std::vector<double>(v->begin(), v->end()));
    if (auto* v = std::get_if<std::vector<int64_t>>(&value)) s.attributes.set(key, std::vector<double>(v->begin(), v->end()));
    if (auto* v = std::get_if<std::vector<std::string>>(&value)) s.attributes.set(key, *v);
  }
  auto& a = s.attributes;
  static const std::map<std::string, std::string> monoids = {{"ReduceSum", "sum"}, {"ReduceProd", "prod"}, {"ReduceMax", "max"}, {"ReduceMin", "min"}};
  const auto given = [&](size_t i) { return i < s.inputs.size() && s.inputs[i].given; };
  if (auto it = monoids.find(node.op); it != monoids.end()) {
    s.kernel = dynamic ? "reduceDynamic" : "reduce";
    const bool boolean = s.inputs[0].dtype == DType::kBool;
    a.set("monoid", boolean ? (it->second == "max" ? "any" : "all") : it->second);
    if (dynamic && !given(1)) return {};
    if (s.inputs.size() > 1 && !dynamic) {
      if (s.inputs[1].given && !(s.inputs[1].dims == std::vector<int64_t>{0} && !a.flag("noopWithEmptyAxes"))) a.set("axes", integers(s.inputs[1]));
      s.inputs.resize(1);
    }
    if (!dynamic && !a.has("axes") && a.flag("noopWithEmptyAxes")) a.set("axes", std::vector<double>{});
  } else if (node.op == "MaxPool" || node.op == "AveragePool" || node.op == "LpPool") {
    resolve_auto_pad(a, s.inputs[0]);
    s.kernel = outputs > 1 ? "maxPoolWithIndices" : "pool";
    a.set("kind", node.op == "MaxPool" ? "max" : node.op == "LpPool" ? "lp" : "average");
  } else if (node.op == "Col2Im") {
    a.set("imageShape", integers(s.inputs[1]));
    a.set("blockShape", integers(s.inputs[2]));
    s.inputs.resize(1);
  } else if (node.op == "DFT") {
    if (opset < 20 && !a.has("axis")) a.set("axis", 1.0);
  } else if (node.op == "Attention") {
    if (s.inputs[0].dims.size() != 4 || given(4) || given(5) || outputs > 1) return {};
    onnx::Data lengths = given(6) ? s.inputs[6] : onnx::Data{};
    s.inputs.resize(std::min<size_t>(s.inputs.size(), 4));
    if (lengths.given) {
      s.inputs.resize(4);
      s.inputs.push_back(lengths);
    }
  } else if (node.op == "RotaryEmbedding") {
    if (s.inputs[0].dims.size() != 4 || given(3)) return {};
    s.inputs.resize(3);
  } else if (node.op == "LSTM" || node.op == "GRU" || node.op == "RNN") {
    if (a.integer("layout", 0) == 1) return {};
  } else if (node.op == "Pad") {
    s.kernel = "padDynamic";
  } else if (node.op == "Resize" && opset < 11) {
    return {};
  }
  if (dynamic && s.kernel != "reduceDynamic") return {};
  if (std::find(names.begin(), names.end(), s.kernel) == names.end()) return {};
  return s;
}

// Memory layouts: dense, channels last, no axis dense, [B, H, S, D] as [B, S, H, D].
constexpr int kLayouts = 4;
void lay_out(test::Buffer& buffer, DType dtype, const std::vector<int64_t>& dims, int layout) {
  std::vector<int> order(dims.size());
  std::iota(order.begin(), order.end(), 0);
  const bool permuted = dims.size() >= 2 && !is_sub_byte(dtype);
  if (permuted && layout == 1) std::rotate(order.begin() + 1, order.begin() + 2, order.end());
  if (permuted && layout == 2) std::reverse(order.begin(), order.end());
  if (permuted && layout == 3 && order.size() == 4) std::swap(order[1], order[2]);
  buffer.make(dtype, dims, order, permuted && layout == 2 ? 2 : 1);
}

void fill(test::Buffer& buffer, const std::string& dense) {
  const int bits = info(buffer.tensor.dtype).bits;
  if (bits < 8) {
    std::memcpy(buffer.tensor.data, dense.data(), dense.size());
    return;
  }
  const auto width = static_cast<size_t>(bits / 8);
  buffer.each([&](int64_t i, int64_t o) {
    std::memcpy(buffer.tensor.as<char>() + static_cast<size_t>(o) * width, dense.data() + static_cast<size_t>(i) * width, width);
  });
}

double number(DType t, const void* data, int64_t i) {
  switch (t) {
    case DType::kFloat32: return static_cast<const float*>(data)[i];
    case DType::kFloat64: return static_cast<const double*>(data)[i];
    case DType::kFloat16: return decode_small_float<kFloat16Format>(static_cast<const uint16_t*>(data)[i]);
    case DType::kBFloat16: return decode_bfloat16(static_cast<const uint16_t*>(data)[i]);
    case DType::kInt8: return static_cast<const int8_t*>(data)[i];
    case DType::kInt16: return static_cast<const int16_t*>(data)[i];
    case DType::kUInt16: return static_cast<const uint16_t*>(data)[i];
    case DType::kInt32: return static_cast<const int32_t*>(data)[i];
    case DType::kUInt32: return static_cast<const uint32_t*>(data)[i];
    case DType::kInt64: case DType::kUInt64: return static_cast<double>(static_cast<const int64_t*>(data)[i]);
    default: return static_cast<const uint8_t*>(data)[i];
  }
}

std::string dims_of(const Tensor& t) {
  std::string s = "[";
  for (int i = 0; i < t.rank; ++i) s += (i ? "," : "") + std::to_string(t.dims[i]);
  return s + "]";
}

bool random_output(const std::string& kernel) { return kernel.rfind("random", 0) == 0 || kernel == "bernoulli" || kernel == "multinomial"; }
// Their sums cancel to zero, where the runner's absolute tolerance is below one rounding.
double tolerance(const std::string& kernel) { return kernel == "dft" || kernel == "stft" ? 1e-5 : 1e-7; }

void run_case(const std::string& label, const Step& step, const std::vector<onnx::Data>& expected, int layout, bool unknown) {
  std::vector<test::Buffer> inputs(step.inputs.size()), outputs(expected.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    inputs[i].tensor.dtype = step.inputs[i].dtype;
    if (!step.inputs[i].given) continue;
    lay_out(inputs[i], step.inputs[i].dtype, step.inputs[i].dims, layout);
    fill(inputs[i], step.inputs[i].bytes);
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    outputs[i].tensor.dtype = expected[i].dtype;
    if (expected[i].given && !unknown) lay_out(outputs[i], expected[i].dtype, expected[i].dims, layout);
  }
  try {
    test::run_kernel(step.kernel, step.attributes, inputs, outputs, layout == 0);
  } catch (const Error& e) {
    return test::fail(label.c_str(), layout, e.what());
  }
  for (size_t i = 0; i < expected.size(); ++i) {
    if (!expected[i].given) continue;
    if (!outputs[i].memory) { test::fail(label.c_str(), layout, "output " + std::to_string(i) + " was not allocated"); continue; }
    const Tensor& out = outputs[i].tensor;
    CHECK_MSG(outputs[i].guarded(), label);
    if (std::vector<int64_t>(out.dims, out.dims + std::max(0, out.rank)) != expected[i].dims) {
      test::fail(label.c_str(), layout, "output " + std::to_string(i) + " has shape " + dims_of(out));
      continue;
    }
    if (random_output(step.kernel)) continue;
    if (is_sub_byte(out.dtype)) {
      if (std::memcmp(out.data, expected[i].bytes.data(), expected[i].bytes.size()) != 0) test::fail(label.c_str(), layout, "packed output differs");
      continue;
    }
    bool reported = false;
    outputs[i].each([&](int64_t k, int64_t offset) {
      const double got = number(out.dtype, out.data, offset), want = number(out.dtype, expected[i].bytes.data(), k);
      const bool same = got == want || (got != got && want != want) || std::abs(got - want) <= tolerance(step.kernel) + 1e-3 * std::abs(want);
      if (same || reported) return;
      reported = true;
      test::fail(label.c_str(), layout, "output " + std::to_string(i) + " element " + std::to_string(k) + ": got " + test::show(got) + ", expected " + test::show(want));
    });
  }
}

// One tensor has another shape than the plan's author meant: the kernel refuses, or stays within what it was given.
void run_misshapen(const std::string& label, const Step& step, const std::vector<onnx::Data>& expected) {
  const size_t tensors = step.inputs.size() + expected.size();
  for (size_t which = 0; which < tensors; ++which) {
    const onnx::Data& victim = which < step.inputs.size() ? step.inputs[which] : expected[which - step.inputs.size()];
    if (!victim.given) continue;
    const int ways = static_cast<int>(victim.dims.size()) * 2 + 3;
    for (int way = 0; way < ways; ++way) {
      std::vector<int64_t> dims = victim.dims;
      if (way == 0) dims.push_back(2);
      else if (way == 1 && !dims.empty()) dims.pop_back();
      else if (way > 2) dims[static_cast<size_t>(way - 3) / 2] += way % 2 ? 1 : -1;
      if (std::any_of(dims.begin(), dims.end(), [](int64_t d) { return d < 0; })) continue;
      std::vector<test::Buffer> inputs(step.inputs.size()), outputs(expected.size());
      for (size_t i = 0; i < tensors; ++i) {
        const bool input = i < step.inputs.size();
        const onnx::Data& d = input ? step.inputs[i] : expected[i - step.inputs.size()];
        test::Buffer& b = input ? inputs[i] : outputs[i - step.inputs.size()];
        b.tensor.dtype = d.dtype;
        if (!d.given || (i == which && way == 2)) continue;  // 2: omitted
        b.make(d.dtype, i == which ? dims : d.dims);
        if (!input) continue;
        std::memset(b.tensor.data, 0, packed_bytes(d.dtype, b.tensor.count()));
        std::memcpy(b.tensor.data, d.bytes.data(), std::min(d.bytes.size(), packed_bytes(d.dtype, b.tensor.count())));
      }
      try {
        test::run_kernel(step.kernel, step.attributes, inputs, outputs, true, 1);
      } catch (const Error&) {
      }
      for (const test::Buffer& b : outputs) CHECK_MSG(b.guarded(), label + " misshapen " + std::to_string(which) + " " + std::to_string(way));
    }
  }
}

}  // namespace

TEST(onnx_conformance) {
  if (!fs::exists(archive())) {
    std::printf("skipped: the conformance data is not beside the repository\n");
    return;
  }
  const Folder folder;
  if (std::system(("tar -xzf '" + archive().string() + "' -C '" + folder.path.string() + "'").c_str()) != 0)
    return test::fail("tar", 0, "cannot unpack the conformance data");
  const char* only = std::getenv("TW_CASE");
  std::vector<fs::path> cases;
  for (const auto& entry : fs::directory_iterator(folder.path / "node")) cases.push_back(entry.path());
  std::sort(cases.begin(), cases.end());
  int ran = 0;
  std::map<std::string, int> of_kernel;
  for (const fs::path& path : cases) {
    const std::string name = path.filename().string();
    if (only && name.find(only) == std::string::npos) continue;
    const onnx::Model model = onnx::read_model(path / "model.onnx");
    if (model.nodes.size() != 1 || !(model.nodes[0].domain.empty() || model.nodes[0].domain == "ai.onnx")) continue;
    const onnx::Node& node = model.nodes[0];
    std::map<std::string, onnx::Data> values = model.initializers;
    bool tensors = true;
    const auto read = [&](const std::string& kind, const std::vector<std::string>& list) {
      int k = 0;
      for (const std::string& value : list) {
        if (kind == "input" && model.initializers.count(value)) continue;
        onnx::Data d = onnx::read_tensor(onnx::read_file(path / "test_data_set_0" / (kind + "_" + std::to_string(k++) + ".pb")));
        tensors &= d.tensor;
        values[(kind == "output" ? "=" : "") + value] = std::move(d);
      }
    };
    read("input", model.inputs);
    read("output", model.outputs);
    if (!tensors) continue;
    std::vector<onnx::Data> inputs, expected;
    for (const auto& input : node.inputs) inputs.push_back(input.empty() ? onnx::Data{} : values[input]);
    for (const auto& output : node.outputs) expected.push_back(output.empty() ? onnx::Data{} : values["=" + output]);
    const auto step = step_of(node, model.opset, inputs, node.outputs.size(), false);
    const auto dynamic = step_of(node, model.opset, inputs, node.outputs.size(), true);
    if (!step) continue;
    ++ran;
    ++of_kernel[step->kernel];
    for (int level = 0; level <= static_cast<int>(detected_isa()); ++level) {
      limit_isa(static_cast<Isa>(level));
      const std::string label = name + " " + std::string(tw::name(isa()));
      for (int layout = 0; layout < kLayouts; ++layout) run_case(label, *step, expected, layout, false);
      if (dynamic) run_case(label + " dynamic", *dynamic, expected, 0, true);
      static const std::vector<std::string> sized = {"nonZero", "compress", "unique", "nonMaxSuppression", "topK", "oneHot", "resize", "maxUnpool", "dft", "stft", "melWeightMatrix"};
      if (std::find(sized.begin(), sized.end(), step->kernel) != sized.end()) run_case(label + " unknown shape", *step, expected, 0, true);
    }
    limit_isa(Isa::kAmx);
    run_misshapen(name, *step, expected);
  }
  for (const auto& [kernel, count] : of_kernel) std::printf("%s %d, ", kernel.c_str(), count);
  std::printf("%d cases\n", ran);
  CHECK(ran > 0);
}
