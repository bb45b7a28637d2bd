// A process that ends while threads of ours work: nothing that they use may go before them.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <thread>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "base/attributes.h"
#include "base/error.h"
#include "base/kernel.h"
#include "executor/threads.h"
#include "support/check.h"

namespace {

std::atomic<bool> ends{false};

// Made before everything that is made when it is first used, and so destroyed after it: what uses that meanwhile shows.
struct Linger {
  ~Linger() {
    if (ends) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
} linger;

void make_kernels() {
  tw::Attributes attributes;
  attributes.set("hiddenSize", 4.0);
  for (;;) {
    for (const char* name : {"lstm", "no such kernel"}) {
      try {
        tw::make_kernel(name, {attributes, {}, {}, nullptr});
      } catch (const tw::Error&) {
      }
    }
  }
}

}  // namespace

#ifdef __GLIBC__
TEST(ends_while_kernels_are_made) {
  const pid_t child = fork();
  if (child == 0) {
    ends = true;
    mallopt(M_PERTURB, 0xA5);  // what is freed looks so
    for (int i = 0; i < 3; ++i) tw::run_detached([](const std::exception_ptr&) { make_kernels(); });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    std::exit(0);
  }
  int status = 0;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK(WIFEXITED(status));
  CHECK_EQ(WEXITSTATUS(status), 0);
}
#endif
