// Hopper: tensor cores of a warpgroup (four warps, the first one's index divisible by four), sm_90a only. D is 64×N in
// registers: warp w of the group holds rows 16w to 16w + 15 as N / 8 accumulators of mma.m16n8, d[4j …] being columns 8j
// to 8j + 7. One instruction covers 32 bytes of K: 16 values of f16 and bf16, 8 of tf32, 32 of i8 and u8.
//
// A kernel names the widths it uses, at namespace scope: `TW_USE_WGMMA(f16, 128)` gives
//   wgmma<f16, 128>(f32 (&d)[64], u64 a, u64 b, bool accumulate)               both from shared memory
//   wgmma<f16, 128>(f32 (&d)[64], const u32 (&a)[4], u64 b, bool accumulate)   A as the fragment of mma.m16n8k16
// Sequence: wgmma_fence, wgmma …, wgmma_commit, wgmma_wait. Nothing of d and a may be touched before the wait.

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

TW_DEVICE void wgmma_fence() {
#ifndef TW_EMULATOR
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}
TW_DEVICE void wgmma_commit() {
#ifdef TW_EMULATOR
  tw_emulator_wgmma_commit();
#else
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}
// Waits until at most N of the warpgroup's youngest groups are under way.
template <int N>
TW_DEVICE void wgmma_wait() {
#ifdef TW_EMULATOR
  tw_emulator_wgmma_wait(N);
#else
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
#endif
}
// Keeps the compiler from moving an accumulator across fences and waits.
template <typename T, int N>
TW_DEVICE void wgmma_hold(T (&d)[N]) {
#ifndef TW_EMULATOR
#pragma unroll
  for (int i = 0; i < N; ++i) {
    if constexpr (is_same<T, f32>) asm volatile("" : "+f"(d[i])::"memory");
    else asm volatile("" : "+r"(d[i])::"memory");
  }
#else
  (void)d;
#endif
}

// Gives registers back to the multiprocessor, or takes more, for each thread of the warpgroup: a multiple of 8. The
// kernel needs __launch_bounds__(threads, 1).
template <int Count>
TW_DEVICE void registers_decrease() {
#ifndef TW_EMULATOR
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Count));
#endif
}
template <int Count>
TW_DEVICE void registers_increase() {
#ifndef TW_EMULATOR
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Count));
#endif
}

// Describes an operand in shared memory. `Swizzle` is the span in bytes: 128, 64, 32, or 0 for none.
// K runs fastest ("K-major"): rows of `Swizzle` bytes; `stride` is the distance of groups of 8 rows (8 * Swizzle when
//   dense), `leading` is ignored. The next 32 bytes of K: descriptor + 2; the next 64 rows: + (64 * Swizzle) / 16.
//   Without swizzle: blocks of 8 rows of 16 bytes, `leading` apart along K and `stride` apart along the rows.
// The other index runs fastest (16-bit types only, see the Transpose parameters): `Swizzle` bytes of one k after the
//   other; `leading` is the distance of the next such columns, `stride` that of the next 8 k's. The next k-step: 16 k's on.
template <int Swizzle>
TW_DEVICE u64 wgmma_descriptor(const void* shared, u32 stride = 8 * Swizzle, u32 leading = 16) {
  static_assert(Swizzle == 128 || Swizzle == 64 || Swizzle == 32 || Swizzle == 0, "a swizzle span");
  constexpr u64 layout = Swizzle == 128 ? 1 : Swizzle == 64 ? 2 : Swizzle == 32 ? 3 : 0;
  return (shared_address(shared) & 0x3FFFFu) >> 4 | static_cast<u64>(leading >> 4) << 16 |
         static_cast<u64>(stride >> 4) << 32 | layout << 62;
}

// Names the tf32 instruction; its values are floats in memory.
struct tf32 {};

// Specialised by TW_USE_WGMMA.
template <typename T, int N, int TransposeA, int TransposeB>
struct Wgmma;

template <typename T, int N, int TransposeA = 0, int TransposeB = 0, typename D>
TW_DEVICE void wgmma(D (&d)[N / 2], u64 a, u64 b, bool accumulate) {
  Wgmma<T, N, TransposeA, TransposeB>::multiply(d, a, b, accumulate);
}
template <typename T, int N, int TransposeB = 0, typename D>
TW_DEVICE void wgmma(D (&d)[N / 2], const u32 (&a)[4], u64 b, bool accumulate) {
  Wgmma<T, N, 0, TransposeB>::multiply(d, a, b, accumulate);
}

