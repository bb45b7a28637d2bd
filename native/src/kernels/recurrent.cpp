// lstm, gru and rnn (x, w, r, bias?, sequenceLengths?, initialH?, initialC?, peephole?) -> y, yH, yC.
// x [T, B, I]; w [directions, gates * H, I]; y [T, directions, B, H]; the states [directions, B, H].
// Attributes: hiddenSize, direction, activations, activationAlpha, activationBeta, clip, inputForget, linearBeforeReset.
// Gates in ONNX's order: i, o, f, c; z, r, h; i.
//
// The inputs of all steps are multiplied at once; then the steps run one after another, each adding R h to its gates.
#include <algorithm>
#include <cmath>

#include "kernels/common/adapt.h"
#include "kernels/common/shape.h"
#include "kernels/recurrent_activations.h"
#include "kernels/recurrent_product.h"

namespace tw {
namespace {

enum class Cell { kLstm, kGru, kRnn };
constexpr int64_t kParallelStep = 1 << 18;  // multiplications in a step from which threads share it

int gates_of(Cell cell) { return cell == Cell::kLstm ? 4 : cell == Cell::kGru ? 3 : 1; }

std::vector<std::string> default_activations(Cell cell) {
  switch (cell) {
    case Cell::kLstm: return {"Sigmoid", "Tanh", "Tanh"};
    case Cell::kGru: return {"Sigmoid", "Tanh"};
    default: return {"Tanh"};
  }
}

// The packed weights of every direction.
template <typename T>
struct Weights {
  std::vector<RecurrentProduct<T>> input, recurrent, hidden;  // hidden: gru's third gate, apart from the first two

  void pack(Cell cell, const Tensor& w, const Tensor& r) {
    const int64_t directions = w.dims[0], rows = w.dims[1], inputs = w.dims[2], size = r.dims[2];
    const int64_t early = cell == Cell::kGru ? 2 * size : rows;
    input.resize(static_cast<size_t>(directions)), recurrent.resize(input.size()), hidden.resize(input.size());
    for (int64_t d = 0; d < directions; ++d) {
      const auto k = static_cast<size_t>(d);
      input[k].pack(w.as<T>() + d * rows * inputs, rows, inputs);
      recurrent[k].pack(r.as<T>() + d * rows * size, early, size);
      if (cell == Cell::kGru) hidden[k].pack(r.as<T>() + (d * rows + early) * size, size, size);
    }
  }
};

class Recurrent final : public Kernel {
 public:
  Recurrent(const StepInfo& step, Cell cell)
      : cell_(cell),
        direction_(step.attributes.string("direction", "forward")),
        coupled_(step.attributes.flag("inputForget")),
        linear_first_(step.attributes.flag("linearBeforeReset")) {
    if (direction_ != "forward" && direction_ != "reverse" && direction_ != "bidirectional")
      throw Error(Code::kInvalidPlan, "a recurrent layer's direction is '" + direction_ + "'");
    activations_ = recurrent_activations(step.attributes, default_activations(cell), direction_ == "bidirectional" ? 2 : 1);
    visit_float("a recurrent layer", step.inputs[0].dtype, [](auto) {});
    const Tensor &w = step.inputs[1], &r = step.inputs[2];
    if (w.dtype == DType::kFloat32 && w.data && r.data && w.rank == 3 && r.rank == 3 && w.contiguous() && r.contiguous()) {
      check_weights(w, r);
      constant_ = std::make_unique<Weights<float>>();
      constant_->pack(cell_, w, r);
    }
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    const Tensor &x = inputs[0], &w = inputs[1], &r = inputs[2];
    expect_rank("x", x, 3, 3);
    check_weights(w, r);
    const int64_t directions = w.dims[0], batch = x.dims[1], size = r.dims[2], rows = w.dims[1];
    expect(x.dims[2] == w.dims[2], "x and w have different widths");
    const auto given = [&](const char* what, size_t i, std::initializer_list<int64_t> dims) {
      if (present(inputs, i)) expect_dims(what, inputs[i], dims);
    };
    given("bias", 3, {directions, 2 * rows});
    given("sequence lengths", 4, {batch});
    given("the initial state", 5, {directions, batch, size});
    given("the initial cell", 6, {directions, batch, size});
    given("peephole", 7, {directions, 3 * size});
    if (!outputs.empty()) expect_dims("y", outputs[0], {x.dims[0], directions, batch, size});
    for (size_t i = 1; i < outputs.size(); ++i) expect_dims("a last state", outputs[i], {directions, batch, size});
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    if (inputs[0].dtype == DType::kFloat64) {
      Weights<double> weights;
      weights.pack(cell_, inputs[1], inputs[2]);
      return run_as<double>(context, inputs, outputs, weights);
    }
    if (constant_) return run_as<float>(context, inputs, outputs, *constant_);
    Weights<float> weights;
    weights.pack(cell_, inputs[1], inputs[2]);
    run_as<float>(context, inputs, outputs, weights);
  }

