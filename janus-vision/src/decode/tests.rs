use std::fs;
use std::path::PathBuf;

use image::{ImageBuffer, Luma};

use super::*;

fn samples() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/decode");
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| !path.to_string_lossy().ends_with(".expected.png"));
    paths.sort();
    assert!(paths.len() > 15);
    paths
}

/// What Pillow makes of a sample.
fn expected(sample: &Path) -> RgbImage {
    let path = format!("{}.expected.png", sample.display());
    image::open(path).unwrap().into_rgb8()
}

fn sample(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/decode");
    fs::read(Path::new(folder).join(name)).unwrap()
}

fn message(bytes: &[u8]) -> String {
    decode_image(bytes).unwrap_err().to_string()
}

#[test]
fn every_byte_is_pillows() {
    for path in samples() {
        let picture = open_image(&path).unwrap();
        assert!(picture == expected(&path), "{}", path.display());
    }
}

#[test]
fn sixteen_bit_gray_keeps_its_high_byte() {
    let gray = ImageBuffer::from_fn(3, 1, |x, _| Luma([[0_u16, 0x12FF, 0xFFFF][x as usize]]));
    let mut file = Cursor::new(Vec::new());
    DynamicImage::ImageLuma16(gray)
        .write_to(&mut file, ImageFormat::Png)
        .unwrap();
    let picture = decode_image(file.get_ref()).unwrap();
    assert_eq!(
        picture.as_raw(),
        &[0, 0, 0, 0x12, 0x12, 0x12, 255, 255, 255]
    );
}

#[test]
fn a_file_cut_off_is_whole_or_an_error() {
    for path in samples() {
        let (bytes, whole) = (fs::read(&path).unwrap(), expected(&path));
        for length in (0..bytes.len()).step_by(37).chain([bytes.len() - 1]) {
            if let Ok(picture) = decode_image(&bytes[..length]) {
                assert!(picture == whole, "{} bytes of {}", length, path.display());
            }
        }
    }
}

#[test]
fn other_contents_are_refused_by_name() {
    let contents: [&[u8]; 7] = [
        b"",
        b"\xFF",
        b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"BM\x1a\x00\x00\x00\x00\x00\x00\x00",
        b"P6 1 1 255 abc",
    ];
    for bytes in contents {
        assert_eq!(
            message(bytes),
            "the picture is not a PNG, JPEG or WebP picture"
        );
    }
    let error = open_image("no/such/photo.png").unwrap_err();
    assert_eq!(error.to_string(), "cannot read `no/such/photo.png`");
}

#[test]
fn limits_hold_for_every_format() {
    let default = ImageLimits::default();
    for (name, width, height) in [
        ("420-progressive.jpg", 67_u32, 45_u32),
        ("lossy.webp", 67, 45),
        ("rgb16.png", 23, 19),
    ] {
        let bytes = sample(name);
        let fails = |limits: ImageLimits| limits.decode(&bytes).unwrap_err().to_string();
        let size = format!("the picture is {width} × {height} pixels large");

        let max_side = width - 1;
        assert_eq!(
            fails(ImageLimits {
                max_side,
                ..default
            }),
            format!("{size}; no side may exceed {max_side}")
        );
        let max_pixels = u64::from(width) * u64::from(height) - 1;
        assert_eq!(
            fails(ImageLimits {
                max_pixels,
                ..default
            }),
            format!("{size}; it may have {max_pixels} pixels")
        );
        let max_bytes = bytes.len() as u64 - 1;
        assert_eq!(
            fails(ImageLimits {
                max_bytes,
                ..default
            }),
            format!("the picture has more than {max_bytes} bytes")
        );
        let exact = ImageLimits {
            max_bytes: max_bytes + 1,
            max_side: width,
            max_pixels: max_pixels + 1,
        };
        assert!(exact.decode(&bytes).is_ok());
    }
}

#[test]
fn a_header_alone_is_enough_to_refuse() {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x9c\x40\0\0\x9c\x40\x08\x02\0\0\0".to_vec();
    png.extend(b"\xde\x6e\x99\x52\0\0\0\x04IDAT");
    assert_eq!(
        message(&png),
        "the picture is 40000 × 40000 pixels large; no side may exceed 8192"
    );

    let mut jpeg = sample("422.jpg");
    let frame = jpeg.windows(2).position(|marker| marker == [0xFF, 0xC0]);
    jpeg[frame.unwrap() + 5..][..4].fill(0xFF);
    assert_eq!(
        message(&jpeg),
        "the picture is 65535 × 65535 pixels large; no side may exceed 8192"
    );
}

#[test]
fn a_decoder_that_panics_is_an_error() {
    // Sampling factors of 1 × 3 in one of four components are beyond the JPEG decoder.
    let mut jpeg = sample("cmyk.jpg");
    let frame = jpeg.windows(2).position(|marker| marker == [0xFF, 0xC0]);
    jpeg[frame.unwrap() + 20] = 0x13;
    let error = decode_image(&jpeg).unwrap_err();
    assert!(
        matches!(
            error,
            ImageError::DecoderPanic { .. } | ImageError::Decode { .. }
        ),
        "{error}"
    );
}
