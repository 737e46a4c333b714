//! Before a session on ECS is made: what it costs, whether the quota has room, and what its workers are. Nothing is
//! launched here; what cannot work is refused here.
use super::{
    task_definition::{self, WorkerTask},
    tasks,
};
use crate::{
    account::Account,
    call::CallError,
    dates,
    prices::{self, Architecture, InstanceRate, LaunchType, WorkerShape},
    quotas::{self, Pending, QuotaCode},
};
use starburst_core::{
    compute::{Budget, EcsFleet},
    cost::{self, Ceiling},
    error::{Error, ErrorKind},
    store::Advised,
    waves::{self, Demand, Fleet, Increase, Limits, Quota, WorkerSize},
};

/// Whether spare capacity is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    /// It is not.
    No,
    /// Nothing else is.
    Only,
    /// It is, and On-Demand capacity where there is none.
    First,
}

/// What a user asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Workers at most.
    pub workers: u32,
    /// Virtual CPUs of each.
    pub cpu: f64,
    /// Memory of each in MiB.
    pub memory_mib: u64,
    /// The instance type; Fargate when absent.
    pub instance_type: Option<String>,
    /// Whether spare capacity is used.
    pub spot: Spot,
    /// Whether Fargate workers run on ARM.
    pub arm: bool,
    /// The image.
    pub image: String,
    /// What it may cost.
    pub ceiling: Ceiling,
    /// Whether a larger quota is asked for where it is too small.
    pub auto_quota_request: bool,
    /// The store, as a worker's command line names it.
    pub store: String,
    /// Who asks, for tags.
    pub user: String,
    /// Environment variables and the ARNs of the secrets that they are to hold.
    pub secrets: Vec<(String, String)>,
}

/// The stack that workers run in, as its outputs name it.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// The stack's name.
    pub stack: String,
    /// The region.
    pub region: String,
    /// The cluster.
    pub cluster: String,
    /// Subnets of Fargate tasks.
    pub subnets: Vec<String>,
    /// Their security group.
    pub security_group: String,
    /// The ARN of the execution role.
    pub execution_role: String,
    /// The ARN of the workers' role.
    pub task_role: String,
    /// The log group.
    pub log_group: String,
}

/// What a session needs, and what its user is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// How to start workers.
    pub fleet: EcsFleet,
    /// What they cost and may cost; none when the price is not known.
    pub budget: Option<Budget>,
    /// What is requested, what holds it, and what it costs an hour.
    pub message: String,
}

