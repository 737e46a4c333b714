//! The sizes a Fargate task may have (AWS, November 2026). `R/check.R` has them too, to refuse a wrong pair at once.

/// A count of vCPU, and the memory that goes with it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FargateSize {
    /// vCPU.
    pub cpu: f64,
    /// The least memory, in MiB.
    pub least_mib: u32,
    /// The most memory, in MiB.
    pub most_mib: u32,
    /// Memory goes up in steps of so many MiB.
    pub step_mib: u32,
}

const fn gib(cpu: f64, least: u32, most: u32, step: u32) -> FargateSize {
    FargateSize { cpu, least_mib: least * 1024, most_mib: most * 1024, step_mib: step * 1024 }
}

/// Every size, smallest first (AWS, November 2026).
pub const FARGATE_SIZES: [FargateSize; 7] = [
    FargateSize { cpu: 0.25, least_mib: 512, most_mib: 2048, step_mib: 512 },
    gib(0.5, 1, 4, 1),
    gib(1.0, 2, 8, 1),
    gib(2.0, 4, 16, 1),
    gib(4.0, 8, 30, 1),
    gib(8.0, 16, 60, 4),
    gib(16.0, 32, 120, 8),
];

/// Whether Fargate runs tasks of this size.
pub fn is_fargate_size(cpu: f64, memory_mib: u32) -> bool {
    FARGATE_SIZES.iter().any(|size| size.cpu == cpu && size.takes(memory_mib))
}

impl FargateSize {
    /// Whether this count of vCPU goes with so much memory.
    pub fn takes(&self, memory_mib: u32) -> bool {
        // The smallest size takes 0.5, 1 and 2 GB, and not 1.5.
        let gap = self.cpu == 0.25 && memory_mib == 1536;
        let in_range = (self.least_mib..=self.most_mib).contains(&memory_mib);
        in_range && (memory_mib - self.least_mib).is_multiple_of(self.step_mib) && !gap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pairs_are_those_of_aws() {
        for (cpu, gib) in [(0.25, 0.5), (0.25, 2.0), (0.5, 4.0), (1.0, 8.0), (4.0, 30.0)] {
            assert!(is_fargate_size(cpu, (gib * 1024.0) as u32), "{cpu} {gib}");
        }
        for (cpu, gib) in [(8.0, 16.0), (8.0, 60.0), (16.0, 32.0), (16.0, 120.0)] {
            assert!(is_fargate_size(cpu, (gib * 1024.0) as u32), "{cpu} {gib}");
        }
        for (cpu, gib) in [(0.25, 1.5), (0.25, 0.0), (1.0, 9.0), (3.0, 8.0), (8.0, 18.0)] {
            assert!(!is_fargate_size(cpu, (gib * 1024.0) as u32), "{cpu} {gib}");
        }
        assert!(!is_fargate_size(4.0, 8 * 1024 + 1));
        assert_eq!(
            FARGATE_SIZES
                .iter()
                .map(|s| (512..=125_000).filter(|m| s.takes(*m)).count())
                .sum::<usize>(),
            3 + 4 + 7 + 13 + 23 + 12 + 12,
        );
    }
}
