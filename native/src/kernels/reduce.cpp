// reduce{monoid, axes, keepdims}: sum, prod, max, min, any, all over any axes of any layout.
// reduceDynamic(x, axes){monoid, keepdims, noopWithEmptyAxes}: the same with axes known at run time.
//
// Optional programs: "prologue" (inputs 0 … its operands-1, broadcast against each other, give the reduced elements;
// "dtype" is what they are reduced in) and "epilogue" (operand 0 is the reduced value, the further operands are the
// remaining inputs, broadcast to the output). "prologueResult" and "epilogueResult" name their result registers.
#include <algorithm>
#include <limits>
#include <numeric>

#include "kernels/common/adapt.h"
#include "kernels/common/shape.h"
#include "kernels/reduce_loops.h"
#include "tape/tape.h"

namespace tw {
namespace {

constexpr int64_t kPiece = 512;          // outputs finished at a time, and elements a prologue makes at a time
constexpr int64_t kTaskElements = 16384;
constexpr int kMaxOperands = 16;

template <typename T>
T combine(Monoid m, T a, T b) {
  switch (m) {
    case Monoid::kSum: return static_cast<T>(a + b);
    case Monoid::kProd: return static_cast<T>(a * b);
    case Monoid::kMax: return a != a || a > b ? a : b;
    default: return a != a || a < b ? a : b;
  }
}

template <typename T>
T identity(Monoid m) {
  using L = std::numeric_limits<T>;
  switch (m) {
    case Monoid::kSum: return 0;
    case Monoid::kProd: return 1;
    case Monoid::kMax: return L::has_infinity ? -L::infinity() : L::lowest();
    default: return L::has_infinity ? L::infinity() : L::max();
  }
}

template <Monoid m, typename T>
T row_of(const T* x, int64_t n, int64_t stride) {
  T acc[8];
  std::fill_n(acc, 8, identity<T>(m));
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int k = 0; k < 8; ++k) acc[k] = combine(m, acc[k], x[(i + k) * stride]);
  for (; i < n; ++i) acc[0] = combine(m, acc[0], x[i * stride]);
  for (int k = 1; k < 8; ++k) acc[0] = combine(m, acc[0], acc[k]);
  return acc[0];
}

template <Monoid m, typename T>
void columns_of(const T* x, int64_t rows, int64_t row_stride, int64_t columns, int64_t stride, T* acc) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) acc[c] = combine(m, acc[c], x[r * row_stride + c * stride]);
}

// Chooses the vector loop for dense floats, the plain one otherwise.
template <typename T>
struct Loops {
  explicit Loops(Monoid m) : monoid(m) {}
  T row(const T* x, int64_t n, int64_t stride) const {
    if constexpr (std::is_same_v<T, float>)
      if (stride == 1) return fast.row[static_cast<int>(monoid)](x, n);
    switch (monoid) {
      case Monoid::kSum: return row_of<Monoid::kSum>(x, n, stride);
      case Monoid::kProd: return row_of<Monoid::kProd>(x, n, stride);
      case Monoid::kMax: return row_of<Monoid::kMax>(x, n, stride);
      default: return row_of<Monoid::kMin>(x, n, stride);
    }
  }
  void columns(const T* x, int64_t rows, int64_t row_stride, int64_t n, int64_t stride, T* acc) const {
    if constexpr (std::is_same_v<T, float>)
      if (stride == 1) return fast.columns[static_cast<int>(monoid)](x, rows, row_stride, n, acc);
    switch (monoid) {
      case Monoid::kSum: return columns_of<Monoid::kSum>(x, rows, row_stride, n, stride, acc);
      case Monoid::kProd: return columns_of<Monoid::kProd>(x, rows, row_stride, n, stride, acc);
      case Monoid::kMax: return columns_of<Monoid::kMax>(x, rows, row_stride, n, stride, acc);
      default: return columns_of<Monoid::kMin>(x, rows, row_stride, n, stride, acc);
    }
  }
  Monoid monoid;
  const ReduceLoops& fast = TW_SELECT_ISA(reduce_loops)();
};

// One axis of the iteration space with the element stride of every tensor along it.
struct Axis {
  int64_t size;
  int64_t in[kMaxOperands], side[kMaxOperands], out;
};

