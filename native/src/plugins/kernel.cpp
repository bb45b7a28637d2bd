// Steps that a plugin of a library computes: `plugin` on the processor, `cuda.plugin` on a device.
#include "base/kernel.h"

#include <algorithm>

#include "cuda/queue.h"
#include "executor/layout.h"
#include "plugins/fields.h"
#include "plugins/inference.h"
#include "plugins/library.h"

namespace tw::plugins {
namespace {

tw_tensor tensor_of(const Tensor& t) {
  tw_tensor out{};
  out.data = t.data;
  out.dtype = code_of(t.dtype);
  out.rank = t.rank;
  if (t.rank > 0) std::copy_n(t.dims, t.rank, out.dims);
  return out;
}

// An omitted one has no type.
std::vector<tw_tensor> inputs_of(std::span<const Tensor> tensors) {
  std::vector<tw_tensor> out;
  for (const Tensor& t : tensors) out.push_back(t.rank < 0 ? tw_tensor{nullptr, 0, -1, {}} : tensor_of(t));
  return out;
}

// One of unknown shape has a type, but no memory.
std::vector<tw_tensor> outputs_of(std::span<const Tensor> tensors) {
  std::vector<tw_tensor> out;
  for (const Tensor& t : tensors) {
    out.push_back(tensor_of(t));
    if (t.rank < 0) out.back().data = nullptr;
  }
  return out;
}

bool is_data_dependent(const ExtentCode& code) { return code.size() != 1 || code[0][0] == 'f'; }

KnownShape shape_of(const Tensor& t) {
  if (t.rank < 0) return {};
  return {code_of(t.dtype), {t.dims, t.dims + t.rank}};
}

std::vector<KnownShape> shapes_of(std::span<const Tensor> tensors) {
  std::vector<KnownShape> out;
  for (const Tensor& t : tensors) out.push_back(shape_of(t));
  return out;
}

// What one run may ask of us; errors are kept until the plugin has returned.
struct Host {
  KernelContext& context;
  std::span<Tensor> outputs;
  std::string failure;
  std::optional<Error> error;
};

Host& host_of(void* host) { return *static_cast<Host*>(host); }

int32_t allocate(void* host, int32_t output, int32_t rank, const int64_t* dims, void** data) {
  Host& h = host_of(host);
  try {
    if (output < 0 || static_cast<size_t>(output) >= h.outputs.size() || rank < 0 || rank > kMaxRank || (rank && !dims))
      throw Error(Code::kPlugin, "it asked for memory of an output that is none");
    h.context.outputs_of_unknown_shape.allocate(static_cast<size_t>(output), {dims, static_cast<size_t>(rank)});
    *data = h.outputs[static_cast<size_t>(output)].data;
    return 0;
  } catch (const Error& e) {
    h.error.emplace(e);
  } catch (const std::bad_alloc&) {
    h.error.emplace(Code::kOutOfMemory, "out of memory");
  } catch (const std::exception& e) {
    h.error.emplace(Code::kPlugin, std::string("it asked for memory that cannot be had: ") + e.what());
  }
  return 1;
}

int32_t cancelled(void* host) { return host_of(host).context.cancelled.load(std::memory_order_relaxed); }
void fail(void* host, const char* message) { host_of(host).failure = message ? message : "it failed"; }

void fail_attachment(void* host, const char* message) {
  if (message) *static_cast<std::string*>(host) = message;
}

template <int32_t Backend>
class PluginKernel : public Kernel {
 public:
  explicit PluginKernel(const StepInfo& step)
      : loaded_(find_plugin(step.attributes.string("name"), step.attributes.string("version"),
                            step.attributes.string("namespace"))),
        fields_(plugin(), step.attributes),
        aliases_(aliases_of(plugin())) {
    const auto inputs = static_cast<size_t>(plugin().input_count), outputs = static_cast<size_t>(plugin().output_count);
    if (step.inputs.size() != inputs || step.outputs.size() != outputs)
      throw Error(Code::kInvalidPlan, "plugin " + title(plugin()) + " has " + std::to_string(inputs) + " inputs and " +
                                          std::to_string(outputs) + " outputs");
    // What it allocates belongs to the step's device.
    if ((device_ = step.device)) device_->enter();
    if (!plugin().attach) return;
    std::string failure = "it gave no reason";
    const tw_attachment attachment{sizeof(tw_attachment), &failure, Backend, fields_.data(), fail_attachment};
    if (!(state_ = guarded("attach", [&] { return plugin().attach(&attachment); })))
      refuse("attach failed: " + failure);
  }
  ~PluginKernel() override {
    if (!state_ || !plugin().detach) return;
    try {
      if (device_) device_->enter();
      plugin().detach(state_);
    } catch (...) {
      // Nobody is left to tell.
    }
  }

