// Philox4x32-10 (Salmon et al., SC 2011): number i of a stream is a function of the key and i alone.

TW_DEVICE u32 philox_word(u64 key, u64 i) {
  const u64 block = i / 4;
  u32 c0 = static_cast<u32>(block), c1 = static_cast<u32>(block >> 32), c2 = 0, c3 = 0;
  u32 k0 = static_cast<u32>(key), k1 = static_cast<u32>(key >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const u32 high0 = __umulhi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
    const u32 high1 = __umulhi(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return (i & 2) ? ((i & 1) ? c3 : c2) : ((i & 1) ? c1 : c0);
}

// In [0, 1), with 24 random bits.
TW_DEVICE f64 philox_uniform(u64 key, u64 i) { return static_cast<f64>(philox_word(key, i) >> 8) * (1.0 / 16777216.0); }

// Box and Muller: two words make two numbers.
TW_DEVICE f64 philox_normal(u64 key, u64 i) {
  const u64 pair = i & ~u64{1};
  const f64 radius = sqrt(-2.0 * log(1.0 - philox_uniform(key, pair)));
  const f64 angle = 6.283185307179586 * philox_uniform(key, pair + 1);
  return radius * ((i & 1) ? sin(angle) : cos(angle));
}

// A key that no other run has.
TW_DEVICE u64 fresh_key() {
#ifdef TW_EMULATOR
  static u64 runs = 0x9E3779B97F4A7C15ull;
  return runs += 0x9E3779B97F4A7C15ull;
#else
  u64 now;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
  return now * 0x9E3779B97F4A7C15ull ^ static_cast<u64>(clock64());
#endif
}
