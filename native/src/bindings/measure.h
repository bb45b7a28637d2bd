#pragma once
#include <napi.h>

namespace tw {
void export_measure(Napi::Env env, Napi::Object exports);
}