  bool recordable() const override { return Backend == TW_CUDA && !(plugin().flags & TW_NOT_RECORDED); }

  size_t workspace_bytes(std::span<const Tensor> inputs, std::span<const Tensor> outputs, int) const override {
    if (!plugin().workspace_bytes) return 0;
    auto in = inputs_of(inputs), out = outputs_of(outputs);
    for (auto* list : {&in, &out})
      for (tw_tensor& t : *list) t.data = nullptr;
    const int64_t bytes = guarded(
        "workspace_bytes", [&] { return plugin().workspace_bytes(Backend, fields_.data(), in.data(), out.data()); });
    if (bytes < 0) refuse("workspace_bytes gives a negative size");
    return static_cast<size_t>(bytes);
  }

  // The plugin writes what it believes its outputs to be, so a plan must believe the same.
  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    for (std::span<const Tensor> list : {inputs, outputs})
      for (const Tensor& t : list)
        if (t.rank >= 0 && !t.contiguous()) throw Error(Code::kInvalidPlan, "operands of a plugin are dense");
    const Inference inference = infer(plugin(), fields_, shapes_of(inputs));
    for (size_t i = 0; i < outputs.size(); ++i) {
      const InferredShape& expected = inference.outputs[i];
      if (outputs[i].dtype != expected.dtype) throw Error(Code::kDTypeMismatch, output(i) + " has another type");
      if (outputs[i].rank < 0) {
        const bool decides = std::any_of(expected.dims.begin(), expected.dims.end(), is_data_dependent);
        if (!decides && Backend == TW_CUDA)
          throw Error(Code::kInvalidPlan, output(i) + " has a shape, but no memory in the plan");
        continue;
      }
      if (static_cast<size_t>(outputs[i].rank) != expected.dims.size())
        throw Error(Code::kShapeMismatch, output(i) + " has another rank");
      for (size_t a = 0; a < expected.dims.size(); ++a) {
        const ExtentCode& code = expected.dims[a];
        if (is_data_dependent(code)) continue;
        if (code[0] != std::to_string(outputs[i].dims[a]))
          throw Error(Code::kShapeMismatch, output(i) + " has " + std::to_string(outputs[i].dims[a]) + " at axis " +
                                                std::to_string(a) + ", expected " + code[0]);
      }
    }
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    give_memory(context, inputs, outputs);
    Host host{context, outputs, {}, {}};
    auto in = inputs_of(inputs);
    auto out = outputs_of(outputs);
    share_memory(context, inputs, outputs, in);
    void* stream = nullptr;
    if constexpr (Backend == TW_CUDA) stream = static_cast<cuda::Queue&>(*context.queue).lend();
    const tw_run run{sizeof(tw_run),
                     &host,
                     Backend,
                     stream,
                     context.workspace,
                     static_cast<int64_t>(workspace_bytes(inputs, outputs, 0)),
                     state_,
                     fields_.data(),
                     allocate,
                     cancelled,
                     fail};
    const int32_t result = guarded("enqueue", [&] { return plugin().enqueue(&run, in.data(), out.data()); });
    if (host.error) throw Error(host.error->code, "plugin " + title(plugin()) + ": " + host.error->what());
    if (result != 0 || !host.failure.empty())
      refuse("enqueue failed: " + (host.failure.empty() ? std::string("it gave no reason") : host.failure));
    for (size_t i = 0; i < outputs.size(); ++i)
      if (outputs[i].rank < 0) refuse("enqueue has not allocated output '" + std::string(plugin().outputs[i]) + "'");
  }

