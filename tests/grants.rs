//! What guests find outside of themselves: what they were granted, and nothing else.

use serde_json::{Value, json};

use crate::support::events::{lone, publish};
use crate::support::eventually;
use crate::support::guests::evil;
use crate::support::host::HostBuilder;
use crate::support::plugin_dir::{PluginDir, plugin};
use crate::support::redis_server::{GROUP, RedisServer, STREAM, wait_until_settled};

/// What a plugin was denied: what, with which line granting it.
fn denied(plugin: &Value) -> Vec<(&str, &str)> {
    let denied = plugin["denied"].as_array().expect("denials").iter();
    denied.map(|denial| (denial["what"].as_str().expect("a text"), denial["grant"].as_str().expect("a text"))).collect()
}

/// Starts a host with this guest, publishes an attack, and returns what the guest says, once it says `last`, with the plugin's page.
#[track_caller]
fn tried(name: &str, toml: &str, plugins: &PluginDir, last: &str) -> (Vec<String>, Value) {
    let redis = RedisServer::start();
    plugins.put(&format!("{name}.toml"), toml);
    plugins.put(&format!("{name}.wasm"), evil(name));
    let host = HostBuilder::new(&redis.url()).set("MESHTRACE_PLUGIN_DIR", &plugins.path().display().to_string());
    let host = host.set("GRANTED", "yes").set("SECRET_TOKEN", "hunter2").start();
    publish(&mut redis.connect(), STREAM, &[lone("attack", name)]);
    let said = eventually("it has tried", || Some(host.log_of(name)).filter(|said| said.iter().any(|line| line.contains(last))));
    wait_until_settled(&mut redis.connect(), GROUP);
    let page = plugin(&host, name);
    assert_eq!((&page["state"], &page["exported"], &page["failures"]), (&json!("running"), &json!(1), &json!(0)));
    (said, page)
}

/// Scenario: a guest reads its environment: granted nothing, then one variable.
/// Guarantees: it finds what it was granted and nothing else; that it found nothing is shown with the line that would change it.
#[test]
fn an_environment_has_what_is_granted() {
    let (said, page) = tried("environment", "", &PluginDir::new(), "took attack");
    assert_eq!(said, ["found []", "took attack"]);
    assert_eq!(denied(&page), [("the environment", "env = [\"NAME\"]")]);
    let (said, page) = tried("environment", "[permissions]\nenv = [\"GRANTED\", \"UNSET\"]\n", &PluginDir::new(), "took attack");
    assert_eq!(said, ["found [\"GRANTED=yes\"]", "took attack"]);
    assert_eq!(denied(&page), []);
}

/// Scenario: a guest tries TCP, UDP and the name service.
/// Guarantees: each is an ordinary error of its language; each is counted; nothing grants it.
#[test]
fn nothing_leaves_the_host_past_http() {
    let (said, page) = tried("sockets", "", &PluginDir::new(), "took attack");
    assert_eq!(said, ["permission denied permission denied permission denied", "took attack"]);
    assert_eq!(denied(&page), [("a TCP socket", ""), ("a UDP socket", ""), ("the address of example.com", "")]);
}

/// Scenario: a guest that may read one directory and write another tries to leave them: by `..`, by links that lie there, by links that it makes,
/// and to write where it may read.
/// Guarantees: it reads and writes what it was granted and nothing else; every other try is an ordinary error, and is shown with what would grant it.
#[test]
fn nobody_leaves_a_directory() {
    let plugins = PluginDir::new();
    let room = tempfile::tempdir().expect("a directory");
    let path = |name: &str| room.path().join(name);
    for dir in ["in", "in/deep", "out"] {
        std::fs::create_dir(path(dir)).expect("a directory");
    }
    std::fs::write(path("in/inside"), "mine").expect("a file");
    std::fs::write(path("outside"), "not yours").expect("a file");
    std::os::unix::fs::symlink("../outside", path("in/link")).expect("a link");
    std::os::unix::fs::symlink(room.path(), path("in/dir")).expect("a link");
    let toml = format!(
        "[permissions]\ndirs = [{{ path = {:?}, as = \"/in\" }}, {{ path = {:?}, as = \"/out\", access = \"write\" }}]\n",
        path("in"),
        path("out")
    );
    let (said, page) = tried("escape", &toml, &plugins, "took attack");
    let expected = [
        "read /etc/passwd: entity not found",
        "read /in/../outside: permission denied",
        "read /in/link: permission denied",
        "read /in/dir/outside: permission denied",
        "read /in/deep/../../outside: permission denied",
        "read /in/inside: done",
        "link link: not-permitted",
        "link absolute: not-permitted",
        "write /in/inside: permission denied",
        "write /in/new: permission denied",
        "write /out/../outside: permission denied",
        "write /out/link: done",
        "write /out/inside: done",
        "rename: permission denied",
        "remove: permission denied",
        "make: permission denied",
        "took attack",
    ];
    assert_eq!(said, expected);
    let read = |name: &str| std::fs::read_to_string(path(name)).expect("a file");
    assert_eq!((read("outside"), read("in/inside"), read("out/inside")), ("not yours".into(), "mine".into(), "x".into()));
    let mut inside: Vec<_> =
        std::fs::read_dir(path("in")).expect("a directory").map(|entry| entry.expect("an entry").file_name()).collect();
    inside.sort();
    assert_eq!(inside, ["deep", "dir", "inside", "link"]);
    let grant = format!("dirs = [{{ path = {:?}, as = \"/in\", access = \"write\" }}]", path("in"));
    for what in ["writing to /in/inside", "writing to /in/new"] {
        assert!(denied(&page).contains(&(what, grant.as_str())), "{page}");
    }
    for what in ["/in/../outside, which leads out of its directory", "/in/link, which leads out of its directory"] {
        assert!(denied(&page).contains(&(what, "")), "{page}");
    }
}
