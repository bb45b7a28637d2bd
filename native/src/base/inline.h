// Force-inlined, internal functions: safe to share between translation units compiled for different instruction sets.
#pragma once

#if defined(_MSC_VER) && !defined(__clang__)
#define TW_INLINE static __forceinline
#define TW_IVDEP __pragma(loop(ivdep))
#elif defined(__clang__)
#define TW_INLINE static inline __attribute__((always_inline))
#define TW_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define TW_INLINE static inline __attribute__((always_inline))
// The next loop's iterations are independent, though it may write the very elements it reads.
#define TW_IVDEP _Pragma("GCC ivdep")
#endif
