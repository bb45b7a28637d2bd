/*
 * Plugins as shared libraries: the C interface between a library and the engine that loads it.
 *
 * A library exports `tensorwright_plugins`, which gives its plugins as static records. An engine asks them two things:
 * at build time what their outputs are (`infer`), at run time to compute them (`enqueue`). All is a plain pointer,
 * a fixed-width integer or a function; a function that fails calls `fail` of what it was given, and returns non-zero.
 * Records begin with their size, so that later versions of this interface can add members at their end: members that a
 * library's record is too short for count as zero, those that a host does not know are ignored. Lists of no elements
 * may be NULL.
 */
#ifndef TENSORWRIGHT_PLUGIN_H
#define TENSORWRIGHT_PLUGIN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Raised when a record changes its meaning; hosts load libraries of their own number. 1 is that of the first release:
 * nothing was published of what came before, whose `attach` took other arguments.
 */
#define TW_PLUGIN_INTERFACE 1
#define TW_MAX_RANK 12

#if defined(_WIN32)
#define TW_PLUGIN_EXPORT __declspec(dllexport)
#else
#define TW_PLUGIN_EXPORT __attribute__((visibility("default")))
#endif

/* Element types, by ONNX's numbers (TensorProto.DataType). */
enum {
  TW_FLOAT32 = 1,
  TW_UINT8 = 2,
  TW_INT8 = 3,
  TW_UINT16 = 4,
  TW_INT16 = 5,
  TW_INT32 = 6,
  TW_INT64 = 7,
  TW_BOOL = 9,
  TW_FLOAT16 = 10,
  TW_FLOAT64 = 11,
  TW_UINT32 = 12,
  TW_UINT64 = 13,
  TW_BFLOAT16 = 16
};

/* Where a plugin runs. */
enum { TW_CPU = 0, TW_CUDA = 1 };

/*
 * Flags of a plugin. TW_NOT_RECORDED: under TW_CUDA `enqueue` waits for its stream, or does not queue the same work
 * each time. Without it, what it queues may be recorded once, and played again on the same memory from a CUDA graph.
 */
enum { TW_NOT_RECORDED = 1 };

/* Kinds of fields, which are what a call of a plugin can be told. */
enum {
  TW_FIELD_INT = 0,
  TW_FIELD_FLOAT = 1,
  TW_FIELD_BOOL = 2,
  TW_FIELD_STRING = 3,
  TW_FIELD_INTS = 4,
  TW_FIELD_FLOATS = 5,
  TW_FIELD_STRINGS = 6
};

/* The value of a field. Only the list of its kind is set: ints for int, bool and ints, floats, or strings. */
typedef struct tw_value {
  int32_t kind;
  int32_t count; /* elements; 1 for a single one */
  const int64_t* ints;
  const double* floats;
  const char* const* strings;
} tw_value;

typedef struct tw_field {
  const char* name;
  int32_t kind;
  const tw_value* fallback; /* NULL: a call must give it */
} tw_field;

/* An extent at build time: a number, or an expression of what only the run knows; tw_builder makes them. */
typedef int32_t tw_extent;

/* A tensor at build time. */
typedef struct tw_shape {
  int32_t dtype; /* 0: an omitted input */
  int32_t rank;
  tw_extent dims[TW_MAX_RANK];
} tw_shape;

/* A dense row-major tensor at run time. */
typedef struct tw_tensor {
  void* data; /* in the device's memory under TW_CUDA; NULL: an omitted input, or an output that is to be allocated */
  int32_t dtype; /* 0: an omitted input */
  int32_t rank;  /* -1: an omitted input, or an output whose shape only the values decide. No output is omitted. */
  int64_t dims[TW_MAX_RANK];
} tw_tensor;

enum {
  TW_ADD = 0,
  TW_SUBTRACT = 1,
  TW_MULTIPLY = 2,
  TW_FLOOR_DIVIDE = 3,
  TW_MODULO = 4,
  TW_MINIMUM = 5,
  TW_MAXIMUM = 6
};

