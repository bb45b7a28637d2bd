#include "bindings/tensors.h"

#include <cstring>
#include <memory>

#include "bindings/handle.h"
#include "executor/layout.h"

namespace tw {
namespace {

// Below this, allocating in JavaScript and copying is cheaper than an external buffer and its finalizer.
constexpr size_t kCopiedBelow = 16384;

struct ArrayKind {
  napi_typedarray_type type;
  size_t width;
};

// The typed array each dtype is stored in, as Tensor of @tensorwright/core has it.
ArrayKind array_of(DType t) {
  switch (t) {
    case DType::kFloat32:
    case DType::kComplex64:
      return {napi_float32_array, 4};
    case DType::kFloat64:
    case DType::kComplex128:
      return {napi_float64_array, 8};
    case DType::kFloat16:
    case DType::kBFloat16:
    case DType::kUInt16:
      return {napi_uint16_array, 2};
    case DType::kInt8:
      return {napi_int8_array, 1};
    case DType::kInt16:
      return {napi_int16_array, 2};
    case DType::kInt32:
      return {napi_int32_array, 4};
    case DType::kUInt32:
      return {napi_uint32_array, 4};
    case DType::kInt64:
      return {napi_bigint64_array, 8};
    case DType::kUInt64:
      return {napi_biguint64_array, 8};
    default:
      return {napi_uint8_array, 1};
  }
}

bool aligned(const void* data, DType t) { return reinterpret_cast<uintptr_t>(data) % array_of(t).width == 0; }

// Memory that JavaScript holds, and where it goes when collected.
struct Held {
  Block block;
  std::shared_ptr<SpareBlocks> spare;

  static void release(napi_env, void*, void* hint) {
    const std::unique_ptr<Held> held(static_cast<Held*>(hint));
    if (held->spare) held->spare->give(std::move(held->block));
  }
};

Napi::ArrayBuffer make_buffer(Napi::Env env, Block block, size_t bytes, std::shared_ptr<SpareBlocks> spare = nullptr) {
  if (bytes >= kCopiedBelow) {
    std::unique_ptr<Held> held(new Held{std::move(block), std::move(spare)});
    napi_value external;
    const napi_status status =
        napi_create_external_arraybuffer(env, held->block.data(), bytes, Held::release, held.get(), &external);
    if (status == napi_ok) {
      held.release();
      return {env, external};
    }
    block = std::move(held->block);
    // Some hosts (Electron) do not allow external memory.
    if (status != napi_no_external_buffers_allowed) throw Napi::Error::New(env);
  }
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, bytes);
  if (bytes) std::memcpy(buffer.Data(), block.data(), bytes);
  return buffer;
}

std::span<std::byte> device_bytes(const Napi::Value& value) {
  const auto memory = handle<DeviceMemory>(value);
  return {memory->block.data(), memory->bytes};
}

}  // namespace

std::span<std::byte> bytes_of(const Reader& r) {
  if (!r.value().IsTypedArray()) r.fail("a typed array");
  const auto array = r.value().As<Napi::TypedArray>();
  void* data = nullptr;
  if (napi_get_typedarray_info(r.value().Env(), array, nullptr, nullptr, &data, nullptr, nullptr) != napi_ok)
    r.fail("a typed array");
  return {static_cast<std::byte*>(data), array.ByteLength()};
}

Tensor read_tensor(const Reader& r) {
  Tensor t;
  t.dtype = dtype_from_name(r.field("dtype").string());
  const Reader data = r.field("data");
  t.on_device = data.value().IsExternal();
  const auto bytes = t.on_device ? device_bytes(data.value()) : bytes_of(data);
  set_dense(t, r.field("dims").integers(), {}, r.path().c_str());
  if (bytes.size() != dense_bytes(t))
    throw Error(Code::kShapeMismatch, data.path() + ": " + std::string(info(t.dtype).name) + dims_text(t) + " needs " +
                                          std::to_string(dense_bytes(t)) + " bytes, received " +
                                          std::to_string(bytes.size()));
  t.data = bytes.empty() ? no_elements() : bytes.data();
  return t;
}

