//! Files that are no pictures, or more of one than they look like: each is refused by name (cases E01 to E15).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{Rgb, RgbImage};
use serde_json::json;

use crate::client::{data_url, expect_well, post, shared};

/// What `/v1/embeddings` says of a file.
fn told(media: &str, bytes: &[u8]) -> (u16, String) {
    let url = format!("data:{media};base64,{}", STANDARD.encode(bytes));
    let response = post(shared(), "/v1/embeddings", &json!({ "input": url }));
    let answer = response.json();
    let message = answer["error"]["message"].as_str().unwrap_or_default();
    if response.status != 200 {
        assert_eq!(answer["error"]["param"], "input");
    }
    (response.status, message.to_owned())
}

fn expect_refused(case: &str, media: &str, bytes: &[u8], message: &str) {
    let (status, said) = told(media, bytes);
    assert_eq!(status, 400, "{case}: {said}");
    assert!(said.contains(message), "{case}: {said}");
    expect_well(shared(), case);
}

/// A picture as a file of a format.
fn file(format: image::ImageFormat) -> Vec<u8> {
    let picture = RgbImage::from_fn(40, 30, |x, y| Rgb([x as u8 * 6, y as u8 * 8, 90]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

const JPEG: &[u8] = include_bytes!("../../../../janus-vision/testdata/decode/422.jpg");

/// A part of a PNG.
fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [kind, data].concat();
    let mut bytes = (data.len() as u32).to_be_bytes().to_vec();
    bytes.extend(&body);
    bytes.extend(crc32(&body).to_be_bytes());
    bytes
}

/// CRC-32 as PNG has it.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| match crc & 1 {
            1 => (crc >> 1) ^ 0xedb8_8320,
            _ => crc >> 1,
        })
    })
}

/// A PNG of eight-bit colours whose header says so many pixels, with further parts.
fn png(width: u32, height: u32, parts: &[Vec<u8>]) -> Vec<u8> {
    let header = [
        &width.to_be_bytes()[..],
        &height.to_be_bytes(),
        &[8, 2, 0, 0, 0],
    ]
    .concat();
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    bytes.extend(chunk(b"IHDR", &header));
    bytes.extend(parts.concat());
    bytes.extend(chunk(b"IEND", &[]));
    bytes
}

/// The data of a PNG, as zlib has it without compressing.
fn stored(data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x78, 0x01];
    let mut blocks = data.chunks(65_535).peekable();
    while let Some(block) = blocks.next() {
        bytes.push(u8::from(blocks.peek().is_none()));
        bytes.extend((block.len() as u16).to_le_bytes());
        bytes.extend((!(block.len() as u16)).to_le_bytes());
        bytes.extend(block);
    }
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in data {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    bytes.extend((b << 16 | a).to_be_bytes());
    bytes
}

