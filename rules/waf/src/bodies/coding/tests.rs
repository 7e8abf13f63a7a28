//! Bodies that are packed: what is read, what is bounded, what is refused.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;

const TEXT: &[u8] = b"q=attack&r=attack&s=attack&t=attack and attack";
/// What the reference encoders make of [`TEXT`]: brotli, zstd with and without a checksum.
const BR: &str = "1b2d00f8c56d6c5d97e7f586d40b82ca6ec001560c520230301bb295cdebe3a02900";
const ZSTD: &str =
    "28b52ffd242e0d0100b8713d61747461636b2672737420616e642061747461636b0300200b2097444102ab8d9fff";
const ZSTD_BARE: &str =
    "28b52ffd00680d0100b8713d61747461636b2672737420616e642061747461636b0300200b2097444102";
/// A mebibyte of zeros.
const BR_ZEROS: &str = "5bffff8f7f02201e0b0472ef1f00";
const ZSTD_ZEROS: &str =
    "28b52ffd04684c000008000100fcff39100202001000020010000200100002001000020010000200100003001000f13e16e1";

const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn bare(text: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// [`TEXT`] in every coding.
fn samples() -> Vec<(Coding, Vec<u8>)> {
    vec![
        (Coding::Gzip, gzip(TEXT)),
        (Coding::Deflate, zlib(TEXT)),
        (Coding::Deflate, bare(TEXT)),
        (Coding::Brotli, hex(BR)),
        (Coding::Zstd, hex(ZSTD)),
        (Coding::Zstd, hex(ZSTD_BARE)),
        (Coding::Zstd, compress_to_vec(TEXT, CompressionLevel::Fastest)),
    ]
}

#[test]
fn every_coding_is_undone() {
    for (coding, wire) in samples() {
        let decoded = decode(&[coding], &wire, 1000);
        assert_eq!(decoded.end, End::Whole, "{coding:?}");
        assert_eq!(decoded.bytes, TEXT, "{coding:?}");
    }
    assert_eq!(decode(&[], b"as it is", 1000), Decoded { bytes: Vec::new(), end: End::Whole });
}

#[test]
fn what_comes_before_a_fault_is_kept_in_every_coding() {
    let text: Vec<u8> =
        (0..40_000_u32).flat_map(|number| format!("{:x} ", number * 7919).into_bytes()).collect();
    for (coding, mut wire) in [
        (Coding::Gzip, gzip(&text)),
        (Coding::Deflate, bare(&text)),
        (Coding::Zstd, compress_to_vec(text.as_slice(), CompressionLevel::Fastest)),
    ] {
        // Behind the first block, of which zstd's have 128 KiB: the kind of a block that no coding has, and lengths.
        let mut faults = 0;
        for place in (wire.len() * 3 / 4..wire.len() - 64).step_by(997) {
            let whole = wire.clone();
            wire[place..place + 24].fill(0xff);
            let decoded = decode(&[coding], &wire, 1 << 20);
            if let End::Fault(_) = decoded.end {
                faults += 1;
                assert!(
                    decoded.bytes.len() > 64 * 1024,
                    "{coding:?}: {} bytes at {place}",
                    decoded.bytes.len()
                );
                assert_eq!(decoded.bytes[..64 * 1024], text[..64 * 1024], "{coding:?}");
            }
            wire = whole;
        }
        assert!(faults > 0, "{coding:?} finds no fault");
    }
}

#[test]
fn names_are_read_as_they_are_registered_and_others_are_no_coding() {
    let read = |values: &[&str]| codings(values.iter().map(|value| value.as_bytes()));
    assert_eq!(read(&[]), Ok(vec![]));
    assert_eq!(read(&["identity", ""]), Ok(vec![]));
    assert_eq!(read(&["GZIP"]), Ok(vec![Coding::Gzip]));
    assert_eq!(read(&["x-gzip, br"]), Ok(vec![Coding::Gzip, Coding::Brotli]));
    assert_eq!(read(&["deflate", "zstd"]), Ok(vec![Coding::Deflate, Coding::Zstd]));
    for unknown in ["compress", "gzip;q=1", "gzip br", "gz", "\"gzip\""] {
        assert!(read(&[unknown]).is_err(), "{unknown}");
    }
}

#[test]
fn codings_at_their_limit_are_read_and_over_it_are_refused() {
    let read = |count: usize| codings(std::iter::once(vec!["gzip"; count].join(",").as_bytes()));
    assert_eq!(read(CODINGS_LIMIT - 1).unwrap().len(), CODINGS_LIMIT - 1);
    assert_eq!(read(CODINGS_LIMIT).unwrap().len(), CODINGS_LIMIT);
    assert!(read(CODINGS_LIMIT + 1).is_err());
}

#[test]
fn codings_in_one_another_are_undone_from_the_last() {
    let twice = gzip(&hex(BR));
    let decoded = decode(&[Coding::Brotli, Coding::Gzip], &twice, 1000);
    assert_eq!((decoded.bytes.as_slice(), decoded.end), (TEXT, End::Whole));
    assert!(matches!(decode(&[Coding::Gzip, Coding::Brotli], &twice, 1000).end, End::Fault(_) | End::Cut));
    let cut = decode(&[Coding::Gzip, Coding::Gzip], &gzip(&gzip(TEXT))[..40], 1000);
    assert_eq!(cut.end, End::Cut);
}

#[test]
fn bytes_behind_the_end_are_a_fault_whatever_they_are() {
    for (coding, wire) in samples() {
        for tail in [&b"\0"[..], b"attack", &wire] {
            let mut longer = wire.clone();
            longer.extend_from_slice(tail);
            let decoded = decode(&[coding], &longer, 1000);
            assert!(matches!(decoded.end, End::Fault(_)), "{coding:?} {tail:?}: {decoded:?}");
        }
    }
}

#[test]
fn data_that_is_cut_off_anywhere_is_cut_and_what_is_there_is_kept() {
    for (coding, wire) in samples() {
        for length in 0..wire.len() {
            let decoded = decode(&[coding], &wire[..length], 1000);
            // Two bytes of bare data may look like zlib's frame, and a frame that is cut may not.
            let allowed = decoded.end == End::Cut
                || coding == Coding::Deflate && length < 8 && matches!(decoded.end, End::Fault(_));
            assert!(allowed, "{coding:?} {length}: {decoded:?}");
            assert!(TEXT.starts_with(&decoded.bytes), "{coding:?} {length}");
        }
    }
    let text: Vec<u8> = (0..60_000).flat_map(|number| format!("attack {number} ").into_bytes()).collect();
    let wire = compress_to_vec(text.as_slice(), CompressionLevel::Fastest);
    let cut = decode(&[Coding::Zstd], &wire[..wire.len() - 5], usize::MAX);
    assert_eq!(cut.end, End::Cut);
    assert!(cut.bytes.len() >= 128 * 1024 && text.starts_with(&cut.bytes), "{}", cut.bytes.len());
}

#[test]
fn a_wrong_checksum_or_length_is_a_fault() {
    for (wire, coding) in
        [(gzip(TEXT), Coding::Gzip), (zlib(TEXT), Coding::Deflate), (hex(ZSTD), Coding::Zstd)]
    {
        let mut wrong = wire.clone();
        *wrong.last_mut().unwrap() ^= 1;
        assert!(matches!(decode(&[coding], &wrong, 1000).end, End::Fault(_)), "{coding:?}");
    }
    let mut wrong = gzip(TEXT);
    let sum = wrong.len() - 8;
    wrong[sum] ^= 1;
    assert!(matches!(decode(&[Coding::Gzip], &wrong, 1000).end, End::Fault(_)));
}

#[test]
fn the_limit_is_kept_under_at_and_over_it() {
    for (coding, wire) in samples() {
        for (limit, end) in
            [(TEXT.len() + 1, End::Whole), (TEXT.len(), End::Whole), (TEXT.len() - 1, End::Over)]
        {
            let decoded = decode(&[coding], &wire, limit);
            assert_eq!((decoded.end, decoded.bytes.len()), (end, limit.min(TEXT.len())), "{coding:?}");
        }
    }
}

#[test]
fn a_bomb_ends_at_its_ratio_and_short_repetition_is_none() {
    let zeros = vec![0; 1 << 20];
    let bombs = [
        (Coding::Gzip, gzip(&zeros)),
        (Coding::Deflate, zlib(&zeros)),
        (Coding::Brotli, hex(BR_ZEROS)),
        (Coding::Zstd, hex(ZSTD_ZEROS)),
    ];
    for (coding, wire) in &bombs {
        let decoded = decode(&[*coding], wire, usize::MAX);
        assert_eq!(decoded.end, End::Bomb, "{coding:?}");
        assert_eq!(decoded.bytes.len(), RATIO_FLOOR.max(wire.len() * RATIO_LIMIT), "{coding:?}");
        assert_eq!(decode(&[*coding], wire, 1000).end, End::Over, "{coding:?}: the limit comes first");
    }
    for (size, end) in
        [(RATIO_FLOOR - 1, End::Whole), (RATIO_FLOOR, End::Whole), (RATIO_FLOOR + 1, End::Bomb)]
    {
        assert_eq!(decode(&[Coding::Gzip], &gzip(&vec![0; size]), usize::MAX).end, end, "{size}");
    }
    assert_eq!(decode(&[Coding::Gzip, Coding::Gzip], &gzip(&gzip(&zeros)), usize::MAX).end, End::Bomb);
}

#[test]
fn deflate_that_reads_as_two_things_is_a_fault() {
    // zlib: a stored block of 65,534 bytes, an empty last one, the checksum. Bare: 78 and 00 begin stored blocks that are
    // not the last, and the block at byte 11 takes everything to the end.
    let mut content = vec![0, 0, 0xff, 0xff, 1, 0xfe, 0xff, 1, 0];
    content.resize(65_534, b'x');
    let (mut low, mut high) = (1_u32, 0_u32);
    for byte in &content {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    let mut wire = vec![0x78, 0x01, 0, 0xfe, 0xff, 1, 0];
    wire.extend_from_slice(&content);
    wire.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
    wire.extend_from_slice(&(high << 16 | low).to_be_bytes());
    assert!(matches!(decode(&[Coding::Deflate], &wire, 100_000).end, End::Fault(_)));
    wire[16] ^= 1;
    wire[11] = 7;
    assert!(!matches!(decode(&[Coding::Deflate], &wire, 100_000).end, End::Whole), "neither is whole now");
}

#[test]
fn a_zstandard_window_under_and_at_the_limit_is_taken_and_over_it_refused() {
    // A frame whose one block is `hello` as it is, with windows of 7.5, 8 and 9 MiB.
    for (window, end) in [("67", true), ("68", true), ("69", false)] {
        let wire = hex(&format!("28b52ffd00{window}29000068656c6c6f"));
        let decoded = decode(&[Coding::Zstd], &wire, 1000);
        assert_eq!(matches!(decoded.end, End::Whole), end, "{window}: {decoded:?}");
        assert_eq!(decoded.bytes, if end { b"hello".as_slice() } else { b"" });
    }
}

#[test]
fn windows_and_dictionaries_a_decoder_need_not_have_are_faults() {
    // A window of 16 MiB; a dictionary id; a skippable frame; a reserved gzip flag; brotli's large window.
    for (coding, wire) in [
        (Coding::Zstd, "28b52ffd00700100000000000000000000000000"),
        (Coding::Zstd, "28b52ffd010007010000000000000000000000000000"),
        (Coding::Zstd, "502a4d1804000000000000000000000000000000"),
        (Coding::Gzip, "1f8b088000000000000300000000"),
        (Coding::Brotli, "1118000000000000"),
    ] {
        let decoded = decode(&[coding], &hex(wire), 1000);
        assert!(matches!(decoded.end, End::Fault(_)), "{coding:?} {wire}: {decoded:?}");
    }
}

proptest! {
    #[test]
    fn what_encoders_make_comes_back(text in prop::collection::vec(any::<u8>(), 0..3000)) {
        for (coding, wire) in [
            (Coding::Gzip, gzip(&text)),
            (Coding::Deflate, zlib(&text)),
            (Coding::Deflate, bare(&text)),
            (Coding::Zstd, compress_to_vec(text.as_slice(), CompressionLevel::Fastest)),
        ] {
            let decoded = decode(&[coding], &wire, 3000);
            prop_assert_eq!(decoded.end, End::Whole);
            prop_assert_eq!(&decoded.bytes, &text);
        }
    }

    #[test]
    fn bytes_of_any_kind_are_bounded(wire in prop::collection::vec(any::<u8>(), 0..300), limit in 0..2000_usize) {
        for coding in ALL {
            prop_assert!(decode(&[coding], &wire, limit).bytes.len() <= limit);
            prop_assert!(decode(&[coding, coding], &wire, limit).bytes.len() <= limit);
        }
    }
}