/// Checks size, cost and quota, and finds or registers the task definition.
///
/// # Errors
/// [`Error::Service`] for a size that no instance has room for, [`Error::Cost`] and [`Error::Quota`] for what the user or the account does not allow, and what AWS refuses.
pub async fn prepare(account: &Account, site: &Site, wanted: &Wanted) -> Result<Prepared, Error> {
    let account = account.in_region(&site.region);
    let budget = check(&account, site, wanted).await?;
    let code = quota_code(wanted);
    let quota = quotas::get(&account, code).await.map(Some).or_else(unreadable)?;
    let provider = provider(site, wanted);
    let used = match &quota {
        Some(_) if wanted.instance_type.is_none() => used(&account, site, &provider).await?,
        _ => 0.0,
    };
    let most_workers =
        budget.as_ref().and_then(|budget| cost::most_workers(&budget.ceiling, &budget.price));
    let vcpu_quota = quota.as_ref().map(|quota| quota.limit);
    let limits = Limits { vcpu: vcpu_quota, used_by_others: used, most_workers };
    let fleet = Fleet { vcpu_each: wanted.cpu, running: 0, starting: 0 };
    let demand = Demand { requested: wanted.workers, open_tasks: 0 };
    let mut words = Quota {
        name: quota_name(code).into(),
        launch_type: if wanted.instance_type.is_none() { "FARGATE" } else { "EC2" }.into(),
        spot: wanted.spot != Spot::No,
        pending: quota.and_then(|quota| quota.pending).map(increase),
    };
    let size = WorkerSize {
        cpu: wanted.cpu,
        memory_mib: u32::try_from(wanted.memory_mib).unwrap_or(u32::MAX),
        on_fargate: wanted.instance_type.is_none(),
    };
    let wave = waves::plan_waves(&limits, &fleet, &demand);
    // Before launch no task waits, and only the quota is below what was asked for and may be paid.
    let payable = most_workers.map_or(wanted.workers, |most| most.min(wanted.workers));
    let short = wave.as_ref().map_or(true, |wave| wave.at_a_time < payable);
    if short && wanted.auto_quota_request && words.pending.is_none() {
        let needed = waves::quota_to_ask_for(f64::from(wanted.workers) * wanted.cpu + used);
        // Where it cannot be asked for, the words tell how.
        let asked = quotas::request_increase(&account, code, needed.into()).await.ok();
        words.pending = asked.map(|asked| Increase {
            vcpu: asked.desired as u32,
            since: asked.since.and_then(dates::day).unwrap_or_else(|| "now".into()),
            case: asked.case_id,
        });
    }
    let wave = wave.map_err(|small| Error::Quota {
        message: waves::refuse(&small, &words, &size, wanted.workers),
    })?;
    let mut message = waves::announce(&words, &size, &limits, &fleet, &demand, &wave);
    if let Some(Budget { price, .. }) = &budget {
        let hourly = price.usd_per_hour * f64::from(wave.at_a_time);
        message.push_str(&format!(
            " At most {} USD an hour ({}, {}).",
            cost::usd(hourly),
            price.what,
            price.as_of
        ));
    }
    let task_definition = task_definition::ensure(&account, &task(site, wanted)).await?;
    let awsvpc = wanted.instance_type.is_none();
    let fleet = EcsFleet {
        region: site.region.clone(),
        cluster: site.cluster.clone(),
        task_definition,
        subnets: if awsvpc { site.subnets.clone() } else { Vec::new() },
        security_groups: if awsvpc { vec![site.security_group.clone()] } else { Vec::new() },
        fallback: fallback(site, wanted),
        provider,
        vcpu_each: wanted.cpu,
        quota_name: words.name,
        vcpu_quota,
        store: wanted.store.clone(),
        log_group: site.log_group.clone(),
        user: wanted.user.clone(),
    };
    Ok(Prepared { fleet, budget, message })
}

/// What workers cost, and may cost, where they have a size that fits; none when the price is not known.
///
/// # Errors
/// [`Error::Service`] for a size that no instance has room for, and [`Error::Cost`].
pub async fn check(
    account: &Account,
    site: &Site,
    wanted: &Wanted,
) -> Result<Option<Budget>, Error> {
    let (account, shape) = (account.in_region(&site.region), shape(site, wanted));
    if let Some(rate) = prices::instance_now(&account, &shape).await {
        must_fit(&shape, &rate)?;
    }
    budget(&account, &shape, wanted).await
}

/// The name of the capacity provider for an instance type, which is that of its stack.
pub fn instance_provider(stack: &str, instance_type: &str, spot: bool) -> String {
    let option = if spot { "spot" } else { "ondemand" };
    format!("{stack}-ec2-{}-{option}", instance_type.replace('.', "-"))
}

fn provider(site: &Site, wanted: &Wanted) -> String {
    named(site, wanted, wanted.spot != Spot::No)
}

fn fallback(site: &Site, wanted: &Wanted) -> Option<String> {
    (wanted.spot == Spot::First).then(|| named(site, wanted, false))
}

fn named(site: &Site, wanted: &Wanted, spot: bool) -> String {
    match &wanted.instance_type {
        Some(kind) => instance_provider(&site.stack, kind, spot),
        None if spot => "FARGATE_SPOT".into(),
        None => "FARGATE".into(),
    }
}

fn quota_code(wanted: &Wanted) -> QuotaCode {
    match (wanted.instance_type.is_some(), wanted.spot != Spot::No) {
        (false, false) => QuotaCode::FargateOnDemand,
        (false, true) => QuotaCode::FargateSpot,
        (true, false) => QuotaCode::Ec2OnDemand,
        (true, true) => QuotaCode::Ec2Spot,
    }
}

/// What a quota is called before the word "quota".
fn quota_name(code: QuotaCode) -> &'static str {
    match code {
        QuotaCode::FargateOnDemand => "Fargate",
        QuotaCode::FargateSpot => "Fargate Spot",
        QuotaCode::Ec2OnDemand => "EC2",
        QuotaCode::Ec2Spot => "EC2 Spot",
    }
}