/* Extents and errors, for `infer`. `host` is the first argument of every function. */
typedef struct tw_builder {
  uint32_t size;
  void* host;
  tw_extent (*number)(void* host, int64_t value);
  tw_extent (*combine)(void* host, int32_t operation, tw_extent a, tw_extent b);
  /* Non-zero when it is a number, which `value` then gets. */
  int32_t (*known)(void* host, tw_extent extent, int64_t* value);
  /* An extent that only the values decide. */
  tw_extent (*data_dependent)(void* host, int64_t min, int64_t max);
  void (*fail)(void* host, const char* message);
} tw_builder;

/* A step of a plan that is loaded. Under TW_CUDA its device is current. */
typedef struct tw_attachment {
  uint32_t size;
  void* host;
  int32_t backend;
  const tw_value* fields;
  void (*fail)(void* host, const char* message);
} tw_attachment;

/* One run of a plugin. */
typedef struct tw_run {
  uint32_t size;
  void* host;
  int32_t backend;
  void* stream; /* CUstream under TW_CUDA: all work is queued on it; nothing waits for it but data-dependent plugins */
  void* workspace;
  int64_t workspace_bytes;
  void* state; /* what `attach` gave */
  const tw_value* fields;
  /* Memory for an output of unknown shape. Non-zero: it failed, and the plugin returns. */
  int32_t (*allocate)(void* host, int32_t output, int32_t rank, const int64_t* dims, void** data);
  /* Non-zero once the run is cancelled: long work on the processor asks now and then, and returns. */
  int32_t (*cancelled)(void* host);
  void (*fail)(void* host, const char* message);
} tw_run;

typedef struct tw_plugin {
  uint32_t size;                           /* sizeof(tw_plugin) */
  const char *name, *version, *name_space; /* name_space may be NULL: none */
  /* Names in order; an input whose name ends in '?' may be omitted. */
  const char* const* inputs;
  int32_t input_count;
  const char* const* outputs;
  int32_t output_count;
  const tw_field* fields;
  int32_t field_count;

  /* Types and shapes of the outputs. 0: done. Must not depend on anything but its arguments. */
  int32_t (*infer)(const tw_builder* builder, const tw_value* fields, const tw_shape* inputs, tw_shape* outputs);
  /* Whether it runs on the backend with operands of these types: non-zero is yes. NULL: float32 on the processor. */
  int32_t (*supports)(int32_t backend, const tw_value* fields, const tw_shape* inputs, const tw_shape* outputs);
  /* Scratch memory in bytes for these shapes (data is NULL). NULL: none. */
  int64_t (*workspace_bytes)(int32_t backend, const tw_value* fields, const tw_tensor* inputs,
                             const tw_tensor* outputs);
  /* What a step keeps from run to run: called when a plan is loaded. NULL: nothing. A state of NULL is a failure. */
  void* (*attach)(const tw_attachment* attachment);
  void (*detach)(void* state);
  /* Computes the outputs. 0: done. Called from several threads at once, each with memory of its own. */
  int32_t (*enqueue)(const tw_run* run, const tw_tensor* inputs, tw_tensor* outputs);

  uint32_t flags; /* of TW_NOT_RECORDED; default: 0 */
} tw_plugin;

/* What a library exports: its plugins, all of the same interface. NULL: it does not serve this host. */
typedef const tw_plugin* const* (*tw_plugins_function)(uint32_t host_interface, int32_t* count);
TW_PLUGIN_EXPORT const tw_plugin* const* tensorwright_plugins(uint32_t host_interface, int32_t* count);
/* And the interface it was built against. */
TW_PLUGIN_EXPORT extern const uint32_t tensorwright_plugin_interface;

#ifdef __cplusplus
}
#endif
#endif
