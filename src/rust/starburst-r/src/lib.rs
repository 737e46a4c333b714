//! R bindings: convert, call, convert back. No decisions here.
//!
//! Every call is short, or waits in steps during which Ctrl-C is looked for. Nothing calls R but the
//! thread that R called.

mod account;
mod aws;
mod convert;
mod environment;
mod error;
mod image;
mod install;
mod job;
mod json;
mod manage;
mod memory;
mod packing;
mod quota;
mod runtime;
mod session;
mod task;
mod value;

use extendr_api::prelude::*;

extendr_module! {
    mod starburst;
    use session;
    use environment;
    use task;
    use manage;
    use value;
    use account;
    use job;
    use install;
    use image;
    use quota;
    use json;
}
