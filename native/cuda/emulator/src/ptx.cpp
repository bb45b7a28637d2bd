#include "ptx.h"

#include <cstring>
#include <string_view>

namespace tw_emulator {
namespace {

template <typename T>
T parameter(void** parameters, int index) {
  T value;
  std::memcpy(&value, parameters[index], sizeof value);
  return value;
}

// native/src/cuda/graph_fills.cpp
constexpr unsigned kFillSizes[] = {8, 4, 4};
const tw_emulator_kernel fill = {
    [](void** parameters) {
      const tw_emulator_thread& t = *tw_emulator_self;
      const unsigned i = t.block_index.x * t.block_dim.x + t.thread_index.x;
      if (i >= parameter<unsigned>(parameters, 2)) return;
      reinterpret_cast<unsigned*>(parameter<DevicePointer>(parameters, 0))[i] = parameter<unsigned>(parameters, 1);
    },
    3, kFillSizes, 0};

}  // namespace

const tw_emulator_module_info ptx_module = {TW_EMULATOR_INTERFACE, 800, nullptr, nullptr};

bool is_ptx(const void* image) {
  constexpr std::string_view kBegin = ".version";
  return std::strncmp(static_cast<const char*>(image), kBegin.data(), kBegin.size()) == 0;
}

const tw_emulator_kernel* ptx_kernel(const std::string& name) { return name == "fill" ? &fill : nullptr; }

}  // namespace tw_emulator
