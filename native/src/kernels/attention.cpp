// attention(q, k, v, mask?, keyLengths?, side…): softmax(q kT scale + mask) v, every key head serving H / Hkv query heads.
// q [B, H, L, D], k [B, Hkv, S, D], v [B, Hkv, S, Dv], any strides. The rules are in attention_rules.h. An optional program
// "tape" ("result" is its register) changes the scaled scores, its operand 0; `side` are its further operands,
// broadcast to [B, H, L, S].
//
// Flash attention (Dao 2022) on the matrix products' register tile: keys and values are packed once; the queries of all
// heads that share a key head form one list of rows, which is worked off in blocks, each over blocks of keys.
#include <cstring>

#include "kernels/attention_loops.h"
#include "kernels/attention_rules.h"
#include "kernels/common/adapt.h"
#include "kernels/common/rows.h"
#include "kernels/contraction/tile.h"
#include "kernels/weighted_sum.h"
#include "tape/tape.h"

namespace tw {
namespace {

constexpr int64_t kKeys = 512;      // keys of a block, a multiple of the panel
constexpr int64_t kFewRows = 4;     // up to so many rows, packing the keys costs more than it saves
constexpr int64_t kMaxRows = 4 * kMaxTileRows;
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

struct Sizes {
  Sizes(const Tensor& q, const Tensor& k, const Tensor& v)
      : batch(q.dims[0]), heads(q.dims[1]), queries(q.dims[2]), d(q.dims[3]), key_heads(k.dims[1]), keys(k.dims[2]), dv(v.dims[3]) {
    rows = heads / std::max<int64_t>(1, key_heads) * queries;
    block = std::min<int64_t>(std::max<int64_t>(rows, 1), 4 * tile_table().rows);
    direct = rows <= kFewRows && k.strides[3] == 1 && v.strides[3] == 1;
    key_floats = direct ? 0 : padded_columns(keys) * d;
    value_floats = direct ? 0 : keys * padded_columns(dv);
    score_width = direct ? std::max<int64_t>(keys, 1) : std::min(kKeys, std::max<int64_t>(padded_columns(keys), 1));
    lane_floats = round_up(block * d, 16) + round_up(block * score_width, 16) + round_up(block * dv, 16);
  }
  int64_t batch, heads, queries, d, key_heads, keys, dv;
  int64_t rows;   // of all heads that share a key head
  int64_t block;  // rows worked on together
  bool direct;    // keys and values are read where they lie
  int64_t key_floats, value_floats, score_width, lane_floats;
};

class Attention final : public Kernel {
 public:
  explicit Attention(const StepInfo& step) : rules_(step.attributes) {
    const auto text = step.attributes.strings("tape");
    if (!text.empty()) tape_ = Tape::parse(text, {step.attributes.integer("result", static_cast<int64_t>(text.size()) - 1)});
    visit_float("attention", step.inputs[0].dtype, [](auto) {});
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    const Tensor &q = inputs[0], &k = inputs[1], &v = inputs[2];
    rules_.check(inputs, 3, 4, q, k);
    expect_rank("v", v, 4, 4);
    expect(std::equal(k.dims, k.dims + 3, v.dims), "k and v differ in batch, heads or positions");
    expect_dims("the output", outputs[0], {q.dims[0], q.dims[1], q.dims[2], v.dims[3]});
    const int64_t full[4] = {q.dims[0], q.dims[1], q.dims[2], k.dims[2]};
    for (size_t i = 5; i < inputs.size(); ++i) expect_broadcast("a side tensor", inputs[i], full);
    const size_t sides = inputs.size() < 5 ? 0 : inputs.size() - 5;
    if (tape_ && static_cast<size_t>(tape_->operands()) > 1 + sides) throw Error(Code::kInvalidPlan, "the program reads more operands than there are inputs");
  }

  size_t workspace_bytes(std::span<const Tensor> inputs, std::span<const Tensor>, int threads) const override {
    if (inputs[0].dtype != DType::kFloat32) return 0;
    const Sizes s(inputs[0], inputs[1], inputs[2]);
    const int64_t packed = s.batch * s.key_heads * (round_up(s.key_floats, 16) + round_up(s.value_floats, 16));
    return static_cast<size_t>(packed + threads * s.lane_floats) * sizeof(float);
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const AttentionRules::Bound bound = rules_.bind(inputs, 3, 4, inputs[0], inputs[1]);
    if (outputs[0].count() == 0) return;
    if (inputs[0].dtype == DType::kFloat64) return run_double(context, inputs, outputs[0], bound);
    run_float(context, inputs, outputs[0], bound);
  }

