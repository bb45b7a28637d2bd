#include "base/utf8.h"

#include <cstdlib>

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#endif

namespace tw {

#if defined(_WIN32)

std::wstring wide(const std::string& text) {
  const int length = static_cast<int>(text.size());
  std::wstring out(static_cast<size_t>(MultiByteToWideChar(CP_UTF8, 0, text.data(), length, nullptr, 0)), L'\0');
  MultiByteToWideChar(CP_UTF8, 0, text.data(), length, out.data(), static_cast<int>(out.size()));
  return out;
}

std::string narrow(const std::wstring& text) {
  const int length = static_cast<int>(text.size());
  const int bytes = WideCharToMultiByte(CP_UTF8, 0, text.data(), length, nullptr, 0, nullptr, nullptr);
  std::string out(static_cast<size_t>(bytes), '\0');
  WideCharToMultiByte(CP_UTF8, 0, text.data(), length, out.data(), bytes, nullptr, nullptr);
  return out;
}

// The process's own environment, which Node.js writes to: that of the C library is a copy from its start, in the
// system's code page.
std::string environment_variable(const char* name) {
  const std::wstring key = wide(name);
  std::wstring value;
  // The size may change between the two calls.
  for (DWORD size = GetEnvironmentVariableW(key.c_str(), nullptr, 0); size > value.size();) {
    value.resize(size);
    size = GetEnvironmentVariableW(key.c_str(), value.data(), size);
    if (size < value.size()) {
      value.resize(size);
      return narrow(value);
    }
  }
  return {};
}

#else

std::string environment_variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : std::string();
}

#endif

}  // namespace tw
