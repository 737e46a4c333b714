//! Finding a task's output between the marks that a worker writes behind each.
use starburst_core::launch::LogSpan;

/// The lines before the mark of this task, and behind the mark before it. Nothing without its mark: it may be another's.
pub(super) fn of_task(lines: &[String], span: LogSpan) -> String {
    let mark = span.mark();
    let Some(end) = lines.iter().position(|line| *line == mark) else {
        return String::new();
    };
    let before = lines.get(..end).unwrap_or_default();
    let begin = before.iter().rposition(|line| LogSpan::is_mark(line)).map_or(0, |mark| mark + 1);
    joined(before.get(begin..).unwrap_or_default().iter())
}

/// All lines but marks.
pub(super) fn without_marks(lines: &[String]) -> String {
    joined(lines.iter().filter(|line| !LogSpan::is_mark(line)))
}

fn joined<'a>(lines: impl Iterator<Item = &'a String>) -> String {
    lines.flat_map(|line| [line.as_str(), "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_task_has_the_lines_before_its_mark() {
        let (one, two) = (LogSpan { from: 0, to: 4 }, LogSpan { from: 4, to: 12 });
        let lines: Vec<String> =
            ["one", &one.mark(), "two", "three", &two.mark(), "more"].map(str::to_owned).to_vec();
        assert_eq!(of_task(&lines, one), "one\n");
        assert_eq!(of_task(&lines, two), "two\nthree\n");
        assert_eq!(of_task(&lines, LogSpan { from: 12, to: 13 }), "");
        assert_eq!(without_marks(&lines), "one\ntwo\nthree\nmore\n");
    }
}