 private:
  void check_weights(const Tensor& w, const Tensor& r) const {
    const int64_t directions = direction_ == "bidirectional" ? 2 : 1;
    if (w.rank != 3 || r.rank != 3 || w.dims[0] != directions || r.dims[0] != directions || w.dims[1] != gates_of(cell_) * r.dims[2] || r.dims[1] != w.dims[1])
      throw Error(Code::kShapeMismatch, "a recurrent layer's weights are w " + dims_text(extents(w)) + " and r " + dims_text(extents(r)) +
                                            ", which do not fit " + std::to_string(directions) + " directions of " + std::to_string(gates_of(cell_)) + " gates");
  }

  template <typename T>
  struct Direction {
    const T *recurrent_bias, *peephole;  // may be null
    const RecurrentActivation* f;
    bool reverse;
    T *h, *c;            // [B, H]
    T* gates;            // [T, B, gates * H]
    T* y;                // step t at y + t * y_step; may be null
    int64_t y_step;
    const RecurrentProduct<T>*recurrent, *hidden;
  };

  template <typename T>
  void run_as(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs, const Weights<T>& weights) const {
    const Tensor& x = inputs[0];
    const int64_t steps = x.dims[0], batch = x.dims[1], width = x.dims[2], size = inputs[2].dims[2], rows = gates_of(cell_) * size;
    const int64_t directions = inputs[1].dims[0], states = batch * size;
    std::vector<int64_t> lengths(static_cast<size_t>(batch), steps);
    if (present(inputs, 4)) lengths = read_integers(inputs[4], "sequence lengths");
    for (int64_t length : lengths)
      if (length < 0 || length > steps)
        throw Error(Code::kInvalidArgument, "a sequence length is " + std::to_string(length) + ", expected 0 to " + std::to_string(steps));
    const T* bias = present(inputs, 3) ? inputs[3].as<T>() : nullptr;

    std::vector<T> gates(static_cast<size_t>(directions * steps * batch * rows)), state(static_cast<size_t>(2 * directions * states));
    const auto initial = [&](size_t index, T* to) {
      if (present(inputs, index)) std::copy_n(inputs[index].as<T>(), directions * states, to);
      else std::fill_n(to, directions * states, T(0));
    };
    initial(5, state.data());
    if (cell_ == Cell::kLstm) initial(6, state.data() + directions * states);
    T* const y = wanted(outputs, 0) ? outputs[0].as<T>() : nullptr;
    if (y) std::fill_n(y, steps * directions * states, T(0));

    // W x + Wb for all steps. Each thread takes some of the columns, and so reads its part of the weights but once.
    const int64_t all = steps * batch, panels = weights.input[0].panels();
    const int64_t grain = std::max<int64_t>(1, kParallelStep / std::max<int64_t>(1, all * width * kPanel));
    context.pool.parallel_ranges(directions * panels, grain, [&](int64_t begin, int64_t end, int) {
      std::vector<T*> pointers(static_cast<size_t>(all));
      for (int64_t d = begin / panels; d * panels < end; ++d) {
        const int64_t first = std::max<int64_t>(0, begin - d * panels), last = std::min(panels, end - d * panels);
        const int64_t column = first * kPanel, columns = std::min(rows, last * kPanel) - column;
        for (int64_t i = 0; i < all; ++i) {
          T* to = gates.data() + (d * all + i) * rows;
          pointers[static_cast<size_t>(i)] = to;
          if (bias) std::copy_n(bias + d * 2 * rows + column, columns, to + column);
        }
        weights.input[static_cast<size_t>(d)].add(x.as<T>(), width, all, pointers.data(), first, last);
      }
    });

    const auto run_direction = [&](int64_t d, ThreadPool* pool) {
      const auto k = static_cast<size_t>(d);
      const size_t per = activations_.size() / static_cast<size_t>(directions);
      const Direction<T> layer{bias ? bias + (d * 2 + 1) * rows : nullptr,
                               cell_ == Cell::kLstm && present(inputs, 7) ? inputs[7].as<T>() + d * 3 * size : nullptr,
                               &activations_[k * per],
                               direction_ == "reverse" || d == 1,
                               state.data() + d * states,
                               state.data() + (directions + d) * states,
                               gates.data() + d * all * rows,
                               y ? y + d * states : nullptr,
                               directions * states,
                               &weights.recurrent[k],
                               &weights.hidden[k]};
      run_steps(layer, context, pool, steps, batch, size, lengths);
    };
    if (directions == 2) context.pool.parallel_for(2, [&](int64_t d, int) { run_direction(d, nullptr); });
    else run_direction(0, &context.pool);

    if (wanted(outputs, 1)) std::copy_n(state.data(), directions * states, outputs[1].as<T>());
    if (cell_ == Cell::kLstm && wanted(outputs, 2)) std::copy_n(state.data() + directions * states, directions * states, outputs[2].as<T>());
  }

