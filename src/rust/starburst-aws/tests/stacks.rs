//! Deploying from every state a stack can be in, against a CloudFormation of these tests that is told what happens.
#![allow(clippy::unwrap_used)] // a test's helper fails its test
mod common;

use common::{
    account::account,
    canned::{Asked, Canned, Server, serve},
};
use parking_lot::Mutex;
use starburst_aws::stack::{self, Deployment, StackError, StackEvent};
use std::{collections::BTreeMap, sync::Arc};

/// One stack: its statuses, one for each look; and what the calls that change it lead to.
#[derive(Debug, Default)]
struct World {
    /// The id's last part; changes when it is created anew.
    generation: u32,
    statuses: Vec<&'static str>,
    events: Vec<(String, &'static str, &'static str, &'static str)>,
    after_create: Vec<&'static str>,
    after_update: Vec<&'static str>,
    after_delete: Vec<&'static str>,
    failure: Option<&'static str>,
    /// What was begun last does not show for so many looks.
    late: usize,
    /// Events before that.
    before: usize,
}

impl World {
    fn id(&self) -> String {
        format!("arn:aws:cloudformation:us-east-1:1:stack/s/{}", self.generation)
    }

    /// The status now; the next look sees the next one.
    fn look(&mut self) -> Option<&'static str> {
        let status = *self.statuses.first()?;
        if self.late > 0 && self.before > 0 {
            self.late -= 1;
            return Some("UPDATE_COMPLETE");
        }
        if self.statuses.len() > 1 {
            self.statuses.remove(0);
        }
        Some(status)
    }

