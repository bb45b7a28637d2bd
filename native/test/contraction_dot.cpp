// dot_f32 against a plain loop in double precision: every role and order of labels, layouts with gaps, packed and
// strided b, epilogues in the tile and by tape.
#include <map>

#include "kernels/contraction/pack.h"
#include "support/contraction.h"

using namespace test;

namespace {

struct Case {
  std::string lhs, rhs, out;
  std::map<char, int64_t> extent;
  bool packed = false;
  bool odd_layouts = false;
  enum { kPlain, kBiasRelu, kResidualClip, kTape, kScaled } epilogue = kPlain;
  int threads = 2;
  std::string text() const {
    std::string s = lhs + "," + rhs + "->" + out;
    for (const auto& [label, n] : extent) s += std::string(" ") + label + "=" + std::to_string(n);
    return s + (packed ? " packed" : "") + (odd_layouts ? " strided" : "") + " epilogue " + std::to_string(epilogue);
  }
};

std::vector<int64_t> dims_of(const Case& c, const std::string& labels) {
  std::vector<int64_t> dims;
  for (const char l : labels) dims.push_back(c.extent.at(l));
  return dims;
}

Array<float> make(const Case& c, const std::string& labels) {
  return Array<float>(dims_of(c, labels), c.odd_layouts ? random_order(labels.size()) : std::vector<int>{},
                      c.odd_layouts ? pick(0, 3) : 0);
}

void check(const Case& c, const std::string& isa) {
  Array<float> a = make(c, c.lhs), b = make(c, c.rhs), out = make(c, c.out);
  a.randomize(), b.randomize();
  tw::Attributes attributes;
  attributes.set("lhs", c.lhs);
  attributes.set("rhs", c.rhs);
  attributes.set("out", c.out);
  std::vector<tw::Tensor> inputs = {a.tensor, b.tensor};

  std::vector<std::byte> blob;
  if (c.packed) {
    tw::ThreadPool pool(2);
    attributes.set("packed", 1.0);
    const size_t bytes = tw::packed_bytes("dot", attributes, dims_of(c, c.rhs));
    blob.resize(bytes + 64);
    std::byte* aligned = blob.data() + (64 - reinterpret_cast<uintptr_t>(blob.data()) % 64);
    tw::pack("dot", attributes, b.tensor, aligned, pool);
    tw::Tensor t;
    t.data = aligned;
    t.dtype = tw::DType::kUInt8;
    t.rank = 1;
    t.dims[0] = static_cast<int64_t>(bytes);
    t.strides[0] = 1;
    inputs[1] = t;
  }

  Array<float> bias(c.out.empty() ? std::vector<int64_t>{} : std::vector<int64_t>{c.extent.at(c.out.back())}),
      residual = make(c, c.out);
  bias.randomize(), residual.randomize();
  if (c.epilogue == Case::kBiasRelu) {
    attributes.set("tape",
                   std::vector<std::string>{"in f32 0", "in f32 1", "add f32 0 1", "const f32 0", "max f32 2 3"});
    attributes.set("results", std::vector<double>{4});
    inputs.push_back(bias.tensor);
  } else if (c.epilogue == Case::kResidualClip) {
    attributes.set("tape", std::vector<std::string>{"in f32 1", "in f32 0", "in f32 2", "add f32 1 0", "add f32 2 3",
                                                    "const f32 0.5", "min f32 5 4", "const f32 -0.25", "max f32 7 6"});
    attributes.set("results", std::vector<double>{8});
    inputs.push_back(bias.tensor), inputs.push_back(residual.tensor);
  } else if (c.epilogue == Case::kTape) {
    attributes.set("tape", std::vector<std::string>{"in f32 0", "in f32 1", "mul f32 0 1"});
    attributes.set("results", std::vector<double>{2});
    inputs.push_back(residual.tensor);
  } else if (c.epilogue == Case::kScaled) {
    attributes.set("tape", std::vector<std::string>{"in f32 0", "const f32 0.125", "mul f32 0 1"});
    attributes.set("results", std::vector<double>{2});
  }
  run_kernel("dot_f32", attributes, inputs, {out.tensor}, c.threads);

  std::string summed;
  for (const char l : c.lhs) {
    if (c.out.find(l) == std::string::npos) summed += l;
  }
  const auto offset_of = [&](const std::string& labels, const tw::Tensor& t, const std::map<char, int64_t>& index) {
    int64_t o = 0;
    for (size_t i = 0; i < labels.size(); ++i) o += index.at(labels[i]) * t.strides[i];
    return o;
  };
  const auto unravel = [&](const std::string& labels, int64_t linear, std::map<char, int64_t>& index) {
    for (size_t i = labels.size(); i-- > 0;) {
      index[labels[i]] = linear % c.extent.at(labels[i]);
      linear /= c.extent.at(labels[i]);
    }
  };
  int64_t terms = 1;
  for (const char l : summed) terms *= c.extent.at(l);
  std::vector<int64_t> a_terms, b_terms;
  for (int64_t j = 0; j < terms; ++j) {
    std::map<char, int64_t> index;
    for (const char l : c.lhs + c.rhs) index[l] = 0;
    unravel(summed, j, index);
    a_terms.push_back(offset_of(c.lhs, a.tensor, index)), b_terms.push_back(offset_of(c.rhs, b.tensor, index));
  }
  for (int64_t i = 0; i < out.tensor.count(); ++i) {
    std::map<char, int64_t> index;
    for (const char l : summed) index[l] = 0;
    unravel(c.out, i, index);
    double sum = 0, magnitude = 1;
    const float* a_base = a.tensor.as<float>() + offset_of(c.lhs, a.tensor, index);
    const float* b_base = b.tensor.as<float>() + offset_of(c.rhs, b.tensor, index);
    for (size_t j = 0; j < a_terms.size(); ++j) {
      const double term = double(a_base[a_terms[j]]) * b_base[b_terms[j]];
      sum += term;
      magnitude += std::fabs(term);
    }
    const double side = c.out.empty() ? bias[0] : bias[index[c.out.back()]];
    if (c.epilogue == Case::kBiasRelu) sum = std::fmax(0, sum + side);
    if (c.epilogue == Case::kResidualClip) sum = std::fmax(-0.25, std::fmin(0.5, sum + side + residual[i]));
    if (c.epilogue == Case::kTape) sum *= residual[i];
    if (c.epilogue == Case::kScaled) sum *= 0.125;
    if (!(std::fabs(out[i] - sum) <= 2e-6 * magnitude)) {
      CHECK_MSG(false, isa + " " + c.text() + ": element " + std::to_string(i) + " is " + show(out[i]) + ", expected " +
                           show(sum));
      return;
    }
  }
  CHECK_MSG(out.surroundings_intact(), isa + " " + c.text());
}

}  // namespace

