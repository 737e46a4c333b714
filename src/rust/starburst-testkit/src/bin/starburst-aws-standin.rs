//! The rest of AWS for tests, as a process: prints where it serves, and ends, with all tasks, when its standard input does.
//!
//! `starburst-aws-standin [options] [-- PROGRAM [ARGUMENT]...]`: each ECS task runs the program with these arguments and then the
//! command of its container. See `Arguments` for the options.
use starburst_testkit::{
    aws::{AwsServer, Settings},
    end_of_input,
    s3::S3Server,
};
use std::{error::Error, io::Write, time::Duration};
use tokio::signal::unix::{SignalKind, signal};

/// What tasks have to end by themselves when the stand-in ends.
const GRACE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Arguments {
    port: u16,
    /// The port of S3, if there shall be one.
    s3: Option<u16>,
    settings: Settings,
}

/// `NAME=VALUE`.
fn pair(text: &str) -> Result<(String, String), lexopt::Error> {
    let pair = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    pair.ok_or_else(|| lexopt::Error::from(format!("{text} is not of the form NAME=VALUE")))
}

fn arguments() -> Result<Arguments, lexopt::Error> {
    use lexopt::{Arg, ValueExt};
    let mut found = Arguments::default();
    let mut program = Vec::new();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        let settings = &mut found.settings;
        match argument {
            Arg::Long("port") => found.port = parser.value()?.parse()?,
            Arg::Long("s3") => found.s3 = found.s3.or(Some(0)),
            Arg::Long("s3-port") => found.s3 = Some(parser.value()?.parse()?),
            Arg::Long("account") => settings.account = parser.value()?.string()?,
            Arg::Long("region") => settings.region = parser.value()?.string()?,
            Arg::Long("cluster") => settings.clusters.push(parser.value()?.string()?),
            Arg::Long("capacity-provider") => {
                settings.capacity_providers.push(parser.value()?.string()?);
            }
            Arg::Long("env") => settings.environment.push(pair(&parser.value()?.string()?)?),
            Arg::Long("secret") => {
                let (arn, value) = pair(&parser.value()?.string()?)?;
                settings.secrets.insert(arn, value);
            }
            Arg::Long("start-delay-ms") => settings.start_delay = milliseconds(&mut parser)?,
            Arg::Long("spot-notice-ms") => settings.spot_notice = milliseconds(&mut parser)?,
            Arg::Long("stop-timeout-ms") => {
                settings.stop_timeout = Some(milliseconds(&mut parser)?);
            }
            Arg::Long("ec2-delay-ms") => settings.ec2_delay = milliseconds(&mut parser)?,
            Arg::Long("ec2-idle-ms") => settings.ec2_idle = milliseconds(&mut parser)?,
            Arg::Long("ec2-most") => settings.ec2_most = parser.value()?.parse()?,
            Arg::Long("quota") => {
                let (code, value) = pair(&parser.value()?.string()?)?;
                let wrong = |_| lexopt::Error::from(format!("{value} is not a number or `unset`"));
                let value =
                    if value == "unset" { None } else { Some(value.parse().map_err(wrong)?) };
                settings.quotas.insert(code, value);
            }
            Arg::Long("no-limits") => settings.limits = false,
            Arg::Long("logs-endpoint") => {
                settings.logs_endpoint = Some(parser.value()?.string()?);
            }
            Arg::Long("moto") => settings.moto = Some(parser.value()?.string()?),
            Arg::Long("record") => settings.record = Some(parser.value()?.into()),
            Arg::Value(word) => program.push(word.string()?),
            Arg::Long(_) | Arg::Short(_) => return Err(argument.unexpected()),
        }
    }
    if !program.is_empty() {
        found.settings.program = program;
    }
    Ok(found)
}

fn milliseconds(parser: &mut lexopt::Parser) -> Result<Duration, lexopt::Error> {
    use lexopt::ValueExt;
    Ok(Duration::from_millis(parser.value()?.parse()?))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let server = AwsServer::start_on(arguments.port, arguments.settings).await?;
    let mut output = std::io::stdout();
    writeln!(output, "ECS {}", server.endpoint())?;
    let s3 = match arguments.s3 {
        None => None,
        Some(port) => {
            let s3 = S3Server::start_on(port).await?;
            server.attach(&s3);
            writeln!(output, "S3 {}", s3.endpoint())?;
            Some(s3)
        }
    };
    output.flush()?;
    tokio::select! {
        _ = end_of_input() => {}
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    // S3 last: workers that are told to end still write.
    server.shut_down(GRACE).await;
    drop(s3);
    Ok(())
}
