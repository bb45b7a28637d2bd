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
 * Raised when libraries may rely on what hosts did not do before. Hosts load libraries of their own number and of all
 * numbers before it. 2: outputs that are inputs changed in place, and patterns.
 */
#define TW_PLUGIN_INTERFACE 2
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

/* An output that is an input changed in place. `input` is without its '?'. */
typedef struct tw_alias {
  const char *output, *input;
} tw_alias;

/* What an attribute or a constant has to be. */
typedef struct tw_condition {
  const char* name;
  const tw_value* value; /* of a constant, one number is that of all its elements; NULL: any value, but there is one */
} tw_condition;

/* A node of a pattern. */
typedef struct tw_pattern_node {
  const char* op; /* the built-in operator, as `tensorwright inspect` calls it: "softmax" */
  /* Names of tensors; "" is an omitted one. */
  const char* const* inputs;
  int32_t input_count;
  const char* const* outputs;
  int32_t output_count;
  const tw_condition* attributes;
  int32_t attribute_count;
} tw_pattern_node;

/* What a pattern has found, by its own names. What is pointed to stays until `accepts` returns. */
typedef struct tw_match {
  uint32_t size;
  void* host;
  void* data; /* the pattern's */
  /*
   * Non-zero when there is the tensor. Its rank and extents are -1 where only the run knows them, its dtype is 0 where
   * plugins have none for it, and its data are the elements of a constant, NULL for other tensors.
   */
  int32_t (*tensor)(void* host, const char* name, tw_tensor* tensor);
  /*
   * Non-zero when the node, which is called like its first output, has the attribute. Its kind is TW_FIELD_FLOAT, also
   * of flags, TW_FIELD_STRING, or that of a list of these; of whole numbers `ints` is set too.
   */
  int32_t (*attribute)(void* host, const char* node, const char* name, tw_value* value);
  /* A field of the call that takes the place. Fields that are not set have their defaults. */
  void (*set_field)(void* host, const char* field, const tw_value* value);
  void (*fail)(void* host, const char* message);
} tw_match;

/*
 * A subgraph of built-in operators that the plugin takes the place of. Tensors that are called like an input of the
 * plugin are given to it, those called like an output are replaced by it, and others inside are either made by a node or
 * named in `constants`.
 */
typedef struct tw_pattern {
  uint32_t size;    /* sizeof(tw_pattern) */
  const char* name; /* for reports; NULL: its position */
  /* Connected by the names of their tensors; the last one is looked for first. */
  const tw_pattern_node* nodes;
  int32_t node_count;
  const tw_condition* constants;
  int32_t constant_count;
  /* Whether a match counts, non-zero is yes, and what the fields are. NULL: all do, with the fields' defaults. */
  int32_t (*accepts)(const tw_match* match);
  void* data; /* for `accepts` */
} tw_pattern;

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
  /*
   * What a step keeps from run to run: called when a plan is loaded, on any thread, and for several plans at once. NULL:
   * nothing. A state of NULL is a failure.
   */
  void* (*attach)(const tw_attachment* attachment);
  void (*detach)(void* state);
  /* Computes the outputs. 0: done. Called from several threads at once, each with memory of its own. */
  int32_t (*enqueue)(const tw_run* run, const tw_tensor* inputs, tw_tensor* outputs);

  uint32_t flags; /* of TW_NOT_RECORDED; default: 0 */

  /* From interface 2 on. */

  /*
   * Outputs that share the memory of an input: `enqueue` gets the same pointer for both. The input is a copy where it is
   * still needed as it was. Type and shape are the input's; where that is omitted, the output has memory of its own.
   */
  const tw_alias* aliases;
  int32_t alias_count;
  /* Subgraphs that it takes the place of while a registry has it. */
  const tw_pattern* const* patterns;
  int32_t pattern_count;
} tw_plugin;

/* What a library exports: its plugins, all of the interface that it was built against. NULL: it does not serve that. */
typedef const tw_plugin* const* (*tw_plugins_function)(uint32_t interface_number, int32_t* count);
TW_PLUGIN_EXPORT const tw_plugin* const* tensorwright_plugins(uint32_t interface_number, int32_t* count);
/* And that interface, which is the number that hosts call it with. */
TW_PLUGIN_EXPORT extern const uint32_t tensorwright_plugin_interface;

#ifdef __cplusplus
}
#endif
#endif
