//! Setting up, looking after and taking away what is in an account.
use crate::{
    account::{open, record, text},
    error::{RError, Result, text_or_null},
    job::{self, Answer, Cell},
    runtime,
};
use extendr_api::prelude::*;
use starburst_aws::{
    cluster,
    install::{self, Check, Cleanup, Finding, Instances, Patient, Ready, Setup},
    stack::StackOutputs,
};
use std::{collections::BTreeMap, time::Duration};

fn setup(name: &str, template: &str, names: Vec<String>, values: Vec<String>) -> Setup {
    let parameters: BTreeMap<String, String> = names.into_iter().zip(values).collect();
    Setup { name: name.to_owned(), template: template.to_owned(), parameters }
}

fn answer(outputs: &StackOutputs) -> Answer {
    record(outputs).into_iter().map(|(name, value)| (name, Cell::Text(value))).collect()
}

/// How a stack stands: `"absent"`, `"unfinished"` or `"well"`, then with what it tells of itself.
#[extendr]
fn rs_setup_look(
    access: List,
    name: &str,
    template: &str,
    names: Vec<String>,
    values: Vec<String>,
) -> Result<List> {
    let (account, setup) = (open(&access)?, setup(name, template, names, values));
    let ready = runtime::wait(async { install::look(&account, &setup).await })??;
    let (word, status, outputs) = match &ready {
        Ready::Absent => ("absent", None, None),
        Ready::Unfinished(stack) => ("unfinished", Some(stack.status.to_string()), None),
        Ready::Well(stack, outputs) => ("well", Some(stack.status.to_string()), Some(outputs)),
    };
    let record = outputs.map(|outputs| record(outputs)).unwrap_or_default();
    let (names, values): (Vec<&str>, Vec<Robj>) =
        record.into_iter().map(|(name, value)| (name, Robj::from(value))).unzip();
    let record = List::from_names_and_values(names, values)
        .map_err(|error| RError::Value(error.to_string()))?;
    Ok(list!(ready = word, status = text_or_null(status), record = record))
}

/// Makes a stack be there; a job that ends with what it tells of itself.
#[extendr]
fn rs_setup(
    access: List,
    name: &str,
    template: &str,
    names: Vec<String>,
    values: Vec<String>,
) -> Result<Robj> {
    let (account, setup) = (open(&access)?, setup(name, template, names, values));
    job::start(|teller| async move {
        let outputs = install::set_up(&account, &setup, &|said| teller.tell(said)).await?;
        Ok(answer(&outputs))
    })
}

/// Makes instances of EC2 be there for a cluster; a job that ends with the names of their stacks.
#[extendr]
fn rs_setup_instances(
    access: List,
    stack: List,
    template: &str,
    kinds: Vec<String>,
    spot: bool,
    most: f64,
) -> Result<Robj> {
    let account = open(&access)?;
    let get = |name: &str| text(&stack, name).unwrap_or_default();
    let outputs = StackOutputs {
        bucket: get("bucket"),
        cluster: get("cluster"),
        subnets: get("subnets").split(',').map(ToOwned::to_owned).collect(),
        security_group: get("security_group"),
        execution_role: get("execution_role"),
        task_role: get("task_role"),
        log_group: get("log_group"),
        repository: get("repository"),
        instance_profile: get("instance_profile"),
        object_expiry_days: None,
        template_version: String::new(),
    };
    let (stack, template, most) = (get("stack"), template.to_owned(), most as u32);
    let instances = Instances { stack, template, kinds, spot, most };
    job::start(|teller| async move {
        let tell = |said| teller.tell(said);
        let names = install::setup_instances(&account, &outputs, &instances, &tell).await?;
        Ok(vec![("stacks", Cell::Texts(names.into_iter().map(Some).collect()))])
    })
}

/// The capacity providers in a cluster.
#[extendr]
fn rs_providers(access: List, cluster: &str) -> Result<Vec<String>> {
    let account = open(&access)?;
    let found = runtime::wait(async { cluster::state(&account, cluster).await })??;
    Ok(found.map(|state| state.providers).unwrap_or_default())
}

/// What a teardown takes away.
#[extendr]
fn rs_teardown_look(access: List, name: &str, known: Vec<String>) -> Result<List> {
    let account = open(&access)?;
    let found = runtime::wait(async { install::inventory(&account, name, &known).await })??;
    Ok(list!(
        stack = found.stack,
        bucket = text_or_null(found.bucket),
        sessions = found.contents.sessions as f64,
        objects = found.contents.objects as f64,
        more = found.contents.more,
        tasks = found.tasks as f64,
        images = found.images as f64,
        instances = found.instances
    ))
}

