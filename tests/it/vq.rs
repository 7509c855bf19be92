//! The VQ tokenizer against the official code.

use image::{Rgb, RgbImage};
use janus_runtime::manifest::DType;
use janus_runtime::{ModelDir, SessionOptions};
use janus_tests::{assert_close, demo_model, load_library, tiny_golden, tiny_model};
use janus_vq::{Error, ImageTokens, VqDecoder, VqEncoder};
use ndarray::{Array4, Ix2, Ix4};

const TOLERANCE: f64 = 1e-5;
const FORMS: [&str; 3] = ["released", "released-bin", "transformers"];

fn tiny(form: &str) -> ModelDir {
    load_library();
    ModelDir::open(tiny_model(form, DType::Fp32)).unwrap()
}

fn forced_tokens(model: &ModelDir) -> ImageTokens {
    let tokens = tiny_golden().i64("image_forced_tokens");
    let tokens = tokens.into_dimensionality::<Ix2>().unwrap();
    ImageTokens::from_indices(tokens, model.manifest().vq().unwrap()).unwrap()
}

#[test]
fn decoded_pixels_equal_the_official_ones() {
    let expected = tiny_golden().f32("decoded_pixels");
    for form in FORMS {
        let model = tiny(form);
        let mut decoder = VqDecoder::open(&model, &SessionOptions::default()).unwrap();
        let pixels = decoder.decode_pixels(&forced_tokens(&model)).unwrap();
        assert_close(form, pixels.view(), expected.view(), TOLERANCE);
    }
}

#[test]
fn tokens_equal_the_official_ones() {
    let golden = tiny_golden();
    let pixels = golden
        .f32("vq_pixels")
        .into_dimensionality::<Ix4>()
        .unwrap();
    for form in FORMS {
        let mut encoder = VqEncoder::open(&tiny(form), &SessionOptions::default()).unwrap();
        let tokens = encoder.encode_pixels(pixels.view()).unwrap();
        assert_eq!(tokens.view().into_dyn(), golden.i64("vq_tokens"), "{form}");
    }
}

#[test]
fn pictures_are_the_pixels_cut_to_bytes() {
    let model = tiny("released");
    let mut decoder = VqDecoder::open(&model, &SessionOptions::default()).unwrap();
    let tokens = forced_tokens(&model);
    let pixels = decoder.decode_pixels(&tokens).unwrap();
    let pictures = decoder.decode(&tokens).unwrap();
    assert_eq!(pictures.len(), tokens.len());
    for (i, picture) in pictures.iter().enumerate() {
        for (x, y, Rgb(channels)) in picture.enumerate_pixels() {
            for (c, &byte) in channels.iter().enumerate() {
                let level = (pixels[[i, c, y as usize, x as usize]] + 1.0) * 127.5;
                assert!((f32::from(byte) - level.clamp(0.0, 255.0)).abs() <= 1.0);
            }
        }
    }
}

#[test]
fn no_pictures_give_no_tokens_and_back() {
    let model = tiny("released");
    let options = SessionOptions::default();
    let tokens = VqEncoder::open(&model, &options)
        .unwrap()
        .encode(&[])
        .unwrap();
    assert!(tokens.is_empty());
    let pictures = VqDecoder::open(&model, &options)
        .unwrap()
        .decode(&tokens)
        .unwrap();
    assert!(pictures.is_empty());
}

#[test]
fn inputs_of_another_model_are_refused() {
    let model = tiny("released");
    let options = SessionOptions::default();
    let mut encoder = VqEncoder::open(&model, &options).unwrap();
    let error = encoder
        .encode_pixels(Array4::zeros((1, 3, 16, 16)).view())
        .unwrap_err();
    assert!(
        matches!(error, Error::Runtime(janus_runtime::Error::Input { .. })),
        "{error}"
    );

    let mut other = model.manifest().vq().unwrap().clone();
    other.grid[0] += 1;
    let tokens = vec![janus_runtime::ImageToken(0); other.num_tokens()];
    let tokens = ImageTokens::from_rows(&[tokens], &other).unwrap();
    let mut decoder = VqDecoder::open(&model, &options).unwrap();
    let error = decoder.decode(&tokens).unwrap_err();
    assert!(
        matches!(error, Error::Runtime(janus_runtime::Error::Input { .. })),
        "{error}"
    );
}

/// The demo model's tokenizer was trained, so what it keeps of a picture can be seen.
#[test]
fn a_picture_survives_its_tokens() {
    load_library();
    let model = ModelDir::open(demo_model()).unwrap();
    let options = SessionOptions::default();
    let side = model.manifest().vq().unwrap().image_size as u32;
    let white = RgbImage::from_pixel(side, side, Rgb([245; 3]));
    let tokens = VqEncoder::open(&model, &options)
        .unwrap()
        .encode(std::slice::from_ref(&white))
        .unwrap();
    let back = VqDecoder::open(&model, &options)
        .unwrap()
        .decode(&tokens)
        .unwrap();
    let distance: u32 = back[0]
        .iter()
        .zip(white.iter())
        .map(|(a, b)| u32::from(a.abs_diff(*b)))
        .sum();
    assert!(
        distance / (side * side * 3) < 16,
        "{distance} levels over {side} × {side}"
    );
}
