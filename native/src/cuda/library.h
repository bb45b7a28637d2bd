// Shared libraries opened at run time: never closed, since threads and handles of theirs outlive us.
#pragma once
#include <string>
#include <vector>

#include "base/dynamic_library.h"

namespace tw::cuda {

class Library {
 public:
  // Opens what `variable` names, where that environment variable is set, else the first candidate that opens.
  static Library open(const char* variable, const std::vector<std::string>& candidates);

  bool loaded() const { return file_.loaded(); }
  // What was opened; where nothing was: every name tried, with its reason.
  const std::string& description() const { return description_; }
  void* symbol(const char* name) const { return file_.symbol(name); }
  // The folder of the file that has this symbol; empty where the system does not tell.
  std::string folder(const char* symbol_name) const { return file_.folder(symbol_name); }

 private:
  DynamicLibrary file_;
  std::string description_;
};

// Names of a toolkit library: as the loader finds it, in the toolkit's folders, in those of Python packages.
std::vector<std::string> toolkit_candidates(const std::string& file, const std::vector<std::string>& majors);

}  // namespace tw::cuda
