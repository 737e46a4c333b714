//! A document of the Query protocol as a tree, looked into by paths.
use quick_xml::{
    Reader,
    escape::resolve_predefined_entity,
    events::{BytesRef, Event},
};
use std::fmt;

/// No answer nests deeper.
const DEEPEST: usize = 64;

/// An element: its name without prefix, its text, and the elements in it. Attributes are left out; nothing AWS says stands in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Xml {
    /// Its name; empty for the document itself.
    pub name: String,
    /// Its text, without the spaces around it.
    pub text: String,
    /// The elements in it, in order.
    pub children: Vec<Xml>,
}

/// Bytes that are no such document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadXml(String);

impl fmt::Display for BadXml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not the XML that was expected: {}", self.0)
    }
}

impl std::error::Error for BadXml {}

impl Xml {
    /// Reads a document; the result has no name and one child, the root element.
    ///
    /// # Errors
    /// [`BadXml`] when it is not well formed, ends early, or nests too deep.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadXml> {
        let text = std::str::from_utf8(bytes).map_err(|e| BadXml(e.to_string()))?;
        let mut reader = Reader::from_str(text);
        let mut open = vec![Xml::default()];
        let bad = |e: &dyn fmt::Display| BadXml(e.to_string());
        loop {
            match reader.read_event().map_err(|e| bad(&e))? {
                Event::Start(tag) => {
                    if open.len() > DEEPEST {
                        return Err(BadXml("it nests too deep".into()));
                    }
                    open.push(Xml::named(tag.local_name().as_ref()));
                }
                Event::Empty(tag) => {
                    if let Some(parent) = open.last_mut() {
                        parent.children.push(Xml::named(tag.local_name().as_ref()));
                    }
                }
                Event::End(_) => {
                    if let (Some(done), Some(parent)) = (open.pop(), open.last_mut()) {
                        parent.children.push(done.trimmed());
                    }
                }
                Event::Text(words) => push(&mut open, &words.decode().map_err(|e| bad(&e))?),
                Event::CData(words) => push(&mut open, &words.decode().map_err(|e| bad(&e))?),
                Event::GeneralRef(name) => push(&mut open, &resolved(&name)?),
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::DocType(_) | Event::PI(_) => {}
            }
        }
        match open.pop() {
            Some(document) if open.is_empty() && !document.children.is_empty() => Ok(document),
            Some(_) | None => Err(BadXml("it ends early".into())),
        }
    }

    fn named(name: &[u8]) -> Self {
        Self { name: String::from_utf8_lossy(name).into_owned(), ..Self::default() }
    }

    fn trimmed(mut self) -> Self {
        self.text = self.text.trim().to_owned();
        self
    }

    /// The first element at a path of names, such as `A/B`.
    pub fn at(&self, path: &str) -> Option<&Xml> {
        path.split('/').try_fold(self, |here, name| here.children.iter().find(|c| c.name == name))
    }

    /// The text of the first element at a path; `None` if there is no such element or it is empty.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.at(path).map(|found| found.text.as_str()).filter(|text| !text.is_empty())
    }

    /// The elements of a list: those in the first element at a path.
    pub fn items(&self, path: &str) -> &[Xml] {
        self.at(path).map(|list| list.children.as_slice()).unwrap_or_default()
    }
}

fn push(open: &mut [Xml], words: &str) {
    if let Some(here) = open.last_mut() {
        here.text.push_str(words);
    }
}

fn resolved(name: &BytesRef<'_>) -> Result<String, BadXml> {
    if let Some(character) = name.resolve_char_ref().map_err(|e| BadXml(e.to_string()))? {
        return Ok(character.to_string());
    }
    let name = name.decode().map_err(|e| BadXml(e.to_string()))?;
    let known = resolve_predefined_entity(&name);
    known.map(ToOwned::to_owned).ok_or_else(|| BadXml(format!("an unknown entity `{name}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_looked_into_by_paths() {
        let text = "<?xml version=\"1.0\"?><a:R xmlns:a=\"u\"><List><member>\n <Key> x &lt;&#65;&gt; </Key>\
                    <Empty/></member><member><Key><![CDATA[<y>]]></Key></member></List></a:R>";
        let document = Xml::parse(text.as_bytes()).unwrap();
        let keys: Vec<_> =
            document.items("R/List").iter().filter_map(|item| item.text("Key")).collect();
        assert_eq!(keys, ["x <A>", "<y>"]);
        assert_eq!(document.text("R/List/member/Empty"), None);
        assert!(document.at("R/List/member/Empty").is_some());
        assert_eq!(document.items("R/Nothing"), []);
    }

    #[test]
    fn what_is_no_document_is_refused() {
        let deep = "<a>".repeat(1_000);
        for text in ["", "hello", "<a>", "<a></b>", "<a>&odd;</a>", "{}", deep.as_str()] {
            assert!(Xml::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Xml::parse(b"<a>\xff</a>").is_err());
    }
}
