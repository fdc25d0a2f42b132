//! Reads what is known of every trace as a whole.

bench_guests::reader!(TraceColumns, "trace-columns", bench_guests::trace_columns);
