//! Frames between the worker and its R. They travel on pipes of their own: user code prints to stdout.
//!
//! To R: four 32-bit integers (what, kind, number of the first, count), then as many R serialization streams, which say
//! themselves where they end. From R: a mark, three 32-bit integers (what, number, length), then that many bytes, or for a
//! large result the name of a file with them, and the mark again. All in native byte order: both ends are on one machine.
//!
//! The mark is random, and new for each R. A program that a task starts inherits R's pipes. The worker passes over what
//! such a program writes between two frames, and an answer in the middle of which it wrote has no mark at its end.
use starburst_core::{
    blob::{ChunkSink, Packer, Payload},
    downloads::Material,
    error::Error,
    ledger::FailureText,
    segment::TaskKind,
    worker::evaluator::{Job, Outcome},
};
use std::{
    io::{self, Read, Write},
    os::unix::ffi::OsStrExt,
};
use tokio::runtime::Handle;

/// The longest frame that is not a result: a condition or a message.
const SMALL_MAX: u64 = 64 << 20;
/// Bytes moved at a time.
const PIECE: usize = 1 << 20;
/// Bytes of a mark.
const MARK: usize = 16;
/// Bytes before the body of what R says.
const HEADER: usize = MARK + 12;

/// The beginning and the end of each frame of one R.
pub(crate) type Mark = [u8; MARK];

/// What R said.
#[derive(Debug)]
pub(crate) enum Said {
    /// It is ready; its version and that of `future`.
    Ready { r: (u32, u32), future: String },
    /// A job ended.
    Ended { number: u64, outcome: Outcome },
    /// A job signalled a condition.
    Signal { number: u64, condition: Vec<u8> },
    /// A job could not be given to it: it is left in the middle of a frame.
    Unfed { number: u64, error: Error },
    /// It has answered, ends by itself and begins no other job.
    Left,
}

impl Said {
    /// About how many bytes R wrote to say it.
    pub(crate) fn written(&self) -> usize {
        HEADER
            + match self {
                Self::Ended {
                    outcome: Outcome::Value(payload) | Outcome::Error(payload, _),
                    ..
                } => payload.inline_len(),
                Self::Signal { condition, .. } => condition.len(),
                Self::Ended { outcome: Outcome::Unreadable(_), .. }
                | Self::Ready { .. }
                | Self::Unfed { .. }
                | Self::Left => 0,
            }
    }
}

/// Why jobs were not written.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// R has closed its end.
    Pipe,
    /// The bytes of one could not be had.
    Unfed {
        /// Which.
        number: u64,
        /// Why.
        error: Error,
    },
}

impl From<io::Error> for WriteError {
    fn from(_: io::Error) -> Self {
        Self::Pipe
    }
}

/// Whether two jobs can be in one frame: the second follows the first, and neither has to be fetched, which R would wait for.
pub(crate) fn go_together(first: &Job, second: &Job) -> bool {
    let common = |job: &Job| job.common.as_ref().map(|common| common.id);
    let alike = first.kind == second.kind && common(first) == common(second);
    alike
        && first.number + 1 == second.number
        && first.payload.is_here()
        && second.payload.is_here()
}

/// Writes jobs that [go together](go_together), and before them what they share, unless R has that already.
pub(crate) fn write_jobs(
    to: &mut impl Write,
    jobs: &[Job],
    common_there: &mut Option<u64>,
    runtime: &Handle,
) -> Result<(), WriteError> {
    let Some(first) = jobs.first() else {
        return Ok(());
    };
    if let Some(common) = &first.common
        && *common_there != Some(common.id)
    {
        // A common part that cannot be read is the first job's failure.
        write_header(to, 2, 0, first.number, 1)?;
        write_material(to, &common.material, first.number, runtime)?;
        *common_there = Some(common.id);
    }
    let kind = match first.kind {
        TaskKind::Future => 0,
        TaskKind::Call => 1,
        TaskKind::Element => 2,
    };
    write_header(to, 1, kind, first.number, jobs.len())?;
    for job in jobs {
        write_material(to, &job.payload, job.number, runtime)?;
    }
    Ok(())
}

fn write_header(
    to: &mut impl Write,
    what: i32,
    kind: i32,
    number: u64,
    count: usize,
) -> io::Result<()> {
    let number = i32::try_from(number).map_err(io::Error::other)?;
    let count = i32::try_from(count).map_err(io::Error::other)?;
    for field in [what, kind, number, count] {
        to.write_all(&field.to_ne_bytes())?;
    }
    Ok(())
}

