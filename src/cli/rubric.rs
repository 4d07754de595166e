//! `rubric`: rubric files checked, shown and kept. Not responsible for the format (`domain::rubric`).

use std::path::Path;

use serde_json::json;

use super::{
    FAILED, Failure, Opened, REFUSED,
    args::{RubricCommand, ShowRubricArgs},
    output::{self, print, table},
};
use crate::{
    domain::rubric::{self, Rubric, file::Faults},
    observe::chain,
    sheets::rubric as sheet,
    store::{ContentDigest, StoredRubric},
};

pub(super) async fn rubric(at: &Opened, command: &RubricCommand) -> Result<(), Failure> {
    match command {
        RubricCommand::Check { file } => check(at, file).await,
        RubricCommand::Show(arguments) => show(at, arguments).await,
        RubricCommand::Import { file } => import(at, file).await,
        RubricCommand::List => list(at).await,
    }
}

/// A rubric file's text, and what it says.
pub(super) async fn read(file: &Path) -> Result<(String, Rubric), Failure> {
    let name = file.display();
    let content = tokio::fs::read(file)
        .await
        .map_err(|error| Failure::said(FAILED, format!("{name}: {error}")))?;
    let text = String::from_utf8(content)
        .map_err(|error| Failure::said(REFUSED, format!("{name}: 文件不是 UTF-8 编码:{error}")))?;
    match Rubric::parse(&text) {
        Ok(rubric) => Ok((text, rubric)),
        Err(faults) => Err(Failure::said(REFUSED, format!("{name}: {faults}"))),
    }
}

async fn check(at: &Opened, file: &Path) -> Result<(), Failure> {
    let (text, rubric) = read(file).await?;
    if at.json {
        return output::json(&summary(&text, &rubric));
    }
    let items = rubric.items().count();
    print(&format!(
        "“{}”检查通过:一级指标 {} 个,二级指标 {} 个,条目 {items} 条,满分 {} 分",
        rubric.title,
        rubric.groups.len(),
        rubric.indicators().count(),
        rubric.total.short()
    ));
    Ok(())
}

fn summary(text: &str, rubric: &Rubric) -> serde_json::Value {
    json!({
        "digest": ContentDigest::of(text.as_bytes()), "id": rubric.id, "title": rubric.title,
        "items": rubric.items().count(), "total": rubric.total, "built_in": text == rubric::DEFAULT,
    })
}

/// A rubric that was sound when it was kept.
fn kept(text: &str) -> Result<Rubric, Failure> {
    Rubric::parse(text).map_err(|faults: Faults| Failure::said(FAILED, faults.to_string()))
}

async fn show(at: &Opened, arguments: &ShowRubricArgs) -> Result<(), Failure> {
    let rubric = match (&arguments.file, arguments.digest) {
        (Some(file), _) => read(file).await?.1,
        (None, Some(digest)) => kept(&stored(at, digest).await?.text)?,
        (None, None) => kept(rubric::DEFAULT)?,
    };
    let Some(out) = &arguments.out else {
        print(&sheet::markdown(&rubric));
        return Ok(());
    };
    let content = if out.extension().is_some_and(|ending| ending == "xlsx") {
        sheet::xlsx(&rubric).map_err(|error| Failure::said(FAILED, chain(&error)))?
    } else {
        sheet::markdown(&rubric).into_bytes()
    };
    output::file(at, out, &content).await
}

async fn stored(at: &Opened, digest: ContentDigest) -> Result<StoredRubric, Failure> {
    let found = at.store.rubric(digest).await?;
    found.ok_or_else(|| Failure::said(REFUSED, format!("没有保存摘要为 {digest} 的细则")))
}

async fn import(at: &Opened, file: &Path) -> Result<(), Failure> {
    let (text, rubric) = read(file).await?;
    let digest = at.store.put_rubric(&text, at.now.as_second()).await?;
    if at.json {
        return output::json(&summary(&text, &rubric));
    }
    print(&format!(
        "已保存“{}”,摘要 {digest};新建考核时用 --rubric 引用",
        rubric.title
    ));
    Ok(())
}

async fn list(at: &Opened) -> Result<(), Failure> {
    let built_in = ContentDigest::of(rubric::DEFAULT.as_bytes());
    let mut texts = vec![(rubric::DEFAULT.to_owned(), None)];
    for one in at.store.rubrics().await? {
        if one.digest != built_in {
            texts.push((one.text, Some(one.stored_at)));
        }
    }
    let mut rows = table(&["摘要", "短名", "名称", "满分", "保存时间"], 99);
    let mut shown = Vec::new();
    for (text, stored_at) in &texts {
        let digest = ContentDigest::of(text.as_bytes()).to_string();
        // One that can't be read hides no other.
        let [id, title, total] = match Rubric::parse(text) {
            Ok(rubric) => {
                shown.push(summary(text, &rubric));
                [
                    rubric.id.clone(),
                    rubric.title.clone(),
                    rubric.total.short(),
                ]
            }
            Err(faults) => {
                shown.push(json!({ "digest": digest, "fault": faults.to_string() }));
                [String::new(), format!("无法读取:{faults}"), String::new()]
            }
        };
        let when = stored_at.map_or_else(|| "程序自带".to_owned(), |when| at.local(when));
        rows.add_row([digest, id, title, total, when]);
    }
    if at.json {
        return output::json(&shown);
    }
    print(&rows.to_string());
    Ok(())
}
