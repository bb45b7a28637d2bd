// Pieces of a device's memory that JavaScript owns, and copies to and from them.
#include "bindings/cuda.h"
#include "bindings/environment.h"
#include "bindings/handle.h"
#include "bindings/tensors.h"

namespace tw {
namespace {

class CopyJob : public Job {
 public:
  CopyJob(std::shared_ptr<DeviceMemory> memory, std::span<std::byte> host, bool up)
      : memory_(std::move(memory)), host_(host), up_(up) {
    if (host_.size() != memory_->bytes)
      throw Error(Code::kShapeMismatch, "the device buffer has " + std::to_string(memory_->bytes) +
                                            " bytes, the tensor " + std::to_string(host_.size()));
  }
  void execute() override {
    if (up_) memory_->device->upload(memory_->block.data(), host_.data(), host_.size());
    else memory_->device->download(host_.data(), memory_->block.data(), host_.size());
  }
  Napi::Value result(Napi::Env env) override { return env.Undefined(); }

 private:
  std::shared_ptr<DeviceMemory> memory_;
  std::span<std::byte> host_;
  bool up_;
};

Napi::Value allocate(const Napi::CallbackInfo& info) {
  const Reader bytes(info[0], "bytes", Code::kInvalidArgument), index(info[1], "device", Code::kInvalidArgument);
  if (bytes.integer() < 0) bytes.fail("a number of bytes");
  if (index.integer() < 0 || index.integer() > INT32_MAX) index.fail("the index of a device");
  auto memory = std::make_shared<DeviceMemory>();
  memory->device = open_device(static_cast<int>(index.integer()));
  memory->block = DeviceBlock(memory->device);
  memory->bytes = static_cast<size_t>(bytes.integer());
  memory->block.reserve(std::max<size_t>(memory->bytes, 1));
  memory->copies = std::make_shared<JobQueue>();
  return make_handle(info.Env(), std::move(memory));
}

Napi::Value memory_state(const Napi::CallbackInfo& info) {
  const Reader index(info[0], "device", Code::kInvalidArgument);
  if (index.integer() < 0 || index.integer() > INT32_MAX) index.fail("the index of a device");
  const DeviceMemoryState state = open_device(static_cast<int>(index.integer()))->memory();
  Napi::Object o = Napi::Object::New(info.Env());
  o.Set("freeBytes", Napi::Number::New(info.Env(), static_cast<double>(state.free)));
  o.Set("totalBytes", Napi::Number::New(info.Env(), static_cast<double>(state.total)));
  o.Set("ownBytes", Napi::Number::New(info.Env(), static_cast<double>(state.own)));
  return o;
}

template <bool Up>
Napi::Value copy(const Napi::CallbackInfo& info) {
  const auto memory = handle<DeviceMemory>(info[0]);
  auto job = std::make_unique<CopyJob>(memory, bytes_of({info[1], "data", Code::kInvalidArgument}), Up);
  job->pin(info[1].As<Napi::Object>());
  return Environment::of(info.Env()).submit(std::move(job), memory->copies.get());
}

}  // namespace

void export_device_memory(Napi::Env env, Napi::Object exports) {
  exports.Set("deviceAllocate", Napi::Function::New(env, guarded<allocate>, "deviceAllocate"));
  exports.Set("deviceMemory", Napi::Function::New(env, guarded<memory_state>, "deviceMemory"));
  exports.Set("deviceWrite", Napi::Function::New(env, guarded<copy<true>>, "deviceWrite"));
  exports.Set("deviceRead", Napi::Function::New(env, guarded<copy<false>>, "deviceRead"));
}

}  // namespace tw