  template <typename T>
  static void multiply(const RecurrentProduct<T>& product, ThreadPool* pool, const T* x, int64_t size, int64_t batch, T* const* y, bool backwards) {
    const int64_t panels = product.panels();
    if (pool && batch * size * panels * kPanel >= kParallelStep)
      pool->parallel_ranges(panels, 4, [&](int64_t begin, int64_t end, int) { product.add(x, size, batch, y, begin, end, backwards); });
    else
      product.add(x, size, batch, y, 0, panels, backwards);
  }

  template <typename T>
  void run_steps(const Direction<T>& layer, KernelContext& context, ThreadPool* pool, int64_t steps, int64_t batch, int64_t size, const std::vector<int64_t>& lengths) const {
    const int64_t rows = gates_of(cell_) * size;
    std::vector<T> idle(static_cast<size_t>(rows)), reset(static_cast<size_t>(batch * size)), hidden(static_cast<size_t>(batch * size)), scratch(static_cast<size_t>(size));
    std::vector<T*> gates(static_cast<size_t>(batch)), hidden_rows(static_cast<size_t>(batch));
    for (int64_t b = 0; b < batch; ++b) hidden_rows[static_cast<size_t>(b)] = hidden.data() + b * size;
    for (int64_t s = 0; s < steps; ++s) {
      if (context.cancelled.load(std::memory_order_relaxed)) throw Error(Code::kAborted, "the run was cancelled");
      const auto step_of = [&](int64_t b) { return layer.reverse ? lengths[static_cast<size_t>(b)] - 1 - s : s; };
      const auto active = [&](int64_t b) { return s < lengths[static_cast<size_t>(b)]; };
      for (int64_t b = 0; b < batch; ++b) {
        T*& row = gates[static_cast<size_t>(b)];
        row = active(b) ? layer.gates + (step_of(b) * batch + b) * rows : idle.data();
        if (active(b) && layer.recurrent_bias)  // the third gate of a gru adds its own later
          for (int64_t i = 0; i < (cell_ == Cell::kGru ? 2 * size : rows); ++i) row[i] += layer.recurrent_bias[i];
      }
      multiply(*layer.recurrent, pool, layer.h, size, batch, gates.data(), s % 2);
      if (cell_ == Cell::kGru) gru_hidden(layer, pool, batch, size, s, gates, active, reset, hidden, hidden_rows);
      for (int64_t b = 0; b < batch; ++b) {
        if (!active(b)) continue;
        T *g = gates[static_cast<size_t>(b)], *h = layer.h + b * size;
        if (cell_ == Cell::kLstm) lstm_step(layer, g, h, layer.c + b * size, size, scratch.data());
        else if (cell_ == Cell::kGru) gru_step(layer, g, h, hidden_rows[static_cast<size_t>(b)], size);
        else {
          layer.f[0].apply(g, size);
          std::copy_n(g, size, h);
        }
        if (layer.y) std::copy_n(h, size, layer.y + step_of(b) * layer.y_step + b * size);
      }
    }
  }

