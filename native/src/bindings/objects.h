#pragma once
#include <napi.h>

namespace tw {

void export_objects(Napi::Env env, Napi::Object exports);

}  // namespace tw
