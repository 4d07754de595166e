//! Which pages are asked for, and what must stand in them.

use std::collections::BTreeSet;

use classpulse::{
    dashboard::PAGES,
    domain::rubric::{self, Rubric},
};

use crate::{
    ask::Answer,
    county::{County, TODAY},
    names::{school, terminal},
};

/// What a page may take on the server, milliseconds.
pub(crate) const LIMIT_MS: f64 = 100.0;

/// What a page may be, packed.
pub(crate) const LIMIT_BYTES: usize = 60 * 1024;

/// Routes that answer something else than a page: a stream that never ends, a link that works once, files that are named
/// after their content, pages for who has an account.
const NO_PAGES: [&str; 5] = [
    "/live",
    "/setup/{code}",
    "/assets/{name}",
    "/login",
    "/account",
];

/// A page.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Its route, and what about it.
    pub(crate) name: String,
    /// Path and query.
    pub(crate) address: String,
    /// What it must show, and how often.
    pub(crate) words: Vec<(String, usize)>,
}

impl Target {
    /// Compares an answer with what is known.
    pub(crate) fn check(&self, answer: &Answer) {
        assert_eq!(answer.status, 200, "{}", self.address);
        for (word, times) in &self.words {
            let found = answer.text.matches(word).count();
            assert_eq!(found, *times, "{word} in {}", self.address);
        }
    }
}