#define TW_USE_WGMMA(type, n) TW_USE_WGMMA_TRANSPOSED(type, n, 0, 0)

#ifdef TW_EMULATOR

template <typename T>
constexpr int wgmma_kind = is_same<T, f16> ? 0 : is_same<T, bf16> ? 1 : is_same<T, tf32> ? 2 : is_same<T, i8> ? 3 : 4;

// Also for operands whose other index runs fastest, where that is 1; A may only be so in shared memory.
#define TW_USE_WGMMA_TRANSPOSED(type, n, transpose_a, transpose_b)                             \
  template <>                                                                                  \
  struct Wgmma<type, n, transpose_a, transpose_b> {                                            \
    template <typename D>                                                                      \
    TW_DEVICE static void multiply(D (&d)[n / 2], u64 a, u64 b, bool accumulate) {             \
      tw_emulator_wgmma(wgmma_kind<type>, n, d, nullptr, a, b, accumulate, transpose_a, transpose_b); \
    }                                                                                          \
    template <typename D>                                                                      \
    TW_DEVICE static void multiply(D (&d)[n / 2], const u32 (&a)[4], u64 b, bool accumulate) { \
      tw_emulator_wgmma(wgmma_kind<type>, n, d, a, 0, b, accumulate, 0, transpose_b);          \
    }                                                                                          \
  };

#else

// What differs between types: shape and types of the instruction, constraint and type of a register, and the immediates
// at its end (scales, transposition).
#define TW_WGMMA_NAME_f16 "k16.f32.f16.f16"
#define TW_WGMMA_NAME_bf16 "k16.f32.bf16.bf16"
#define TW_WGMMA_NAME_tf32 "k8.f32.tf32.tf32"
#define TW_WGMMA_NAME_i8 "k32.s32.s8.s8"
#define TW_WGMMA_NAME_u8 "k32.s32.u8.u8"
#define TW_WGMMA_REGISTER_f16 "f"
#define TW_WGMMA_REGISTER_bf16 "f"
#define TW_WGMMA_REGISTER_tf32 "f"
#define TW_WGMMA_REGISTER_i8 "r"
#define TW_WGMMA_REGISTER_u8 "r"
#define TW_WGMMA_RESULT_f16 f32
#define TW_WGMMA_RESULT_bf16 f32
#define TW_WGMMA_RESULT_tf32 f32
#define TW_WGMMA_RESULT_i8 i32
#define TW_WGMMA_RESULT_u8 i32
#define TW_WGMMA_END_f16(ta, tb) ", 1, 1, " #ta ", " #tb
#define TW_WGMMA_END_bf16(ta, tb) ", 1, 1, " #ta ", " #tb
#define TW_WGMMA_END_tf32(ta, tb) ", 1, 1"
#define TW_WGMMA_END_i8(ta, tb) ""
#define TW_WGMMA_END_u8(ta, tb) ""
#define TW_WGMMA_END_FRAGMENT_f16(tb) ", 1, 1, " #tb
#define TW_WGMMA_END_FRAGMENT_bf16(tb) ", 1, 1, " #tb
#define TW_WGMMA_END_FRAGMENT_tf32(tb) ", 1, 1"
#define TW_WGMMA_END_FRAGMENT_i8(tb) ""
#define TW_WGMMA_END_FRAGMENT_u8(tb) ""