// Joins an axis with the one inside it where every tensor steps through both evenly.
void merge(std::vector<Axis>& axes, int operands, int sides) {
  for (size_t i = axes.size(); i-- > 1;) {
    Axis &outer = axes[i - 1], &inner = axes[i];
    bool even = outer.out == inner.out * inner.size;
    for (int k = 0; k < operands; ++k) even &= outer.in[k] == inner.in[k] * inner.size;
    for (int k = 0; k < sides; ++k) even &= outer.side[k] == inner.side[k] * inner.size;
    if (!even) continue;
    inner.size *= outer.size;
    axes.erase(axes.begin() + static_cast<int64_t>(i) - 1);
  }
}

// Offsets of all operands while walking some axes in row-major order.
struct Position {
  int64_t index[kMaxRank] = {};
  int64_t in[kMaxOperands] = {}, side[kMaxOperands] = {}, out = 0;

  void move(const Axis& a, int64_t steps) {
    for (int k = 0; k < kMaxOperands; ++k) in[k] += steps * a.in[k], side[k] += steps * a.side[k];
    out += steps * a.out;
  }
  void seek(std::span<const Axis> axes, int64_t linear) {
    for (size_t i = axes.size(); i-- > 0;) {
      index[i] = linear % axes[i].size;
      linear /= axes[i].size;
      move(axes[i], index[i]);
    }
  }
  void next(std::span<const Axis> axes) {
    for (size_t i = axes.size(); i-- > 0;) {
      move(axes[i], 1);
      if (++index[i] < axes[i].size) return;
      move(axes[i], -index[i]);
      index[i] = 0;
    }
  }
};

int64_t size_of(std::span<const Axis> axes) {
  int64_t n = 1;
  for (const Axis& a : axes) n *= a.size;
  return n;
}

class Reduce final : public Kernel {
 public:
  Reduce(const StepInfo& step, bool dynamic) : dynamic_(dynamic) {
    const Attributes& a = step.attributes;
    if (step.inputs.empty() || step.outputs.size() != 1) throw Error(Code::kInvalidPlan, "reduce needs inputs and one output");
    const std::string monoid = a.string("monoid", "sum");
    if (monoid == "sum") monoid_ = Monoid::kSum;
    else if (monoid == "prod") monoid_ = Monoid::kProd;
    else if (monoid == "max" || monoid == "any") monoid_ = Monoid::kMax;
    else if (monoid == "min" || monoid == "all") monoid_ = Monoid::kMin;
    else throw Error(Code::kInvalidPlan, "reduce: unknown monoid '" + monoid + "'");
    keepdims_ = a.flag("keepdims", true);
    all_axes_ = dynamic ? !a.flag("noopWithEmptyAxes") : !a.has("axes");
    axes_ = a.integers("axes");
    prologue_ = program(a, "prologue", "prologueResult");
    epilogue_ = program(a, "epilogue", "epilogueResult");
    operands_ = prologue_ ? prologue_->operands() : 1;
    dtype_ = a.has("dtype") ? dtype_from_name(a.string("dtype")) : step.inputs[0].dtype;
    if (prologue_ || epilogue_) {  // narrow floats are reduced in float32
      if (dtype_ == DType::kFloat16 || dtype_ == DType::kBFloat16) dtype_ = DType::kFloat32;
    }
    if (operands_ > kMaxOperands || static_cast<int>(step.inputs.size()) - operands_ > kMaxOperands)
      throw Error(Code::kLimitExceeded, "reduce: a fused program may read at most 16 tensors");
    visit_number("reduce", dtype_, [](auto) {});
    if (!epilogue_ && step.outputs[0].dtype != dtype_) {  // an identity that converts
      static constexpr const char* kDomains[] = {"f32", "f64", "i64", "u64"};
      const std::string domain = kDomains[static_cast<int>(info(dtype_).domain)], out = kDomains[static_cast<int>(info(step.outputs[0].dtype).domain)];
      if (domain == out) epilogue_ = Tape::parse({"in " + domain + " 0"}, {0});
      else epilogue_ = Tape::parse({"in " + domain + " 0", "convert " + out + " " + domain + " 0"}, {1});
    }
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    if (dynamic_) return;  // run() gives the output its shape
    const size_t operands = static_cast<size_t>(operands_), sides = inputs.size() < operands ? 0 : inputs.size() - operands;
    if (outputs.size() != 1 || operands_ < 1 || inputs.size() < operands || (sides && !epilogue_) ||
        (epilogue_ && static_cast<size_t>(epilogue_->operands()) > sides + 1))
      throw Error(Code::kInvalidPlan, "reduce: the programs and the inputs do not fit");
    for (const Tensor& t : inputs) expect_rank("an input", t, 0, kMaxRank), expect(t.rank >= 0, "an input is omitted");
    const Shape shape = shape_of(inputs, axes_);
    for (size_t k = 0; k < operands; ++k) expect_broadcast("an input", inputs[k], shape.in);
    expect(outputs[0].rank >= 0, "the output has no shape");
    expect_dims("the output", outputs[0], shape.out);
    for (size_t k = operands; k < inputs.size(); ++k) expect_broadcast("a side tensor", inputs[k], shape.out);
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    std::vector<int64_t> axes = axes_;
    if (dynamic_) {
      axes = present(inputs, 1) ? read_integers(inputs[1], "the axes of reduceDynamic") : std::vector<int64_t>{};
      inputs = inputs.first(1);
    }
    const Shape shape = shape_of(inputs, axes);
    if (dynamic_) resolve_output(context, outputs, 0, shape.out);
    const bool* reduced = shape.reduced;
    visit_number("reduce", dtype_, [&](auto tag) { run_as<typename decltype(tag)::type>(context, inputs, outputs[0], reduced); });
  }

