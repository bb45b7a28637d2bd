/* A plugin library in C, whose records are older, newer, or wrong as RECORD says. */
#include <stddef.h>
#include <string.h>

#include "tensorwright/plugin.h"

#ifndef RECORD
#define RECORD {.size = 0}
#endif
#ifndef INTERFACE
#define INTERFACE TW_PLUGIN_INTERFACE
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

/* A whole record of this interface, to be changed by what follows. */
#define USUAL                                                                                              \
  .size = sizeof(tw_plugin), .name = "P", .version = "1", .inputs = x_names, .input_count = 1,              \
  .outputs = y_names, .output_count = 1, .fields = fields, .field_count = 3, .infer = infer, .enqueue = enqueue

/* As libraries that were compiled before `flags` was there, or `aliases`, and one of a version to come. */
static const struct {
  tw_plugin known;
  int64_t unknown[8];
} records[] = {
    {.known = {USUAL, .size = offsetof(tw_plugin, flags), .name = "Old", .flags = 0xFFFFFFFF}},
    {.known = {USUAL, .size = offsetof(tw_plugin, aliases), .name = "Second", .alias_count = 77, .pattern_count = -1}},
    {.known = {USUAL, .size = sizeof(records[0]), .name = "New", .name_space = ""}, .unknown = {1, 2, 3}}};
/* What wrong records may have. */
static const tw_alias one_alias[] = {{"y", "x"}}, other_output[] = {{"z", "x"}}, other_input[] = {{"y", "z"}},
                      twice[] = {{"y", "x"}, {"y", "x"}};
static const tw_value three = {TW_FIELD_INT, 3, NULL, NULL, NULL};
static const tw_condition no_value[] = {{"factor", &three}};
static const char* const t_names[] = {"t"};
static const tw_pattern_node relu[] = {{"relu", x_names, 1, y_names, 1, NULL, 0}},
                             no_operator[] = {{"relux", x_names, 1, y_names, 1, NULL, 0}},
                             no_names[] = {{"relu", NULL, 1, y_names, 1, NULL, 0}},
                             stray[] = {{"relu", t_names, 1, y_names, 1, NULL, 0}};
#define PATTERN(nodes) {sizeof(tw_pattern), NULL, nodes, 1, NULL, 0, NULL, NULL}
static const tw_pattern right_pattern = PATTERN(relu), operator_pattern = PATTERN(no_operator),
                        names_pattern = PATTERN(no_names), stray_pattern = PATTERN(stray),
                        small_pattern = {8, NULL, NULL, 0, NULL, 0, NULL, NULL},
                        value_pattern = {sizeof(tw_pattern), NULL, relu, 1, no_value, 1, NULL, NULL};
static const tw_pattern *const right_patterns[] = {&right_pattern}, *const operator_patterns[] = {&operator_pattern},
                               *const names_patterns[] = {&names_pattern}, *const stray_patterns[] = {&stray_pattern},
                               *const small_patterns[] = {&small_pattern}, *const value_patterns[] = {&value_pattern},
                               *const no_patterns[] = {NULL};
static const tw_plugin wrong = RECORD;

TW_PLUGIN_EXPORT const uint32_t tensorwright_plugin_interface = INTERFACE;
TW_PLUGIN_EXPORT const tw_plugin* const* tensorwright_plugins(uint32_t interface_number, int32_t* count) {
  static const tw_plugin *right[] = {&records[0].known, &records[1].known, &records[2].known}, *one[] = {&wrong};
  (void)wrong_fields, (void)one_alias, (void)other_output, (void)other_input, (void)twice;
  (void)right_patterns, (void)operator_patterns, (void)names_patterns, (void)stray_patterns, (void)small_patterns;
  (void)value_patterns, (void)no_patterns;
  *count = wrong.size ? 1 : 3;
  /* As libraries do that know no numbers but their own. */
  if (interface_number != INTERFACE) return NULL;
  return wrong.size ? one : right;
}
