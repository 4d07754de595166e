//! A frozen run outlives the program that froze it: what later versions may do to its texts, and one that was frozen once
//! and is kept here for ever.

use std::{fs, path::PathBuf};

use classpulse::{
    evaluation::{EvaluationError, digest_of, freeze, load, verify},
    store::{ContentDigest, EvaluationStore as _, Record},
};

use super::{
    Kept, altered,
    county::{draft, everything, filled, freezing, moved, school},
    exclusion, said, total,
};

/// Every record of a small county with a frozen run, one a line.
fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/evaluation/golden.jsonl")
}

/// A run as if it had been frozen with what stands in its parts now.
fn sealed(mut all: Vec<Record>) -> Vec<Record> {
    let parts = all.iter().filter_map(|record| match record {
        Record::RunPart(part) => Some((part.part.key.as_str(), part.part.digest)),
        _ => None,
    });
    let digest: ContentDigest = digest_of(parts);
    for record in &mut all {
        match record {
            Record::Run(run) => run.frozen.as_mut().unwrap().digest = digest,
            Record::RunEvidence(one) => one.of.digest = Some(digest),
            Record::RunExclusion(one) => one.of.digest = Some(digest),
            Record::RunPart(one) => one.of.digest = Some(digest),
            _ => {}
        }
    }
    all
}

async fn frozen() -> (Vec<Record>, i64) {
    let Kept { store, .. } = &filled().await;
    let run = draft(store, "k").await;
    store.add_exclusion(run, exclusion(5, 1, 2)).await.unwrap();
    freeze(store, run, freezing()).await.unwrap();
    (everything(store).await, run)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_wording_is_no_fault_and_another_figure_is() {
    let (all, run) = frozen().await;
    for (key, from, to, reworded, faults) in [
        ("run", "\"format\":1", "\"format\":1", 0, &[][..]),
        ("results", "\"reason\":\"", "\"reason\":\"换言之", 1, &[]),
        ("results", "{\"total\"", "{\"later\":7,\"total\"", 0, &[]),
        (
            "watch",
            "\"sentences\":[\"",
            "\"sentences\":[\"换言之",
            0,
            &[],
        ),
        (
            "watch",
            "{\"sentences\"",
            "{\"later\":7,\"sentences\"",
            0,
            &[],
        ),
        ("run", "{\"format\"", "{\"later\":7,\"format\"", 0, &[]),
        (
            "results",
            "\"state\":\"missing\"",
            "\"state\":\"scored\"",
            0,
            &["results"],
        ),
        ("results", "\"counted\":", "\"counted\":1", 0, &["results"]),
        (
            "results",
            "\"highest\":\"",
            "\"highest\":\"1",
            0,
            &["results"],
        ),
        ("watch", "\"sentences\"", "\"sentence\"", 0, &["watch"]),
        ("run", "\"format\":1", "\"format\":2", 0, &["run"]),
        ("run", "\"format\":1", "\"form\":1", 0, &["run"]),
    ] {
        let other = moved(&sealed(altered(&all, key, from, to, true))).await;
        let found = verify(&other.store, run).await.unwrap();
        assert_eq!(said(&found), faults, "{to}: {found:?}");
        assert_eq!(found.reworded, reworded, "{to}");
        let readable = load(&other.store, run).await;
        let expected = !matches!(faults, ["run" | "watch"]);
        assert_eq!(readable.is_ok(), expected, "{to}: {readable:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_format_is_refused_and_says_so() {
    let (all, run) = frozen().await;
    let later = altered(&all, "run", "\"format\":1", "\"format\":2", true);
    let later = moved(&sealed(later)).await;
    let error = load(&later.store, run).await.unwrap_err();
    assert!(matches!(&error, EvaluationError::Part { part, .. } if part == "run"));
    let said = error.to_string();
    assert!(
        said.contains("format 2") && said.contains("reads format 1"),
        "{said}"
    );
}

/// If this fails, this version can't read or no longer confirms what was frozen in the field. Mend the program: the file
/// is never made anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_was_frozen_once_is_sound_for_ever() {
    let text = fs::read_to_string(golden()).unwrap();
    let all: Result<Vec<Record>, _> = text.lines().map(serde_json::from_str).collect();
    let kept = moved(&all.unwrap()).await;
    let found = verify(&kept.store, 1).await.unwrap();
    assert!(found.is_sound(), "{found:?}");
    assert_eq!(
        found.digest.to_string(),
        "2588f61cda365b24e8dfa8d60fb7df390fb7124a6659de9fbd84381dc78b95bb"
    );
    let results = load(&kept.store, 1).await.unwrap().results;
    let totals = [1, 2, 3].map(|number| total(&results, number).to_string());
    assert_eq!(totals, ["11.50", "13.25", "18.00"]);
    let highest = &results.school(&school(3)).unwrap().monitoring;
    assert_eq!((highest.counted, highest.service_days), (480, 8));
    assert_eq!(results.watch.sentences.len(), 3);
}

/// Made the file once. Another format gets another file beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "writes golden.jsonl, and only where there is none"]
async fn freeze_a_run_to_keep() {
    let (all, _) = frozen().await;
    let lines: Vec<String> = all
        .iter()
        .map(|record| serde_json::to_string(record).unwrap() + "\n")
        .collect();
    let mut file = fs::File::create_new(golden()).unwrap();
    std::io::Write::write_all(&mut file, lines.concat().as_bytes()).unwrap();
}
