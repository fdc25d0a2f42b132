//! What fencing and journalling cost Redis. Measured on demand: `cargo test -p meshtrace --lib journal_cost -- --ignored --nocapture`.

use super::*;

const ENTRIES: usize = 300_000;
/// As `settle` gathers them.
const AT_ONCE: usize = 1_000;
const SPANS: usize = 5;

/// Processor time that the server has used, in microseconds.
async fn used(host: &mut Host) -> f64 {
    let info: String = host.run("INFO cpu").await;
    let of = |key: &str| info.lines().find_map(|line| line.strip_prefix(key)).unwrap().parse::<f64>().unwrap();
    (of("used_cpu_sys_main_thread:") + of("used_cpu_user_main_thread:")) * 1e6
}

/// Reads [`ENTRIES`] entries, and says how much of the server's time it takes to settle one in this way.
async fn cost_of(host: &mut Host, term: &Term, scripted: bool) -> f64 {
    let mut receipts = Vec::new();
    for _ in 0..ENTRIES / 10_000 {
        receipts.extend(host.read(10_000).await);
    }
    let before = used(host).await;
    for (number, chunk) in (0u64..).zip(receipts.chunks(AT_ONCE)) {
        if scripted {
            let ids: Vec<u64> = (0..(chunk.len() / SPANS) as u64).map(|trace| number * 1_000 + trace).collect();
            host.settle(term, chunk, &lines(&ids, false, number / 100 * 60_000)).await;
        } else {
            let mut ack = redis::cmd("XACK");
            ack.arg(STREAM).arg(GROUP);
            for receipt in chunk {
                ack.arg(receipt.to_string());
            }
            ack.exec_async(&mut host.connection).await.unwrap();
        }
    }
    let after = used(host).await;
    assert_eq!(host.pending().await, 0);
    (after - before) / ENTRIES as f64
}

#[tokio::test]
#[ignore = "measures, and decides nothing"]
async fn journal_cost() {
    let server = Server::start();
    let mut host = Host::on(&server, "a").await;
    let term = host.lead().await;
    for _ in 0..3 {
        let (plain, scripted) = (cost_of(&mut host, &term, false).await, cost_of(&mut host, &term, true).await);
        println!(
            "an entry costs Redis {plain:.2} µs by XACK, {scripted:.2} µs fenced and journalled: {:.2} times as much; {AT_ONCE} entries at once, {SPANS} to a trace",
            scripted / plain
        );
    }
}
