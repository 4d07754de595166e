//! `audit verify`, `list` and `export`. Not responsible for the chain (store) or for following it (`access`).

use std::path::Path;

use jiff::civil::Date;
use serde_json::json;

use super::{
    FAILED, Failure, Opened, REFUSED, USAGE,
    args::{AuditArgs, AuditCommand},
    output::{self, print, table},
};
use crate::{
    access,
    store::{AuditFilter, Head, Recorded},
};

pub(super) async fn audit(at: &Opened, command: &AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::Verify { noted } => verify(at, noted.as_deref()).await,
        AuditCommand::List(which) => list(at, which).await,
        AuditCommand::Export { which, out } => export(at, which, out).await,
    }
}

fn head(text: &str) -> Option<Head> {
    let (number, hash) = text.split_once(':')?;
    Some(Head {
        number: number.parse().ok()?,
        hash: hash.parse().ok()?,
    })
}

async fn verify(at: &Opened, noted: Option<&str>) -> Result<(), Failure> {
    let noted = match noted {
        None => None,
        Some(text) => {
            let wrong =
                || Failure::said(USAGE, "--noted is NUMBER:HASH, as `audit verify` prints it");
            Some(head(text).ok_or_else(wrong)?)
        }
    };
    let found = access::verify(at.store.as_ref(), noted).await?;
    let end = format!("{}:{}", found.head.number, found.head.hash);
    let faults: Vec<_> = found.faults.iter().map(ToString::to_string).collect();
    if at.json {
        output::json(&json!({
            "ok": faults.is_empty(), "entries": found.entries, "head": end, "faults": faults,
        }))?;
    } else if faults.is_empty() {
        print(&format!(
            "操作记录完整:{} 条。末端 {end} 请抄存于别处,下次用 --noted 核对。",
            found.entries
        ));
    }
    if faults.is_empty() {
        return Ok(());
    }
    let said = if at.json {
        String::new()
    } else {
        format!("操作记录被改动过:\n  {}", faults.join("\n  "))
    };
    Err(Failure::said(REFUSED, said))
}

async fn found(at: &Opened, which: &AuditArgs) -> Result<Vec<Recorded>, Failure> {
    let midnight = |day: Date| {
        let midnight = day.to_zoned_datetime(at.config.zone.clone());
        let midnight = midnight.map_err(|error| Failure::said(FAILED, error.to_string()))?;
        Ok::<_, Failure>(midnight.timestamp().as_second())
    };
    let until = match which.to {
        None => i64::MAX,
        Some(day) => midnight(day.tomorrow().unwrap_or(Date::MAX))?,
    };
    let filter = AuditFilter {
        since: which.from.map(midnight).transpose()?.unwrap_or(i64::MIN),
        until,
        who: which.who.clone(),
        action: which.action.clone(),
        limit: which.limit,
    };
    Ok(at.store.audit(&filter).await?)
}

async fn list(at: &Opened, which: &AuditArgs) -> Result<(), Failure> {
    let found = found(at, which).await?;
    if at.json {
        return output::json(&found);
    }
    let mut rows = table(
        &["编号", "时间", "谁", "来自", "操作", "对象", "之前", "之后"],
        99,
    );
    let short = |text: &str| match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    };
    for one in &found {
        let entry = &one.entry;
        rows.add_row([
            one.number.to_string(),
            at.local(entry.at),
            entry.who.clone(),
            entry.origin.clone(),
            entry.action.clone(),
            entry.target.clone(),
            short(&entry.before),
            short(&entry.after),
        ]);
    }
    print(&rows.to_string());
    print(&format!("共 {} 条", found.len()));
    Ok(())
}

async fn export(at: &Opened, which: &AuditArgs, out: &Path) -> Result<(), Failure> {
    let found = found(at, which).await?;
    let content = access::audit::csv(&found, &at.config.zone);
    let content = content.map_err(|error| Failure::failed(&error))?;
    output::file(at, out, &content).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_reads_back_as_it_is_printed() {
        let none = format!("{}:{}", Head::NONE.number, Head::NONE.hash);
        assert_eq!(head(&none), Some(Head::NONE));
        for wrong in ["", "1", "1:", ":00", "1:00", "x:00"] {
            assert_eq!(head(wrong), None, "{wrong}");
        }
    }
}
