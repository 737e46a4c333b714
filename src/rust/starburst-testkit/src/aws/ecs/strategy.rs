//! How tasks are divided among capacity providers.
use crate::aws::{failure::AwsFailure, input::Input};

/// One element of a capacity provider strategy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) provider: String,
    weight: u64,
    base: usize,
}

/// Reads a strategy and refuses what AWS refuses. All its providers must be the cluster's.
pub(super) fn parse(
    elements: Vec<Input<'_>>,
    of_cluster: &[String],
) -> Result<Vec<Share>, AwsFailure> {
    let mut shares = Vec::new();
    for element in elements {
        let provider = element.required_text("capacityProvider")?.to_owned();
        if !of_cluster.contains(&provider) {
            return Err(AwsFailure::parameter(
                "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. Associate the capacity provider with the cluster and try again.",
            ));
        }
        let number = |name| Ok(u64::try_from(element.number(name)?.unwrap_or(0)).unwrap_or(0));
        let base = usize::try_from(number("base")?).unwrap_or(0);
        shares.push(Share { provider, weight: number("weight")?, base });
    }
    if shares.iter().all(|share| share.weight == 0) {
        return Err(AwsFailure::parameter(
            "The specified capacity provider strategy must have at least one capacity provider with a weight greater than zero.",
        ));
    }
    if shares.iter().filter(|share| share.base > 0).count() > 1 {
        return Err(AwsFailure::parameter(
            "Only one capacity provider in a capacity provider strategy can have a base defined.",
        ));
    }
    let on_fargate = shares.iter().filter(|share| share.provider.starts_with("FARGATE")).count();
    if on_fargate != 0 && on_fargate != shares.len() {
        return Err(AwsFailure::parameter(
            "A capacity provider strategy cannot contain both Fargate capacity providers and Auto Scaling group capacity providers.",
        ));
    }
    Ok(shares)
}

/// The provider of each of `count` tasks: bases first, then by weight.
pub(super) fn divide(shares: &[Share], count: usize) -> Vec<String> {
    let mut chosen: Vec<String> = Vec::new();
    for share in shares {
        let room = count - chosen.len();
        chosen.extend(std::iter::repeat_n(share.provider.clone(), share.base.min(room)));
    }
    let mut given = vec![0_u64; shares.len()];
    while chosen.len() < count {
        // The one that is furthest behind its weight; compared by cross-multiplication, (given + 1) / weight.
        let weighted = shares.iter().zip(&mut given).filter(|(share, _)| share.weight > 0);
        let next = weighted.reduce(|best, it| {
            let behind = (*it.1 + 1) * best.0.weight < (*best.1 + 1) * it.0.weight;
            if behind { it } else { best }
        });
        let Some((share, given)) = next else { break };
        *given += 1;
        chosen.push(share.provider.clone());
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(provider: &str, weight: u64, base: usize) -> Share {
        Share { provider: provider.to_owned(), weight, base }
    }

    #[test]
    fn tasks_are_divided_by_base_and_weight() {
        let shares = [share("FARGATE", 1, 2), share("FARGATE_SPOT", 3, 0)];
        let chosen = divide(&shares, 10);
        let spot = chosen.iter().filter(|it| *it == "FARGATE_SPOT").count();
        assert_eq!((chosen.len(), spot), (10, 6));
        assert_eq!(divide(&shares, 1), ["FARGATE"]);
        assert_eq!(divide(&[share("a", 0, 0), share("b", 1, 0)], 2), ["b", "b"]);
    }
}
