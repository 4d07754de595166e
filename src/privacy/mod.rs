//! What is collected of a classroom, for schools to read (隐私说明): drawn from the contract and the schema, so that it stays true.
//!
//! Every field that a terminal can send and every column that is kept needs a sentence in `words`. One without a
//! sentence makes the statement fail, and a test with it: nothing new is collected in silence. Not responsible for
//! what is collected, nor for removing it (`retention`).

mod words;

use std::fmt::Write as _;

use prost::Message as _;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet, field_descriptor_proto,
};

use crate::store::{StoreError, sqlite};

/// A table of the statement.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Section {
    /// Its name in the contract or in the schema.
    pub name: String,
    /// What it is, in Chinese.
    pub meaning: &'static str,
    /// How long it is kept, in Chinese; empty for messages, of which only what a table says is kept.
    pub kept: &'static str,
    /// Fields with their meaning, in the order of the contract or the schema.
    pub fields: Vec<(String, &'static str)>,
}

/// The whole statement.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Statement {
    /// Least age of minutes that go, in days; `None` where they stay.
    pub retention_days: Option<u32>,
    /// What a terminal can send: one section a message.
    pub sent: Vec<Section>,
    /// What is kept: one section a table.
    pub kept: Vec<Section>,
}

/// Why there is no statement.
#[derive(Debug, thiserror::Error)]
pub enum PrivacyError {
    /// Something can be sent or kept of which nobody said what it is.
    #[error("nothing is said of {0}: add it to src/privacy/words.rs")]
    Unsaid(String),
    /// The contract's own description can't be read.
    #[error("the contract's description is broken")]
    Contract(#[from] prost::DecodeError),
    /// The schema can't be laid out.
    #[error("the schema can't be read")]
    Schema(#[from] StoreError),
}

/// What terminals send: these messages and all that they hold.
const ROOTS: [&str; 3] = ["Report", "State", "EnrolRequest"];

/// Draws the statement from the contract and the schema of this very program.
///
/// # Errors
/// [`PrivacyError`]; a release never has one, for the tests draw it too.
pub fn statement(retention_days: Option<u32>) -> Result<Statement, PrivacyError> {
    Ok(Statement {
        retention_days,
        sent: sent()?,
        kept: kept()?,
    })
}

fn sent() -> Result<Vec<Section>, PrivacyError> {
    let files = FileDescriptorSet::decode(classpulse_proto::DESCRIPTORS)?;
    let messages: Vec<&DescriptorProto> = files
        .file
        .iter()
        .filter(|file| file.package() == "classpulse.v1")
        .flat_map(|file| &file.message_type)
        .collect();
    let mut waiting: Vec<String> = ROOTS.iter().rev().map(ToString::to_string).collect();
    let mut sections: Vec<Section> = Vec::new();
    while let Some(name) = waiting.pop() {
        if sections.iter().any(|section| section.name == name) {
            continue;
        }
        let unsaid = || PrivacyError::Unsaid(format!("the message {name}"));
        let message = messages
            .iter()
            .find(|one| one.name() == name)
            .ok_or_else(unsaid)?;
        let meaning = words::message(&name).ok_or_else(unsaid)?;
        let fields: Result<Vec<_>, PrivacyError> = message
            .field
            .iter()
            .map(|field| said(&name, field))
            .collect();
        waiting.extend(message.field.iter().rev().filter_map(inner));
        sections.push(Section {
            name,
            meaning,
            kept: "",
            fields: fields?,
        });
    }
    Ok(sections)
}

/// The message that a field holds.
fn inner(field: &FieldDescriptorProto) -> Option<String> {
    let holds = field.r#type() == field_descriptor_proto::Type::Message;
    let name = field.type_name().rsplit('.').next()?;
    holds.then(|| name.to_owned())
}

fn said(
    message: &str,
    field: &FieldDescriptorProto,
) -> Result<(String, &'static str), PrivacyError> {
    let name = format!("{message}.{}", field.name());
    let meaning = words::field(&name).ok_or(PrivacyError::Unsaid(name))?;
    Ok((field.name().to_owned(), meaning))
}

fn kept() -> Result<Vec<Section>, PrivacyError> {
    let tables = sqlite::schema()?;
    tables
        .into_iter()
        .map(|table| {
            let (meaning, kept) = words::table(&table.name)
                .ok_or_else(|| PrivacyError::Unsaid(format!("the table {}", table.name)))?;
            let fields: Result<Vec<_>, PrivacyError> = table
                .columns
                .into_iter()
                .map(|column| {
                    let meaning = words::column(&table.name, &column)
                        .ok_or_else(|| PrivacyError::Unsaid(format!("{}.{column}", table.name)))?;
                    Ok((column, meaning))
                })
                .collect();
            Ok(Section {
                name: table.name,
                meaning,
                kept,
                fields: fields?,
            })
        })
        .collect()
}

impl Statement {
    /// How long minutes stay, a Chinese sentence.
    #[must_use]
    pub fn minutes_kept(&self) -> String {
        match self.retention_days {
            Some(days) => format!(
                "每台终端每天的分钟记录至少保存 {days} 天;其后,待所在学期的考核定稿,自动删除,只留学校每天的合计数。"
            ),
            None => "本单位未设保存期限:每台终端每天的分钟记录一直保存,直至管理人员设定期限。"
                .to_owned(),
        }
    }

    /// The statement as Markdown, for printing and for a school's notice board.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::from("# 课脉(Classpulse)隐私说明\n\n");
        for line in words::OPENING {
            let _ = writeln!(text, "{line}\n");
        }
        text.push_str("## 不收集什么\n\n");
        for line in words::NEVER {
            let _ = writeln!(text, "- {line}");
        }
        let _ = write!(text, "\n## 保存多久\n\n{}\n\n", self.minutes_kept());
        text.push_str("## 终端发送什么\n\n以下是终端程序能够发送的全部字段,取自通信协议本身。\n");
        sections(&mut text, &self.sent);
        text.push_str("\n## 系统保存什么\n\n以下是数据库的全部表和列,取自数据库结构本身。\n");
        sections(&mut text, &self.kept);
        text
    }
}

fn sections(text: &mut String, sections: &[Section]) {
    for section in sections {
        let _ = write!(text, "\n### {}(`{}`)\n\n", section.meaning, section.name);
        if !section.kept.is_empty() {
            let _ = write!(text, "保存期限:{}\n\n", section.kept);
        }
        text.push_str("| 字段 | 含义 |\n| --- | --- |\n");
        for (field, meaning) in &section.fields {
            let _ = writeln!(text, "| `{field}` | {meaning} |");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_sent_or_kept_is_said() {
        let statement = statement(Some(800)).unwrap();
        let names: Vec<&str> = statement.sent.iter().map(|one| one.name.as_str()).collect();
        for message in [
            "Report",
            "AgentFacts",
            "Session",
            "Signal",
            "State",
            "EnrolRequest",
            "Hardware",
        ] {
            assert!(names.contains(&message), "{names:?} lacks {message}");
        }
        let days = statement
            .kept
            .iter()
            .find(|one| one.name == "terminal_day")
            .unwrap();
        let columns: Vec<&str> = days.fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(columns, ["day", "terminal", "powered", "used", "last_seen"]);
    }

    #[test]
    fn nothing_is_said_that_is_not_there() {
        let statement = statement(None).unwrap();
        let all = |sections: &[Section]| -> Vec<String> {
            sections
                .iter()
                .flat_map(|one| {
                    one.fields
                        .iter()
                        .map(|(field, _)| format!("{}.{field}", one.name))
                })
                .collect()
        };
        let (sent, kept) = (all(&statement.sent), all(&statement.kept));
        for name in words::fields() {
            assert!(
                sent.iter().any(|one| one == name),
                "{name} is not in the contract"
            );
        }
        for (table, column) in words::columns() {
            let there = kept.iter().any(|one| match table {
                Some(table) => *one == format!("{table}.{column}"),
                None => one.ends_with(&format!(".{column}")),
            });
            assert!(there, "{table:?} {column} is not in the schema");
        }
    }

    #[test]
    fn the_text_says_how_long_and_what_never() {
        let text = statement(Some(800)).unwrap().markdown();
        assert!(text.contains("至少保存 800 天"), "{text}");
        assert!(text.contains("终端不收集任何人的姓名"), "{text}");
        assert!(text.contains("| `powered` |"), "{text}");
        let forever = statement(None).unwrap().markdown();
        assert!(forever.contains("一直保存"), "{forever}");
    }
}
