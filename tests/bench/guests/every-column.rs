//! Reads every column, attribute and text of every batch.

bench_guests::reader!(EveryColumn, "every-column", bench_guests::everything);
