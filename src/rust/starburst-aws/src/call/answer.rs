//! What a service answered, and where its errors say what went wrong.
use super::xml::Xml;
use serde_json::Value;

/// Words of an answer that is neither JSON nor XML are cut at this many characters.
const WORDS: usize = 200;

/// An answer, read to its end.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) error_type: Option<String>,
    pub(super) date: Option<String>,
    pub(super) body: Vec<u8>,
}

/// The code and the message of an answer that refuses.
pub(super) fn refusal(reply: &Reply) -> (Option<String>, String) {
    let header = reply.error_type.as_deref().map(short_code);
    if let Ok(Value::Object(body)) = serde_json::from_slice::<Value>(&reply.body) {
        let text = |names: &[&str]| {
            names.iter().find_map(|name| body.get(*name)?.as_str()).map(ToOwned::to_owned)
        };
        let code = text(&["__type", "code"]).as_deref().map(short_code).or(header);
        return (code, text(&["message", "Message", "errorMessage"]).unwrap_or_default());
    }
    if let Ok(document) = Xml::parse(&reply.body) {
        // Most services, EC2, and a bare error.
        let paths = ["ErrorResponse/Error", "Response/Errors/Error", "Error"];
        if let Some(error) = paths.iter().find_map(|path| document.at(path)) {
            let code = error.text("Code").map(short_code).or(header);
            return (code, error.text("Message").unwrap_or_default().to_owned());
        }
    }
    let text = String::from_utf8_lossy(&reply.body);
    (header, text.trim().chars().take(WORDS).collect())
}

/// A code without what stands around it: `com.amazonaws.ecr#Name:http://...` is `Name`.
fn short_code(code: &str) -> String {
    let code = code.split(':').next().unwrap_or(code);
    code.rsplit('#').next().unwrap_or(code).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(body: &str) -> (Option<String>, String) {
        refusal(&Reply { status: 400, body: body.as_bytes().to_vec(), ..Reply::default() })
    }

    #[test]
    fn each_protocol_says_what_went_wrong_in_its_own_place() {
        let expected = (Some("NotThere".to_owned()), "no such thing".to_owned());
        for body in [
            r#"{"__type":"com.amazonaws.ecr#NotThere","message":"no such thing"}"#,
            r#"{"__type":"NotThere:http://internal.amazon.com/","Message":"no such thing"}"#,
            "<ErrorResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\"><Error>\
             <Type>Sender</Type><Code>NotThere</Code><Message>no such thing</Message></Error>\
             <RequestId>1</RequestId></ErrorResponse>",
            "<?xml version=\"1.0\"?>\n<Response><Errors><Error><Code>NotThere</Code>\
             <Message>no such thing</Message></Error></Errors><RequestID>1</RequestID></Response>",
        ] {
            assert_eq!(reply(body), expected, "{body}");
        }
        let page = format!("<html>{}", "x".repeat(5_000));
        let (code, words) = reply(&page);
        assert_eq!((code, words.len()), (None, 200));
        let header = Reply {
            error_type: Some("NotThere:http://x/".into()),
            body: br#"{"message":"no such thing"}"#.to_vec(),
            ..Reply::default()
        };
        assert_eq!(refusal(&header), expected);
    }
}
