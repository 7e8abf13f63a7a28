//! Connections in frames made by hand: what passes as it came, what is written anew, what is given up.

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 64 * 1024;
const PRI: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn made(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    push(&mut out, kind, flags, &stream.to_be_bytes(), &[payload]);
    out
}

fn headers(stream: u32, block: &[u8]) -> Vec<u8> {
    made(HEADERS, END_HEADERS | END_STREAM, stream, block)
}

/// `:path` as a literal that the table remembers, by the name's place in the static table.
fn path(value: &[u8]) -> Vec<u8> {
    [&[0x44, u8::try_from(value.len()).unwrap()][..], value].concat()
}

/// The same in the Huffman code.
fn coded(value: &[u8]) -> Vec<u8> {
    let code = huffman::encode(value);
    [&[0x44, 0x80 | u8::try_from(code.len()).unwrap()][..], &code].concat()
}

/// What the library reads of a connection that comes in pieces of this length; none if it is broken off.
fn read(bytes: &[u8], piece: usize) -> Option<Vec<u8>> {
    let mut targets = Targets::new(LIMIT);
    let (mut out, mut kept) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(piece.max(1)) {
        kept.extend_from_slice(piece);
        loop {
            let Read { pass, instead, broken } = targets.feed(&kept);
            out.extend(kept.drain(..pass));
            if broken {
                return None;
            }
            let Some((gone, anew)) = instead else { break };
            kept.drain(..gone);
            out.extend(anew);
        }
    }
    Some(out)
}

/// The paths in a connection's blocks, and whether anything refers to a table.
fn paths(bytes: &[u8]) -> Vec<String> {
    let (mut decoder, mut rest, mut found) = (Decoder::default(), &bytes[PRI.len()..], Vec::new());
    while let Some((length, kind)) = frame(rest) {
        let mut used = FRAME_HEADER + length;
        if kind == HEADERS {
            let Found::Whole(block) = block(rest) else { panic!("no block") };
            used = block.length;
            let fields = decoder.read(&block.fragments.concat(), 1 << 20).unwrap();
            let of_path = fields.iter().filter(|(name, _)| name == PATH);
            found.extend(of_path.map(|(_, value)| String::from_utf8_lossy(value).into_owned()));
        }
        rest = &rest[used..];
    }
    found
}

fn connection(frames: &[Vec<u8>]) -> Vec<u8> {
    let settings = made(4, 0, 0, &[]);
    [PRI, &settings, &frames.concat()].concat()
}

#[test]
fn targets_are_escaped_as_on_http1_and_later_blocks_are_written_without_the_table() {
    let data = made(0, END_STREAM, 1, b"GET /<not-a-target> \x00\x00\x09\x01");
    for write in [path, coded] {
        let bytes = connection(&[
            // A field that the table remembers, and is referred to later, before and after the first escape.
            headers(1, &[&[0x82, 0x40, 1, b'x', 1, b'y'][..], &write(b"/a")].concat()),
            data.clone(),
            headers(3, &[&[0x82][..], &write(b"/?q=<b>\"\xff")].concat()),
            // 62 is now the path, 63 the one before it.
            headers(5, &[0x82, 0x80 | 62]),
            headers(7, &[0x82, 0x80 | 63, 0x80 | 64]),
        ]);
        for piece in [1, 7, 64, bytes.len()] {
            let out = read(&bytes, piece).unwrap();
            let expected = ["/a", "/?q=%3Cb%3E%22%FF", "/?q=%3Cb%3E%22%FF", "/a"];
            assert_eq!(paths(&out), expected, "in pieces of {piece}");
            assert!(out.windows(data.len()).any(|window| window == data), "data passes as it came");
        }
    }
}

#[test]
fn a_connection_that_needs_no_escape_passes_as_it_came() {
    let padded = [&[3_u8][..], &[0x80, 0, 0, 1, 7], &[0x82], &path(b"/a?b={c}"), &[0; 3]].concat();
    let bytes = connection(&[
        headers(1, &[&[0x82][..], &path(b"/index?q=%3C")].concat()),
        made(HEADERS, END_HEADERS | PADDED | PRIORITY, 3, &padded),
        made(HEADERS, 0, 5, &[0x82]),
        made(CONTINUATION, END_HEADERS, 5, &path(b"/c")),
        made(8, 0, 0, &[0, 0, 0, 9]),
    ]);
    for piece in [1, 5, bytes.len()] {
        assert_eq!(read(&bytes, piece).unwrap(), bytes, "in pieces of {piece}");
    }
}

