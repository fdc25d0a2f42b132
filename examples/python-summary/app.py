"""An exporter that logs one line per trace, written in plain Python against wit/: no SDK, only the bindings of componentize-py."""

from wit_world import exports
from wit_world.imports import attributes, host_log, spans, strings, traces
from wit_world.imports.host_log import Level
from wit_world.imports.types import Description, Outcome, Outcome_Delivered

# Spans that have this attribute are counted: agents set it where one agent calls another.
COUNTED_ATTRIBUTE = "request_bytes"


class TraceExporter(exports.TraceExporter):
    def describe(self) -> Description:
        return Description(name="python-summary", version="0.1.0", config_schema="", parallel=True)

    def init(self, config: str) -> None:
        """There is nothing to configure; `raise Err("why")` from here would refuse a config."""

    def export_batch(self) -> Outcome:
        for line in summaries():
            host_log.log(Level.INFO, line)
        return Outcome_Delivered()

    def flush(self) -> None:
        """Every line is written at once: nothing is held back."""


def summaries():
    errors = spans.errors()
    counted = attributes.column(COUNTED_ATTRIBUTE)
    texts = read_strings()

    def text(index: int) -> str:
        return texts[index] if index else "-"  # Index 0 means that there is no value.

    rows = zip(
        traces.id_texts(), traces.root_names(), traces.first_spans(), traces.span_counts(), traces.failed_counts(), strict=True
    )
    for trace_id, root, first, count, failed in rows:
        of_trace = slice(first, first + count)
        error = next(filter(None, errors[of_trace]), 0)
        attribute_count = sum(1 for value in counted[of_trace] if value)
        yield (
            f"summary trace={text(trace_id)} root={text(root)} spans={count} failed={failed} "
            f"attributes={attribute_count} error={text(error)}"
        )


def read_strings() -> list[str]:
    """All that trace and span columns point at. Attribute values are the third section, and are not needed to count them."""
    return strings.separate(0, strings.sections().spans)