 private:
  struct Shape {
    bool reduced[kMaxRank] = {};
    std::vector<int64_t> in, out;
  };
  Shape shape_of(std::span<const Tensor> inputs, const std::vector<int64_t>& axes) const {
    Shape s;
    int rank = 0;
    for (int k = 0; k < operands_; ++k) rank = std::max(rank, inputs[k].rank);
    s.in.assign(static_cast<size_t>(rank), 1);
    for (int k = 0; k < operands_; ++k)
      for (int i = 0; i < inputs[k].rank; ++i)
        if (inputs[k].dims[i] != 1) s.in[static_cast<size_t>(rank - inputs[k].rank + i)] = inputs[k].dims[i];
    for (int64_t axis : axes) s.reduced[normalize_axis(axis, rank, "a reduced axis")] = true;
    if (axes.empty() && all_axes_) std::fill_n(s.reduced, rank, true);
    for (int i = 0; i < rank; ++i)
      if (!s.reduced[i]) s.out.push_back(s.in[static_cast<size_t>(i)]);
      else if (keepdims_) s.out.push_back(1);
    return s;
  }

  static std::shared_ptr<const Tape> program(const Attributes& a, const char* name, const char* result) {
    const auto text = a.strings(name);
    if (text.empty()) return nullptr;
    return Tape::parse(text, {a.integer(result, static_cast<int64_t>(text.size()) - 1)});
  }

  // Splits the iteration space into kept and reduced axes, each sorted from outermost to innermost in memory.
  void plan(std::span<const Tensor> inputs, const Tensor& y, const bool* is_reduced, std::vector<Axis>& kept,
            std::vector<Axis>& reduced) const {
    int rank = 0, primary = 0;
    for (int k = 0; k < operands_; ++k) rank = std::max(rank, inputs[k].rank);
    for (int k = 1; k < operands_; ++k)
      if (inputs[k].count() > inputs[primary].count()) primary = k;
    const int sides = static_cast<int>(inputs.size()) - operands_;
    int out_axis = 0;
    for (int i = 0; i < rank; ++i) {
      Axis axis{};
      axis.size = 1;
      for (int k = 0; k < operands_; ++k) {
        const int own = i - (rank - inputs[k].rank);
        // A size of 1 gives way to any other, 0 included.
        if (own >= 0 && inputs[k].dims[own] != 1) axis.size = inputs[k].dims[own];
        axis.in[k] = broadcast_stride(inputs[k], rank, i);
      }
      if (!is_reduced[i]) {
        axis.out = y.strides[out_axis];
        for (int k = 0; k < sides; ++k) axis.side[k] = broadcast_stride(inputs[operands_ + k], y.rank, out_axis);
      }
      if (!is_reduced[i] || keepdims_) ++out_axis;
      if (axis.size != 1) (is_reduced[i] ? reduced : kept).push_back(axis);
    }
    const auto outer_first = [&](const Axis& a, const Axis& b) { return std::abs(a.in[primary]) > std::abs(b.in[primary]); };
    std::stable_sort(kept.begin(), kept.end(), outer_first);
    std::stable_sort(reduced.begin(), reduced.end(), outer_first);
    merge(kept, operands_, sides);
    merge(reduced, operands_, sides);
    if (kept.empty()) kept.push_back({.size = 1, .in = {}, .side = {}, .out = 0});
    if (reduced.empty()) reduced.push_back({.size = 1, .in = {}, .side = {}, .out = 0});
  }

