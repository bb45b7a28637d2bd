// linearAttention(query, key, value, pastState?, decay?, beta?){qNumHeads, kvNumHeads, scale, updateRule}: attention as a
// recurrence over a state [B, Hkv, Dk, Dv]. query [B, T, Hq * Dk], key [B, T, Hkv * Dk], value [B, T, Hkv * Dv],
// decay [B, T, Hkv or Hkv * Dk] as logarithms, beta [B, T, Hkv or 1].
#include <algorithm>
#include <cmath>

#include "kernels/common/adapt.h"
#include "kernels/common/shape.h"

namespace tw {
namespace {

class LinearAttention final : public Kernel {
 public:
  explicit LinearAttention(const StepInfo& step)
      : query_heads_(step.attributes.integer("qNumHeads", 0)),
        key_heads_(step.attributes.integer("kvNumHeads", 0)),
        scale_(step.attributes.number("scale", 0)) {
    if (key_heads_ < 1 || query_heads_ < 1 || query_heads_ % key_heads_ != 0)
      throw Error(Code::kInvalidPlan, "linearAttention: qNumHeads must be a positive multiple of kvNumHeads");
    visit_float("linearAttention", step.inputs[0].dtype, [](auto) {});
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    const Tensor &q = inputs[0], &k = inputs[1], &v = inputs[2];
    for (size_t i : {0, 1, 2, 4, 5})
      if (present(inputs, i)) {
        expect_rank("query, key, value, decay and beta", inputs[i], 3, 3);
        expect(inputs[i].dims[0] == q.dims[0] && inputs[i].dims[1] == q.dims[1], "the inputs have different batches or steps");
      }
    const int64_t dk = q.dims[2] / query_heads_, dv = v.dims[2] / key_heads_;
    expect(q.dims[2] == dk * query_heads_ && k.dims[2] == dk * key_heads_ && v.dims[2] == dv * key_heads_, "query, key and value do not divide into the heads");
    if (present(inputs, 3)) expect_dims("the past state", inputs[3], {q.dims[0], key_heads_, dk, dv});
    if (present(inputs, 4)) expect(inputs[4].dims[2] == key_heads_ || inputs[4].dims[2] == key_heads_ * dk, "decay must have a number for each key head, or for each of its elements");
    if (present(inputs, 5)) expect(inputs[5].dims[2] == key_heads_ || inputs[5].dims[2] == 1, "beta must have one number, or one for each key head");
    expect_dims("the output", outputs[0], {q.dims[0], q.dims[1], query_heads_ * dv});
    if (outputs.size() > 1) expect_dims("the present state", outputs[1], {q.dims[0], key_heads_, dk, dv});
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    visit_float("linearAttention", inputs[0].dtype, [&](auto tag) { run_as<typename decltype(tag)::type>(context, inputs, outputs); });
  }

 private:
  template <typename T>
  void run_as(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const {
    const Tensor &q = inputs[0], &k = inputs[1], &v = inputs[2];
    const int64_t batch = q.dims[0], steps = q.dims[1], dk = q.dims[2] / query_heads_, dv = v.dims[2] / key_heads_;
    const int64_t group = query_heads_ / key_heads_, state_size = dk * dv;
    const T* decay = present(inputs, 4) ? inputs[4].as<T>() : nullptr;
    const T* beta = present(inputs, 5) ? inputs[5].as<T>() : nullptr;
    const int64_t decay_width = decay ? inputs[4].dims[2] : 0, beta_width = beta ? inputs[5].dims[2] : 0;
    const T scale = static_cast<T>(scale_ != 0 ? scale_ : 1 / std::sqrt(static_cast<double>(dk)));
    context.pool.parallel_for(batch * key_heads_, [&](int64_t task, int) {
      const int64_t b = task / key_heads_, h = task % key_heads_;
      std::vector<T> own, written(static_cast<size_t>(dv));
      T* state;
      if (wanted(outputs, 1)) {
        state = outputs[1].as<T>() + task * state_size;
      } else {
        own.resize(static_cast<size_t>(state_size));
        state = own.data();
      }
      if (present(inputs, 3)) std::copy_n(inputs[3].as<T>() + task * state_size, state_size, state);
      else std::fill_n(state, state_size, T(0));
      for (int64_t t = 0; t < steps; ++t) {
        const int64_t row = b * steps + t;
        const T *key = k.as<T>() + (row * key_heads_ + h) * dk, *value = v.as<T>() + (row * key_heads_ + h) * dv;
        if (decay)
          for (int64_t d = 0; d < dk; ++d) {
            const T gate = std::exp(decay_width == key_heads_ ? decay[row * key_heads_ + h] : decay[(row * key_heads_ + h) * dk + d]);
            for (int64_t m = 0; m < dv; ++m) state[d * dv + m] *= gate;
          }
        std::copy_n(value, dv, written.begin());
        if (beta) {
          for (int64_t d = 0; d < dk; ++d)
            for (int64_t m = 0; m < dv; ++m) written[static_cast<size_t>(m)] -= state[d * dv + m] * key[d];
          const T factor = beta[beta_width == 1 ? row : row * key_heads_ + h];
          for (T& u : written) u *= factor;
        }
        for (int64_t d = 0; d < dk; ++d)
          for (int64_t m = 0; m < dv; ++m) state[d * dv + m] += key[d] * written[static_cast<size_t>(m)];
        for (int64_t g = 0; g < group; ++g) {
          const int64_t head = row * query_heads_ + h * group + g;
          const T* query = q.as<T>() + head * dk;
          T* y = outputs[0].as<T>() + head * dv;
          std::fill_n(y, dv, T(0));
          for (int64_t d = 0; d < dk; ++d)
            for (int64_t m = 0; m < dv; ++m) y[m] += query[d] * state[d * dv + m];
          for (int64_t m = 0; m < dv; ++m) y[m] *= scale;
        }
      }
    });
  }

  int64_t query_heads_, key_heads_;
  double scale_;
};

}  // namespace

void register_linear_attention() { register_kernel("linearAttention", adapted<make<LinearAttention>, kDenseNumbers,
                                             Signature{.min_inputs = 3, .max_inputs = 6, .max_outputs = 2, .same_inputs = 0b111110, .same_outputs = 0b11}>); }

}  // namespace tw
