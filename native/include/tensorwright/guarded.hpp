// How what C++ throws becomes an error of the engine.
#pragma once
#include <cstdint>
#include <exception>
#include <utility>

// Hidden, so that libraries with classes of the same name keep apart and can be unloaded.
#if defined(_WIN32)
#define TENSORWRIGHT_HIDDEN
#else
#define TENSORWRIGHT_HIDDEN __attribute__((visibility("hidden")))
#endif

namespace tensorwright TENSORWRIGHT_HIDDEN {
namespace detail TENSORWRIGHT_HIDDEN {

// Calls F; what it throws goes to `fail`. 0: it threw nothing.
template <typename Host, typename F>
std::int32_t guarded(const Host* host, F&& f) noexcept {
  try {
    std::forward<F>(f)();
    return 0;
  } catch (const std::exception& e) {
    host->fail(host->host, e.what());
  } catch (...) {
    host->fail(host->host, "it threw what is no std::exception");
  }
  return 1;
}

}  // namespace detail TENSORWRIGHT_HIDDEN
}  // namespace tensorwright TENSORWRIGHT_HIDDEN
