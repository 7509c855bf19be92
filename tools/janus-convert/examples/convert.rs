//! Converts a checkpoint: `convert <released> <out> [RECIPE]`.

#![expect(clippy::print_stdout, reason = "a program may print")]

use std::error::Error;
use std::path::PathBuf;

use janus_convert::{ConvertOptions, Recipe, convert};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(released), Some(out)) = (arguments.next(), arguments.next()) else {
        return Err("usage: convert <released> <out> [RECIPE]".into());
    };
    let mut options = ConvertOptions::default();
    if let Some(name) = arguments.next() {
        let shipped = name.to_str().and_then(Recipe::named);
        options.recipe = shipped.ok_or("RECIPE is fp32, fp16, q8, q4, q4f16 or q4-small")?;
    }
    let manifest = convert(&PathBuf::from(released), &PathBuf::from(out), &options)?;
    println!("{}", manifest.to_json()?);
    Ok(())
}
