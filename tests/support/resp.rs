//! The wire format of Redis, as far as one has to know it to see where a command or a reply ends.

/// The length of the whole frame at the beginning of `bytes`; `None` while more of it is to come.
pub fn frame_len(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut missing) = (0, 1usize);
    while missing > 0 {
        let line = bytes.get(at..)?;
        let end = line.windows(2).position(|pair| pair == b"\r\n")?;
        let (kind, number) = (line[0], std::str::from_utf8(&line[1..end]).ok().and_then(|text| text.parse::<i64>().ok()));
        // A length of -1 is no value at all.
        let count = number.and_then(|number| usize::try_from(number).ok());
        at += end + 2;
        missing -= 1;
        match (kind, count) {
            (b'$' | b'=' | b'!', Some(length)) => at += length + 2,
            (b'*' | b'~' | b'>', Some(count)) => missing += count,
            (b'%', Some(count)) => missing += 2 * count,
            _ => {}
        }
    }
    (at <= bytes.len()).then_some(at)
}

/// The first word of a command, in capitals.
pub fn name(command: &[u8]) -> String {
    // *<count>\r\n$<length>\r\n<word>\r\n
    let word = command.split(|byte| *byte == b'\n').nth(2).unwrap_or_default();
    String::from_utf8_lossy(word).trim().to_ascii_uppercase()
}

/// Where frames end, whatever they hold, and that half of one is none.
#[test]
fn frames_end_where_they_end() {
    let commands = b"*2\r\n$4\r\nPING\r\n$3\r\na\r\n\r\n*1\r\n$4\r\ntime\r\n";
    assert_eq!(frame_len(commands), Some(23));
    assert_eq!((name(commands), name(&commands[23..])), ("PING".into(), "TIME".into()));
    let reply = b"*3\r\n*-1\r\n$-1\r\n*2\r\n:5\r\n%1\r\n+a\r\n-no\r\n";
    assert_eq!(frame_len(reply), Some(reply.len()));
    for end in 0..reply.len() {
        assert_eq!(frame_len(&reply[..end]), None, "{end}");
    }
}