/// Takes everything away; a job that ends with counts.
#[extendr]
fn rs_teardown(access: List, name: &str, known: Vec<String>) -> Result<Robj> {
    let (account, name) = (open(&access)?, name.to_owned());
    job::start(|teller| async move {
        let tell = |said| teller.tell(said);
        let gone = install::tear_down(&account, &name, &known, &tell).await?;
        let number = |count: usize| Cell::Number(count as f64);
        Ok(vec![
            ("tasks", number(gone.tasks)),
            ("objects", number(gone.objects)),
            ("images", number(gone.images)),
            ("definitions", number(gone.definitions)),
            ("stacks", number(gone.stacks)),
        ])
    })
}

/// Looks whether everything is there; a job that ends with the findings, column by column.
#[extendr]
fn rs_doctor(
    access: List,
    name: &str,
    template: &str,
    image: Nullable<String>,
    version: &str,
    cpu: f64,
) -> Result<Robj> {
    let account = open(&access)?;
    let (name, template) = (name.to_owned(), template.to_owned());
    let version = version.to_owned();
    let patient = Patient { name, template, image: image.into_option(), version, cpu };
    job::start(|teller| async move {
        let checks = install::examine(&account, &patient, &|said| teller.tell(said)).await;
        Ok(findings(checks))
    })
}

fn findings(checks: Vec<Check>) -> Answer {
    let (mut names, mut oks, mut details, mut remedies) = (vec![], vec![], vec![], vec![]);
    for Check { check, finding } in checks {
        let (ok, detail, remedy) = match finding {
            Finding::Well(detail) => (Some(true), detail, None),
            Finding::Ill { detail, remedy } => (Some(false), detail, Some(remedy)),
            Finding::Unknown(detail) => (None, detail, None),
        };
        names.push(Some(check.to_owned()));
        oks.push(ok);
        details.push(Some(detail));
        remedies.push(remedy);
    }
    vec![
        ("check", Cell::Texts(names)),
        ("ok", Cell::Flags(oks)),
        ("detail", Cell::Texts(details)),
        ("remedy", Cell::Texts(remedies)),
    ]
}

/// Takes away tasks without a session that lives, and task definitions that nothing uses; a job that ends with their names.
#[extendr]
fn rs_clean_up(
    access: List,
    cluster: &str,
    execution_role: &str,
    live: Vec<String>,
    older_than: f64,
    look_only: bool,
) -> Result<Robj> {
    let account = open(&access)?;
    let cleanup = Cleanup {
        cluster: cluster.to_owned(),
        execution_role: execution_role.to_owned(),
        live,
        older_than: Duration::try_from_secs_f64(older_than).unwrap_or(Duration::MAX),
        look_only,
    };
    job::start(|teller| async move {
        let gone = install::clean_up(&account, &cleanup, &|said| teller.tell(said)).await?;
        let texts = |all: Vec<String>| Cell::Texts(all.into_iter().map(Some).collect());
        Ok(vec![("tasks", texts(gone.tasks)), ("definitions", texts(gone.definitions))])
    })
}

/// Deletes all but the newest images, and returns those that went, or would go, column by column.
#[extendr]
fn rs_clean_images(access: List, repository: &str, keep: f64, look_only: bool) -> Result<List> {
    let account = open(&access)?;
    let repository = repository.split_once('/').map_or(repository, |(_, name)| name);
    let keep = keep as usize;
    let gone = runtime::wait(async {
        install::clean_images(&account, repository, keep, look_only).await
    })??;
    let tags: Vec<String> = gone.iter().map(|image| image.tags.join(", ")).collect();
    let pushed: Vec<Option<f64>> = gone.iter().map(|image| image.pushed_s).collect();
    Ok(list!(
        digest = gone.iter().map(|image| image.digest.clone()).collect::<Vec<_>>(),
        tags = tags,
        pushed_at = pushed,
        bytes = gone.iter().map(|image| image.bytes as f64).collect::<Vec<_>>()
    ))
}

extendr_module! {
    mod install;
    fn rs_setup_look;
    fn rs_setup;
    fn rs_setup_instances;
    fn rs_providers;
    fn rs_teardown_look;
    fn rs_teardown;
    fn rs_doctor;
    fn rs_clean_up;
    fn rs_clean_images;
}
