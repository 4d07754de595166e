//! Which pages are asked for, and what must stand in them.

use std::collections::BTreeSet;

use classpulse::{
    domain::rubric::{self, Rubric},
    web::PAGES,
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
    let mut all = Targets {
        county,
        found: Vec::new(),
        routes: BTreeSet::from(NO_PAGES),
    };
    all.usage();
    all.settings();
    all.json();
    for (about, run) in [("a draft", county.draft), ("frozen", county.frozen[0])] {
        all.run(about, run);
        all.school(about, run);
        all.files(about, run);
    }
    all.runs();
    let gets = PAGES.iter().filter(|row| row.method == "GET");
    let known: BTreeSet<&str> = gets.map(|row| row.path).collect();
    assert_eq!(all.routes, known, "every page is asked for");
    all.found
}

struct Targets<'a> {
    county: &'a County,
    found: Vec<Target>,
    routes: BTreeSet<&'static str>,
}

impl Targets<'_> {
    fn add(&mut self, route: &'static str, about: &str, address: &str, words: &[(&str, usize)]) {
        self.routes.insert(route);
        let words = words
            .iter()
            .map(|(word, times)| ((*word).to_owned(), *times));
        self.found.push(Target {
            name: format!("{route} {about}").trim_end().to_owned(),
            address: address.to_owned(),
            words: words.collect(),
        });
    }

    fn usage(&mut self) {
        let (all, code, id) = (self.county.schools as usize, school(2), terminal(2, 0));
        let ranked = "<th scope=\"row\"><a href=\"/schools/";
        self.add("/", "", "/", &[(ranked, all)]);
        self.add("/", "last term", "/?term=2025-09-01", &[(ranked, all)]);
        let (here, name) = (format!("/schools/{code}"), "<h1>奇克镇第2中心学校</h1>");
        self.add("/schools/{code}", "", &here, &[(name, 1)]);
        let year = format!("{here}?from=2025-09-01&to={TODAY}");
        self.add("/schools/{code}", "the whole year", &year, &[(name, 1)]);
        let here = format!("/terminals/{id}");
        self.add(
            "/terminals/{id}",
            "",
            &here,
            &[("<h1>终端 s0002-000</h1>", 1)],
        );
        let waiting = [("<h1>数据质量</h1>", 1), (">批准</button>", 10)];
        self.add("/quality", "", "/quality", &waiting);
        self.add("/wall", "", "/wall", &[("class=\"tile\"", all)]);
    }

    fn settings(&mut self) {
        self.add("/settings", "", "/settings", &[("<h1>设置</h1>", 1)]);
        self.add(
            "/settings/users",
            "",
            "/settings/users",
            &[("<h1>用户</h1>", 1)],
        );
        self.add("/audit", "", "/audit", &[("<h1>操作记录</h1>", 1)]);
        self.add("/rubric", "", "/rubric", &[("评估细则(试行)</h1>", 1)]);
        self.add("/rubric/file", "", "/rubric/file", &[]);
        self.add("/metrics", "", "/metrics", &[]);
    }

    fn json(&mut self) {
        let (all, code, id) = (self.county.schools as usize, school(2), terminal(2, 0));
        let every = [("\"school_code\":", all)];
        self.add("/api/v1/runs", "", "/api/v1/runs", &[("\"state\":\"", 4)]);
        self.add(
            "/api/v1/openapi.json",
            "",
            "/api/v1/openapi.json",
            &[("\"openapi\":\"3", 1)],
        );
        self.add("/api/v1/now", "", "/api/v1/now", &every);
        self.add("/api/v1/schools", "", "/api/v1/schools", &every);
        self.add("/api/v1/scores", "", "/api/v1/scores", &every);
        let terminals = format!("/api/v1/schools/{code}/terminals");
        self.add("/api/v1/schools/{code}/terminals", "", &terminals, &[]);
        let day = format!("/api/v1/terminals/{id}/days/2026-07-07");
        self.add("/api/v1/terminals/{id}/days/{date}", "", &day, &[]);
    }

    fn run(&mut self, about: &str, run: i64) {
        let (all, at) = (self.county.schools as usize, format!("/runs/{run}"));
        let sheet = format!("\"{at}/schools/{}\"", school(2));
        self.add("/runs/{run}", about, &at, &[(&*sheet, 1)]);
        let page = format!("{at}/evidence");
        self.add(
            "/runs/{run}/evidence",
            about,
            &page,
            &[("/evidence\">", all)],
        );
        let page = format!("{at}/exclusions");
        self.add(
            "/runs/{run}/exclusions",
            about,
            &page,
            &[("<h1>排除</h1>", 1)],
        );
        let tried = format!("{at}/what-if?x={}:2026-06-01:2026-06-05", terminal(4, 1));
        self.add(
            "/runs/{run}/what-if",
            about,
            &tried,
            &[("data-table=\"what-if\"", 1)],
        );
        let json = format!("/api/v1{at}");
        self.add(
            "/api/v1/runs/{run}",
            about,
            &json,
            &[("奇克镇第2中心学校\"", 1)],
        );
    }

    fn school(&mut self, about: &str, run: i64) {
        let rubric = Rubric::parse(rubric::DEFAULT).expect("a rubric");
        // 后台监测 asks nothing.
        let asked = rubric
            .items()
            .filter(|one| !one.fields().is_empty())
            .count();
        let one = format!("/runs/{run}/schools/{}", school(2));
        let items = format!("\"{one}/items/");
        self.add(
            "/runs/{run}/schools/{code}",
            about,
            &one,
            &[(&*items, asked + 1)],
        );
        let item = format!("{one}/items/4.3.1?terminal={}", terminal(2, 0));
        let route = "/runs/{run}/schools/{code}/items/{item}";
        self.add(route, about, &item, &[("<h1>条目 4.3.1</h1>", 1)]);
        let form = format!("{one}/evidence");
        let route = "/runs/{run}/schools/{code}/evidence";
        self.add(route, about, &form, &[("<fieldset", asked)]);
    }

    fn files(&mut self, about: &str, run: i64) {
        let book = format!("/runs/{run}/workbook");
        self.add("/runs/{run}/workbook", about, &book, &[]);
        for kind in [
            "summary.xlsx",
            "all.xlsx",
            "summary.csv",
            "items.csv",
            "json",
        ] {
            let file = format!("/runs/{run}/files/{kind}");
            self.add(
                "/runs/{run}/files/{kind}",
                &format!("{about} {kind}"),
                &file,
                &[],
            );
        }
    }

    fn runs(&mut self) {
        let (draft, [year, corrected, term]) = (self.county.draft, self.county.frozen);
        self.add("/runs", "", "/runs", &[("<h1>考核</h1>", 1)]);
        let page = format!("/runs/{draft}/freeze");
        self.add("/runs/{run}/freeze", "", &page, &[("<h1>冻结</h1>", 1)]);
        let page = format!("/runs/{year}/verify");
        self.add("/runs/{run}/verify", "", &page, &[("开始核验", 1)]);
        let page = format!("{page}/result");
        let whole = [("与冻结时完全一致", 1)];
        self.add("/runs/{run}/verify/result", "", &page, &whole);
        for (about, other) in [
            ("a correction", corrected),
            ("another period", term),
            ("with the draft", draft),
        ] {
            for (route, heading) in [
                ("/runs/compare", "比较两次考核"),
                ("/runs/compare/minutes", "比较使用分钟"),
            ] {
                let both = format!("{route}?before={year}&after={other}");
                let heading = format!("<h1>{heading}</h1>");
                self.add(route, about, &both, &[(&heading, 1)]);
            }
        }
    }
}
