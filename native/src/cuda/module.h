// Machine code on the device: loaded once for all programs that carry the same bytes.
#pragma once
#include <memory>
#include <span>
#include <string>

#include "cuda/device.h"

namespace tw::cuda {

class Module {
 public:
  static std::shared_ptr<Module> load(std::shared_ptr<CudaDevice> device, std::span<const std::byte> code);
  ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  // With as much dynamic shared memory allowed as asked for. Makes the device current.
  FunctionHandle function(const std::string& name, size_t shared_bytes) const;

 private:
  Module(std::shared_ptr<CudaDevice> device, std::span<const std::byte> code);

  std::shared_ptr<CudaDevice> device_;
  ModuleHandle handle_ = nullptr;
};

}  // namespace tw::cuda
