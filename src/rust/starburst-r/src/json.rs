//! JSON as R lists. What it means is R's matter.
use crate::error::{RError, Result};
use extendr_api::prelude::*;
use serde_json::Value;

/// Objects as named lists, arrays as lists, or as character vectors where all elements are strings, null as `NULL`.
fn as_r(value: &Value) -> Robj {
    match value {
        Value::Null => ().into(),
        Value::Bool(truth) => Robj::from(*truth),
        Value::Number(number) => Robj::from(number.as_f64()),
        Value::String(text) => Robj::from(text.as_str()),
        Value::Array(values) => {
            let texts: Option<Vec<&str>> = values.iter().map(Value::as_str).collect();
            match texts {
                Some(texts) => Robj::from(texts),
                None => List::from_values(values.iter().map(as_r)).into(),
            }
        }
        Value::Object(fields) => {
            List::from_pairs(fields.iter().map(|(name, value)| (name.as_str(), as_r(value)))).into()
        }
    }
}

/// Reads JSON. Deeper than 128 levels is an error.
#[extendr]
fn rs_json(text: &str) -> Result<Robj> {
    let value = serde_json::from_str(text).map_err(|error| RError::Value(error.to_string()))?;
    Ok(as_r(&value))
}

extendr_module! {
    mod json;
    fn rs_json;
}
