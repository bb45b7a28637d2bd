// A shared library opened at run time.
#pragma once
#include <string>

namespace tw {

class DynamicLibrary {
 public:
  DynamicLibrary() = default;
  // A path, or a name that the system's loader looks for; UTF-8 everywhere. Look at loaded(), then at reason().
  explicit DynamicLibrary(const std::string& file);
  ~DynamicLibrary();
  DynamicLibrary(DynamicLibrary&& other) noexcept;
  DynamicLibrary& operator=(DynamicLibrary&& other) noexcept;

  bool loaded() const { return handle_ != nullptr; }
  // Why nothing was opened, in the system's words.
  const std::string& reason() const { return reason_; }
  void* symbol(const char* name) const;
  // The folder of the file that has this symbol; empty where the system does not tell.
  std::string folder(const char* symbol_name) const;
  // Never closes it: threads and handles of its own outlive us.
  void keep() { kept_ = true; }

 private:
  void* handle_ = nullptr;
  bool kept_ = false;
  std::string reason_;
};

}  // namespace tw