 private:
  // Everything a block of rows needs to know.
  struct Job {
    const Sizes& s;
    const Tensor &q, &k, &v, &y;
    const AttentionRules::Bound& bound;
    std::span<const Tensor> sides;  // views [B, H, L, S]
    const float *packed_keys, *packed_values;
  };

  void run_float(KernelContext& context, std::span<const Tensor> inputs, const Tensor& y, const AttentionRules::Bound& bound) const {
    const Sizes s(inputs[0], inputs[1], inputs[2]);
    const Tensor &k = inputs[1], &v = inputs[2];
    const int64_t key_room = round_up(s.key_floats, 16), value_room = round_up(s.value_floats, 16), shared = s.batch * s.key_heads;
    float* const keys = reinterpret_cast<float*>(context.workspace);
    float* const values = keys + shared * key_room;
    float* const lanes = values + shared * value_room;
    std::vector<Tensor> sides;
    const int64_t full[4] = {s.batch, s.heads, s.queries, s.keys};
    for (size_t i = 5; i < inputs.size(); ++i) sides.push_back(broadcast_view(inputs[i], full, 4));

    const TileTable& tile = tile_table();
    context.pool.parallel_for(s.direct ? 0 : shared, [&](int64_t head, int) {
      const float* value = v.as<float>() + head / s.key_heads * v.strides[0] + head % s.key_heads * v.strides[1];
      const float* key = k.as<float>() + head / s.key_heads * k.strides[0] + head % s.key_heads * k.strides[1];
      for (int64_t j = 0; j < s.keys; j += kPanel)
        tile.pack_panel(key + j * k.strides[2], k.strides[3], k.strides[2], s.d, std::min(kPanel, s.keys - j), keys + head * key_room + j * s.d);
      for (int64_t c = 0; c < s.dv; c += kPanel)
        tile.pack_panel(value + c * v.strides[3], v.strides[2], v.strides[3], s.keys, std::min(kPanel, s.dv - c), values + head * value_room + c * s.keys);
    });

    const int64_t blocks = (s.rows + s.block - 1) / s.block;
    context.pool.parallel_for(shared * blocks, [&](int64_t task, int lane) {
      const int64_t head = task / blocks, first = task % blocks * s.block;
      const Job job{s, inputs[0], k, v, y, bound, sides, keys + head * key_room, values + head * value_room};
      const auto count = static_cast<int>(std::min(s.block, s.rows - first));
      // What is masked must not count, be it NaN: seen in the result, which is then computed again with care.
      if (!rows<false>(job, head / s.key_heads, head % s.key_heads, first, count, lanes + lane * s.lane_floats))
        rows<true>(job, head / s.key_heads, head % s.key_heads, first, count, lanes + lane * s.lane_floats);
    });
  }

  static bool all_finite(const float* p, int64_t n) {
    uint32_t bad = 0;
    for (int64_t i = 0; i < n; ++i) {
      uint32_t bits;
      std::memcpy(&bits, p + i, 4);
      bad |= static_cast<uint32_t>((bits & 0x7F800000u) == 0x7F800000u);
    }
    return !bad;
  }

