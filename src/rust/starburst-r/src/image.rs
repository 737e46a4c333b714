//! Images of workers: what a base says of itself, building and pushing, and the checksums of files.
use crate::{
    account::{open, text},
    error::{RError, Result},
    job::{self, Cell},
    runtime,
};
use extendr_api::prelude::*;
use starburst_aws::{
    account::Account,
    ecr::{self, ImageAddress},
    install::Said,
};
use starburst_core::error::Error;
use starburst_image::{Architecture, ImageRef, Login, Logins, Parts, Plan, Progress};
use starburst_local::{SystemClock, SystemIds};
use std::{path::PathBuf, sync::Arc};

fn named(image: &str) -> Result<ImageRef> {
    ImageRef::parse(image).map_err(|error| RError::Value(error.to_string()))
}

fn architecture(name: &str) -> Result<Architecture> {
    Architecture::parse(name).ok_or_else(|| RError::Value(format!("`{name}` is no architecture")))
}

/// Who asks: what `docker login` knows, and `login` (`registry`, `user`, `password`), which comes first.
fn logins(docker: &str, login: &List) -> Logins {
    let mut logins = Logins::of_docker(docker);
    let get = |name| text(login, name);
    if let (Some(registry), Some(user), Some(password)) =
        (get("registry"), get("user"), get("password"))
    {
        logins.add(&registry, Login::new(&user, &password));
    }
    logins
}

/// Registries of ECR take a password that AWS gives.
async fn ask_ecr(
    account: &Account,
    images: &[&ImageRef],
    login: Option<String>,
    logins: &mut Logins,
) -> std::result::Result<(), Error> {
    for image in images {
        let Some(address) = ImageAddress::parse(&image.to_string()) else { continue };
        if login.as_ref() == Some(&image.registry) {
            continue;
        }
        let password = ecr::authorization(&account.in_region(&address.region)).await?;
        if let Some(login) = Login::decode(&password) {
            logins.add(&image.registry, login);
        }
    }
    Ok(())
}

/// The registry that an image is of.
#[extendr]
fn rs_image_registry(image: &str) -> Result<String> {
    Ok(named(image)?.registry)
}

/// The environment variables that a base image sets: `names` and `values`.
#[extendr]
fn rs_image_env(
    access: List,
    base: &str,
    for_architecture: &str,
    docker: &str,
    login: List,
) -> Result<List> {
    let (account, base) = (open(&access)?, named(base)?);
    let (of, mut logins) = (architecture(for_architecture)?, logins(docker, &login));
    let (clock, ids) = (Arc::new(SystemClock::default()), Arc::new(SystemIds));
    let given = text(&login, "registry");
    let found = runtime::wait(async {
        ask_ecr(&account, &[&base], given, &mut logins).await?;
        starburst_image::look(&base, of, &logins, clock, ids).await
    })??;
    let (names, values): (Vec<String>, Vec<String>) = found.env.into_iter().unzip();
    Ok(list!(names = names, values = values))
}

/// Builds an image and pushes it; a job that ends with digests. An empty library is none.
#[extendr]
#[allow(clippy::too_many_arguments)] // columns of a table, one row an architecture
fn rs_image_build(
    access: List,
    base: &str,
    push_to: &str,
    architectures: Vec<String>,
    workers: Vec<String>,
    libraries: Vec<String>,
    scripts: &str,
    docker: &str,
    login: List,
) -> Result<Robj> {
    let account = open(&access)?;
    let given = text(&login, "registry");
    let mut parts = Vec::new();
    for ((name, worker), library) in architectures.iter().zip(workers).zip(libraries) {
        parts.push(Parts {
            architecture: architecture(name)?,
            worker: worker.into(),
            scripts: scripts.into(),
            library: Some(PathBuf::from(library)).filter(|path| !path.as_os_str().is_empty()),
        });
    }
    let logins = logins(docker, &login);
    let mut plan = Plan { base: named(base)?, push_to: named(push_to)?, parts, logins };
    job::start(|teller| async move {
        let images = [&plan.base, &plan.push_to];
        ask_ecr(&account, &images, given, &mut plan.logins).await?;
        let (clock, ids) = (Arc::new(SystemClock::default()), Arc::new(SystemIds));
        let tell = |progress| {
            teller.tell(match progress {
                Progress::Step(step) => Said::Step(step),
                Progress::Sent(bytes) => Said::Count(usize::try_from(bytes).unwrap_or(usize::MAX)),
            });
        };
        let built = starburst_image::build(&plan, clock, ids, &tell).await?;
        let texts = |of: &dyn Fn(&starburst_image::Pushed) -> String| {
            Cell::Texts(built.pushed.iter().map(|pushed| Some(of(pushed))).collect())
        };
        Ok(vec![
            ("digest", Cell::Text(built.digest.clone())),
            ("digests", texts(&|pushed| pushed.digest.clone())),
            ("layers", texts(&|pushed| pushed.layer.clone())),
            ("bytes", texts(&|pushed| pushed.bytes.to_string())),
            ("sent", texts(&|pushed| pushed.sent.to_string())),
        ])
    })
}

/// Whether there is an image in ECR; `NULL` for one of another registry.
#[extendr]
fn rs_has_image(access: List, image: &str) -> Result<Robj> {
    let account = open(&access)?;
    let Some(address) = ImageAddress::parse(image) else { return Ok(().into()) };
    Ok(runtime::wait(async { ecr::has_image(&account, &address).await })??.into())
}

/// The SHA-256 of a file, in hexadecimal figures.
#[extendr]
fn rs_file_sha256(path: &str) -> Result<String> {
    starburst_image::sha256_of_file(path.as_ref())
        .map_err(|error| RError::Value(format!("`{path}`: {error}")))
}

extendr_module! {
    mod image;
    fn rs_image_registry;
    fn rs_image_env;
    fn rs_image_build;
    fn rs_has_image;
    fn rs_file_sha256;
}
