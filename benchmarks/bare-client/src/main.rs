//! `bare-client load` sends a plan of requests over keep-alive connections and prints what that cost as one line of JSON.
//! `bare-client ticks` writes the instants at which an open loop is to call, as they come. `benchmarks/README.md` says who uses which.

mod arrivals;
mod connection;
mod load;
mod plan;

use std::error::Error;
use std::process::ExitCode;

use lexopt::prelude::*;

const USAGE: &str = "\
usage: bare-client load --plan FILE --in-flight N (--calls N | --seconds S) [--warm-up S] [--rate CALLS_PER_SECOND]
       bare-client ticks --rate CALLS_PER_SECOND --seconds S";

/// What the command line says.
#[derive(Default)]
struct Arguments {
    command: String,
    plan: String,
    in_flight: usize,
    calls: Option<u64>,
    seconds: f64,
    warm_up: f64,
    rate: Option<f64>,
}

fn arguments() -> Result<Arguments, lexopt::Error> {
    let mut arguments = Arguments::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Value(command) if arguments.command.is_empty() => {
                arguments.command = command.string()?;
            }
            Long("plan") => arguments.plan = parser.value()?.string()?,
            Long("in-flight") => arguments.in_flight = parser.value()?.parse()?,
            Long("calls") => arguments.calls = Some(parser.value()?.parse()?),
            Long("seconds") => arguments.seconds = parser.value()?.parse()?,
            Long("warm-up") => arguments.warm_up = parser.value()?.parse()?,
            Long("rate") => arguments.rate = Some(parser.value()?.parse()?),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(arguments)
}

/// One thread, so that nothing but the requests themselves is paid for.
fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    match (arguments.command.as_str(), arguments.rate) {
        ("ticks", Some(rate)) => Ok(arrivals::write(rate, arguments.seconds)?),
        ("load", rate) => {
            let limits = load::Limits {
                in_flight: arguments.in_flight.max(1),
                calls: arguments.calls,
                seconds: arguments.seconds,
                rate,
            };
            let plan = plan::read(&arguments.plan)?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let measured = runtime.block_on(load::run(plan, arguments.warm_up, limits))?;
            println!("{}", serde_json::to_string(&measured)?);
            Ok(())
        }
        _ => Err(USAGE.into()),
    }
}

fn main() -> ExitCode {
    let done = arguments()
        .map_err(|error| format!("{error}\n{USAGE}").into())
        .and_then(|arguments| run(&arguments));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bare-client: {error}");
            ExitCode::FAILURE
        }
    }
}
