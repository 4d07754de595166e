//! 核验: whether a frozen run is still what was frozen, and every figure follows from it. Not responsible for finding that
//! out (`evaluation::verify`).

use axum::{
    extract::{Path, Query, State},
    response::{Html, IntoResponse as _, Response},
};
use maud::{Markup, html};

use super::{Tab, opened, page as head, tabs};
use crate::{
    dashboard::{
        Context,
        failure::Failure,
        filters::Filters,
        layout::Page,
        table::{Cell, Column, Table, answer},
    },
    evaluation::{self, EvaluationError, PartFault, Verification},
    store::ContentDigest,
};

/// What was frozen. The verification reads and reckons all of it: it comes later, from the page of its own.
pub(in crate::dashboard) async fn page(
    State(at): State<Context>,
    Path(run): Path<String>,
) -> Result<Response, Failure> {
    let run = opened(&at, &run).await?;
    let freeze = run.frozen().ok_or(EvaluationError::NotFrozen(run.id))?;
    let parts = at.store().run_parts(run.id).await?.len();
    let result = format!("/runs/{}/verify/result", run.id);
    let markup = head(&run, Tab::Verify).markup(&html! {
        (tabs(&run, Tab::Verify))
        section.card aria-label="冻结的内容" {
            (frozen(freeze.digest, parts))
            div data-later=(result) data-part="verified" {
                p {
                    a href=(result) { "开始核验" }
                    "(逐一核对冻结的全部内容,并由它重新算出每个分数,学校多时要等几秒)"
                    span.while-busy role="status" { "正在核验…" }
                }
            }
        }
    });
    Ok(Html(markup.into_string()).into_response())
}

/// What the verification found.
pub(in crate::dashboard) async fn result(
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
    answer(
        &filters,
        &[&table],
        &format!("考核{}核验", run.id),
        || {
            let page = Page {
                title: "核验结果".to_owned(),
                current: "/runs",
                crumbs: vec![
                    ("/runs".to_owned(), "考核".to_owned()),
                    (
                        format!("/runs/{}/verify", run.id),
                        format!("核验“{}”", run.name),
                    ),
                ],
                ..Page::default()
            };
            page.markup(&html! {
                section.card aria-label="核验结果" {
                    (frozen(found.digest, found.parts))
                    div data-part="verified" { (told(&found)) }
                    @if !found.is_sound() { (table.html(&filters.query())) }
                }
            })
        },
    )
}

fn frozen(digest: ContentDigest, parts: usize) -> Markup {
    html! {
        dl.facts {
            dt { "摘要" } dd { code.digest { (digest) } }
            dt { "部分" } dd { (parts) " 个" }
        }
    }
}

fn told(found: &Verification) -> Markup {
    html! {
        @if found.is_sound() {
            p.good role="status" {
                "与冻结时完全一致:" (found.parts) " 个部分逐一核对,全部分数由冻结的内容重新算出,分毫不差。"
            }
        } @else {
            p.bad role="alert" {
                "与冻结时不一致:"
                a href={ "/runs/" (found.run) "/verify/result#faults" } { (found.faults.len()) " 处" }
                "。请用备份恢复,并查明原因。"
            }
        }
        @if found.reworded > 0 {
            p { (found.reworded) " 条理由的措辞与本版本程序不同,分数一致。" }
        }
    }
}
