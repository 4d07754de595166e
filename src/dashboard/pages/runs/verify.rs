//! 核验: whether a frozen run is still what was frozen, and every figure follows from it.

use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use maud::html;

use super::{Tab, opened, page as head, tabs};
use crate::{
    dashboard::{
        Context,
        failure::Failure,
        filters::Filters,
        table::{Cell, Column, Table, answer},
    },
    evaluation::{self, PartFault},
};

/// The page.
pub(in crate::dashboard) async fn page(
    State(at): State<Context>,
    Path(run): Path<String>,
    Query(filters): Query<Filters>,
) -> Result<Response, Failure> {
    let run = opened(&at, &run).await?;
    let found = evaluation::verify(at.store(), run.id).await?;
    let row = |one: &PartFault| vec![Cell::from(one.part.clone()), one.problem.clone().into()];
    let table = Table {
        key: "faults",
        caption: "不一致之处".to_owned(),
        columns: vec![Column::Head("部分"), Column::Long("问题")],
        rows: found.faults.iter().map(row).collect(),
        empty: "没有不一致。",
    };
    answer(&filters, &[&table], &format!("考核{}", run.id), || {
        head(&run, Tab::Verify).markup(&html! {
            (tabs(&run, Tab::Verify))
            @if found.is_sound() {
                p.good role="status" {
                    "与冻结时完全一致:" (found.parts) " 个部分逐一核对,全部分数由冻结的内容重新算出,分毫不差。"
                }
            } @else {
                p.bad role="alert" { "与冻结时不一致:" (found.faults.len()) " 处。请用备份恢复,并查明原因。" }
            }
            section.card aria-label="核验结果" {
                dl.facts {
                    dt { "摘要" } dd { code.digest { (found.digest) } }
                    dt { "部分" } dd { (found.parts) " 个" }
                    @if found.reworded > 0 {
                        dt { "措辞" } dd { (found.reworded) " 条理由的措辞与本版本程序不同,分数一致" }
                    }
                }
                @if !found.is_sound() { (table.html("")) }
            }
        })
    })
}
