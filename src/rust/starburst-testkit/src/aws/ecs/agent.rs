//! The life of a task: from PROVISIONING to STOPPED, with a real process in between.
use super::{
    fleet, output,
    process::{self, Processes},
    task::{Order, Status, Task},
};
use crate::aws::{
    faults::Fault,
    state::{Alive, State},
    time::{now, pause, timestamp},
};
use std::{
    future::Future, os::unix::process::ExitStatusExt, process::ExitStatus, sync::Arc,
    time::Duration,
};
use tokio::{process::Child, sync::watch, time::timeout};

/// How often a task without room asks for it.
const PLACEMENT: Duration = Duration::from_millis(50);
/// The longest that the last lines may take on their way when the processes have ended.
const LAST_LINES: Duration = Duration::from_secs(5);

/// Why a task ended.
struct End {
    code: &'static str,
    reason: String,
    exit_code: Option<i32>,
    container_reason: Option<String>,
}

impl End {
    fn not_started(reason: String) -> Self {
        let container_reason = Some(reason.clone());
        Self { code: "TaskFailedToStart", reason, exit_code: None, container_reason }
    }

    fn exited(exit_code: i32) -> Self {
        let reason = "Essential container in task exited".to_owned();
        let code = "EssentialContainerExited";
        Self { code, reason, exit_code: Some(exit_code), container_reason: None }
    }
}

impl From<Order> for End {
    fn from(order: Order) -> Self {
        let Order { code, reason, container_reason, .. } = order;
        Self { code, reason, exit_code: None, container_reason }
    }
}

/// Orders to one task.
type Orders = watch::Receiver<Option<Order>>;

/// Lives one task. Ends when it has ended, or with the stand-in.
pub(in crate::aws) async fn live(state: Arc<State>, id: String, _alive: Alive) {
    let orders = state.ecs.lock().tasks.get(&id).map(|task| task.orders.subscribe());
    let Some(mut orders) = orders else { return };
    if state.is_ending() {
        change(&state, &id, |task| task.order(Order::user("the stand-in ends")));
    }
    let end = match start(&state, &id, &mut orders).await {
        Ok(child) => run(&state, &id, &mut orders, child).await,
        Err(end) => end,
    };
    change(&state, &id, |task| {
        task.stamp("stoppingAt");
        task.stamp("executionStoppedAt");
        task.told.insert("stopCode".to_owned(), end.code.into());
        task.told.insert("stoppedReason".to_owned(), end.reason.into());
        task.exit_code = end.exit_code;
        task.container_reason = end.container_reason;
        task.set_status(Status::Deprovisioning);
    });
    state.ecs.lock().release(&id, now());
    change(&state, &id, |task| {
        task.stamp("stoppedAt");
        task.set_status(Status::Stopped);
    });
}

fn change<T>(state: &State, id: &str, change: impl FnOnce(&mut Task) -> T) -> Option<T> {
    state.ecs.lock().tasks.get_mut(id).map(change)
}

/// The order, once there is one.
async fn ordered(orders: &mut Orders) -> Order {
    match orders.wait_for(Option::is_some).await.ok().and_then(|order| order.clone()) {
        Some(order) => order,
        // The sender is in the task, which is never forgotten.
        None => std::future::pending().await,
    }
}

/// What the work gives, unless an order comes first.
async fn unless_ordered<T>(orders: &mut Orders, work: impl Future<Output = T>) -> Result<T, Order> {
    tokio::select! {
        biased;
        order = ordered(orders) => Err(order),
        done = work => Ok(done),
    }
}

/// From PROVISIONING to a process.
async fn start(state: &Arc<State>, id: &str, orders: &mut Orders) -> Result<Child, End> {
    let known = change(state, id, |task| (task.purchase, task.fate.clone()));
    let Some((purchase, fate)) = known else { return Err(End::exited(0)) };
    if !purchase.is_fargate() {
        unless_ordered(orders, room(state, id)).await?;
    }
    let delay = *state.start_delay.lock() / 2;
    unless_ordered(orders, pause(delay)).await?;
    if let Some(reason) = change(state, id, |task| fails_to_provision(state, task)).flatten() {
        return Err(End::not_started(reason));
    }
    change(state, id, |task| {
        task.set_status(Status::Pending);
        task.told.insert("connectivity".to_owned(), "CONNECTED".into());
        task.stamp("connectivityAt");
        task.stamp("pullStartedAt");
    });
    unless_ordered(orders, pause(delay)).await?;
    if fate == Some(Fault::PullFailure) {
        let image = change(state, id, |task| task.container_text("image").to_owned());
        let image = image.unwrap_or_default();
        return Err(End::not_started(format!(
            "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {image}: {image}: not found"
        )));
    }
    let child = spawn(state, id).map_err(|error| {
        End::not_started(format!(
            "CannotStartContainerError: {}: {error}",
            state.settings.program.first().map_or("", String::as_str)
        ))
    })?;
    change(state, id, |task| {
        task.stamp("pullStoppedAt");
        task.stamp("startedAt");
        task.set_status(Status::Running);
    });
    state.interrupt_in_storm(id);
    Ok(child)
}

