//! Every page as everybody, for real: who is let in where, and what part of the county they see there.

use classpulse::web::{PAGES, Row, Sees};

use super::{
    grpc,
    people::{FAR, Guarded, Person, cookie},
};
use crate::support::{JUNIOR, PRIMARY};

/// A run that is frozen, which a part of the county sees its own of and nobody can change, and a draft, which only the
/// county sees.
struct Runs {
    frozen: i64,
    draft: i64,
}

/// A row's path with what stands there.
fn address(row: &Row, runs: &Runs) -> String {
    let verifies = row.path.starts_with("/runs/{run}/verify");
    let looks = row.method == "GET" && row.sees == Sees::County && !verifies;
    let run = if looks { runs.draft } else { runs.frozen };
    let path = row
        .path
        .replace("{run}", &run.to_string())
        .replace("{item}", "4.3.1")
        .replace("{kind}", "summary.csv")
        .replace("/schools/{code}", &format!("/schools/{PRIMARY}"))
        .replace("{id}", "P-1")
        .replace("{date}", "2026-11-24")
        .replace("{code}", "no-such-code")
        .replace("{name}", "no-such-file");
    match path.as_str() {
        "/live" => "/live?view=now".to_owned(),
        "/runs/compare" | "/runs/compare/minutes" => {
            format!("{path}?before={run}&after={}", runs.frozen)
        }
        _ => path,
    }
}

