// Texts of ours are UTF-8; Windows' own functions take UTF-16.
#pragma once
#include <string>

namespace tw {

#if defined(_WIN32)
std::wstring wide(const std::string& text);
std::string narrow(const std::wstring& text);
#endif

// UTF-8 on every system; empty where the variable is not set.
std::string environment_variable(const char* name);

}  // namespace tw