  // Rows [first, first + count) of the list of one key head. Tells whether all sums are finite.
  template <bool careful>
  bool rows(const Job& job, int64_t batch, int64_t key_head, int64_t first, int count, float* scratch) const {
    const Sizes& s = job.s;
    const AttentionLoops& loops = TW_SELECT_ISA(attention_loops)();
    float* const q = scratch;
    float* const scores = q + round_up(s.block * s.d, 16);
    float* const sums = scores + round_up(s.block * s.score_width, 16);

    struct Row { int64_t head, query, first, end; float top, total; };
    Row row[kMaxRows];
    int64_t begin = s.keys, end = 0;
    const auto scale = static_cast<float>(rules_.scale(s.d));
    for (int r = 0; r < count; ++r) {
      const int64_t head = key_head * (s.heads / s.key_heads) + (first + r) / s.queries, query = (first + r) % s.queries;
      const auto range = job.bound.range(batch, query);
      row[r] = {head, query, range.first, range.end, kMinusInfinity, 0};
      if (range.first < range.end) begin = std::min(begin, range.first), end = std::max(end, range.end);
      const float* from = job.q.as<float>() + batch * job.q.strides[0] + head * job.q.strides[1] + query * job.q.strides[2];
      float* to = q + r * s.d;
      if (job.q.strides[3] == 1) loops.scale(from, s.d, scale, to);
      else for (int64_t i = 0; i < s.d; ++i) to[i] = from[i * job.q.strides[3]] * scale;
    }
    std::fill_n(sums, count * s.dv, 0.0f);

    for (int64_t j = s.direct ? 0 : begin / kKeys * kKeys; j < end; j += s.score_width) {
      const int64_t n = std::min(s.score_width, end - j);
      multiply_keys(job, batch, key_head, q, count, j, n, scores, loops);
      for (int r = 0; r < count; ++r) {
        Row& at = row[r];
        float* p = scores + r * s.score_width;
        const int64_t a = std::clamp<int64_t>(at.first - j, 0, n), b = std::clamp<int64_t>(at.end - j, a, n);
        std::fill_n(p, a, 0.0f);
        std::fill_n(p + b, n - b, 0.0f);
        if (a == b) continue;
        if (tape_) change(job, batch, at.head, at.query, j + a, b - a, p + a);
        if (rules_.softcap > 0) loops.softcap(p + a, b - a, static_cast<float>(rules_.softcap));
        if (!careful && job.bound.mask.data && job.bound.mask.dtype == DType::kFloat32 && job.bound.mask.strides[3] == 1) {
          const Tensor& mask = job.bound.mask;
          loops.add(p + a, mask.as<float>() + job.bound.mask_of(batch) * mask.strides[0] + at.head * mask.strides[1] + at.query * mask.strides[2] + j + a, b - a);
        } else {
          job.bound.add_mask(p + a, batch, at.head, at.query, j + a, b - a);
        }
        const float top = std::max(at.top, loops.max(p + a, b - a));
        if (top == kMinusInfinity) {  // nothing to see yet
          std::fill_n(p + a, b - a, 0.0f);
          continue;
        }
        const float correction = at.top == kMinusInfinity ? 0.0f : std::exp(at.top - top);
        at.total = at.total * correction + loops.exp_sum(p + a, b - a, top);
        if (correction != 1 && at.top != kMinusInfinity) loops.scale(sums + r * s.dv, s.dv, correction, sums + r * s.dv);
        at.top = top;
      }
      multiply_values<careful>(job, batch, key_head, scores, count, j, n, sums);
    }

    const bool finite = all_finite(sums, count * s.dv);
    for (int r = 0; r < count; ++r) {
      float* to = job.y.as<float>() + batch * job.y.strides[0] + row[r].head * job.y.strides[1] + row[r].query * job.y.strides[2];
      const float factor = row[r].total == 0 ? 0.0f : 1.0f / row[r].total;
      if (job.y.strides[3] == 1) loops.scale(sums + r * s.dv, s.dv, factor, to);
      else for (int64_t i = 0; i < s.dv; ++i) to[i * job.y.strides[3]] = sums[r * s.dv + i] * factor;
    }
    return finite;
  }

  // scores[r][0, n) = q[r] . k[j, j + n)
  static void multiply_keys(const Job& job, int64_t batch, int64_t key_head, const float* q, int count, int64_t j, int64_t n, float* scores, const AttentionLoops& loops) {
    const Sizes& s = job.s;
    if (s.direct) {
      const float* key = job.k.as<float>() + batch * job.k.strides[0] + key_head * job.k.strides[1] + j * job.k.strides[2];
      for (int r = 0; r < count; ++r) loops.dots(q + r * s.d, key, job.k.strides[2], n, s.d, scores + r * s.score_width);
      return;
    }
    const TileTable& tile = tile_table();
    float* c[kMaxTileRows];
    TileArgs args{};
    args.lda = args.k = s.d, args.c = c;
    for (int64_t panel = 0; panel < n; panel += kPanel) {
      args.b = job.packed_keys + (j + panel) * s.d;
      args.ldb = panel_width(std::min(kPanel, s.keys - j - panel));
      args.column = panel, args.columns = static_cast<int>(std::min(kPanel, n - panel));
      for (int r = 0; r < count; r += tile.rows) {
        args.rows = std::min(tile.rows, count - r);
        args.a = q + r * s.d;
        for (int i = 0; i < args.rows; ++i) c[i] = scores + (r + i) * s.score_width;
        tile.tile(args);
      }
    }
  }