  template <typename T>
  void lstm_step(const Direction<T>& layer, T* gates, T* h, T* c, int64_t n, T* scratch) const {
    T *in = gates, *out = gates + n, *forget = gates + 2 * n, *cell = gates + 3 * n;
    const T* p = layer.peephole;
    if (p)
      for (int64_t i = 0; i < n; ++i) in[i] += p[i] * c[i], forget[i] += p[2 * n + i] * c[i];
    layer.f[0].apply(in, n);
    if (coupled_)
      for (int64_t i = 0; i < n; ++i) forget[i] = 1 - in[i];
    else
      layer.f[0].apply(forget, n);
    layer.f[1].apply(cell, n);
    for (int64_t i = 0; i < n; ++i) c[i] = forget[i] * c[i] + in[i] * cell[i];
    if (p)
      for (int64_t i = 0; i < n; ++i) out[i] += p[n + i] * c[i];
    layer.f[0].apply(out, n);
    // The cell's own clipping, if any, is of the activation's argument and must not reach the state.
    std::copy_n(c, n, scratch);
    layer.f[2].apply(scratch, n);
    for (int64_t i = 0; i < n; ++i) h[i] = out[i] * scratch[i];
  }

  // The first two gates are finished, then what the third adds from the state: R (reset h) + Rb or reset (R h + Rb).
  template <typename T, typename Active>
  void gru_hidden(const Direction<T>& layer, ThreadPool* pool, int64_t batch, int64_t n, int64_t step, const std::vector<T*>& gates, const Active& active,
                  std::vector<T>& reset, std::vector<T>& hidden, const std::vector<T*>& hidden_rows) const {
    for (int64_t b = 0; b < batch; ++b) {
      T *h = layer.h + b * n, *out = hidden.data() + b * n, *with_reset = reset.data() + b * n;
      const T* r = gates[static_cast<size_t>(b)] + n;
      if (active(b)) layer.f[0].apply(gates[static_cast<size_t>(b)], 2 * n);
      if (layer.recurrent_bias) std::copy_n(layer.recurrent_bias + 2 * n, n, out);
      else std::fill_n(out, n, T(0));
      for (int64_t i = 0; i < n; ++i) with_reset[i] = linear_first_ ? h[i] : active(b) ? r[i] * h[i] : T(0);
    }
    multiply(*layer.hidden, pool, reset.data(), n, batch, hidden_rows.data(), step % 2);
  }

  template <typename T>
  void gru_step(const Direction<T>& layer, T* gates, T* h, const T* hidden, int64_t n) const {
    const T *update = gates, *r = gates + n;
    T* candidate = gates + 2 * n;
    for (int64_t i = 0; i < n; ++i) candidate[i] += linear_first_ ? r[i] * hidden[i] : hidden[i];
    layer.f[1].apply(candidate, n);
    for (int64_t i = 0; i < n; ++i) h[i] = (1 - update[i]) * candidate[i] + update[i] * h[i];
  }

  Cell cell_;
  std::string direction_;
  bool coupled_, linear_first_;
  std::vector<RecurrentActivation> activations_;
  std::unique_ptr<Weights<float>> constant_;
};

template <Cell cell>
std::unique_ptr<Kernel> make_recurrent(const StepInfo& step) {
  return std::make_unique<Recurrent>(step, cell);
}

}  // namespace

void register_recurrent() {
  register_kernel("lstm", adapted<make_recurrent<Cell::kLstm>, kDenseNumbers,
                                Signature{.min_inputs = 3, .max_inputs = 8, .min_outputs = 0, .max_outputs = 3, .same_inputs = 0b11101110, .same_outputs = 0b111}>);
  register_kernel("gru", adapted<make_recurrent<Cell::kGru>, kDenseNumbers,
                                Signature{.min_inputs = 3, .max_inputs = 6, .min_outputs = 0, .max_outputs = 2, .same_inputs = 0b101110, .same_outputs = 0b11}>);
  register_kernel("rnn", adapted<make_recurrent<Cell::kRnn>, kDenseNumbers,
                                Signature{.min_inputs = 3, .max_inputs = 6, .min_outputs = 0, .max_outputs = 2, .same_inputs = 0b101110, .same_outputs = 0b11}>);
}

}  // namespace tw
