/* A plugin library in C, whose records are older, newer, or wrong as RECORD says. */
#include <stddef.h>
#include <string.h>

#include "tensorwright/plugin.h"

#ifndef RECORD
#define RECORD {0}
#endif

static const char* const x_names[] = {"x"};
static const char* const y_names[] = {"y"};

/* y has the extents that `operation` makes of x's first one and `by`: as a number where x's is one. */
static const int64_t zero_int = 0, one_int = 1;
static const tw_value zero_default = {TW_FIELD_INT, 1, &zero_int, NULL, NULL};
static const tw_value one_default = {TW_FIELD_INT, 1, &one_int, NULL, NULL};
static const tw_value no_numbers = {TW_FIELD_FLOATS, 0, NULL, NULL, NULL};
static const tw_field fields[] = {{"operation", TW_FIELD_INT, &zero_default},
                                  {"by", TW_FIELD_INT, &one_default},
                                  {"list", TW_FIELD_FLOATS, &no_numbers}};
static const tw_field wrong_fields[] = {{"by", TW_FIELD_INT, &no_numbers}};

static int32_t infer(const tw_builder* b, const tw_value* values, const tw_shape* in, tw_shape* out) {
  if (values[2].count != 0) b->fail(b->host, "the list is not empty");
  out[0].dtype = in[0].dtype;
  out[0].rank = 1;
  if (values[0].ints[0] == 7) {
    out[0].dims[0] = b->data_dependent(b->host, values[1].ints[0], 0);
    return 0;
  }
  out[0].dims[0] =
      b->combine(b->host, (int32_t)values[0].ints[0], in[0].dims[0], b->number(b->host, values[1].ints[0]));
  return 0;
}
static int32_t enqueue(const tw_run* run, const tw_tensor* in, tw_tensor* out) {
  (void)run, (void)in;
  for (int64_t i = 0; i < out[0].dims[0]; ++i) ((float*)out[0].data)[i] = (float)i;
  return 0;
}

#define CALL NULL, NULL, NULL, NULL, enqueue
#define LISTS x_names, 1, y_names, 1, fields, 3, infer
/* As a library that was compiled before `flags` was there, and one of a version to come. */
static const struct {
  tw_plugin known;
  int64_t unknown[8];
} records[] = {{{offsetof(tw_plugin, flags), "Old", "1", NULL, LISTS, CALL, 0xFFFFFFFF}, {0}},
               {{sizeof(records[0]), "New", "1", "", LISTS, CALL, 0}, {1, 2, 3}}};
static const tw_plugin wrong = RECORD;

TW_PLUGIN_EXPORT const uint32_t tensorwright_plugin_interface = TW_PLUGIN_INTERFACE;
TW_PLUGIN_EXPORT const tw_plugin* const* tensorwright_plugins(uint32_t host_interface, int32_t* count) {
  static const tw_plugin *right[] = {&records[0].known, &records[1].known}, *one[] = {&wrong};
  (void)host_interface, (void)wrong_fields;
  *count = wrong.size ? 1 : 2;
  return wrong.size ? one : right;
}