/// Returns when there is an instance for the task.
async fn room(state: &State, id: &str) {
    loop {
        match fleet::place(state, id, now()) {
            Some(ready) => return pause(ready.saturating_duration_since(now())).await,
            None => pause(PLACEMENT).await,
        }
    }
}

fn fails_to_provision(state: &State, task: &Task) -> Option<String> {
    let subnet = task.subnet.as_deref().unwrap_or("subnet-0");
    let role = task.definition.text("executionRoleArn").unwrap_or("arn:aws:iam::0:role/none");
    let mut secrets = process::secrets(task.definition.container());
    if let Some((_, arn)) = secrets.find(|(_, arn)| !state.settings.secrets.contains_key(*arn)) {
        return Some(format!(
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret {arn} from secrets manager: AccessDeniedException: {role} is not authorized to perform: secretsmanager:GetSecretValue on resource: {arn} because no identity-based policy allows the secretsmanager:GetSecretValue action"
        ));
    }
    match task.fate.as_ref()? {
        Fault::EniFailure => Some(format!(
            "Unexpected EC2 error while attempting to Create Network Interface with public IP assignment enabled in subnet '{subnet}': InsufficientFreeAddressesInSubnet"
        )),
        Fault::NetworkFailure => Some(
            "ResourceInitializationError: unable to pull secrets or registry auth: The task cannot pull registry auth from Amazon ECR: There is a connection issue between the task and Amazon ECR. Check your task network configuration. RequestError: send request failed caused by: Post \"https://api.ecr.us-east-1.amazonaws.com/\": dial tcp: i/o timeout".to_owned(),
        ),
        Fault::RoleFailure => Some(format!(
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve ecr registry auth: service call has been retried 1 time(s): AccessDeniedException: {role} is not authorized to perform: ecr:GetAuthorizationToken on resource: * because no identity-based policy allows the ecr:GetAuthorizationToken action"
        )),
        Fault::PullFailure
        | Fault::OutOfMemory { .. }
        | Fault::Throttle
        | Fault::AccessDenied { .. }
        | Fault::PassRole
        | Fault::ExpiredToken
        | Fault::InternalError
        | Fault::Exception { .. }
        | Fault::LostAnswer
        | Fault::Refused { .. } => None,
    }
}

fn spawn(state: &State, id: &str) -> std::io::Result<Child> {
    let command = change(state, id, |task| process::command(state, task));
    let mut command = command.ok_or_else(|| std::io::Error::other("no such task"))??;
    command.spawn()
}

/// From a process to its end.
async fn run(state: &Arc<State>, id: &str, orders: &mut Orders, mut child: Child) -> End {
    let mut processes = Processes::of(&child, id);
    let output = output::collect(state, id, &mut child);
    let fate = change(state, id, |task| task.fate.clone()).flatten();
    let memory = async {
        match fate {
            Some(Fault::OutOfMemory { after }) => pause(after).await,
            _ => std::future::pending().await,
        }
    };
    let end = tokio::select! {
        biased;
        exit = child.wait() => End::exited(exit_code(exit)),
        order = ordered(orders) => stop(state, &mut processes, order, &mut child).await,
        () = memory => stop(state, &mut processes, Order::out_of_memory(), &mut child).await,
    };
    processes.sweep();
    let _ = timeout(LAST_LINES, output).await;
    end
}

/// SIGTERM, and SIGKILL to all when the time is over.
async fn stop(state: &State, processes: &mut Processes, order: Order, child: &mut Child) -> End {
    let own = change(state, processes.task(), |task| {
        task.told.insert("stoppingAt".to_owned(), timestamp().into());
        task.set_status(Status::Deactivating);
        task.set_status(Status::Stopping);
        task.stop_timeout()
    });
    let own = own.unwrap_or_default();
    let bounds = [order.grace, state.settings.stop_timeout];
    let grace = bounds.into_iter().flatten().fold(own, Duration::min);
    let mut exit = None;
    if !grace.is_zero() {
        process::terminate(child);
        exit = timeout(grace, child.wait()).await.ok();
    }
    let exit = match exit {
        Some(exit) => exit,
        None => {
            processes.sweep();
            let _ = child.start_kill();
            child.wait().await
        }
    };
    End { exit_code: Some(exit_code(exit)), ..End::from(order) }
}

/// As a container engine tells it: 128 and the signal for a process that was killed.
fn exit_code(exit: std::io::Result<ExitStatus>) -> i32 {
    let Ok(exit) = exit else { return 255 };
    exit.code().or_else(|| exit.signal().map(|signal| 128 + signal)).unwrap_or(255)
}
