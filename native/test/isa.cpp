// Instruction set detection against the compiler's own detection, and the registry's basic promises.
#include "base/isa.h"

#include "base/kernel.h"
#include "support/check.h"

using namespace tw;

TEST(detection_agrees_with_the_compiler_runtime) {
#if TW_X86 && defined(__GNUC__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512cd");
  if (TW_BUILT_ISA_LEVEL >= 1) CHECK_EQ(detected_isa() >= Isa::kAvx2, avx2);
  if (TW_BUILT_ISA_LEVEL >= 2) CHECK_EQ(detected_isa() >= Isa::kAvx512, avx512);
  if (TW_BUILT_ISA_LEVEL >= 2) CHECK_EQ(has_vnni(), avx512 && __builtin_cpu_supports("avx512vnni"));
#else
  CHECK_EQ(detected_isa(), Isa::kV2);
#endif
}

TEST(limit_lowers_and_restores) {
  limit_isa(Isa::kV2);
  CHECK_EQ(isa(), Isa::kV2);
  CHECK(!has_vnni());
  limit_isa(Isa::kAmx);
  CHECK_EQ(isa(), detected_isa());
}

TEST(unknown_kernel_is_an_invalid_plan) {
  const Attributes attributes;
  try {
    make_kernel("noSuchKernel", {attributes, {}, {}});
    CHECK(false);
  } catch (const Error& e) {
    CHECK_EQ(e.code, Code::kInvalidPlan);
    CHECK(std::string(e.what()).find("noSuchKernel") != std::string::npos);
  }
}
