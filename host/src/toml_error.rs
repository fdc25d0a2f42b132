//! What is wrong with a file of ours that somebody wrote, without what stands there.

/// What is wrong with `text`, and where: line and column, from 1 on. What stands there is not quoted: it may be a secret, and this is logged and shown.
pub fn told(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().trim().replace('\n', ", ");
    // A value of the wrong type stands in the message itself: invalid type: string "hush", expected a map.
    let message = match (message.find('"'), message.rfind(", expected ")) {
        (Some(value), Some(expected)) if value < expected => format!("{}{}", message[..value].trim_end(), &message[expected..]),
        _ => message,
    };
    let before = error.span().and_then(|span| text.get(..span.start));
    before.map_or_else(
        || message.clone(),
        |before| {
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            format!("line {line}, column {column}: {message}")
        },
    )
}
