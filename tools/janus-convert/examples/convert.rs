//! Converts a checkpoint: `convert <released> <out> [fp32|fp16]`.

#![expect(clippy::print_stdout, reason = "a program may print")]

use std::error::Error;
use std::path::PathBuf;

use janus_convert::{ConvertOptions, convert};
use janus_runtime::manifest::DType;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(released), Some(out)) = (arguments.next(), arguments.next()) else {
        return Err("usage: convert <released> <out> [fp32|fp16]".into());
    };
    let dtype = match arguments.next() {
        Some(dtype) if dtype == "fp16" => DType::Fp16,
        _ => DType::Fp32,
    };
    let options = ConvertOptions {
        dtype,
        ..ConvertOptions::default()
    };
    let manifest = convert(&PathBuf::from(released), &PathBuf::from(out), &options)?;
    println!("{}", manifest.to_json()?);
    Ok(())
}