fn write_material(
    to: &mut impl Write,
    material: &Material,
    number: u64,
    runtime: &Handle,
) -> Result<(), WriteError> {
    let mut pieces = material.pieces();
    while let Some(piece) = runtime.block_on(pieces.next()) {
        to.write_all(&piece.map_err(|error| WriteError::Unfed { number, error })?)?;
    }
    Ok(())
}

fn fields(header: [u8; HEADER]) -> [i32; 3] {
    let field = |at: usize| {
        let bytes = header.get(MARK + at..MARK + at + 4).and_then(|bytes| bytes.try_into().ok());
        i32::from_ne_bytes(bytes.unwrap_or_default())
    };
    [field(0), field(4), field(8)]
}

/// Whether these bytes begin with a frame that can be read without waiting for anything.
pub(crate) fn is_whole(bytes: &[u8], mark: &Mark) -> bool {
    let first = bytes.split_first_chunk::<HEADER>().filter(|(header, _)| header.starts_with(mark));
    first.is_some_and(|(header, body)| {
        let [what, _, len] = fields(*header);
        // The bytes behind a file's name, or a failure's text, are not here yet.
        let in_file = matches!(what, 6 | 7 | 9);
        let room = body.len().checked_sub(MARK);
        !in_file && usize::try_from(len).is_ok_and(|len| Some(len) <= room)
    })
}

/// Reads one frame of the R with this mark; `None` when R closed its end.
pub(crate) fn read_frame(
    from: &mut impl Read,
    mark: &Mark,
    sink: &mut dyn ChunkSink,
) -> io::Result<Option<Said>> {
    match read_one(from, mark, sink)? {
        // The text of a failure comes before the failure.
        Some(One::Text(failure)) => match read_one(from, mark, sink)? {
            Some(One::Said(Said::Ended { number, outcome: Outcome::Error(payload, _) })) => {
                let outcome = Outcome::Error(payload, Some(failure));
                Ok(Some(Said::Ended { number, outcome }))
            }
            Some(_) | None => Err(io::Error::other("the text of a failure without the failure")),
        },
        Some(One::Said(said)) => Ok(Some(said)),
        None => Ok(None),
    }
}

/// The content of one frame.
enum One {
    Said(Said),
    Text(FailureText),
}

fn read_one(
    from: &mut impl Read,
    mark: &Mark,
    sink: &mut dyn ChunkSink,
) -> io::Result<Option<One>> {
    let Some(header) = read_header(from, mark)? else {
        return Ok(None);
    };
    let [what, number, len] = fields(header);
    let number = u64::try_from(number).map_err(io::Error::other)?;
    let len = u64::try_from(len).map_err(io::Error::other)?;
    if what == 9 {
        let text = failure_text(&small(from, len)?);
        read_end(from, mark)?;
        return Ok(Some(One::Text(text)));
    }
    let said = match what {
        1 => Said::Ended { number, outcome: Outcome::Value(pack(from, len, sink)?) },
        2 => Said::Ended { number, outcome: Outcome::Error(pack(from, len, sink)?, None) },
        3 => {
            let message = String::from_utf8_lossy(&small(from, len)?).into_owned();
            Said::Ended { number, outcome: Outcome::Unreadable(message) }
        }
        4 => Said::Signal { number, condition: small(from, len)? },
        6 => Said::Ended { number, outcome: Outcome::Value(pack_file(&small(from, len)?, sink)?) },
        7 => Said::Ended {
            number,
            outcome: Outcome::Error(pack_file(&small(from, len)?, sink)?, None),
        },
        5 => ready(&small(from, len)?)?,
        8 => Said::Left,
        _ => return Err(io::Error::other("unknown frame")),
    };
    read_end(from, mark)?;
    Ok(Some(One::Said(said)))
}

fn read_end(from: &mut impl Read, mark: &Mark) -> io::Result<()> {
    let mut end = Mark::default();
    from.read_exact(&mut end)?;
    if end != *mark {
        let message =
            "a program that the task started wrote into R's pipe, in the middle of an answer";
        return Err(io::Error::other(message));
    }
    Ok(())
}

