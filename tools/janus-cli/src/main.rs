//! The `janus` command.
//!
//! ```text
//! args ─► commands/* ─► model (export, checkpoint or demo) ─► the libraries
//!              │          context (library, cache, provider)
//!              └─► output · png · progress          failure ◄─ every error
//! ```

mod args;
mod commands;
mod context;
mod drawing;
mod export;
mod failure;
mod files;
mod interrupt;
mod model;
mod output;
mod picture;
mod progress;

use std::panic;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use context::Context;
use janus_bench::memory;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return failure::of_usage(&error),
    };
    let format = cli.global.error_format;
    interrupt::listen();
    failure::keep_panics_quiet();
    // A panic is a bug; it is told like any other error, with its place.
    let result = panic::catch_unwind(|| {
        context::listen(&cli.global);
        let context = Context::new(cli.global);
        run(cli.command, &context)
    });
    match result {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => failure::report(&error, format),
        Err(_) => failure::of_panic(format),
    }
}

fn run(command: Command, context: &Context) -> anyhow::Result<()> {
    match command {
        Command::Demo(args) => commands::demo::run(&args, context),
        Command::Text(args) => commands::text::run(&args, context),
        Command::Chat(args) => commands::chat::run(&args, context),
        Command::Image(args) => commands::image::run(&args, context),
        Command::Serve(args) => commands::serve::run(&args, context),
        Command::Inspect(args) => commands::inspect::run(&args, context),
        Command::Convert(args) => commands::convert::run(&args, context),
        Command::Synth(args) => commands::synth::run(&args, context),
        Command::Validate(args) => commands::validate::run(&args, context),
        Command::Eval(args) => commands::eval::run(&args, context),
        Command::Bench(args) => commands::bench::run(&args, context),
        Command::Preprocess(args) => commands::preprocess::run(&args, context),
        Command::Tokenize(args) => commands::tokenize::run(&args, context),
        Command::Encode(args) => commands::encode::run(&args, context),
        Command::Decode(args) => commands::decode::run(&args, context),
        Command::Run(args) => commands::run::run(&args, context),
        Command::Runtime(args) => commands::runtime::run(&args, context),
        Command::Doctor(args) => commands::doctor::run(&args, context),
    }
}
