//! axe-core on every page, light and dark: nothing serious may be left.
//!
//! It comes from npm (`deploy/test` packs it into `target/axe-core`) and is given to the page by the driver: the page's own
//! policy lets no script in.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{BROWSERS, PAGES, browser::Browser, county::Morning};

/// Runs axe; what is found: impact, rule and the first place of each.
const RUN: &str = "const done = arguments[arguments.length - 1];\
    axe.run(document, { resultTypes: ['violations'] }).then(result => done(result.violations.map(one => \
    [one.impact, one.id, one.help, one.nodes.map(node => node.html.slice(0, 200)).slice(0, 3)])), error => done(String(error)))";

#[tokio::test(flavor = "multi_thread")]
async fn no_page_has_a_serious_finding_light_or_dark() {
    let _alone = BROWSERS.lock().await;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/axe-core/package/axe.min.js");
    let axe = fs::read_to_string(path).expect("axe-core, of npm: run ./deploy/test once");
    let morning = Morning::start().await;
    morning.run().await;
    let browser = Browser::start().await;
    let (mut serious, mut looked) = (Vec::new(), 0);
    for scheme in ["light", "dark"] {
        browser.scheme(scheme).await;
        for width in [1_366, 390] {
            browser.size(width, 800).await;
            for (path, _) in PAGES {
                browser.open(&morning.address(path)).await;
                browser.run(&axe, vec![]).await;
                let found = browser.client.execute_async(RUN, vec![]).await.unwrap();
                let Value::Array(found) = found else {
                    panic!("{path}: {found}");
                };
                looked += 1;
                for one in found {
                    let mild = one[0] == "minor" || one[0] == "moderate";
                    if !mild {
                        serious.push(format!("{scheme} {width} {path}: {one}"));
                    }
                }
            }
        }
    }
    assert_eq!(looked, PAGES.len() * 4);
    assert!(serious.is_empty(), "{}", serious.join("\n"));
    // It finds what is there.
    let script =
        "document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=/assets/x>')";
    browser.run(script, vec![]).await;
    let found = browser.client.execute_async(RUN, vec![]).await.unwrap();
    assert!(found.to_string().contains("image-alt"), "{found}");
    browser.stop().await;
    morning.stop().await;
}

impl Browser {
    /// What the browser says of the user's wish: light or dark.
    pub(crate) async fn scheme(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        )
        .await;
    }
}