/// The number of classes, the classes and the message, a line each; a message may have more lines.
fn failure_text(bytes: &[u8]) -> FailureText {
    let text = String::from_utf8_lossy(bytes);
    let (count, rest) = text.split_once('\n').unwrap_or_default();
    let count = count.parse().unwrap_or(0);
    let mut lines = rest.splitn(count + 1, '\n').map(ToOwned::to_owned);
    let classes = lines.by_ref().take(count).collect();
    FailureText { classes, message: lines.next().unwrap_or_default() }
}

/// Reads the next header, past all that R did not write; `None` when the pipe ends before it.
fn read_header(from: &mut impl Read, mark: &Mark) -> io::Result<Option<[u8; HEADER]>> {
    let mut header = [0u8; HEADER];
    let mut have = 0;
    loop {
        match from.read_exact(&mut header[have..]) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(e) => return Err(e),
        }
        if header.starts_with(mark) {
            return Ok(Some(header));
        }
        header.copy_within(1.., 0);
        have = HEADER - 1;
    }
}

/// Packs and sends a result while it arrives, so that it is never in memory as a whole.
fn pack(from: &mut impl Read, len: u64, sink: &mut dyn ChunkSink) -> io::Result<Payload> {
    let mut packer = Packer::into(sink);
    let mut left = len;
    let mut piece = vec![0; PIECE.min(usize::try_from(len).unwrap_or(PIECE))];
    while left > 0 {
        let now = piece.len().min(usize::try_from(left).unwrap_or(PIECE));
        from.read_exact(&mut piece[..now])?;
        packer.write(&piece[..now]).map_err(io::Error::other)?;
        left -= now as u64;
    }
    packer.finish().map_err(io::Error::other)
}

/// Packs a result that R left in a file because it is large, and removes the file.
fn pack_file(path: &[u8], sink: &mut dyn ChunkSink) -> io::Result<Payload> {
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path));
    let mut file = std::fs::File::open(path)?;
    std::fs::remove_file(path)?;
    let len = file.metadata()?.len();
    pack(&mut file, len, sink)
}