  template <typename T>
  void run_as(KernelContext& context, std::span<const Tensor> inputs, const Tensor& y, const bool* is_reduced) const {
    std::vector<Axis> kept, reduced;
    plan(inputs, y, is_reduced, kept, reduced);
    const int64_t outputs = size_of(kept), elements = size_of(reduced);
    if (outputs == 0) return;
    const Loops<T> loops(monoid_);

    const Axis inner = kept.back();
    const std::span<const Axis> outer(kept.data(), kept.size() - 1);
    // Pieces small enough for balance, and for rows to make tasks of a sensible size.
    int64_t piece = std::clamp<int64_t>(kTaskElements / std::max<int64_t>(elements, 1), 32, kPiece);
    piece = std::min(piece, inner.size);
    const int64_t pieces = (inner.size + piece - 1) / piece, tasks = size_of(outer) * pieces;

    // A long reduction to few outputs is cut along its outermost axis; the cut does not depend on the thread count.
    Axis& cut = reduced.front();
    const int64_t parts = tasks < 8 && elements >= 4 * kTaskElements ? std::min<int64_t>(8, cut.size) : 1;
    if (parts > 1) {
      std::vector<T> partial(static_cast<size_t>(tasks * parts * piece));
      context.pool.parallel_for(tasks * parts, [&](int64_t i, int) {
        std::vector<Axis> part = reduced;
        const int64_t first = cut.size * (i % parts) / parts;
        part.front().size = cut.size * (i % parts + 1) / parts - first;
        Position at = start(outer, inner, i / parts / pieces, i / parts % pieces * piece);
        const int64_t n = std::min(piece, inner.size - i / parts % pieces * piece);
        at.move(cut, first);
        accumulate(loops, inputs, part, inner, at, n, &partial[static_cast<size_t>(i * piece)]);
      });
      for (int64_t task = 0; task < tasks; ++task) {
        T* acc = &partial[static_cast<size_t>(task * parts * piece)];
        const int64_t n = std::min(piece, inner.size - task % pieces * piece);
        for (int64_t p = 1; p < parts; ++p)
          for (int64_t i = 0; i < n; ++i) acc[i] = combine(monoid_, acc[i], acc[p * piece + i]);
        finish(inputs, y, inner, start(outer, inner, task / pieces, task % pieces * piece), n, acc);
      }
      return;
    }
    const int64_t grain = std::max<int64_t>(1, kTaskElements / std::max<int64_t>(1, elements * piece));
    context.pool.parallel_ranges(tasks, grain, [&](int64_t begin, int64_t end, int) {
      T acc[kPiece];
      for (int64_t task = begin; task < end; ++task) {
        const int64_t first = task % pieces * piece, n = std::min(piece, inner.size - first);
        const Position at = start(outer, inner, task / pieces, first);
        accumulate(loops, inputs, reduced, inner, at, n, acc);
        finish(inputs, y, inner, at, n, acc);
      }
    });
  }

  static Position start(std::span<const Axis> outer, const Axis& inner, int64_t row, int64_t column) {
    Position at;
    at.seek(outer, row);
    at.move(inner, column);
    return at;
  }

