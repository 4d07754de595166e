//! Why a page or an answer could not be given, in words that help whoever asked.

use axum::{
    Json,
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::html;

use super::{guard, layout};
use crate::{
    access::AccessError,
    domain::access::{Permission, Role},
    evaluation::EvaluationError,
    query::QueryError,
    store::StoreError,
    tasks::CutOff,
};

mod evaluation;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A field of the address or of a form is wrong.
    #[error("{what}有误:{problem}")]
    Field {
        /// The field in Chinese.
        what: &'static str,
        /// What is wrong and what is allowed, in Chinese.
        problem: String,
    },
    /// The question has no answer.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An evaluation run can't do it.
    #[error(transparent)]
    Evaluation(EvaluationError),
    /// A file could not be made; the log says why.
    #[error("文件没有生成,请稍后重试;原因见服务日志")]
    Unwritten,
    /// It can't be done now; says why and the mend, in Chinese.
    #[error("{0}")]
    Refused(String),
    /// Changes are not allowed from there.
    #[error("这里只能查看:请在运行本服务的电脑上操作,或由管理员在配置中打开 dashboard.actions")]
    NotHere,
    /// A form that is not one of these pages.
    #[error("为安全起见,只接受本系统页面上提交的操作,请回到页面重试")]
    OtherOrigin,
    /// Nobody has logged in, or the session is over.
    #[error("请先登录:登录后 30 分钟没有操作会自动退出")]
    NotLoggedIn,
    /// The role does not have the permission.
    #[error("您的角色“{}”没有“{}”的权限,需要时请联系管理员", .0.name(), .1.name())]
    Role(Role, Permission),
    /// A part of a county does not see this.
    #[error("本页是全县的内容,超出您的查看范围")]
    Narrow,
    /// A page without a row in the table of permissions: a mistake of the program.
    #[error("本页没有登记权限,因此不能打开:请联系软件维护者")]
    NoRow,
    /// An account could not be had or changed.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// It took too long.
    #[error("等待过久,请缩小时间范围后重试")]
    Late,
    /// No such page.
    #[error("没有这个页面:请检查网址")]
    Nowhere,
    /// Too many live views are open.
    #[error("实时画面已达上限,请关闭一些后重试")]
    TooMany,
}

impl From<EvaluationError> for Failure {
    fn from(error: EvaluationError) -> Self {
        match error {
            EvaluationError::Store(error) => Self::Store(error),
            other => Self::Evaluation(other),
        }
    }
}

impl From<CutOff> for Failure {
    fn from(_panic: CutOff) -> Self {
        Self::Unwritten
    }
}