void* aligned_data(const Tensor& t, std::vector<Block>& copies) {
  if (t.on_device || aligned(t.data, t.dtype)) return t.data;
  copies.emplace_back(dense_bytes(t));
  std::memcpy(copies.back().data(), t.data, dense_bytes(t));
  return copies.back().data();
}

BoundTensors read_tensors(const Reader& list) {
  BoundTensors bound;
  const uint32_t n = list.length();
  bound.data = Napi::Array::New(list.value().Env(), n);
  for (uint32_t i = 0; i < n; ++i) {
    Napi::HandleScope scope(list.value().Env());
    const Reader r = list.element(i);
    Tensor t;
    t.rank = -1;
    if (!r.null()) {
      t = read_tensor(r);
      bound.data.Set(i, r.field("data").value());
      if (t.on_device) bound.memories.push_back(handle<DeviceMemory>(r.field("data").value()));
      t.data = aligned_data(t, bound.copies);
    }
    bound.tensors.push_back(t);
  }
  return bound;
}

std::vector<OutputSlot> read_output_slots(const Reader& list, size_t count, const Napi::Array& data) {
  std::vector<OutputSlot> slots(count);
  if (list.absent()) return slots;
  if (list.length() != count)
    throw Error(Code::kInvalidArgument, list.path() + ": expected " + std::to_string(count) + " entries");
  for (size_t i = 0; i < count; ++i) {
    Napi::HandleScope scope(list.value().Env());
    const Reader r = list.element(static_cast<uint32_t>(i));
    if (r.null() || r.absent()) continue;
    const DType dtype = dtype_from_name(r.field("dtype").string());
    const Reader memory = r.field("data");
    const bool on_device = memory.value().IsExternal();
    if (on_device) slots[i].device_memory = handle<DeviceMemory>(memory.value());
    const auto bytes = on_device ? device_bytes(memory.value()) : bytes_of(memory);
    slots[i].fixed = bytes.empty() ? no_elements() : bytes.data();
    slots[i].fixed_bytes = bytes.size();
    slots[i].deferred = !on_device && !aligned(bytes.data(), dtype);
    slots[i].dtype = dtype;
    Napi::Array pinned = data;
    pinned.Set(data.Length(), memory.value());
  }
  return slots;
}

Napi::Value make_bytes(Napi::Env env, Block block, size_t bytes) {
  return Napi::Uint8Array::New(env, bytes, make_buffer(env, std::move(block), bytes), 0);
}

Napi::Value make_tensor(Napi::Env env, OutputSlot& slot, Napi::Value given) {
  const Tensor& t = slot.tensor;
  if (t.rank < 0) return env.Null();
  Napi::Object object = Napi::Object::New(env);
  object.Set("dtype", Napi::String::New(env, info(t.dtype).name.data(), info(t.dtype).name.size()));
  Napi::Array dims = Napi::Array::New(env, static_cast<size_t>(t.rank));
  for (int a = 0; a < t.rank; ++a)
    dims.Set(static_cast<uint32_t>(a), Napi::Number::New(env, static_cast<double>(t.dims[a])));
  object.Set("dims", dims);
  if (slot.fixed) {
    object.Set("data", given.As<Napi::Object>().Get("data"));
    return object;
  }
  const size_t bytes = dense_bytes(t);
  const ArrayKind kind = array_of(t.dtype);
  const Napi::ArrayBuffer buffer = make_buffer(env, std::move(slot.block), bytes, std::move(slot.spare));
  napi_value data;
  if (napi_create_typedarray(env, kind.type, bytes / kind.width, buffer, 0, &data) != napi_ok)
    throw Napi::Error::New(env);
  object.Set("data", data);
  return object;
}

Napi::Array make_tensors(Napi::Env env, std::span<OutputSlot> slots, Napi::Value given) {
  Napi::Array list = Napi::Array::New(env, slots.size());
  for (size_t i = 0; i < slots.size(); ++i) {
    const auto at = static_cast<uint32_t>(i);
    const Napi::Value own = slots[i].fixed ? given.As<Napi::Array>().Get(at) : env.Undefined();
    list.Set(at, make_tensor(env, slots[i], own));
  }
  return list;
}

}  // namespace tw
