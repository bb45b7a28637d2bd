#pragma once
#include <napi.h>

namespace tw {

void export_packing(Napi::Env env, Napi::Object exports);

}  // namespace tw