impl Failure {
    pub(crate) fn field(what: &'static str, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        Self::Field { what, problem }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Field { .. } | Self::Query(QueryError::Field { .. }) => StatusCode::BAD_REQUEST,
            Self::Query(QueryError::NotFound { .. }) | Self::Store(StoreError::NotFound { .. }) => {
                StatusCode::NOT_FOUND
            }
            Self::Nowhere | Self::Access(AccessError::Unknown(_)) => StatusCode::NOT_FOUND,
            Self::Query(
                QueryError::NoCounty | QueryError::NoCalendar { .. } | QueryError::NoTerm { .. },
            )
            | Self::Store(StoreError::Conflict(_))
            | Self::Refused(_) => StatusCode::CONFLICT,
            Self::NotHere
            | Self::OtherOrigin
            | Self::Role(..)
            | Self::Narrow
            | Self::NoRow
            | Self::Query(QueryError::Store(StoreError::OutOfReach { .. }))
            | Self::Store(StoreError::OutOfReach { .. }) => StatusCode::FORBIDDEN,
            Self::NotLoggedIn => StatusCode::UNAUTHORIZED,
            Self::Access(AccessError::Store(_) | AccessError::Busy) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Access(AccessError::Link) => StatusCode::GONE,
            Self::Access(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Query(QueryError::Store(error)) | Self::Store(error) => match error {
                StoreError::Driver { .. } | StoreError::Closed => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            },
            Self::Evaluation(error) => evaluation::status(error),
            Self::Unwritten => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Late => StatusCode::GATEWAY_TIMEOUT,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// In Chinese, with the mend.
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::Query(QueryError::Field { field, problem }) => {
                let what = match *field {
                    "period.from" => "开始日期",
                    "period.to" => "结束日期",
                    "county" => "区县",
                    other => other,
                };
                format!("{what}有误({problem})")
            }
            Self::Query(QueryError::NotFound { what, id })
            | Self::Store(StoreError::NotFound { what, id }) => {
                let (verb, what) = match *what {
                    "county" => ("登记", "区县"),
                    "school" => ("登记", "学校"),
                    "terminal" => ("登记", "终端"),
                    "run" | "evaluation run" => ("", "考核"),
                    "exclusion" => ("", "排除"),
                    "enrolment code" => ("", "注册码"),
                    "rubric" => ("", "细则"),
                    _ => ("", "记录"),
                };
                format!("没有{verb}编号为“{id}”的{what}")
            }
            Self::Query(QueryError::NoCounty) => {
                "还没有登记学校:请先到“设置”导入学校表和终端表".to_owned()
            }
            Self::Query(QueryError::NoCalendar { county }) => {
                format!("区县 {county} 还没有教学日历:请先到“设置”填写教学日历")
            }
            Self::Query(QueryError::NoTerm { .. }) => {
                "教学日历中的学期都还没有开始:请选择日期,或到“设置”检查教学日历".to_owned()
            }
            Self::Query(QueryError::Store(error)) | Self::Store(error) => match error {
                StoreError::Driver { .. } => "数据库暂时不可用,请稍后重试".to_owned(),
                StoreError::OutOfReach { .. } => "超出您的查看范围".to_owned(),
                StoreError::Closed => "服务正在停止,请稍后重试".to_owned(),
                StoreError::Conflict(said) => evaluation::conflict(said),
                _ => "数据库中的数据有问题,详情见服务日志".to_owned(),
            },
            Self::Evaluation(error) => evaluation::sentence(error),
            other => other.to_string(),
        }
    }

    fn note(&self) {
        if let Self::Query(QueryError::Store(error)) | Self::Store(error) = self
            && !matches!(
                error,
                StoreError::NotFound { .. }
                    | StoreError::Conflict(_)
                    | StoreError::OutOfReach { .. }
            )
        {
            let error: &(dyn std::error::Error + 'static) = error;
            tracing::error!(error, "a page failed in the store");
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.note();
        let status = self.status();
        let page = layout::Page::plain(match &self {
            _ if status == StatusCode::NOT_FOUND => "没有找到",
            Self::NotLoggedIn => "请先登录",
            _ if matches!(
                self,
                Self::Role(..)
                    | Self::Narrow
                    | Self::Query(QueryError::Store(StoreError::OutOfReach { .. }))
                    | Self::Store(StoreError::OutOfReach { .. })
            ) =>
            {
                "没有权限"
            }
            _ => "暂时无法显示",
        });
        let content = html! {
            section.card.notice role="alert" {
                p { (self.sentence()) "。" }
                p {
                    a.button href="/" { "回到总览" } " "
                    @if guard::opens(&Method::GET, "/settings") { a.button href="/settings" { "打开设置" } }
                    @if matches!(self, Self::NotLoggedIn) { a.button href="/login" { "登录" } }
                }
            }
        };
        (status, page.html(&content)).into_response()
    }
}

/// An address that nothing stands at; a program that asks for no page gets none.
pub(crate) async fn nowhere(headers: HeaderMap) -> Response {
    let accepts = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    if accepts.is_some_and(|accepts| accepts.contains("text/html")) {
        return Failure::Nowhere.into_response();
    }
    StatusCode::NOT_FOUND.into_response()
}

/// The same for programs.
#[derive(Debug)]
pub(crate) struct JsonFailure(pub(crate) Failure);

impl<E: Into<Failure>> From<E> for JsonFailure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// What a program is told.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct Problem {
    /// What is wrong, in English where it is a field of the question.
    error: String,
    /// The same in Chinese, with the mend.
    message: String,
}

impl IntoResponse for JsonFailure {
    fn into_response(self) -> Response {
        self.0.note();
        let status = self.0.status();
        let error = if status.is_server_error() {
            // Causes are the operator's, in the log.
            status.canonical_reason().unwrap_or_default().to_owned()
        } else {
            self.0.to_string()
        };
        let problem = Problem {
            error,
            message: self.0.sentence(),
        };
        (status, Json(problem)).into_response()
    }
}
