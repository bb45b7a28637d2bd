#include "cuda/library.h"

#include "base/utf8.h"

namespace tw::cuda {

Library Library::open(const char* variable, const std::vector<std::string>& candidates) {
  Library library;
  const std::string named = environment_variable(variable);
  const std::vector<std::string> names = named.empty() ? candidates : std::vector<std::string>{named};
  for (const std::string& name : names) {
    library.file_ = DynamicLibrary(name);
    if (library.loaded()) {
      library.file_.keep();
      library.description_ = name;
      return library;
    }
    // The loader's own words name the file already.
    if (library.description_.empty()) library.description_ = library.file_.reason();
  }
  return library;
}

std::vector<std::string> toolkit_candidates(const std::string& file, const std::vector<std::string>& majors) {
  std::vector<std::string> names;
#if defined(_WIN32)
  for (const std::string& major : majors) names.push_back(file + "64_" + major + "0_0.dll");
#else
  for (const std::string& major : majors) names.push_back("lib" + file + ".so." + major);
  std::vector<std::string> folders;
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"})
    if (const std::string home = environment_variable(variable); !home.empty()) folders.push_back(home + "/lib64");
  folders.push_back("/usr/local/cuda/lib64");
  for (const std::string& folder : folders)
    for (const std::string& major : majors) names.push_back(folder + "/lib" + file + ".so." + major);
#endif
  return names;
}

}  // namespace tw::cuda
