// Tensor cores of one warp. Fragments, with g = lane / 4 and t = lane % 4 (a register holds neighbours along K):
//   accumulator 16×8: c[0], c[1] are row g, columns 2t, 2t+1; c[2], c[3] the same of row g+8
//   A 16×K: a[0] row g, a[1] row g+8, at the t-th register of the first half of K; a[2], a[3] the second half
//   B K×8:  b[0] column g at the t-th register of the first half of K; b[1] the second half
// A register is 2 values of 16 bits (K = 16), one tf32 (K = 8), or 4 bytes (K = 32).

// Loads four 8×8 matrices of 16-bit elements; lane i gives the address of row i % 8 of matrix i / 8 (16 bytes, aligned).
// r[j] gets elements 2t, 2t+1 of row g of matrix j.
TW_DEVICE void ldmatrix_x4(u32 (&r)[4], const void* shared_row) {
#ifdef TW_EMULATOR
  tw_emulator_ldmatrix(r, shared_row, 4, false);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(shared_row))
               : "memory");
#endif
}

// The same, transposed: r[j] gets elements (2t, g) and (2t+1, g) of matrix j.
TW_DEVICE void ldmatrix_x4_trans(u32 (&r)[4], const void* shared_row) {
#ifdef TW_EMULATOR
  tw_emulator_ldmatrix(r, shared_row, 4, true);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(shared_row))
               : "memory");
#endif
}

// Two matrices, addressed by lanes 0 to 15.
TW_DEVICE void ldmatrix_x2(u32 (&r)[2], const void* shared_row) {
#ifdef TW_EMULATOR
  tw_emulator_ldmatrix(r, shared_row, 2, false);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(shared_row))
               : "memory");
#endif
}

TW_DEVICE void ldmatrix_x2_trans(u32 (&r)[2], const void* shared_row) {
#ifdef TW_EMULATOR
  tw_emulator_ldmatrix(r, shared_row, 2, true);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(shared_row))
               : "memory");
#endif
}

// c += a·b, f16 or bf16 operands, exact products, f32 accumulation.
template <typename T>
TW_DEVICE void mma_m16n8k16(f32 (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) {
  static_assert(is_same<T, f16> || is_same<T, bf16>, "a 16-bit float");
#ifdef TW_EMULATOR
  if constexpr (is_same<T, f16>) tw_emulator_mma_f16(c, a, b);
  else tw_emulator_mma_bf16(c, a, b);
#else
  if constexpr (is_same<T, f16>) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
#endif
}

// The same with half the depth: the first two registers of A and the first of B.
template <typename T>
TW_DEVICE void mma_m16n8k8_half(f32 (&c)[4], const u32 (&a)[2], u32 b) {
  static_assert(is_same<T, f16> || is_same<T, bf16>, "a 16-bit float");
#ifdef TW_EMULATOR
  mma_m16n8k16<T>(c, {a[0], a[1], 0u, 0u}, {b, 0u});
#else
  if constexpr (is_same<T, f16>) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(b));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(b));
  }
#endif
}

// c += a·b, tf32 operands (floats whose low 13 bits are ignored; to_tf32() rounds), f32 accumulation.
TW_DEVICE void mma_m16n8k8(f32 (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) {
#ifdef TW_EMULATOR
  tw_emulator_mma_tf32(c, a, b);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// c += a·b, i8 or u8 operands in any combination, wrapping i32 accumulation.
template <typename A, typename B = A>
TW_DEVICE void mma_m16n8k32(i32 (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) {
  static_assert((is_same<A, i8> || is_same<A, u8>) && (is_same<B, i8> || is_same<B, u8>), "8-bit integers");
#ifdef TW_EMULATOR
  tw_emulator_mma_int8(c, a, b, is_signed<A>, is_signed<B>);
#else
#define TW_MMA_INT8(types)                                                                                    \
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32." types                                                 \
               ".s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                         \
               : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])                                               \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
  if constexpr (is_signed<A> && is_signed<B>) TW_MMA_INT8("s8.s8");
  else if constexpr (is_signed<A>) TW_MMA_INT8("s8.u8");
  else if constexpr (is_signed<B>) TW_MMA_INT8("u8.s8");
  else TW_MMA_INT8("u8.u8");
#undef TW_MMA_INT8
#endif
}