fn small(from: &mut impl Read, len: u64) -> io::Result<Vec<u8>> {
    if len > SMALL_MAX {
        return Err(io::Error::other("a condition of more than 64 MB"));
    }
    let mut bytes = Vec::new();
    from.take(len).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == len { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn ready(bytes: &[u8]) -> io::Result<Said> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let mut number = || lines.next().and_then(|line| line.parse().ok());
    let r = number().zip(number()).ok_or_else(|| io::Error::other("R did not say its version"))?;
    Ok(Said::Ready { r, future: lines.next().unwrap_or_default().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use starburst_core::{blob::BlobHash, envelope::Unsealed};

    /// For results that are too small to be sent in chunks.
    #[derive(Debug)]
    struct NoSink;
    impl ChunkSink for NoSink {
        fn has(&self, _: &BlobHash) -> bool {
            false
        }
        fn take(&mut self, _: BlobHash, _: Unsealed) -> Result<(), Error> {
            Err(Error::Internal { detail: "nothing is sent here".into() })
        }
    }

    const OURS: Mark = [7; MARK];

    fn frame(what: i32, number: i32, body: &[u8]) -> Vec<u8> {
        let mut out = OURS.to_vec();
        out.extend_from_slice(&what.to_ne_bytes());
        out.extend_from_slice(&number.to_ne_bytes());
        out.extend_from_slice(&(body.len() as i32).to_ne_bytes());
        out.extend_from_slice(body);
        out.extend_from_slice(&OURS);
        out
    }

    fn job(number: u64, payload: &'static [u8], common: u64) -> Job {
        let material = Material::Here(b"common".as_slice().into());
        let common = Some(starburst_core::worker::evaluator::Common { id: common, material });
        Job { number, kind: TaskKind::Element, payload: Material::Here(payload.into()), common }
    }

    #[test]
    fn jobs_in_a_row_that_share_the_same_are_one_frame() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let jobs =
            [job(4, b"four", 1), job(5, b"five", 1), job(7, b"seven", 1), job(8, b"eight", 2)];
        let groups: Vec<usize> = jobs.chunk_by(go_together).map(<[Job]>::len).collect();
        assert_eq!(groups, [2, 1, 1]);
        let (mut written, mut there) = (Vec::new(), None);
        for jobs in jobs[..3].chunk_by(go_together) {
            write_jobs(&mut written, jobs, &mut there, runtime.handle()).unwrap();
        }
        let header = |fields: [i32; 4]| fields.map(i32::to_ne_bytes).concat();
        let expected = [
            &header([2, 0, 4, 1])[..],
            b"common",
            &header([1, 2, 4, 2]),
            b"fourfive",
            &header([1, 2, 7, 1]),
            b"seven",
        ];
        assert_eq!(written, expected.concat());
    }

    #[test]
    fn a_result_is_read() {
        let bytes = frame(1, 7, b"abc");
        let Some(Said::Ended { number: 7, outcome: Outcome::Value(payload) }) =
            read_frame(&mut &bytes[..], &OURS, &mut NoSink).unwrap()
        else {
            panic!("another frame");
        };
        assert_eq!(payload, Payload::Inline("abc".into()));
    }

    #[test]
    fn a_failure_has_its_text() {
        let text = b"2\nmine\nerror\nline one\nline two";
        let bytes = [frame(9, 7, text), frame(2, 7, b"abc")].concat();
        let said = read_frame(&mut &bytes[..], &OURS, &mut NoSink).unwrap();
        let Some(Said::Ended { number: 7, outcome: Outcome::Error(_, Some(failure)) }) = said
        else {
            panic!("{said:?}");
        };
        assert_eq!(failure.classes, ["mine", "error"]);
        assert_eq!(failure.message, "line one\nline two");
        for odd in [&b""[..], b"9999999999999999999999", b"3\none"] {
            failure_text(odd);
        }
        assert!(read_frame(&mut &frame(9, 7, text)[..], &OURS, &mut NoSink).is_err());
    }

    #[test]
    fn the_version_is_read() {
        let bytes = frame(5, 0, b"4\n2\n1.31.0\n");
        let Some(Said::Ready { r: (4, 2), future }) =
            read_frame(&mut &bytes[..], &OURS, &mut NoSink).unwrap()
        else {
            panic!("another frame");
        };
        assert_eq!(future, "1.31.0");
    }

    #[test]
    fn a_closed_pipe_is_the_end_and_a_cut_frame_is_an_error() {
        assert!(read_frame(&mut &b""[..], &OURS, &mut NoSink).unwrap().is_none());
        let bytes = frame(4, 1, b"abc");
        assert!(read_frame(&mut &bytes[..bytes.len() - 1], &OURS, &mut NoSink).is_err());
        let mut long = frame(4, 1, b"");
        long[HEADER - 4..HEADER].copy_from_slice(&i32::MAX.to_ne_bytes());
        assert!(read_frame(&mut &long[..], &OURS, &mut NoSink).is_err());
        long[HEADER - 4..HEADER].copy_from_slice(&(-1i32).to_ne_bytes());
        assert!(read_frame(&mut &long[..], &OURS, &mut NoSink).is_err());
    }

    #[test]
    fn only_what_is_here_as_a_whole_is_read_without_waiting() {
        let mut two = frame(1, 7, b"abc");
        for cut in 0..two.len() {
            assert!(!is_whole(&two[..cut], &OURS), "{cut}");
        }
        assert!(is_whole(&two, &OURS));
        two.extend(frame(1, 8, b"defghi"));
        assert!(is_whole(&two, &OURS));
        // Its body is the name of a file that may be large.
        assert!(!is_whole(&frame(6, 7, b"/tmp/result"), &OURS));
        assert!(!is_whole(&[255; 2 * HEADER], &OURS));
    }

    #[test]
    fn what_a_program_writes_between_answers_is_passed_over() {
        // An answer of another mark, words, and the beginning of the right mark.
        let foreign = [vec![9; HEADER + MARK], b"aaaa\n".to_vec(), vec![7; MARK - 1]].concat();
        for cut in 0..foreign.len() {
            let bytes = [&foreign[..cut], b"x", &frame(1, 7, b"abc")].concat();
            let mut from = &bytes[..];
            let said = read_frame(&mut from, &OURS, &mut NoSink).unwrap();
            assert!(matches!(said, Some(Said::Ended { number: 7, .. })), "{cut} {said:?}");
            assert!(read_frame(&mut from, &OURS, &mut NoSink).unwrap().is_none());
        }
    }

    #[test]
    fn an_answer_in_which_a_program_wrote_is_no_answer() {
        let whole = frame(1, 7, b"abcdef");
        for at in HEADER..whole.len() {
            let bytes = [&whole[..at], b"x", &whole[at..]].concat();
            let error = read_frame(&mut &bytes[..], &OURS, &mut NoSink).unwrap_err();
            assert!(error.to_string().contains("a program that the task started"), "{error}");
        }
    }
}
