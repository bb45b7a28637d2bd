// NVIDIA devices and the kernel compiler, as JavaScript asks for them.
#pragma once
#include <napi.h>

namespace tw {
void export_cuda(Napi::Env env, Napi::Object exports);
void export_device_memory(Napi::Env env, Napi::Object exports);
}  // namespace tw
