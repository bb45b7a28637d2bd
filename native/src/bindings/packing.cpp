// Packing weights for a tactic, off the JavaScript thread.
#include "bindings/packing.h"

#include "bindings/environment.h"
#include "bindings/tensors.h"
#include "kernels/contraction/pack.h"

namespace tw {
namespace {

class PackJob : public Job {
 public:
  PackJob(std::string tactic, Attributes attributes, BoundTensors weights)
      : tactic_(std::move(tactic)), attributes_(std::move(attributes)), weights_(std::move(weights)) {
    pin(weights_.data);
  }
  void execute() override {
    const Tensor& weights = weights_.tensors[0];
    bytes_ = packed_bytes(tactic_, attributes_, {weights.dims, static_cast<size_t>(weights.rank)});
    packed_.reserve(bytes_);
    pack(tactic_, attributes_, weights, packed_.data(), *shared_pool(0));
  }
  Napi::Value result(Napi::Env env) override { return make_bytes(env, std::move(packed_), bytes_); }

 private:
  std::string tactic_;
  Attributes attributes_;
  BoundTensors weights_;
  Block packed_;
  size_t bytes_ = 0;
};

Reader argument(const Napi::CallbackInfo& info, size_t i, const char* name) {
  return {info[i], name, Code::kInvalidArgument};
}

Napi::Value count_packed(const Napi::CallbackInfo& info) {
  const auto dims = argument(info, 2, "weightDims").integers();
  const size_t bytes =
      packed_bytes(argument(info, 0, "tactic").string(), argument(info, 1, "attributes").attributes(), dims);
  return Napi::Number::New(info.Env(), static_cast<double>(bytes));
}

Napi::Value start_pack(const Napi::CallbackInfo& info) {
  auto weights = read_tensors(argument(info, 2, "weights"));
  if (weights.tensors.size() != 1 || weights.tensors[0].rank < 0)
    throw Error(Code::kInvalidArgument, "expected one tensor of weights");
  auto job = std::make_unique<PackJob>(argument(info, 0, "tactic").string(),
                                       argument(info, 1, "attributes").attributes(), std::move(weights));
  return Environment::of(info.Env()).submit(std::move(job));
}

}  // namespace

void export_packing(Napi::Env env, Napi::Object exports) {
  exports.Set("packedBytes", Napi::Function::New(env, guarded<count_packed>, "packedBytes"));
  exports.Set("pack", Napi::Function::New(env, guarded<start_pack>, "pack"));
}

}  // namespace tw