  // acc[i] = the reduction for output `at` + i along the innermost kept axis.
  template <typename T>
  void accumulate(const Loops<T>& loops, std::span<const Tensor> inputs, std::span<const Axis> reduced, const Axis& inner,
                  const Position& at, int64_t n, T* acc) const {
    std::fill_n(acc, n, identity<T>(monoid_));
    const int64_t elements = size_of(reduced);
    if (elements == 0) return;
    const Axis& last = reduced.back();
    const std::span<const Axis> rest = reduced.first(reduced.size() - 1);
    const int64_t rest_size = size_of(rest);
    Position from = at;
    std::fill_n(from.index, kMaxRank, 0);

    if (prologue_) {
      T made[kPiece];
      if (stride_sum(inner) <= stride_sum(last) && n > 1) {
        for (int64_t i = 0; i < elements; ++i, from.next(reduced)) {
          produce(inputs, from, inner, 0, n, made);
          loops.columns(made, 1, 0, n, 1, acc);
        }
        return;
      }
      for (int64_t r = 0; r < rest_size; ++r, from.next(rest))
        for (int64_t c = 0; c < n; ++c) {
          Position element = from;
          element.move(inner, c);
          for (int64_t i = 0; i < last.size; i += kPiece) {
            const int64_t count = std::min(kPiece, last.size - i);
            produce(inputs, element, last, i, count, made);
            acc[c] = combine(monoid_, acc[c], loops.row(made, count, 1));
          }
        }
      return;
    }
    const T* x = inputs[0].as<T>();
    if (std::abs(inner.in[0]) < std::abs(last.in[0]) || last.size == 1) {
      for (int64_t r = 0; r < rest_size; ++r, from.next(rest))
        loops.columns(x + from.in[0], last.size, last.in[0], n, inner.in[0], acc);
    } else {
      for (int64_t r = 0; r < rest_size; ++r, from.next(rest))
        for (int64_t c = 0; c < n; ++c)
          acc[c] = combine(monoid_, acc[c], loops.row(x + from.in[0] + c * inner.in[0], last.size, last.in[0]));
    }
  }

  int64_t stride_sum(const Axis& axis) const {
    int64_t sum = 0;
    for (int k = 0; k < operands_; ++k) sum += std::abs(axis.in[k]);
    return sum;
  }

  // `n` elements of the prologue along `axis`, from its element `first` on.
  template <typename T>
  void produce(std::span<const Tensor> inputs, const Position& at, const Axis& axis, int64_t first, int64_t n, T* made) const {
    TapeOperand operands[kMaxOperands];
    for (int k = 0; k < operands_; ++k)
      operands[k] = {element(inputs[k], at.in[k] + first * axis.in[k]), inputs[k].dtype, axis.in[k]};
    const TapeResult result{made, dtype_, 1};
    prologue_->run(n, {operands, static_cast<size_t>(operands_)}, {&result, 1});
  }

  static const std::byte* element(const Tensor& t, int64_t offset) {
    return t.as<std::byte>() + offset * (info(t.dtype).bits / 8);
  }

  template <typename T>
  void finish(std::span<const Tensor> inputs, const Tensor& y, const Axis& inner, const Position& at, int64_t n, const T* acc) const {
    std::byte* out = y.as<std::byte>() + at.out * (info(y.dtype).bits / 8);
    if (!epilogue_ && y.dtype == dtype_) {
      T* q = reinterpret_cast<T*>(out);
      for (int64_t i = 0; i < n; ++i) q[i * inner.out] = acc[i];
      return;
    }
    TapeOperand operands[kMaxOperands + 1] = {{acc, dtype_, 1}};
    const size_t sides = inputs.size() - static_cast<size_t>(operands_);
    for (size_t k = 0; k < sides; ++k) {
      const Tensor& side = inputs[static_cast<size_t>(operands_) + k];
      operands[k + 1] = {element(side, at.side[k]), side.dtype, inner.side[k]};
    }
    const TapeResult result{out, y.dtype, inner.out};
    epilogue_->run(n, {operands, sides + 1}, {&result, 1});
  }

  Monoid monoid_;
  bool dynamic_, keepdims_, all_axes_;  // all_axes_: what an empty list of axes means
  std::vector<int64_t> axes_;
  std::shared_ptr<const Tape> prologue_, epilogue_;
  int operands_;
  DType dtype_;
};

template <bool dynamic>
std::unique_ptr<Kernel> make_plain(const StepInfo& step) {
  return std::make_unique<Reduce>(step, dynamic);
}

std::unique_ptr<Kernel> make_reduce(const StepInfo& step) {
  // Programs read and write every type themselves.
  if (step.attributes.has("prologue")) return make_plain<false>(step);
  return adapt(step, kStridedNumbers, make_plain<false>, Signature{.max_inputs = 17, .same_outputs = 0});
}

}  // namespace

void register_reduce() {
  register_kernel("reduce", make_reduce);
  register_kernel("reduceDynamic", adapted<make_plain<true>, kStridedNumbers, Signature{.max_inputs = 2, .sizes_outputs = true}>);
}

}  // namespace tw