    fn begin(&mut self, statuses: &[&'static str]) {
        self.before = self.events.len();
        self.statuses = statuses.to_vec();
        let named = ["s", "Bucket"];
        for (place, status) in statuses.iter().enumerate() {
            let id = format!("g{}-{}-{place}", self.generation, self.events.len());
            self.events.push((id, named[0], status, ""));
            if let (Some(failure), true) = (self.failure, status.contains("ROLLBACK_IN")) {
                let id = format!("g{}-{}-f", self.generation, self.events.len());
                self.events.push((id, named[1], "CREATE_FAILED", failure));
                let id = format!("g{}-{}-c", self.generation, self.events.len());
                self.events.push((id, "Other", "CREATE_FAILED", "Resource creation cancelled"));
            }
        }
    }

    fn answer(&mut self, asked: &Asked) -> Canned {
        let operation = asked.operation();
        let wrap = |inner: &str| {
            (
                200,
                format!(
                    "<{operation}Response><{operation}Result>{inner}</{operation}Result></{operation}Response>"
                ),
            )
        };
        let refused = |code: &str, words: &str| {
            (
                400,
                format!(
                    "<ErrorResponse><Error><Code>{code}</Code><Message>{words}</Message></Error></ErrorResponse>"
                ),
            )
        };
        match operation.as_str() {
            "DescribeStacks" => match self.look() {
                None => refused("ValidationError", "Stack with id s does not exist"),
                Some(status) => wrap(&format!(
                    "<Stacks><member><StackName>s</StackName><StackId>{}</StackId><StackStatus>{status}</StackStatus>\
                     <Parameters><member><ParameterKey>Kept</ParameterKey><ParameterValue>v</ParameterValue></member>\
                     <member><ParameterKey>Gone</ParameterKey><ParameterValue>v</ParameterValue></member></Parameters>\
                     </member></Stacks>",
                    self.id()
                )),
            },
            "DescribeStackEvents" => {
                let hidden = self.late > 0 && self.before > 0;
                let shown = if hidden { self.before } else { self.events.len() };
                let events: String = self.events[..shown].iter().rev().map(|(id, resource, status, reason)| {
                    let (kind, physical) = match *resource {
                        "s" => ("AWS::CloudFormation::Stack", self.id()),
                        _ => ("AWS::S3::Bucket", "b".to_owned()),
                    };
                    format!(
                        "<member><EventId>{id}</EventId><StackId>{}</StackId><LogicalResourceId>{resource}</LogicalResourceId>\
                         <PhysicalResourceId>{physical}</PhysicalResourceId><ResourceType>{kind}</ResourceType>\
                         <ResourceStatus>{status}</ResourceStatus><ResourceStatusReason>{reason}</ResourceStatusReason></member>",
                        self.id()
                    )
                }).collect();
                wrap(&format!("<StackEvents>{events}</StackEvents>"))
            }
            "CreateStack" => {
                self.generation += 1;
                self.events.clear();
                let next = self.after_create.clone();
                self.begin(&next);
                wrap(&format!("<StackId>{}</StackId>", self.id()))
            }
            "UpdateStack" if self.after_update.is_empty() => {
                refused("ValidationError", "No updates are to be performed.")
            }
            "UpdateStack" => {
                let next = self.after_update.clone();
                self.begin(&next);
                wrap("")
            }
            "DeleteStack" => {
                let next = self.after_delete.clone();
                self.begin(&next);
                if next.is_empty() {
                    self.statuses.clear();
                }
                (200, "<DeleteStackResponse/>".to_owned())
            }
            "GetTemplateSummary" => {
                wrap("<Parameters><member><ParameterKey>Kept</ParameterKey></member></Parameters>")
            }
            other => refused("Unexpected", other),
        }
    }
}

async fn deployed(world: World) -> (Result<stack::Stack, StackError>, Server, Vec<StackEvent>) {
    let world = Arc::new(Mutex::new(world));
    let server = serve(move |asked| world.lock().answer(asked)).await;
    let (account, _) = account(&server.endpoint);
    let deployment = Deployment {
        name: "s".into(),
        template: "Resources: {}".into(),
        parameters: BTreeMap::from([("New".to_owned(), "a b".to_owned())]),
        tags: BTreeMap::from([("starburst".to_owned(), "yes".to_owned())]),
    };
    let mut events = Vec::new();
    let end = stack::deploy(&account, &deployment, &mut |e| events.push(e.clone())).await;
    (end, server, events)
}

fn changes(server: &Server) -> Vec<String> {
    let asked = server.operations().into_iter();
    asked
        .filter(|name| ["CreateStack", "UpdateStack", "DeleteStack"].contains(&name.as_str()))
        .collect()
}

fn told(events: &[StackEvent]) -> Vec<&str> {
    events.iter().map(|event| event.status.as_str()).collect()
}

#[tokio::test]
async fn a_stack_that_is_not_there_is_created() {
    let after_create = vec!["CREATE_IN_PROGRESS", "CREATE_IN_PROGRESS", "CREATE_COMPLETE"];
    let world = World { after_create, ..World::default() };
    let (end, server, events) = deployed(world).await;
    assert_eq!(end.unwrap().status.as_str(), "CREATE_COMPLETE");
    assert_eq!(changes(&server), ["CreateStack"]);
    assert_eq!(told(&events), ["CREATE_IN_PROGRESS", "CREATE_IN_PROGRESS", "CREATE_COMPLETE"]);
    let asked = server.asked();
    let create = asked.iter().find(|asked| asked.operation() == "CreateStack").unwrap();
    assert_eq!(create.parameter("Parameters.member.1.ParameterValue").unwrap(), "a%20b");
    assert_eq!(create.parameter("Tags.member.1.Key").unwrap(), "starburst");
}

#[tokio::test]
async fn a_creation_that_was_taken_back_says_why_by_the_first_failure() {
    let after_create = vec!["CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE"];
    let world = World { after_create, failure: Some("b already exists"), ..World::default() };
    let (end, _, _) = deployed(world).await;
    let error = end.unwrap_err();
    assert_eq!(error.to_string(), "the stack `s` failed, and is now in ROLLBACK_COMPLETE");
    assert_eq!(error.said().unwrap(), "`Bucket` (AWS::S3::Bucket) CREATE_FAILED: b already exists");
}

#[tokio::test]
async fn what_is_left_of_a_failed_creation_is_deleted_and_created_anew() {
    let world = World {
        statuses: vec!["ROLLBACK_COMPLETE"],
        after_delete: vec!["DELETE_IN_PROGRESS", "DELETE_COMPLETE"],
        after_create: vec!["CREATE_IN_PROGRESS", "CREATE_COMPLETE"],
        ..World::default()
    };
    let (end, server, events) = deployed(world).await;
    assert_eq!(end.unwrap().status.as_str(), "CREATE_COMPLETE");
    assert_eq!(changes(&server), ["DeleteStack", "CreateStack"]);
    assert_eq!(
        told(&events),
        ["DELETE_IN_PROGRESS", "DELETE_COMPLETE", "CREATE_IN_PROGRESS", "CREATE_COMPLETE"]
    );
}

#[tokio::test]
async fn a_creation_that_runs_is_watched_to_its_end() {
    let mut world = World::default();
    world.begin(&["CREATE_IN_PROGRESS", "CREATE_IN_PROGRESS", "CREATE_COMPLETE"]);
    let (end, server, _) = deployed(world).await;
    assert_eq!(end.unwrap().status.as_str(), "CREATE_COMPLETE");
    // Nothing to update: it was the same.
    assert_eq!(changes(&server), ["UpdateStack"]);
}

#[tokio::test]
async fn an_update_tells_only_its_own_events_and_keeps_other_parameters() {
    let mut world = World::default();
    world.begin(&["CREATE_IN_PROGRESS", "CREATE_COMPLETE"]);
    world.statuses = vec!["UPDATE_ROLLBACK_COMPLETE"];
    world.after_update =
        vec!["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_COMPLETE"];
    let (end, server, events) = deployed(world).await;
    assert_eq!(end.unwrap().status.as_str(), "UPDATE_COMPLETE");
    assert_eq!(
        told(&events),
        ["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_COMPLETE"]
    );
    let asked = server.asked();
    let update = asked.iter().find(|asked| asked.operation() == "UpdateStack").unwrap();
    assert_eq!(update.parameter("Parameters.member.1.ParameterKey").unwrap(), "Kept");
    assert_eq!(update.parameter("Parameters.member.1.UsePreviousValue").unwrap(), "true");
    assert_eq!(update.parameter("Parameters.member.2.ParameterKey").unwrap(), "New");
    assert!(!update.body.contains("Gone"));
}

#[tokio::test]
async fn an_update_that_does_not_show_at_once_is_waited_for() {
    let mut world = World::default();
    world.begin(&["UPDATE_COMPLETE"]);
    world.after_update =
        vec!["UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"];
    world.late = 2;
    let (end, _, events) = deployed(world).await;
    assert!(
        matches!(end, Err(StackError::Failed { status, .. }) if status == "UPDATE_ROLLBACK_COMPLETE")
    );
    assert_eq!(events.len(), 3);
}

#[tokio::test]
async fn a_stack_that_is_stuck_is_an_error_that_says_what_to_do() {
    let world = World { statuses: vec!["UPDATE_ROLLBACK_FAILED"], ..World::default() };
    let (end, server, _) = deployed(world).await;
    let error = end.unwrap_err();
    assert!(error.advice().unwrap().contains("continue-update-rollback"), "{error:?}");
    assert!(changes(&server).is_empty());
}

#[tokio::test]
async fn a_stack_that_never_settles_is_given_up_after_its_time() {
    let world = World { after_create: vec!["CREATE_IN_PROGRESS"], ..World::default() };
    let (end, _, events) = deployed(world).await;
    let error = end.unwrap_err();
    assert_eq!(error.to_string(), "the stack `s` is still in CREATE_IN_PROGRESS after 90 minutes");
    assert_eq!(told(&events), ["CREATE_IN_PROGRESS"]);
}

#[tokio::test]
async fn a_deletion_that_fails_says_what_holds_it_and_one_of_nothing_succeeds() {
    let mut world =
        World { after_delete: vec!["DELETE_IN_PROGRESS", "DELETE_FAILED"], ..World::default() };
    world.begin(&["CREATE_COMPLETE"]);
    let server = serve(move |asked| world.answer(asked)).await;
    let (account, _) = account(&server.endpoint);
    let error = stack::delete(&account, "s", &mut |_| {}).await.unwrap_err();
    assert!(matches!(&error, StackError::Failed { status, .. } if status == "DELETE_FAILED"));
    assert!(error.advice().unwrap().contains("starburst_teardown()"));

    let mut nothing = World::default();
    let server = serve(move |asked| nothing.answer(asked)).await;
    let (account, _) = common::account::account(&server.endpoint);
    stack::delete(&account, "s", &mut |_| {}).await.unwrap();
}
