// What compiled kernels and the emulator's runtime know of each other. Kernels are compiled with this text in front;
// the symbols live in libtensorwright_emulator_cuda.so.
#pragma once

// Part of every compiled kernel file; the runtime refuses files of another number.
#define TW_EMULATOR_INTERFACE 1

struct uint3 {
  unsigned x, y, z;
};

// A device thread, as far as kernels see it.
struct tw_emulator_thread {
  uint3 thread_index, block_index, block_dim, grid_dim;
};

// One kernel of a compiled file, exported as `tw_emulator_kernel_<name>`.
struct tw_emulator_kernel {
  void (*call)(void** parameters);
  unsigned parameter_count;
  const unsigned* parameter_sizes;
  unsigned max_threads;  // from __launch_bounds__; 0: not said
};

// One compiled file, exported as `tw_emulator_module`.
struct tw_emulator_module_info {
  int interface_number;
  int architecture;           // 800, 900, …
  char* static_shared_begin;  // all `__shared__` arrays
  char* static_shared_end;
};

extern "C" {
extern tw_emulator_thread* tw_emulator_self;  // the thread that runs now

// Ends the launch with an error and a line on stderr. Never returns.
[[noreturn]] void tw_emulator_fail(const char* reason);

// Meets the lanes of `mask` that call with the same `combine`; the last one to arrive runs it for all, with the
// arguments of lane i in arguments[i].
void tw_emulator_meet(unsigned mask, void (*combine)(void** arguments, unsigned mask), void* arguments);

void tw_emulator_barrier_sync(int id, int threads);
void tw_emulator_barrier_arrive(int id, int threads);
int tw_emulator_barrier_count(int predicate);  // __syncthreads_count
unsigned tw_emulator_active_mask(void);
void tw_emulator_yield(void);

void* tw_emulator_dynamic_shared(void);
unsigned tw_emulator_shared_address(const void* pointer);

unsigned tw_emulator_shuffle(unsigned mask, unsigned value, int operand, int width, int mode);
unsigned tw_emulator_ballot(unsigned mask, int predicate);
unsigned tw_emulator_match_any(unsigned mask, unsigned long long value);

void tw_emulator_cp_async(void* shared, const void* global, int bytes, int valid_bytes);
void tw_emulator_cp_async_commit(void);
void tw_emulator_cp_async_wait(int pending_groups);

void tw_emulator_ldmatrix(unsigned* r, const void* shared_row, int count, int transposed);
void tw_emulator_stmatrix(const unsigned* r, void* shared_row, int count, int transposed);
void tw_emulator_mma_f16(float* c, const unsigned* a, const unsigned* b);
void tw_emulator_mma_bf16(float* c, const unsigned* a, const unsigned* b);
void tw_emulator_mma_tf32(float* c, const unsigned* a, const unsigned* b);
void tw_emulator_mma_int8(int* c, const unsigned* a, const unsigned* b, int a_signed, int b_signed);

void tw_emulator_mbarrier_init(unsigned long long* barrier, unsigned arrivals);
void tw_emulator_mbarrier_arrive(unsigned long long* barrier, unsigned expected_bytes);
void tw_emulator_mbarrier_wait(unsigned long long* barrier, unsigned parity);

unsigned tw_emulator_cluster_rank(void);
unsigned tw_emulator_cluster_size(void);
void tw_emulator_cluster_arrive(void);
void tw_emulator_cluster_wait(void);
void* tw_emulator_cluster_pointer(const void* shared, unsigned rank);

// `offsets`: of an im2col load, else null. `blocks`: of a multicast, else 0.
void tw_emulator_tma_load(void* shared, const void* map, unsigned long long* barrier, int rank, const int* coordinates,
                          const unsigned short* offsets, unsigned blocks);
void tw_emulator_tma_store(const void* map, const void* shared, int rank, const int* coordinates);
void tw_emulator_tma_store_commit(void);
void tw_emulator_tma_store_wait(int pending_groups);

// `kind`: 0 f16, 1 bf16, 2 tf32, 3 i8, 4 u8. `fragment`: A in registers, else null.
void tw_emulator_wgmma(int kind, int n, void* d, const unsigned* fragment, unsigned long long a, unsigned long long b,
                       int accumulate, int transpose_a, int transpose_b);
void tw_emulator_wgmma_commit(void);
void tw_emulator_wgmma_wait(int pending_groups);

float tw_emulator_f16_to_f32(unsigned short bits);
unsigned short tw_emulator_f32_to_f16(float x);
unsigned short tw_emulator_f32_to_bf16(float x);
unsigned tw_emulator_f32_to_tf32(float x);
}
