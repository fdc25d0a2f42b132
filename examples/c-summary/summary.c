// An exporter that logs one line per trace, written in plain C against wit/: no SDK, no stdio, only the generated exporter.h.
//
// Who frees what, the one thing to know about C guests: a list or string that an import returned is ours and must be freed
// (exporter_list_u32_free …); a string that an export returns is freed by the generated code after the host has read it, so
// it must come from the heap (exporter_string_dup), never from a literal; a string passed to an import stays ours.
#include "exporter.h"

#include <stdlib.h>
#include <string.h>

// Spans that have this attribute are counted: agents set it where one agent calls another.
#define COUNTED_ATTRIBUTE "request_bytes"

// The columns that this exporter reads of one batch, and the strings that they point into.
struct batch {
  exporter_list_u32_t id_texts, first_spans, span_counts, failed_counts, root_names;
  exporter_list_u32_t errors, counted;
  meshtrace_plugin_strings_texts_t strings;
};

struct line {
  char *text;
  size_t length, capacity;
};

static void append(struct line *line, const void *text, size_t length) {
  if (line->length + length > line->capacity) {
    line->capacity = 2 * (line->length + length);
    line->text = realloc(line->text, line->capacity);
    if (!line->text) abort();
  }
  memcpy(line->text + line->length, text, length);
  line->length += length;
}

static void append_text(struct line *line, const char *text) { append(line, text, strlen(text)); }

static void append_number(struct line *line, uint32_t number) {
  char digits[10];
  size_t start = sizeof digits;
  do {
    digits[--start] = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  append(line, digits + start, sizeof digits - start);
}

// Appends the string with this index; index 0 means that there is no value.
static void append_string(struct line *line, const struct batch *batch, uint32_t index) {
  if (index == 0) {
    append_text(line, "-");
    return;
  }
  uint32_t start = batch->strings.ends.ptr[index - 1], end = batch->strings.ends.ptr[index];
  append(line, batch->strings.utf8.ptr + start, end - start);
}

static void take(struct batch *batch) {
  meshtrace_plugin_traces_id_texts(&batch->id_texts);
  meshtrace_plugin_traces_first_spans(&batch->first_spans);
  meshtrace_plugin_traces_span_counts(&batch->span_counts);
  meshtrace_plugin_traces_failed_counts(&batch->failed_counts);
  meshtrace_plugin_traces_root_names(&batch->root_names);
  meshtrace_plugin_spans_errors(&batch->errors);

  exporter_string_t key;
  exporter_string_set(&key, COUNTED_ATTRIBUTE);
  meshtrace_plugin_attributes_column(&key, &batch->counted);

  // All that trace and span columns point at. Attribute values are the third section, and are not needed to count them.
  meshtrace_plugin_strings_section_ends_t sections;
  meshtrace_plugin_strings_sections(&sections);
  meshtrace_plugin_strings_joined(0, sections.spans, &batch->strings);
}

static void release(struct batch *batch) {
  exporter_list_u32_free(&batch->id_texts);
  exporter_list_u32_free(&batch->first_spans);
  exporter_list_u32_free(&batch->span_counts);
  exporter_list_u32_free(&batch->failed_counts);
  exporter_list_u32_free(&batch->root_names);
  exporter_list_u32_free(&batch->errors);
  exporter_list_u32_free(&batch->counted);
  meshtrace_plugin_strings_texts_free(&batch->strings);
}

static void write_summary(struct line *line, const struct batch *batch, size_t trace) {
  uint32_t first = batch->first_spans.ptr[trace], end = first + batch->span_counts.ptr[trace];
  uint32_t first_error = 0, counted = 0;
  for (uint32_t span = first; span < end; span++) {
    if (first_error == 0) first_error = batch->errors.ptr[span];
    if (batch->counted.ptr[span] != 0) counted++;
  }

  line->length = 0;
  append_text(line, "summary trace=");
  append_string(line, batch, batch->id_texts.ptr[trace]);
  append_text(line, " root=");
  append_string(line, batch, batch->root_names.ptr[trace]);
  append_text(line, " spans=");
  append_number(line, batch->span_counts.ptr[trace]);
  append_text(line, " failed=");
  append_number(line, batch->failed_counts.ptr[trace]);
  append_text(line, " attributes=");
  append_number(line, counted);
  append_text(line, " error=");
  append_string(line, batch, first_error);
}

void exports_meshtrace_plugin_trace_exporter_export_batch(exports_meshtrace_plugin_trace_exporter_outcome_t *ret) {
  struct batch batch;
  struct line line = {0};
  take(&batch);
  for (size_t trace = 0; trace < batch.id_texts.len; trace++) {
    write_summary(&line, &batch, trace);
    exporter_string_t message = {(uint8_t *)line.text, line.length};
    meshtrace_plugin_host_log_log(MESHTRACE_PLUGIN_HOST_LOG_LEVEL_INFO, &message);
  }
  free(line.text);
  release(&batch);
  ret->tag = MESHTRACE_PLUGIN_TYPES_OUTCOME_DELIVERED;
}

void exports_meshtrace_plugin_trace_exporter_describe(exports_meshtrace_plugin_trace_exporter_description_t *ret) {
  exporter_string_dup(&ret->name, "c-summary");
  exporter_string_dup(&ret->version, "0.1.0");
  exporter_string_dup(&ret->config_schema, "");
  ret->parallel = true;
}

bool exports_meshtrace_plugin_trace_exporter_init(exporter_string_t *config, exporter_string_t *err) {
  (void)err;
  exporter_string_free(config);  // There is nothing to configure.
  return true;
}

// Every line is written at once: nothing is held back.
bool exports_meshtrace_plugin_trace_exporter_flush(exporter_string_t *err) {
  (void)err;
  return true;
}