/// Whether a person should be let in.
fn allowed(row: &Row, person: &Person) -> bool {
    let Some(needs) = row.needs else { return true };
    person.role.may(needs) && !(row.sees == Sees::County && person.is_narrow())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_as_everybody() {
    let guarded = Guarded::start().await;
    let runs = Runs {
        frozen: grpc::run(&guarded, "frozen", true).await,
        draft: grpc::run(&guarded, "draft", false).await,
    };
    let mut tried = 0;
    for person in guarded.people.iter().map(Some).chain([None]) {
        // Logging out comes last.
        let (last, rows): (Vec<_>, Vec<_>) = PAGES.iter().partition(|row| row.path == "/logout");
        for row in rows.into_iter().chain(last) {
            let headers = person.map(cookie).unwrap_or_default();
            let address = address(row, &runs);
            let answer = match row.method {
                "GET" => guarded.get(&address, &headers).await,
                // Nothing in it: whoever is let in is told so.
                _ => guarded.post(&address, &headers, "").await,
            };
            let who = person.map_or("nobody", |person| person.name);
            let told = format!("{} {address} as {who}: {answer:?}", row.method);
            let let_in = match person {
                Some(person) => allowed(row, person),
                None => row.needs.is_none(),
            };
            let to_login = answer
                .header("location")
                .is_some_and(|to| to.starts_with("/login?"));
            if let_in && person.is_some_and(|one| one.name == "elsewhere") {
                // What stands at these addresses is another county's.
                assert!(
                    answer.status != 401 && answer.status != 500 && !to_login,
                    "{told}"
                );
            } else if let_in {
                // A login without a name and a password is no permission.
                assert!(
                    ![401, 403, 500].contains(&answer.status) && !to_login,
                    "{told}"
                );
                if row.method == "GET" && row.needs.is_some() {
                    assert_eq!(answer.status, 200, "{told}");
                }
            } else if person.is_some() {
                assert_eq!(answer.status, 403, "{told}");
                assert!(
                    answer.body.contains("权限") || answer.body.contains("范围"),
                    "{told}"
                );
            } else if row.method == "GET" && !address.starts_with("/api/") && row.path != "/live" {
                assert!(answer.status == 303 && to_login, "{told}");
            } else {
                assert_eq!(answer.status, 401, "{told}");
            }
            tried += 1;
        }
    }
    assert_eq!(tried, PAGES.len() * (guarded.people.len() + 1));
    guarded.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_county_sees_itself_and_the_ranking() {
    let guarded = Guarded::start().await;
    let sees = async |name: &str, path: &str| {
        let answer = guarded.get(path, &cookie(guarded.one(name))).await;
        assert!(
            [200, 403, 404].contains(&answer.status),
            "{name} {path}: {answer:?}"
        );
        answer.status == 200
    };
    for (school, terminal) in [(PRIMARY, "P-1"), (JUNIOR, "J-1"), (FAR, "X-1")] {
        let paths = [
            format!("/schools/{school}"),
            format!("/schools/{school}?format=csv"),
            format!("/terminals/{terminal}"),
            format!("/terminals/{terminal}?format=csv&table=days"),
            format!("/api/v1/schools/{school}/terminals"),
            format!("/api/v1/terminals/{terminal}/days/2026-11-24"),
        ];
        for path in &paths {
            assert!(
                sees("viewer", path).await && sees("county", path).await,
                "{path}"
            );
            assert_eq!(sees("township", path).await, school != FAR, "{path}");
            assert_eq!(sees("school", path).await, school == PRIMARY, "{path}");
            assert!(!sees("elsewhere", path).await, "{path}");
        }
    }
    // Everybody of the county sees its ranking, whole, and of other schools nothing that leads on.
    for (name, links) in [("viewer", 3), ("township", 2), ("school", 1)] {
        for path in ["/", "/?format=csv", "/api/v1/schools", "/api/v1/scores"] {
            let answer = guarded.get(path, &cookie(guarded.one(name))).await;
            let body = answer.body;
            assert!(
                body.contains(FAR) || body.contains("丙小学"),
                "{name} {path}"
            );
            if path == "/" {
                assert_eq!(body.matches("href=\"/schools/").count(), links, "{name}");
            }
        }
    }
    for path in ["/?county=231124", "/api/v1/scores?county=231124"] {
        assert!(
            !sees("school", path).await && !sees("county", path).await,
            "{path}"
        );
    }
    guarded.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_school_sees_its_own_sheet_of_a_frozen_run_on_its_pages() {
    let guarded = Guarded::start().await;
    let frozen = grpc::run(&guarded, "frozen", true).await;
    let draft = grpc::run(&guarded, "draft", false).await;
    let get = async |name: &str, path: &str| guarded.get(path, &cookie(guarded.one(name))).await;
    let sheet = |run: i64, school: &str| format!("/runs/{run}/schools/{school}");
    for (name, own, others) in [
        ("school", &[PRIMARY][..], &[JUNIOR, FAR][..]),
        ("township", &[PRIMARY, JUNIOR], &[FAR]),
    ] {
        for school in own {
            for part in ["", "?format=csv", "/items/4.3.1", "/items/1.1.1"] {
                let path = format!("{}{part}", sheet(frozen, school));
                assert_eq!(get(name, &path).await.status, 200, "{name} {path}");
            }
            // It is found from the school's own page, and the draft is not.
            let page = get(name, &format!("/schools/{school}")).await.body;
            let leads = |run| page.contains(&format!("href=\"{}\"", sheet(run, school)));
            assert!(leads(frozen) && !leads(draft), "{name} {school}");
            // Nothing on it leads where this person is refused, and no other school's figures stand there.
            let body = get(name, &sheet(frozen, school)).await.body;
            let inside = body.split("<main").nth(1).unwrap();
            assert!(inside.contains("4.3.1") && inside.contains("总分"));
            for link in inside.split("href=\"/").skip(1) {
                let path = format!("/{}", link.split('"').next().unwrap());
                assert_eq!(get(name, &path).await.status, 200, "{name} {path}");
            }
            for other in others {
                assert!(!inside.contains(other), "{name} {school}");
            }
            for run in [draft, 99] {
                let answer = get(name, &sheet(run, school)).await;
                assert!([403, 404].contains(&answer.status), "{name} run {run}");
            }
        }
        for school in others {
            for part in ["", "?format=csv", "/items/4.3.1", "/evidence"] {
                let path = format!("{}{part}", sheet(frozen, school));
                let answer = get(name, &path).await;
                assert!([403, 404].contains(&answer.status), "{name} {path}");
            }
        }
        for path in [
            format!("/runs/{frozen}"),
            format!("/runs/{frozen}/files/summary.csv"),
            format!("/runs/{frozen}/files/school.xlsx?school={}", others[0]),
            format!("/runs/compare?before={frozen}&after={frozen}"),
            format!("/api/v1/runs/{frozen}"),
        ] {
            assert_eq!(get(name, &path).await.status, 403, "{name} {path}");
        }
        let runs = get(name, "/runs").await.body;
        assert!(runs.contains("试评"), "{name}");
        assert!(!runs.contains(&format!("/runs/{draft}")), "{name}");
    }
    // A whole county finds drafts there too.
    let page = get("county", &format!("/schools/{PRIMARY}")).await.body;
    for run in [frozen, draft] {
        let link = format!("href=\"{}\"", sheet(run, PRIMARY));
        assert!(page.contains(&link), "{link}");
    }
    let none = get("registrar", &format!("/schools/{PRIMARY}")).await.body;
    assert!(
        !none.contains("/runs/"),
        "who may not see scores is led to none"
    );
    guarded.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_that_is_offered_can_be_had() {
    let guarded = Guarded::start().await;
    let administrator = cookie(guarded.one("administrator"));
    let offered = async |name: &str| -> Vec<String> {
        let page = guarded.get("/settings/users", &administrator).await.body;
        let forms = page.split("action=\"/settings/users/change\"").skip(1);
        let own = format!("name=\"login\" value=\"{name}\"");
        let form = forms
            .map(|rest| rest.split("</form>").next().unwrap())
            .find(|form| form.contains(&own));
        let roles = form.into_iter().flat_map(|form| {
            let role = form.split("name=\"role\"").nth(1).unwrap();
            let options = role.split("</select>").next().unwrap();
            options.split("value=\"").skip(1)
        });
        roles
            .map(|rest| rest.split('"').next().unwrap().to_owned())
            .collect()
    };
    let everything = [
        "viewer",
        "evaluator",
        "registrar",
        "auditor",
        "administrator",
    ];
    for name in ["viewer", "evaluator", "registrar"] {
        assert_eq!(offered(name).await, everything, "{name}");
    }
    // Who administers never audits, nor becomes anything else.
    for name in ["administrator", "auditor"] {
        assert_eq!(offered(name).await, [""; 0], "{name}");
    }
    for (name, last) in [("viewer", "auditor"), ("evaluator", "administrator")] {
        for role in ["evaluator", "registrar", "viewer", last] {
            let form = format!("login={name}&role={role}&scope=all");
            let path = "/settings/users/change";
            let answer = guarded.post(path, &administrator, &form).await;
            assert_eq!(answer.status, 303, "{form}: {answer:?}");
        }
        assert_eq!(offered(name).await, [""; 0], "{name} is {last} now");
    }
    guarded.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_offer_what_the_role_may_do() {
    let guarded = Guarded::start().await;
    let page =
        async |name: &str, path: &str| guarded.get(path, &cookie(guarded.one(name))).await.body;
    let links = [
        "/quality",
        "/wall",
        "/settings",
        "/settings/users",
        "/audit",
    ];
    for (name, expected) in [
        ("viewer", &["/wall"][..]),
        ("evaluator", &["/quality", "/wall", "/settings"]),
        ("registrar", &["/quality", "/wall", "/settings"]),
        ("auditor", &["/quality", "/wall", "/settings", "/audit"]),
        (
            "administrator",
            &["/quality", "/wall", "/settings", "/settings/users"],
        ),
        ("school", &[]),
    ] {
        let body = page(name, "/").await;
        let nav = body.split("</nav>").next().unwrap();
        let shown = |link: &&&str| nav.contains(&format!("href=\"{link}\""));
        let shown: Vec<_> = links.iter().filter(shown).copied().collect();
        assert_eq!(shown, expected, "{name}");
        assert!(body.contains(&format!("{name}</a>")) && body.contains("退出"));
    }
    for (name, forms) in [
        ("registrar", true),
        ("evaluator", false),
        ("auditor", false),
    ] {
        for path in ["/settings", "/quality"] {
            let body = page(name, path).await;
            let posts = body.matches("method=\"post\"").count();
            // The one to log out, and the calendar's, which can be read.
            let most = if path == "/settings" { 2 } else { 1 };
            if path == "/settings" {
                assert_eq!(posts > most, forms, "{name} {path}: {posts}");
            }
            assert_eq!(
                body.contains("您的角色在本页只能查看"),
                !forms,
                "{name} {path}"
            );
        }
    }
    guarded.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_and_exports_are_recorded_with_who_and_from_where() {
    let guarded = Guarded::start().await;
    let before = guarded.log().await.len();
    let registrar = cookie(guarded.one("registrar"));
    let body = format!("school={PRIMARY}&uses=3&days=4");
    let made = guarded.post("/settings/codes", &registrar, &body).await;
    assert_eq!(made.status, 200);
    assert_eq!(
        guarded
            .post("/settings/codes/revoke", &registrar, "id=1")
            .await
            .status,
        303
    );
    let viewer = cookie(guarded.one("viewer"));
    let csv = guarded.get("/?format=csv&table=schools", &viewer).await;
    assert!(csv.status == 200 && csv.header("content-disposition").is_some());
    let auditor = cookie(guarded.one("auditor"));
    let page = guarded.get("/audit", &auditor).await;
    assert!(
        page.body.contains("生成注册码") && page.body.contains("127.0.0.1"),
        "{page:?}"
    );
    let csv = guarded
        .get("/audit?format=csv&who=registrar", &auditor)
        .await;
    assert!(
        csv.body.contains("code.revoke") && !csv.body.contains("account.add"),
        "{csv:?}"
    );
    let log = guarded.log().await.split_off(before);
    let told: Vec<_> = log
        .iter()
        .map(|one| (one.who.as_str(), one.action.as_str(), one.target.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("registrar", "code.add", "1"),
            ("registrar", "code.revoke", "1"),
            ("viewer", "export", "/?format=csv&table=schools"),
            ("auditor", "export", "/audit?format=csv&who=registrar"),
        ]
    );
    assert!(log.iter().all(|one| one.origin == "127.0.0.1"));
    assert!(log[1].before.contains(PRIMARY) && log[1].after.contains("revoked"));
    guarded.stop().await;
}