TEST(matrices_of_every_height_and_width) {
  on_every_isa([](const std::string& isa) {
    for (int64_t m = 1; m <= 31; m += m < 16 ? 1 : 5) {
      for (const int64_t n : {1, 5, 16, 17, 32, 33, 47, 80}) {
        for (const bool packed : {false, true})
          check({"mk", "kn", "mn", {{'m', m}, {'n', n}, {'k', pick(1, 40)}}, packed}, isa);
      }
    }
  });
}

TEST(sums_over_several_blocks) {
  on_every_isa([](const std::string& isa) {
    for (const int64_t m : {1, 3, 40}) {
      for (const bool packed : {false, true}) {
        for (const auto epilogue : {Case::kPlain, Case::kBiasRelu, Case::kResidualClip, Case::kTape}) {
          check({"mk", "kn", "mn", {{'m', m}, {'n', 70}, {'k', 1100}}, packed, false, epilogue}, isa);
          check({"mk", "kn", "mn", {{'m', m}, {'n', 70}, {'k', 1100}}, packed, true, epilogue, 3}, isa);
        }
      }
    }
  });
}

TEST(labels_in_every_order) {
  on_every_isa([](const std::string& isa) {
    const char* cases[][3] = {{"bmk", "bkn", "bmn"},    {"bhmk", "bhnk", "bhmn"}, {"bmhk", "bnhk", "bhmn"},
                              {"bhmn", "bnhk", "bmhk"}, {"km", "nk", "nm"},       {"k", "k", ""},
                              {"k", "kn", "n"},         {"mk", "k", "m"},         {"m", "n", "mn"},
                              {"b", "b", "b"},          {"mkl", "lkno", "omn"},   {"amck", "kcno", "nmao"}};
    for (const auto& labels : cases) {
      for (int repeat = 0; repeat < 12; ++repeat) {
        Case c{labels[0], labels[1], labels[2], {}};
        for (const char l : std::string("abchklmno")) c.extent[l] = pick(1, repeat % 3 == 2 ? 21 : 6);
        c.packed = repeat % 2 != 0;
        c.odd_layouts = repeat % 4 >= 2;
        c.epilogue = repeat == 4   ? Case::kBiasRelu
                     : repeat == 5 ? Case::kTape
                     : repeat == 6 ? Case::kResidualClip
                     : repeat == 7 ? Case::kScaled
                                   : Case::kPlain;
        c.threads = static_cast<int>(pick(1, 3));
        check(c, isa);
      }
    }
  });
}