/// A quota that may not be read is not known; AWS refuses what is too much.
fn unreadable(error: CallError) -> Result<Option<quotas::Quota>, Error> {
    use crate::call::Meaning;
    if matches!(error.meaning(), Meaning::Denied | Meaning::Absent) {
        return Ok(None);
    }
    Err(error.into())
}

async fn used(account: &Account, site: &Site, provider: &str) -> Result<f64, Error> {
    let arns = tasks::list(account, &site.cluster, None).await?;
    let there = tasks::describe(account, &site.cluster, &arns).await?;
    Ok(tasks::vcpu(&there, provider))
}

fn shape(site: &Site, wanted: &Wanted) -> WorkerShape {
    let kind = if wanted.instance_type.is_none() { LaunchType::Fargate } else { LaunchType::Ec2 };
    WorkerShape {
        launch_type: kind,
        cpu: wanted.cpu,
        memory_gib: wanted.memory_mib as f64 / 1024.0,
        architecture: if wanted.arm { Architecture::Arm } else { Architecture::X86 },
        // What falls back may cost the full price.
        spot: wanted.spot == Spot::Only,
        instance_type: wanted.instance_type.clone(),
        region: site.region.clone(),
        ephemeral_gib: 20,
    }
}

/// ECS would wait for ever for an instance that is large enough.
fn must_fit(shape: &WorkerShape, rate: &InstanceRate) -> Result<(), Error> {
    if prices::workers_per_instance(shape, rate) > 0 {
        return Ok(());
    }
    let name = shape.instance_type.as_deref().unwrap_or_default();
    let most = prices::most_memory_gib(shape.cpu, rate);
    let (subject, message) = if most > 0.0 {
        let message = format!("`memory` must be at most {most} GB with instance_type = \"{name}\"");
        ("memory", message)
    } else {
        let most = rate.vcpu;
        ("cpu", format!("`cpu` must be at most {most} with instance_type = \"{name}\""))
    };
    let InstanceRate { vcpu, memory_gib, .. } = rate;
    let WorkerShape { cpu, memory_gib: asked, .. } = shape;
    let source = Advised {
        said: format!(
            "a worker of {cpu} vCPU and {asked} GB does not fit on an instance of {vcpu} vCPU and {memory_gib} GB, of \
             which the system takes a part"
        ),
        advice: "ask for less, or choose a larger `instance_type`".into(),
    };
    let (subject, source) = (Some(subject.to_owned()), source.into());
    Err(Error::Service { kind: ErrorKind::InvalidInput, message, subject, source })
}

async fn budget(
    account: &Account,
    shape: &WorkerShape,
    wanted: &Wanted,
) -> Result<Option<Budget>, Error> {
    let ceiling = wanted.ceiling;
    let Some(price) = prices::worker_price_now(account, shape).await else {
        if ceiling.max_hourly_usd.is_some() || ceiling.max_total_usd.is_some() {
            let message = format!(
                "the price of a worker ({} vCPU, {} GB{}) is not known, so a ceiling on cost cannot be kept; choose \
                 another `instance_type`, or leave `max_hourly_cost` and `max_total_cost` out",
                shape.cpu,
                shape.memory_gib,
                wanted.instance_type.as_ref().map(|kind| format!(" on {kind}")).unwrap_or_default()
            );
            return Err(Error::Cost { message });
        }
        return Ok(None);
    };
    cost::may_ask(&ceiling, &price, wanted.workers)
        .map_err(|error| Error::Cost { message: error.to_string() })?;
    Ok(Some(Budget { price, ceiling }))
}

fn increase(pending: Pending) -> Increase {
    Increase {
        vcpu: pending.desired as u32,
        since: pending.since.and_then(dates::day).unwrap_or_else(|| "lately".into()),
        case: pending.case_id,
    }
}

fn task(site: &Site, wanted: &Wanted) -> WorkerTask {
    WorkerTask {
        fargate: wanted.instance_type.is_none(),
        cpu: wanted.cpu,
        memory_mib: wanted.memory_mib,
        arm: wanted.arm,
        image: wanted.image.clone(),
        execution_role: site.execution_role.clone(),
        task_role: site.task_role.clone(),
        log_group: site.log_group.clone(),
        region: site.region.clone(),
        ephemeral_gib: 20,
        stack: site.stack.clone(),
        secrets: wanted.secrets.clone(),
    }
}