// What differs between widths N: names and operands of the registers of D, and the numbers of the operands behind them:
// two descriptors and the flag, or the four registers of A, a descriptor and the flag.
#define TW_WGMMA_FOUR(i, c) "+" c(d[i]), "+" c(d[i + 1]), "+" c(d[i + 2]), "+" c(d[i + 3])
#define TW_WGMMA_D8 "%0,%1,%2,%3"
#define TW_WGMMA_O8(c) TW_WGMMA_FOUR(0, c)
#define TW_WGMMA_SS8 "%4, %5"
#define TW_WGMMA_SS_FLAG8 "%6"
#define TW_WGMMA_RS8 "{%4,%5,%6,%7}, %8"
#define TW_WGMMA_RS_FLAG8 "%9"
#define TW_WGMMA_D16 TW_WGMMA_D8 ",%4,%5,%6,%7"
#define TW_WGMMA_O16(c) TW_WGMMA_O8(c), TW_WGMMA_FOUR(4, c)
#define TW_WGMMA_SS16 "%8, %9"
#define TW_WGMMA_SS_FLAG16 "%10"
#define TW_WGMMA_RS16 "{%8,%9,%10,%11}, %12"
#define TW_WGMMA_RS_FLAG16 "%13"
#define TW_WGMMA_D24 TW_WGMMA_D16 ",%8,%9,%10,%11"
#define TW_WGMMA_O24(c) TW_WGMMA_O16(c), TW_WGMMA_FOUR(8, c)
#define TW_WGMMA_SS24 "%12, %13"
#define TW_WGMMA_SS_FLAG24 "%14"
#define TW_WGMMA_RS24 "{%12,%13,%14,%15}, %16"
#define TW_WGMMA_RS_FLAG24 "%17"
#define TW_WGMMA_D32 TW_WGMMA_D24 ",%12,%13,%14,%15"
#define TW_WGMMA_O32(c) TW_WGMMA_O24(c), TW_WGMMA_FOUR(12, c)
#define TW_WGMMA_SS32 "%16, %17"
#define TW_WGMMA_SS_FLAG32 "%18"
#define TW_WGMMA_RS32 "{%16,%17,%18,%19}, %20"
#define TW_WGMMA_RS_FLAG32 "%21"
#define TW_WGMMA_D40 TW_WGMMA_D32 ",%16,%17,%18,%19"
#define TW_WGMMA_O40(c) TW_WGMMA_O32(c), TW_WGMMA_FOUR(16, c)
#define TW_WGMMA_SS40 "%20, %21"
#define TW_WGMMA_SS_FLAG40 "%22"
#define TW_WGMMA_RS40 "{%20,%21,%22,%23}, %24"
#define TW_WGMMA_RS_FLAG40 "%25"
#define TW_WGMMA_D48 TW_WGMMA_D40 ",%20,%21,%22,%23"
#define TW_WGMMA_O48(c) TW_WGMMA_O40(c), TW_WGMMA_FOUR(20, c)
#define TW_WGMMA_SS48 "%24, %25"
#define TW_WGMMA_SS_FLAG48 "%26"
#define TW_WGMMA_RS48 "{%24,%25,%26,%27}, %28"
#define TW_WGMMA_RS_FLAG48 "%29"
#define TW_WGMMA_D56 TW_WGMMA_D48 ",%24,%25,%26,%27"
#define TW_WGMMA_O56(c) TW_WGMMA_O48(c), TW_WGMMA_FOUR(24, c)
#define TW_WGMMA_SS56 "%28, %29"
#define TW_WGMMA_SS_FLAG56 "%30"
#define TW_WGMMA_RS56 "{%28,%29,%30,%31}, %32"
#define TW_WGMMA_RS_FLAG56 "%33"
#define TW_WGMMA_D64 TW_WGMMA_D56 ",%28,%29,%30,%31"
#define TW_WGMMA_O64(c) TW_WGMMA_O56(c), TW_WGMMA_FOUR(28, c)
#define TW_WGMMA_SS64 "%32, %33"
#define TW_WGMMA_SS_FLAG64 "%34"
#define TW_WGMMA_RS64 "{%32,%33,%34,%35}, %36"
#define TW_WGMMA_RS_FLAG64 "%37"
#define TW_WGMMA_D72 TW_WGMMA_D64 ",%32,%33,%34,%35"
#define TW_WGMMA_O72(c) TW_WGMMA_O64(c), TW_WGMMA_FOUR(32, c)
#define TW_WGMMA_SS72 "%36, %37"
#define TW_WGMMA_SS_FLAG72 "%38"
#define TW_WGMMA_RS72 "{%36,%37,%38,%39}, %40"
#define TW_WGMMA_RS_FLAG72 "%41"
#define TW_WGMMA_D80 TW_WGMMA_D72 ",%36,%37,%38,%39"
#define TW_WGMMA_O80(c) TW_WGMMA_O72(c), TW_WGMMA_FOUR(36, c)
#define TW_WGMMA_SS80 "%40, %41"
#define TW_WGMMA_SS_FLAG80 "%42"
#define TW_WGMMA_RS80 "{%40,%41,%42,%43}, %44"
#define TW_WGMMA_RS_FLAG80 "%45"
#define TW_WGMMA_D88 TW_WGMMA_D80 ",%40,%41,%42,%43"
#define TW_WGMMA_O88(c) TW_WGMMA_O80(c), TW_WGMMA_FOUR(40, c)
#define TW_WGMMA_SS88 "%44, %45"
#define TW_WGMMA_SS_FLAG88 "%46"
#define TW_WGMMA_RS88 "{%44,%45,%46,%47}, %48"
#define TW_WGMMA_RS_FLAG88 "%49"
#define TW_WGMMA_D96 TW_WGMMA_D88 ",%44,%45,%46,%47"
#define TW_WGMMA_O96(c) TW_WGMMA_O88(c), TW_WGMMA_FOUR(44, c)
#define TW_WGMMA_SS96 "%48, %49"
#define TW_WGMMA_SS_FLAG96 "%50"
#define TW_WGMMA_RS96 "{%48,%49,%50,%51}, %52"
#define TW_WGMMA_RS_FLAG96 "%53"
#define TW_WGMMA_D104 TW_WGMMA_D96 ",%48,%49,%50,%51"
#define TW_WGMMA_O104(c) TW_WGMMA_O96(c), TW_WGMMA_FOUR(48, c)
#define TW_WGMMA_SS104 "%52, %53"
#define TW_WGMMA_SS_FLAG104 "%54"
#define TW_WGMMA_RS104 "{%52,%53,%54,%55}, %56"
#define TW_WGMMA_RS_FLAG104 "%57"
#define TW_WGMMA_D112 TW_WGMMA_D104 ",%52,%53,%54,%55"
#define TW_WGMMA_O112(c) TW_WGMMA_O104(c), TW_WGMMA_FOUR(52, c)
#define TW_WGMMA_SS112 "%56, %57"
#define TW_WGMMA_SS_FLAG112 "%58"
#define TW_WGMMA_RS112 "{%56,%57,%58,%59}, %60"
#define TW_WGMMA_RS_FLAG112 "%61"
#define TW_WGMMA_D120 TW_WGMMA_D112 ",%56,%57,%58,%59"
#define TW_WGMMA_O120(c) TW_WGMMA_O112(c), TW_WGMMA_FOUR(56, c)
#define TW_WGMMA_SS120 "%60, %61"
#define TW_WGMMA_SS_FLAG120 "%62"
#define TW_WGMMA_RS120 "{%60,%61,%62,%63}, %64"
#define TW_WGMMA_RS_FLAG120 "%65"
#define TW_WGMMA_D128 TW_WGMMA_D120 ",%60,%61,%62,%63"
#define TW_WGMMA_O128(c) TW_WGMMA_O120(c), TW_WGMMA_FOUR(60, c)
#define TW_WGMMA_SS128 "%64, %65"
#define TW_WGMMA_SS_FLAG128 "%66"
#define TW_WGMMA_RS128 "{%64,%65,%66,%67}, %68"
#define TW_WGMMA_RS_FLAG128 "%69"
#define TW_WGMMA_D136 TW_WGMMA_D128 ",%64,%65,%66,%67"
#define TW_WGMMA_O136(c) TW_WGMMA_O128(c), TW_WGMMA_FOUR(64, c)
#define TW_WGMMA_SS136 "%68, %69"
#define TW_WGMMA_SS_FLAG136 "%70"
#define TW_WGMMA_RS136 "{%68,%69,%70,%71}, %72"
#define TW_WGMMA_RS_FLAG136 "%73"
#define TW_WGMMA_D144 TW_WGMMA_D136 ",%68,%69,%70,%71"
#define TW_WGMMA_O144(c) TW_WGMMA_O136(c), TW_WGMMA_FOUR(68, c)
#define TW_WGMMA_SS144 "%72, %73"
#define TW_WGMMA_SS_FLAG144 "%74"
#define TW_WGMMA_RS144 "{%72,%73,%74,%75}, %76"
#define TW_WGMMA_RS_FLAG144 "%77"
#define TW_WGMMA_D152 TW_WGMMA_D144 ",%72,%73,%74,%75"
#define TW_WGMMA_O152(c) TW_WGMMA_O144(c), TW_WGMMA_FOUR(72, c)
#define TW_WGMMA_SS152 "%76, %77"
#define TW_WGMMA_SS_FLAG152 "%78"
#define TW_WGMMA_RS152 "{%76,%77,%78,%79}, %80"
#define TW_WGMMA_RS_FLAG152 "%81"
#define TW_WGMMA_D160 TW_WGMMA_D152 ",%76,%77,%78,%79"
#define TW_WGMMA_O160(c) TW_WGMMA_O152(c), TW_WGMMA_FOUR(76, c)
#define TW_WGMMA_SS160 "%80, %81"
#define TW_WGMMA_SS_FLAG160 "%82"
#define TW_WGMMA_RS160 "{%80,%81,%82,%83}, %84"
#define TW_WGMMA_RS_FLAG160 "%85"
#define TW_WGMMA_D168 TW_WGMMA_D160 ",%80,%81,%82,%83"
#define TW_WGMMA_O168(c) TW_WGMMA_O160(c), TW_WGMMA_FOUR(80, c)
#define TW_WGMMA_SS168 "%84, %85"
#define TW_WGMMA_SS_FLAG168 "%86"
#define TW_WGMMA_RS168 "{%84,%85,%86,%87}, %88"
#define TW_WGMMA_RS_FLAG168 "%89"
#define TW_WGMMA_D176 TW_WGMMA_D168 ",%84,%85,%86,%87"
#define TW_WGMMA_O176(c) TW_WGMMA_O168(c), TW_WGMMA_FOUR(84, c)
#define TW_WGMMA_SS176 "%88, %89"
#define TW_WGMMA_SS_FLAG176 "%90"
#define TW_WGMMA_RS176 "{%88,%89,%90,%91}, %92"
#define TW_WGMMA_RS_FLAG176 "%93"
#define TW_WGMMA_D184 TW_WGMMA_D176 ",%88,%89,%90,%91"
#define TW_WGMMA_O184(c) TW_WGMMA_O176(c), TW_WGMMA_FOUR(88, c)
#define TW_WGMMA_SS184 "%92, %93"
#define TW_WGMMA_SS_FLAG184 "%94"
#define TW_WGMMA_RS184 "{%92,%93,%94,%95}, %96"
#define TW_WGMMA_RS_FLAG184 "%97"
#define TW_WGMMA_D192 TW_WGMMA_D184 ",%92,%93,%94,%95"
#define TW_WGMMA_O192(c) TW_WGMMA_O184(c), TW_WGMMA_FOUR(92, c)
#define TW_WGMMA_SS192 "%96, %97"
#define TW_WGMMA_SS_FLAG192 "%98"
#define TW_WGMMA_RS192 "{%96,%97,%98,%99}, %100"
#define TW_WGMMA_RS_FLAG192 "%101"
#define TW_WGMMA_D200 TW_WGMMA_D192 ",%96,%97,%98,%99"
#define TW_WGMMA_O200(c) TW_WGMMA_O192(c), TW_WGMMA_FOUR(96, c)
#define TW_WGMMA_SS200 "%100, %101"
#define TW_WGMMA_SS_FLAG200 "%102"
#define TW_WGMMA_RS200 "{%100,%101,%102,%103}, %104"
#define TW_WGMMA_RS_FLAG200 "%105"
#define TW_WGMMA_D208 TW_WGMMA_D200 ",%100,%101,%102,%103"
#define TW_WGMMA_O208(c) TW_WGMMA_O200(c), TW_WGMMA_FOUR(100, c)
#define TW_WGMMA_SS208 "%104, %105"
#define TW_WGMMA_SS_FLAG208 "%106"
#define TW_WGMMA_RS208 "{%104,%105,%106,%107}, %108"
#define TW_WGMMA_RS_FLAG208 "%109"
#define TW_WGMMA_D216 TW_WGMMA_D208 ",%104,%105,%106,%107"
#define TW_WGMMA_O216(c) TW_WGMMA_O208(c), TW_WGMMA_FOUR(104, c)
#define TW_WGMMA_SS216 "%108, %109"
#define TW_WGMMA_SS_FLAG216 "%110"
#define TW_WGMMA_RS216 "{%108,%109,%110,%111}, %112"
#define TW_WGMMA_RS_FLAG216 "%113"
#define TW_WGMMA_D224 TW_WGMMA_D216 ",%108,%109,%110,%111"
#define TW_WGMMA_O224(c) TW_WGMMA_O216(c), TW_WGMMA_FOUR(108, c)
#define TW_WGMMA_SS224 "%112, %113"
#define TW_WGMMA_SS_FLAG224 "%114"
#define TW_WGMMA_RS224 "{%112,%113,%114,%115}, %116"
#define TW_WGMMA_RS_FLAG224 "%117"
#define TW_WGMMA_D232 TW_WGMMA_D224 ",%112,%113,%114,%115"
#define TW_WGMMA_O232(c) TW_WGMMA_O224(c), TW_WGMMA_FOUR(112, c)
#define TW_WGMMA_SS232 "%116, %117"
#define TW_WGMMA_SS_FLAG232 "%118"
#define TW_WGMMA_RS232 "{%116,%117,%118,%119}, %120"
#define TW_WGMMA_RS_FLAG232 "%121"
#define TW_WGMMA_D240 TW_WGMMA_D232 ",%116,%117,%118,%119"
#define TW_WGMMA_O240(c) TW_WGMMA_O232(c), TW_WGMMA_FOUR(116, c)
#define TW_WGMMA_SS240 "%120, %121"
#define TW_WGMMA_SS_FLAG240 "%122"
#define TW_WGMMA_RS240 "{%120,%121,%122,%123}, %124"
#define TW_WGMMA_RS_FLAG240 "%125"
#define TW_WGMMA_D248 TW_WGMMA_D240 ",%120,%121,%122,%123"
#define TW_WGMMA_O248(c) TW_WGMMA_O240(c), TW_WGMMA_FOUR(120, c)
#define TW_WGMMA_SS248 "%124, %125"
#define TW_WGMMA_SS_FLAG248 "%126"
#define TW_WGMMA_RS248 "{%124,%125,%126,%127}, %128"
#define TW_WGMMA_RS_FLAG248 "%129"
#define TW_WGMMA_D256 TW_WGMMA_D248 ",%124,%125,%126,%127"
#define TW_WGMMA_O256(c) TW_WGMMA_O248(c), TW_WGMMA_FOUR(124, c)
#define TW_WGMMA_SS256 "%128, %129"
#define TW_WGMMA_SS_FLAG256 "%130"
#define TW_WGMMA_RS256 "{%128,%129,%130,%131}, %132"
#define TW_WGMMA_RS_FLAG256 "%133"

