//! What Go's `regexp` (1.26) says to each of these, found by running it.

use super::*;

/// An expression, texts that it matches, and texts that it does not.
type Case = (&'static str, &'static [&'static str], &'static [&'static str]);

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("/v1/name/.+", &["GET /v1/name/x"], &["/v1/name/"]),
    ("^/v1$", &["/v1"], &["/v1/", "x/v1"]),
    ("val*", &["va", "value1"], &["v"]),
    (r"\/health", &["/healthz"], &["health"]),
    ("/v1/name/{id}", &["/v1/name/{id}"], &["/v1/name/id"]),
    ("a{2}", &["baab"], &["ba{2}"]),
    ("a{,2}", &["a{,2}"], &["aa"]),
    ("a{2,}b", &["aaab"], &["ab"]),
    ("a{2,3}$", &["aaa"], &["a"]),
    ("{", &["{"], &["x"]),
    ("x}", &["x}"], &["x"]),
    ("a{b", &["a{b"], &["ab"]),
    (r"^\d+$", &["123"], &["١٢٣"]),
    (r"^\D$", &["é"], &["5"]),
    (r"^\w+$", &["abc_1"], &["é"]),
    (r"^\W$", &["é"], &["w"]),
    (r"^\s$", &[" ", "\u{c}"], &["\u{a0}", "\u{b}"]),
    (r"^\S$", &["\u{a0}"], &[" "]),
    (r"\bé", &["aé"], &["é"]),
    (r"\Bé", &["é", " é"], &["aé"]),
    (r"^[\w.-]+$", &["a.b-c_d"], &["é", "a b"]),
    (r"^[^\d]$", &["٣"], &["3"]),
    ("^.$", &["é", "🔗"], &["\n"]),
    ("(?s)^.$", &["\n"], &[]),
    ("(?i)straße", &["STRAßE"], &["strasse"]),
    ("(?i)^k$", &["\u{212a}", "K"], &[]),
    (r"(?i)^\w$", &["\u{212a}"], &["é"]),
    ("^[[:alpha:]]$", &["a"], &["é", "5"]),
    ("^[[:^alpha:]]$", &["é"], &["a"]),
    ("^[[:word:]]$", &["_"], &["-"]),
    ("^[[a]$", &["[", "a"], &["b"]),
    ("^[a[:b]$", &["[", ":", "b"], &["c"]),
    ("^[a&&b]$", &["&", "a", "b"], &["c"]),
    ("^[a~~b]$", &["~", "a"], &["c"]),
    ("^[--/]$", &["-", ".", "/"], &["0"]),
    ("^[a-c-e]$", &["b", "-", "e"], &["d"]),
    ("^[-a]$", &["-", "a"], &["b"]),
    ("^[a-]$", &["-", "a"], &["b"]),
    ("^[^-a]$", &["b"], &["-", "a"]),
    ("^[]a]$", &["]", "a"], &["b"]),
    ("^[^]a]$", &["b"], &["]", "a"]),
    (r"^[\d-z]$", &["5", "-", "z"], &["y"]),
    (r"^[\x41-\x43]$", &["B"], &["D", "4"]),
    (r"^[\x{41}-\x{43}]$", &["B"], &["D"]),
    (r"^[a\]b]$", &["]", "a"], &["c"]),
    ("^[a^]$", &["^", "a"], &["b"]),
    (r"\x2d", &["-"], &["x2d"]),
    (r"\x{1F517}", &["🔗"], &["x"]),
    (r"^\101$", &["A"], &["101"]),
    (r"^\0$", &["\u{0}"], &["0"]),
    (r"\Q[a.b]{2}\E+", &["[a.b]{2}}"], &["[a.b]{2", "aab"]),
    (r"\Qa.b", &["a.b"], &["axb"]),
    (r"\Qa\\E", &["a\\"], &["aE"]),
    (r"\pL\p{Greek}", &["aα"], &["αa", "1α"]),
    (r"^\p{^Greek}$", &["a"], &["α"]),
    (r"^\P{Greek}$", &["a"], &["α"]),
    (r"^\P{^Greek}$", &["α"], &["a"]),
    (r"^[\pN_]$", &["_", "5", "٣"], &["N"]),
    (r"^a\<b\>\_\-\#\ $", &["a<b>_-# "], &["ab"]),
    (r"\Aab\z", &["ab"], &["cab", "ab\n"]),
    ("ab$", &["cab"], &["ab\n"]),
    ("(?m)ab$", &["ab\nc"], &["abc"]),
    ("(?P<n>a)b", &["ab"], &["b"]),
    ("(?<n>a)b", &["ab"], &["b"]),
    ("(?:a|b)c", &["bc"], &["c"]),
    ("(?U)a+", &["a"], &["b"]),
    ("(?i-s:A.)b", &["axb"], &["AXB", "a\nb"]),
    ("", &["anything", ""], &[]),
    (r"\b{start}a", &[], &["{start}a", "a"]),
    ("a|b|", &["", "z"], &[]),
    (r"\.", &["."], &["x"]),
    ("é{2}", &["éé"], &["é"]),
];

const REFUSED: &[&str] = &[
    "a{1001}",
    "a{9999999999}",
    "[[:foo:]]",
    r"(a)\1",
    r"\8",
    r"\p{Foo}",
    "(?x) a b",
    "(?u)a",
    "(?=a)",
    "(?!a)",
    "(?<=a)b",
    "(?<!a)b",
    "(?",
    r"\",
    r"\C",
    r"\u0041",
    r"\e",
    r"a\E",
    r"\é",
    "(",
    "[",
    "[a",
    "[a-",
    "[z-a]",
    "a)",
    "*a",
];

#[test]
fn expressions_mean_what_they_mean_to_go() {
    for (pattern, matching, others) in CASES {
        let regex = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        for text in *matching {
            assert!(regex.is_match(text.as_bytes()), "{pattern} {text:?}");
        }
        for text in *others {
            assert!(!regex.is_match(text.as_bytes()), "{pattern} {text:?}");
        }
    }
}

#[test]
fn what_go_refuses_is_refused() {
    for pattern in REFUSED {
        assert!(compile(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let cases = [
        (r"(a)\1", r"has a back-reference, \1; there are none in RE2"),
        ("(?x)a", "has an unknown group or flag, (?x; RE2 has the flags i, m, s and U"),
        ("(?<=a)b", "looks behind, (?<…; there is no such thing in RE2"),
        ("a{1001}", "repeats 1001 times; at most 1000 are allowed"),
        ("[[:foo:]]", "has an unknown class, [:foo:]"),
        (r"\e", r"has an unknown escape, \e"),
        ("[a", "ends inside of a class, […"),
        ("(a", "is no regular expression: unclosed group"),
        ("*a", "is no regular expression: repetition operator missing expression"),
    ];
    for (pattern, expected) in cases {
        assert_eq!(compile(pattern).unwrap_err(), expected, "{pattern}");
    }
}