TEST(empty_extents) {
  on_every_isa([](const std::string& isa) {
    check({"mk", "kn", "mn", {{'m', 5}, {'n', 7}, {'k', 0}}}, isa);
    check({"mk", "kn", "mn", {{'m', 5}, {'n', 7}, {'k', 0}}, true, false, Case::kBiasRelu}, isa);
    check({"mk", "kn", "mn", {{'m', 0}, {'n', 7}, {'k', 3}}}, isa);
    check({"bmk", "bkn", "bmn", {{'b', 0}, {'m', 2}, {'n', 7}, {'k', 3}}, true}, isa);
    check({"mk", "kn", "mn", {{'m', 2}, {'n', 0}, {'k', 3}}, true}, isa);
  });
}

TEST(rows_a_page_apart) {
  on_every_isa([](const std::string& isa) {
    for (const int64_t k : {512, 1024})
      check({"mk", "kn", "mn", {{'m', 20}, {'n', 40}, {'k', k}}, true, false, Case::kBiasRelu}, isa);
  });
}

TEST(rejects_malformed_labels) {
  const char* cases[][3] = {
      {"mk", "kn", "mx"}, {"mkk", "kn", "mn"}, {"mkj", "kn", "mn"}, {"mk", "knj", "mn"}, {"mk", "kn", "mm"}};
  for (const auto& labels : cases) {
    tw::Attributes attributes;
    attributes.set("lhs", std::string(labels[0]));
    attributes.set("rhs", std::string(labels[1]));
    attributes.set("out", std::string(labels[2]));
    Array<float> a({2, 2}), b({2, 2}), out({2, 2});
    CHECK_THROWS(run_kernel("dot_f32", attributes, {a.tensor, b.tensor}, {out.tensor}, 1), tw::Error);
  }
}

TEST(rejects_tensors_that_do_not_fit) {
  tw::Attributes attributes;
  attributes.set("lhs", std::string("mk"));
  attributes.set("rhs", std::string("kn"));
  attributes.set("out", std::string("mn"));
  Array<float> a({4, 5}), b({5, 6}), shorter({3, 6}), out({4, 6}), side({2, 6}), cube({1, 5, 6});
  const auto rejects = [&](std::vector<tw::Tensor> inputs, const tw::Tensor& output) {
    CHECK_THROWS(run_kernel("dot_f32", attributes, inputs, {output}, 1), tw::Error);
  };
  rejects({a.tensor, shorter.tensor}, out.tensor);
  rejects({a.tensor, cube.tensor}, out.tensor);
  rejects({a.tensor, b.tensor}, shorter.tensor);
  rejects({a.tensor, b.tensor, side.tensor}, out.tensor);
  attributes.set("tape", std::vector<std::string>{"in f32 0", "in f32 1", "add f32 0 1"});
  attributes.set("results", std::vector<double>{2});
  rejects({a.tensor, b.tensor}, out.tensor);
  attributes.set("packed", 1.0);
  rejects({a.tensor, b.tensor, out.tensor}, out.tensor);
}