// Also for operands whose other index runs fastest, where that is 1; A may only be so in shared memory.
#define TW_USE_WGMMA_TRANSPOSED(type, n, transpose_a, transpose_b)                                                       \
  template <>                                                                                                            \
  struct Wgmma<type, n, transpose_a, transpose_b> {                                                                      \
    TW_DEVICE static void multiply(TW_WGMMA_RESULT_##type (&d)[n / 2], u64 a, u64 b, bool accumulate) {                  \
      asm volatile("{ .reg .pred p; setp.ne.b32 p, " TW_WGMMA_SS_FLAG##n ", 0;\n"                                        \
                   "wgmma.mma_async.sync.aligned.m64n" #n TW_WGMMA_NAME_##type " {" TW_WGMMA_D##n "}, " TW_WGMMA_SS##n    \
                   ", p" TW_WGMMA_END_##type(transpose_a, transpose_b) "; }"                                             \
                   : TW_WGMMA_O##n(TW_WGMMA_REGISTER_##type)                                                             \
                   : "l"(a), "l"(b), "r"(static_cast<i32>(accumulate)));                                                 \
    }                                                                                                                    \
    TW_DEVICE static void multiply(TW_WGMMA_RESULT_##type (&d)[n / 2], const u32 (&a)[4], u64 b, bool accumulate) {      \
      asm volatile("{ .reg .pred p; setp.ne.b32 p, " TW_WGMMA_RS_FLAG##n ", 0;\n"                                        \
                   "wgmma.mma_async.sync.aligned.m64n" #n TW_WGMMA_NAME_##type " {" TW_WGMMA_D##n "}, " TW_WGMMA_RS##n    \
                   ", p" TW_WGMMA_END_FRAGMENT_##type(transpose_b) "; }"                                                 \
                   : TW_WGMMA_O##n(TW_WGMMA_REGISTER_##type)                                                             \
                   : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<i32>(accumulate)));             \
    }                                                                                                                    \
  };

#endif

#endif
