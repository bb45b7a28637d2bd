// Plugin libraries, as JavaScript loads and asks them.
#pragma once
#include <napi.h>

namespace tw {
void export_plugins(Napi::Env env, Napi::Object exports);
}  // namespace tw