 private:
  // What a plugin of ours would throw, it does not: the C++ header turns it into words. Others may.
  template <typename F>
  auto guarded(const char* what, F&& f) const -> decltype(f()) {
    try {
      return f();
    } catch (...) {
      refuse(std::string(what) + " threw an exception across the C interface");
    }
  }
  // An output that the plan leaves out has memory too where its shape is known: a plugin sees no omitted outputs, and
  // what has no memory is for it to allocate.
  void give_memory(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const {
    if (std::none_of(outputs.begin(), outputs.end(), [](const Tensor& t) { return t.rank < 0; })) return;
    const Inference inference = infer(plugin(), fields_, shapes_of(inputs));
    for (size_t i = 0; i < outputs.size(); ++i) {
      const auto& extents = inference.outputs[i].dims;
      if (outputs[i].rank >= 0 || std::any_of(extents.begin(), extents.end(), is_data_dependent)) continue;
      std::vector<int64_t> dims;
      for (const ExtentCode& code : extents) dims.push_back(std::stoll(code[0]));
      context.outputs_of_unknown_shape.allocate(i, dims);
    }
  }
  // What is changed in place lies in the output. Plans see to that; where one does not, the input is copied there.
  void share_memory(KernelContext& context, std::span<const Tensor> inputs, std::span<const Tensor> outputs,
                    std::vector<tw_tensor>& in) const {
    for (const Alias& a : aliases_) {
      const Tensor &from = inputs[a.input], &to = outputs[a.output];
      if (from.rank < 0 || to.rank < 0) continue;
      if (from.dtype != to.dtype || !same_dims(from, dims_of(to)))
        throw Error(Code::kShapeMismatch, output(a.output) + " is not of the type and shape of input '" +
                                              plugin().inputs[a.input] + "', whose memory it shares");
      if (from.data == to.data) continue;
      if constexpr (Backend == TW_CUDA)
        context.queue->copy(to.data, from.data, dense_bytes(from));
      else
        std::copy_n(from.as<std::byte>(), dense_bytes(from), to.as<std::byte>());
      in[a.input].data = to.data;
    }
    // A plan of a time when the plugin changed the input in place.
    for (size_t i = 0; i < inputs.size(); ++i)
      for (size_t o = 0; o < outputs.size(); ++o) {
        const bool shares = inputs[i].rank >= 0 && outputs[o].rank >= 0 && outputs[o].data == in[i].data;
        const auto is_it = [&](const Alias& a) { return a.output == o && a.input == i; };
        if (shares && dense_bytes(outputs[o]) > 0 && dense_bytes(inputs[i]) > 0 &&
            std::none_of(aliases_.begin(), aliases_.end(), is_it))
          throw Error(Code::kInvalidPlan, output(o) + " lies in the memory of input '" + plugin().inputs[i] +
                                              "', which the plugin does not change in place");
      }
  }
  const tw_plugin& plugin() const { return *loaded_.plugin; }
  std::string output(size_t i) const {
    return "output '" + std::string(plugin().outputs[i]) + "' of plugin " + title(plugin());
  }
  [[noreturn]] void refuse(const std::string& why) const {
    throw Error(Code::kPlugin, "plugin " + title(plugin()) + ": " + why);
  }

  LoadedPlugin loaded_;
  FieldValues fields_;
  std::vector<Alias> aliases_;
  std::shared_ptr<Device> device_;
  void* state_ = nullptr;
};

template <int32_t Backend>
std::unique_ptr<Kernel> make(const StepInfo& step) {
  return std::make_unique<PluginKernel<Backend>>(step);
}

}  // namespace
}  // namespace tw::plugins

namespace tw {
void register_plugins() {
  register_kernel("plugin", plugins::make<TW_CPU>);
  register_kernel("cuda.plugin", plugins::make<TW_CUDA>);
}
}  // namespace tw