/// Every page.
pub(crate) fn targets(county: &County) -> Vec<Target> {
    let (all, code, id) = (county.schools as usize, school(2), terminal(2, 0));
    let (draft, [year, corrected, term]) = (county.draft, county.frozen);
    let rubric = Rubric::parse(rubric::DEFAULT).expect("a rubric");
    // 后台监测 asks nothing.
    let items_asked = rubric
        .items()
        .filter(|one| !one.fields().is_empty())
        .count();
    let mut targets = Vec::new();
    let mut routes = BTreeSet::new();
    let mut add = |route: &'static str, about: &str, address: String, words: &[(&str, usize)]| {
        routes.insert(route);
        let name = format!("{route} {about}");
        let words = words
            .iter()
            .map(|(word, times)| ((*word).to_owned(), *times));
        targets.push(Target {
            name: name.trim_end().to_owned(),
            address,
            words: words.collect(),
        });
    };
    let ranked = "<th scope=\"row\"><a href=\"/schools/";
    add("/", "", "/".to_owned(), &[(ranked, all)]);
    add(
        "/",
        "last term",
        "/?term=2025-09-01".to_owned(),
        &[("<h1>逊克县总览</h1>", 1)],
    );
    let here = format!("/schools/{code}");
    add(
        "/schools/{code}",
        "",
        here.clone(),
        &[("<h1>奇克镇第2中心学校</h1>", 1)],
    );
    let whole = format!("{here}?from=2025-09-01&to={TODAY}");
    add(
        "/schools/{code}",
        "the whole year",
        whole,
        &[("<h1>奇克镇第2中心学校</h1>", 1)],
    );
    add(
        "/terminals/{id}",
        "",
        format!("/terminals/{id}"),
        &[("<h1>终端 s0002-000</h1>", 1)],
    );
    add(
        "/quality",
        "",
        "/quality".to_owned(),
        &[("<h1>数据质量</h1>", 1), ("批准</button>", 10)],
    );
    add("/wall", "", "/wall".to_owned(), &[("class=\"tile\"", all)]);
    add(
        "/settings",
        "",
        "/settings".to_owned(),
        &[("<h1>设置</h1>", 1)],
    );
    add(
        "/settings/users",
        "",
        "/settings/users".to_owned(),
        &[("<h1>用户</h1>", 1)],
    );
    add(
        "/audit",
        "",
        "/audit".to_owned(),
        &[("<h1>操作记录</h1>", 1)],
    );
    add("/runs", "", "/runs".to_owned(), &[("<h1>考核</h1>", 1)]);
    let sheet = format!("/schools/{code}\"");
    for (about, run) in [("a draft", draft), ("frozen", year)] {
        let at = format!("/runs/{run}");
        let row = format!("\"{at}/schools/");
        add(
            "/runs/{run}",
            about,
            at.clone(),
            &[(&*row, all), (&*sheet, 1)],
        );
        let one = format!("{at}/schools/{code}");
        let items = format!("\"{one}/items/");
        add(
            "/runs/{run}/schools/{code}",
            about,
            one.clone(),
            &[(&*items, items_asked + 1)],
        );
        let item = format!("{one}/items/4.3.1?terminal={id}");
        add(
            "/runs/{run}/schools/{code}/items/{item}",
            about,
            item,
            &[("<h1>条目 4.3.1</h1>", 1)],
        );
        let form = format!("{one}/evidence");
        add(
            "/runs/{run}/schools/{code}/evidence",
            about,
            form,
            &[("<fieldset", items_asked)],
        );
        add(
            "/runs/{run}/evidence",
            about,
            format!("{at}/evidence"),
            &[("<h1>材料</h1>", 1)],
        );
        add(
            "/runs/{run}/exclusions",
            about,
            format!("{at}/exclusions"),
            &[("<h1>排除</h1>", 1)],
        );
        let tried = format!("{at}/what-if?x={}:2026-06-01:2026-06-05", terminal(4, 1));
        add(
            "/runs/{run}/what-if",
            about,
            tried,
            &[("data-table=\"what-if\"", 1)],
        );
        add(
            "/api/v1/runs/{run}",
            about,
            format!("/api/v1{at}"),
            &[("奇克镇第2中心学校\"", 1)],
        );
        add("/runs/{run}/workbook", about, format!("{at}/workbook"), &[]);
        for kind in [
            "summary.xlsx",
            "all.xlsx",
            "summary.csv",
            "items.csv",
            "json",
        ] {
            let file = format!("{at}/files/{kind}");
            add(
                "/runs/{run}/files/{kind}",
                &format!("{about} {kind}"),
                file,
                &[],
            );
        }
    }
    add(
        "/runs/{run}/freeze",
        "",
        format!("/runs/{draft}/freeze"),
        &[("<h1>冻结</h1>", 1)],
    );
    add(
        "/runs/{run}/verify",
        "",
        format!("/runs/{year}/verify"),
        &[("<h1>核验</h1>", 1)],
    );
    for (about, other) in [("a correction", corrected), ("another period", term)] {
        let both = format!("/runs/compare?before={year}&after={other}");
        add(
            "/runs/compare",
            about,
            both,
            &[("<h1>比较两次考核</h1>", 1)],
        );
    }
    let both = format!("/runs/compare?before={year}&after={draft}");
    add(
        "/runs/compare",
        "with the draft",
        both,
        &[("<h1>比较两次考核</h1>", 1)],
    );
    add(
        "/rubric",
        "",
        "/rubric".to_owned(),
        &[("评估细则(试行)</h1>", 1)],
    );
    add("/rubric/file", "", "/rubric/file".to_owned(), &[]);
    let json = "/api/v1";
    add(
        "/api/v1/runs",
        "",
        format!("{json}/runs"),
        &[("\"state\":\"", 4)],
    );
    add(
        "/api/v1/openapi.json",
        "",
        format!("{json}/openapi.json"),
        &[("\"openapi\"", 1)],
    );
    add(
        "/api/v1/now",
        "",
        format!("{json}/now"),
        &[("\"school_code\":", all)],
    );
    add(
        "/api/v1/schools",
        "",
        format!("{json}/schools"),
        &[("\"average\":", all)],
    );
    let terminals = format!("{json}/schools/{code}/terminals");
    add("/api/v1/schools/{code}/terminals", "", terminals, &[]);
    let day = format!("{json}/terminals/{id}/days/2026-07-07");
    add("/api/v1/terminals/{id}/days/{date}", "", day, &[]);
    add(
        "/api/v1/scores",
        "",
        format!("{json}/scores"),
        &[("\"school_code\":", all)],
    );
    add("/metrics", "", "/metrics".to_owned(), &[]);
    let gets = PAGES.iter().filter(|row| row.method == "GET");
    let known: BTreeSet<&str> = gets.map(|row| row.path).collect();
    routes.extend(NO_PAGES);
    assert_eq!(routes, known, "every page is asked for");
    targets
}