#[test]
fn other_files() {
    let format = "a picture should be PNG, JPEG or WebP";
    for (case, bytes) in [
        ("E01 nothing", &b""[..]),
        ("E01 one byte", b"\x89"),
        ("E01 text", b"a red circle"),
        ("E01 HTML", b"<!doctype html><img src=x>"),
        ("E01 SVG", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("E01 PDF", b"%PDF-1.7\n"),
        ("E01 GIF", b"GIF89a\x01\0\x01\0\0\0\0;"),
        ("E01 BMP", b"BM\x1e\0\0\0\0\0\0\0\x1a\0\0\0"),
        ("E01 TIFF", b"II*\0\x08\0\0\0"),
        ("E01 ICO", b"\0\0\x01\0\x01\0"),
        ("E01 PNM", b"P6 1 1 255 abc"),
        ("E01 MP4", b"\0\0\0\x18ftypmp42"),
        ("E01 ZIP", b"PK\x03\x04"),
    ] {
        expect_refused(case, "image/png", bytes, format);
    }
    let png = file(image::ImageFormat::Png);
    for media in [
        "image/jpeg",
        "image/svg+xml",
        "text/html",
        "",
        "image/png;charset=x",
    ] {
        expect_refused("E12 a claim", media, &png, "the picture says it is");
    }
    // Data that is no base64, by its place.
    for (data, message) in [
        ("AAA", "not base64"),
        ("AA AA", "not base64"),
        ("__--", "not base64"),
        ("A", "not base64"),
        ("%41%41", "not base64"),
    ] {
        let body = json!({ "input": format!("data:image/png;base64,{data}") });
        let response = post(shared(), "/v1/embeddings", &body);
        assert_eq!(response.status, 400, "E13 {data}");
        let said = response.json()["error"]["message"].to_string();
        assert!(said.contains(message), "E13 {data}: {said}");
    }
}

#[test]
fn sizes_are_refused_by_the_header() {
    for (case, width, height, message) in [
        ("E03 40000 × 40000", 40_000, 40_000, "8192"),
        ("E03 65535 × 1", 65_535, 1, "8192"),
        ("E03 1 × 65535", 1, 65_535, "8192"),
        ("E03 2^31 − 1", 0x7fff_ffff, 0x7fff_ffff, ""),
        ("E03 no width", 0, 7, ""),
        ("E03 no height", 7, 0, ""),
        ("E03 more pixels than may be", 8192, 8192, "40000000"),
    ] {
        let data = chunk(b"IDAT", &stored(&[0; 100]));
        expect_refused(case, "image/png", &png(width, height, &[data]), message);
    }
    let mut jpeg = JPEG.to_vec();
    let frame = jpeg
        .windows(2)
        .position(|two| matches!(two, [0xff, 0xc0 | 0xc2]));
    jpeg[frame.unwrap() + 5..][..4].copy_from_slice(&[0xff; 4]);
    expect_refused("E04 JPEG of 65535 × 65535", "image/jpeg", &jpeg, "8192");
    let mut webp = file(image::ImageFormat::WebP);
    let lossless = webp.windows(4).position(|four| four == b"VP8L").unwrap();
    webp[lossless + 9..][..3].copy_from_slice(&[0xfe, 0xff, 0xff]);
    expect_refused("E04 WebP of 16383 pixels", "image/webp", &webp, "8192");
}

#[test]
fn parts_that_are_wrong() {
    let rows = vec![0; 16 * (1 + 16 * 3)];
    let data = || chunk(b"IDAT", &stored(&rows));
    let filter = [&[9][..], &rows[1..]].concat();
    let mut wrong = data();
    let end = wrong.len();
    wrong[end - 1] ^= 1;
    for (case, parts) in [
        ("E05 no data", vec![]),
        (
            "E05 too little data",
            vec![chunk(b"IDAT", &stored(&rows[..300]))],
        ),
        ("E05 data that is none", vec![chunk(b"IDAT", &[0xff; 50])]),
        (
            "E05 a filter that there is not",
            vec![chunk(b"IDAT", &stored(&filter))],
        ),
        ("E05 a wrong sum", vec![wrong]),
        (
            "E05 a part that is too long",
            vec![[&[0x7f, 0xff, 0xff, 0xff][..], b"IDAT"].concat()],
        ),
    ] {
        expect_refused(case, "image/png", &png(16, 16, &parts), "");
    }
    // Texts that would be a gigabyte, and parts without number: the picture alone counts.
    let zeros =
        b"k\0\0\x78\x9c\xed\xc1\x01\x01\0\0\0\x80\x90\xfe\xaf\xee\x08\x0a\0\0\0\0\0\0\0\0".to_vec();
    for (case, parts) in [
        (
            "E05 many texts",
            (0..20_000)
                .map(|_| chunk(b"tEXt", b"k\0v"))
                .collect::<Vec<_>>(),
        ),
        ("E05 compressed texts", vec![chunk(b"zTXt", &zeros); 50]),
        ("E05 a profile of nothing", vec![chunk(b"iCCP", &zeros)]),
    ] {
        let file = png(16, 16, &[parts.concat(), data()]);
        let (status, said) = told("image/png", &file);
        assert!([200, 400].contains(&status), "{case}: {said}");
        expect_well(shared(), case);
    }
}

/// A file that ends early is whole or refused, never half a picture.
#[test]
fn files_that_end_early() {
    for (media, whole) in [
        ("image/png", file(image::ImageFormat::Png)),
        ("image/webp", file(image::ImageFormat::WebP)),
        ("image/jpeg", JPEG.to_vec()),
    ] {
        assert_eq!(told(media, &whole).0, 200, "{media}");
        for length in (0..whole.len() / 2).step_by(37) {
            expect_refused(
                &format!("E02 {media} {length}"),
                media,
                &whole[..length],
                "",
            );
        }
    }
}

#[test]
fn small_pictures_are_pictures() {
    for (width, height) in [(1, 1), (2, 2), (1, 4000), (4000, 1)] {
        let url = data_url(&RgbImage::new(width, height));
        let response = post(shared(), "/v1/embeddings", &json!({ "input": url }));
        assert_eq!(response.status, 200, "E15 {width} × {height}");
    }
    expect_well(shared(), "E15");
}
