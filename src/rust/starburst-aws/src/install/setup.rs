//! Setting up: find the stack, or make it be there.
use super::{Said, Tell, line};
use crate::{
    account::Account,
    call::CallError,
    roles::{self, LinkedRole},
    stack::{self, Deployment, Stack, StackError, StackOutputs},
};
use std::collections::BTreeMap;

/// What there shall be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setup {
    /// The stack's name.
    pub name: String,
    /// The template of this package.
    pub template: String,
    /// Values of parameters that were given; all others are as they are, or the template's defaults.
    pub parameters: BTreeMap<String, String>,
}

/// How a stack stands to what there shall be.
#[derive(Debug, Clone, PartialEq)]
pub enum Ready {
    /// There is none.
    Absent,
    /// There is one, to be changed, finished or made anew.
    Unfinished(Stack),
    /// It is as it shall be, or newer.
    Well(Stack, Box<StackOutputs>),
}

/// The version that a template gives itself: the value of its output `TemplateVersion`.
pub fn template_version(template: &str) -> Option<String> {
    let (_, output) = template.split_once("\n  TemplateVersion:")?;
    let line = output.lines().find_map(|line| line.trim().strip_prefix("Value:"))?;
    Some(line.trim().trim_matches(['\'', '"']).to_owned())
}

/// Looks whether the stack is there and as it shall be.
///
/// # Errors
/// [`CallError`].
pub async fn look(account: &Account, setup: &Setup) -> Result<Ready, CallError> {
    let Some(stack) = stack::find(account, &setup.name).await? else { return Ok(Ready::Absent) };
    Ok(judge(stack, setup))
}

/// A newer stack than this package's counts as well: who deployed it has a newer package, and what is new is unused here.
fn judge(stack: Stack, setup: &Setup) -> Ready {
    let number = |version: Option<&String>| version.and_then(|text| text.parse::<u32>().ok());
    let (has, wanted) = (
        number(stack.template_version.as_ref()),
        number(template_version(&setup.template).as_ref()),
    );
    let current = has.is_some() && has >= wanted;
    let same =
        setup.parameters.iter().all(|(name, value)| stack.parameters.get(name) == Some(value));
    match StackOutputs::read(&stack) {
        Ok(outputs)
            if current && same && stack.status.is_usable() && !stack.status.in_progress() =>
        {
            Ready::Well(stack, Box::new(outputs))
        }
        Ok(_) | Err(_) => Ready::Unfinished(stack),
    }
}

/// Makes the stack be there, and returns what it tells of itself. The same call again does what is left to do.
///
/// # Errors
/// [`StackError`].
pub async fn set_up(
    account: &Account,
    setup: &Setup,
    tell: Tell<'_>,
) -> Result<StackOutputs, StackError> {
    if let Ready::Well(_, outputs) = look(account, setup).await? {
        return Ok(*outputs);
    }
    if roles::ecs_linked_role(account).await? == LinkedRole::Made {
        tell(Said::Step("made the service-linked role of ECS".to_owned()));
    }
    let deployment = Deployment {
        name: setup.name.clone(),
        template: setup.template.clone(),
        parameters: setup.parameters.clone(),
        tags: BTreeMap::new(),
    };
    let stack = stack::deploy(account, &deployment, &mut |event| {
        tell(Said::Step(line(event)));
    })
    .await?;
    StackOutputs::read(&stack)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::StackStatus;

    const TEMPLATE: &str = "Outputs:\n  Bucket:\n    Value: !Ref Bucket\n  TemplateVersion:\n    \
                            Description: Version\n    Value: '2'\n";

    fn stack(version: &str, status: &str) -> Stack {
        let outputs = [
            "Bucket",
            "Cluster",
            "Subnets",
            "SecurityGroup",
            "ExecutionRole",
            "TaskRole",
            "LogGroup",
            "Repository",
            "InstanceProfile",
        ];
        let mut outputs: BTreeMap<String, String> =
            outputs.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
        outputs.insert("TemplateVersion".into(), version.into());
        Stack {
            name: "starburst".into(),
            id: "arn".into(),
            status: StackStatus::new(status),
            reason: None,
            template_version: Some(version.into()),
            outputs,
            parameters: BTreeMap::from([("VpcId".to_owned(), "vpc-1".to_owned())]),
            tags: BTreeMap::new(),
        }
    }

    fn is_well(stack: Stack, vpc: Option<&str>) -> bool {
        let parameters = vpc.map(|id| ("VpcId".to_owned(), id.to_owned())).into_iter().collect();
        let setup = Setup { name: "starburst".into(), template: TEMPLATE.into(), parameters };
        matches!(judge(stack, &setup), Ready::Well(_, _))
    }

    #[test]
    fn a_stack_of_this_template_or_a_newer_one_is_left_alone() {
        assert_eq!(template_version(TEMPLATE).as_deref(), Some("2"));
        assert!(is_well(stack("2", "CREATE_COMPLETE"), None));
        assert!(is_well(stack("10", "UPDATE_ROLLBACK_COMPLETE"), Some("vpc-1")));
    }

    #[test]
    fn an_older_one_a_broken_one_and_one_with_other_parameters_are_worked_on() {
        assert!(!is_well(stack("1", "CREATE_COMPLETE"), None));
        assert!(!is_well(stack("2", "ROLLBACK_COMPLETE"), None));
        assert!(!is_well(stack("2", "UPDATE_IN_PROGRESS"), None));
        assert!(!is_well(stack("2", "CREATE_COMPLETE"), Some("vpc-2")));
        let mut less = stack("2", "CREATE_COMPLETE");
        less.outputs.remove("TaskRole");
        assert!(!is_well(less, None));
    }
}
