//! The S3 of the tests as a process: prints where it serves, and ends with whoever holds its standard input.
use starburst_testkit::{
    end_of_input,
    s3::{Latency, S3Server},
};
use std::{error::Error, io::Write, time::Duration};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Default)]
struct Arguments {
    port: u16,
    latency: Latency,
}

fn arguments() -> Result<Arguments, lexopt::Error> {
    use lexopt::{Arg, ValueExt};
    let mut found = Arguments::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("port") => found.port = parser.value()?.parse()?,
            Arg::Long("latency-ms") => {
                found.latency.base = Duration::from_millis(parser.value()?.parse()?);
            }
            Arg::Long("tail-ms") => {
                found.latency.tail = Duration::from_millis(parser.value()?.parse()?);
            }
            Arg::Long(_) | Arg::Short(_) | Arg::Value(_) => return Err(argument.unexpected()),
        }
    }
    Ok(found)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let mut terminated = signal(SignalKind::terminate())?;
    let server = S3Server::start_on(arguments.port).await?;
    server.set_latency(arguments.latency);
    let mut output = std::io::stdout();
    writeln!(output, "{}", server.endpoint())?;
    output.flush()?;
    tokio::select! {
        _ = end_of_input() => {}
        _ = terminated.recv() => {}
    }
    Ok(())
}