  // sums[r] += scores[r][0, n) v[j, j + n)
  template <bool careful>
  static void multiply_values(const Job& job, int64_t batch, int64_t key_head, const float* scores, int count, int64_t j, int64_t n, float* sums) {
    const Sizes& s = job.s;
    const float* value = job.v.as<float>() + batch * job.v.strides[0] + key_head * job.v.strides[1] + j * job.v.strides[2];
    if constexpr (careful) {
      for (int r = 0; r < count; ++r)
        for (int64_t i = 0; i < n; ++i) {
          const float w = scores[r * s.score_width + i];
          if (w == 0) continue;
          for (int64_t c = 0; c < s.dv; ++c) sums[r * s.dv + c] += w * value[i * job.v.strides[2] + c * job.v.strides[3]];
        }
      return;
    }
    if (s.direct) {  // one block holds all keys
      std::vector<const float*> pointers(static_cast<size_t>(n));
      for (int64_t i = 0; i < n; ++i) pointers[static_cast<size_t>(i)] = value + i * job.v.strides[2];
      for (int r = 0; r < count; ++r) TW_SELECT_ISA(weighted_sums)().sum(pointers.data(), scores + r * s.score_width, n, s.dv, sums + r * s.dv);
      return;
    }
    const TileTable& tile = tile_table();
    float* c[kMaxTileRows];
    TileArgs args{};
    args.lda = s.score_width, args.k = n, args.c = c, args.accumulate = true;
    for (int64_t column = 0; column < s.dv; column += kPanel) {
      args.columns = static_cast<int>(std::min(kPanel, s.dv - column));
      args.ldb = panel_width(args.columns);
      args.b = job.packed_values + column * s.keys + j * args.ldb;
      args.column = column;
      for (int r = 0; r < count; r += tile.rows) {
        args.rows = std::min(tile.rows, count - r);
        args.a = scores + r * s.score_width;
        for (int i = 0; i < args.rows; ++i) c[i] = sums + (r + i) * s.dv;
        tile.tile(args);
      }
    }
  }

  void change(const Job& job, int64_t b, int64_t h, int64_t i, int64_t j, int64_t n, float* scores) const {
    std::vector<TapeOperand> operands = {{scores, DType::kFloat32, 1}};
    for (const Tensor& t : job.sides) {
      const int64_t at = b * t.strides[0] + h * t.strides[1] + i * t.strides[2] + j * t.strides[3];
      operands.push_back({t.as<std::byte>() + at * (info(t.dtype).bits / 8), t.dtype, t.strides[3]});
    }
    const TapeResult result{scores, DType::kFloat32, 1};
    tape_->run(n, operands, {&result, 1});
  }

  void run_double(KernelContext& context, std::span<const Tensor> inputs, const Tensor& y, const AttentionRules::Bound& bound) const;

