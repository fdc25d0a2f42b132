//! Reads what is known of every span but for its attributes.

bench_guests::reader!(SpanColumns, "span-columns", bench_guests::span_columns);
