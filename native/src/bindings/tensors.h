// Tensors across the border: typed arrays read in place, outputs handed over without a copy where that pays.
#pragma once
#include <napi.h>

#include <span>
#include <vector>

#include "bindings/reader.h"
#include "executor/context.h"

namespace tw {

// Inputs of a run, and what must stay alive while it lasts.
struct BoundTensors {
  std::vector<Tensor> tensors;
  std::vector<Block> copies;  // of data that is not aligned to its elements
  std::vector<std::shared_ptr<DeviceMemory>> memories;
  Napi::Array data;  // the typed arrays
};

// The tensor's data, or a copy of it where that does not lie as its elements want it.
void* aligned_data(const Tensor& tensor, std::vector<Block>& copies);

// {dtype, dims, data} or null.
BoundTensors read_tensors(const Reader& list);
Tensor read_tensor(const Reader& from);

// The memory of a list of {data} or null; undefined: none given. Its typed arrays join `data`.
std::vector<OutputSlot> read_output_slots(const Reader& list, size_t count, const Napi::Array& data);

// {dtype, dims, data}, or null for what is not a tensor; `given` is the user's memory where the run wrote there.
Napi::Value make_tensor(Napi::Env env, OutputSlot& slot, Napi::Value given);
Napi::Array make_tensors(Napi::Env env, std::span<OutputSlot> slots, Napi::Value given);

std::span<std::byte> bytes_of(const Reader& typed_array);
Napi::Value make_bytes(Napi::Env env, Block block, size_t bytes);

}  // namespace tw