#[test]
fn what_frames_say_beside_the_fields_is_kept_when_a_block_is_written_anew() {
    let priority = [0x80, 0, 0, 1, 7];
    let padded = [&[3_u8][..], &priority, &[0x82], &path(b"/?<"), &[0; 3]].concat();
    let bytes = connection(&[made(HEADERS, END_HEADERS | PADDED | PRIORITY | END_STREAM, 3, &padded)]);
    let out = read(&bytes, bytes.len()).unwrap();
    let head = &out[PRI.len() + FRAME_HEADER..];
    assert_eq!(head[4], END_HEADERS | PRIORITY | END_STREAM, "no padding");
    assert_eq!(head[5..9], [0, 0, 0, 3]);
    assert_eq!(head[9..14], priority);
    assert_eq!(paths(&out), ["/?%3C"]);
    // A block that becomes longer than a frame is continued.
    let value = vec![b'<'; 10_000];
    let literal = [&[0x04, 0x7f][..], &[0x91, 0x4d], b"?", &value[1..]].concat();
    let long = connection(&[made(HEADERS, END_HEADERS, 1, &literal)]);
    let out = read(&long, 1_000).unwrap();
    assert_eq!(paths(&out), [format!("?{}", "%3C".repeat(9_999))]);
    let kinds: Vec<u8> =
        [PRI.len() + FRAME_HEADER, PRI.len() + 2 * FRAME_HEADER + FRAME_BYTES].map(|at| out[at + 3]).into();
    assert_eq!(kinds, [HEADERS, CONTINUATION]);
}

#[test]
fn a_block_of_as_many_frames_as_the_limit_is_read_and_one_of_more_is_the_librarys() {
    let block = |frames: usize| {
        let mut all = vec![made(HEADERS, 0, 1, &[0x82])];
        all.extend((2..frames).map(|_| made(CONTINUATION, 0, 1, &[])));
        all.push(made(CONTINUATION, END_HEADERS, 1, &path(b"/?<")));
        connection(&all)
    };
    for (frames, escapes) in [(BLOCK_FRAMES - 1, true), (BLOCK_FRAMES, true), (BLOCK_FRAMES + 1, false)] {
        let bytes = block(frames);
        let out = read(&bytes, 11).unwrap();
        assert_eq!(out != bytes, escapes, "{frames}");
    }
}

#[test]
fn what_cannot_be_read_passes_as_it_came_or_ends_what_is_written_anew() {
    let escape = headers(1, &[&[0x82][..], &path(b"/?<")].concat());
    let large = [&[0, 1, b'n', 0x7f][..], &[0x81, 0xff, 7], &vec![b'v'; 131_200]].concat();
    let mut too_long: Vec<Vec<u8>> = vec![made(HEADERS, 0, 3, &large[..16_000])];
    too_long.extend(large[16_000..].chunks(16_000).map(|piece| made(CONTINUATION, 0, 3, piece)));
    for (what, fault) in [
        ("no such entry", headers(3, &[0x80 | 100])),
        ("another stream", [made(HEADERS, 0, 3, &[0x82]), made(CONTINUATION, END_HEADERS, 5, &[])].concat()),
        ("no continuation", [made(HEADERS, 0, 3, &[0x82]), made(0, 0, 3, b"x")].concat()),
        ("padding", made(HEADERS, END_HEADERS | PADDED, 3, &[200, 0x82])),
        ("a long frame", made(HEADERS, END_HEADERS, 3, &vec![0x82; FRAME_BYTES + 1])),
        ("a long block", too_long.concat()),
    ] {
        let bytes = connection(&[fault.clone(), escape.clone()]);
        assert_eq!(read(&bytes, 100).as_deref(), Some(bytes.as_slice()), "{what}");
        let bytes = connection(&[escape.clone(), fault, escape.clone()]);
        assert_eq!(read(&bytes, 100), None, "{what}");
    }
}

proptest! {
    #[test]
    fn pieces_do_not_matter_and_anything_is_read(bytes in any::<Vec<u8>>(), piece in 1_usize..50, kind in 0_u8..10) {
        let all = connection(&[made(kind, END_HEADERS, 1, &bytes), bytes]);
        let whole = read(&all, all.len());
        let pieces = read(&all, piece);
        // What is kept back at the end may differ where a connection is broken off, and nowhere else.
        prop_assert_eq!(whole, pieces);
    }
}