  AttentionRules rules_;
  std::shared_ptr<const Tape> tape_;
};

// The scores of one query, up to a stage.
enum class Stage { kRaw, kSoftcapped, kMasked, kProbabilities };

template <typename T>
void plain_scores(const AttentionRules& rules, const AttentionRules::Bound& bound, const Tensor& q, const Tensor& k, int64_t b, int64_t h, int64_t i, Stage stage, T* scores) {
  const int64_t d = q.dims[3], keys = k.dims[2], key_head = h / (q.dims[1] / k.dims[1]);
  const T* p = q.as<T>() + b * q.strides[0] + h * q.strides[1] + i * q.strides[2];
  const T scale = static_cast<T>(rules.scale(d)), cap = static_cast<T>(rules.softcap);
  for (int64_t j = 0; j < keys; ++j) {
    const T* key = k.as<T>() + b * k.strides[0] + key_head * k.strides[1] + j * k.strides[2];
    T sum = 0;
    for (int64_t c = 0; c < d; ++c) sum += p[c * q.strides[3]] * key[c * k.strides[3]];
    sum *= scale;
    scores[j] = stage != Stage::kRaw && cap > 0 ? cap * std::tanh(sum / cap) : sum;
  }
  if (stage == Stage::kRaw || stage == Stage::kSoftcapped) return;
  const auto range = bound.range(b, i);
  const int64_t first = std::clamp<int64_t>(range.first, 0, keys), end = std::clamp<int64_t>(range.end, first, keys);
  const T minus_infinity = -std::numeric_limits<T>::infinity();
  std::fill_n(scores, first, minus_infinity);
  std::fill_n(scores + end, keys - end, minus_infinity);
  bound.add_mask(scores + first, b, h, i, first, end - first);
  if (stage == Stage::kMasked) return;
  T top = minus_infinity, sum = 0;
  for (int64_t j = 0; j < keys; ++j) top = std::max(top, scores[j]);
  for (int64_t j = 0; j < keys; ++j) sum += scores[j] = scores[j] == minus_infinity ? T(0) : std::exp(scores[j] - top);
  if (sum != 0)
    for (int64_t j = 0; j < keys; ++j) scores[j] /= sum;
}

void Attention::run_double(KernelContext& context, std::span<const Tensor> inputs, const Tensor& y, const AttentionRules::Bound& bound) const {
  if (tape_) unsupported_dtype("attention with a program", DType::kFloat64);
  const Tensor &q = inputs[0], &k = inputs[1], &v = inputs[2];
  const int64_t heads = q.dims[1], queries = q.dims[2], keys = k.dims[2], dv = v.dims[3];
  context.pool.parallel_ranges(q.dims[0] * heads * queries, 1, [&](int64_t begin, int64_t end, int) {
    std::vector<double> scores(static_cast<size_t>(keys));
    for (int64_t row = begin; row < end; ++row) {
      const int64_t i = row % queries, h = row / queries % heads, b = row / queries / heads;
      plain_scores(rules_, bound, q, k, b, h, i, Stage::kProbabilities, scores.data());
      const double* value = v.as<double>() + b * v.strides[0] + h / (heads / k.dims[1]) * v.strides[1];
      for (int64_t c = 0; c < dv; ++c) {
        double sum = 0;
        for (int64_t j = 0; j < keys; ++j)
          if (scores[static_cast<size_t>(j)] != 0) sum += scores[static_cast<size_t>(j)] * value[j * v.strides[2] + c * v.strides[3]];
        y.as<double>()[b * y.strides[0] + h * y.strides[1] + i * y.strides[2] + c * y.strides[3]] = sum;
      }
    }
  });
}

// attentionScores(q, k, mask?, keyLengths?){stage}: what attention multiplies with v, or an earlier stage of it.
class AttentionScores final : public Kernel {
 public:
  explicit AttentionScores(const StepInfo& step) : rules_(step.attributes) {
    const std::string stage = step.attributes.string("stage", "raw");
    if (stage == "raw") stage_ = Stage::kRaw;
    else if (stage == "softcapped") stage_ = Stage::kSoftcapped;
    else if (stage == "masked") stage_ = Stage::kMasked;
    else if (stage == "probabilities") stage_ = Stage::kProbabilities;
    else throw Error(Code::kInvalidPlan, "attentionScores: unknown stage '" + stage + "'");
    visit_float("attentionScores", step.inputs[0].dtype, [](auto) {});
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    const Tensor &q = inputs[0], &k = inputs[1];
    rules_.check(inputs, 2, 3, q, k);
    expect_dims("the output", outputs[0], {q.dims[0], q.dims[1], q.dims[2], k.dims[2]});
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor &q = inputs[0], &k = inputs[1], &y = outputs[0];
    const auto bound = rules_.bind(inputs, 2, 3, q, k);
    visit_float("attentionScores", q.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const Rows<T> out(y, 3, 4);
      const int64_t queries = q.dims[2], heads = q.dims[1];
      context.pool.parallel_ranges(y.dims[3] ? out.count() : 0, 1, [&](int64_t begin, int64_t end, int) {
        std::vector<T> scores(static_cast<size_t>(k.dims[2]));
        for (int64_t row = begin; row < end; ++row) {
          T* to = out.place(row, scores.data());
          plain_scores(rules_, bound, q, k, row / queries / heads, row / queries % heads, row % queries, stage_, to);
          out.written(row, to);
        }
      });
    });
  }

 private:
  AttentionRules rules_;
  Stage stage_;
};

}  // namespace

void register_attention() {
  register_kernel("attention", adapted<make<Attention>, kStridedNumbers, Signature{.min_inputs = 3, .max_inputs = 21, .same_inputs = 0b110}>);
  register_kernel("attentionScores", adapted<make<AttentionScores>, kStridedNumbers, Signature{.min_inputs = 2, .max_inputs = 4, .same_inputs = 0b10}>);
}

}  // namespace tw
